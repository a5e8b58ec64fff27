//! A course of events is its seed's alone: another process, with its own addresses, hash keys, environment and threads, has
//! the same one to the byte.
//!
//! What another machine has different beyond that is not here. No hash is written down: each change of the engine changes
//! the courses, and a number that is renewed with each change claims nothing.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use beacon_core::testing::simulation::{Faults, Simulation};

use crate::{checkpoints, clocks, job, operators};

type Job = fn() -> Simulation;

const SEEDS: [u64; 3] = [1, 2, 1_000_000_007];
/// Begins a line of the other process.
const LABEL: &str = "course of ";

/// One of each sort: calls and a broadcast, checkpoints with standby copies, two threads a process, nearly every operator,
/// timers alone.
const JOBS: [(&str, Job); 5] = [
    ("shop", || job::shop(Faults::all())),
    ("kept", || checkpoints::kept(Faults::all()).configure(|config| config.standbys = 1)),
    ("threads", || job::shop(Faults::all()).processes(2).threads(2)),
    ("operators", operators::plant),
    ("clocks", || clocks::clocks(Faults::all())),
];

/// All there is to compare: the hash is over every call and every byte, the rest says where to look when it differs.
fn course(job: Job, seed: u64) -> String {
    let run = job().run_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
    format!("{:#018x}, {} steps, {:?}, faults {:?}", run.trace_hash, run.steps, run.time, run.faults)
}

fn courses() -> Vec<(String, Job, u64)> {
    let of_job = |(name, job): (&'static str, Job)| SEEDS.map(|seed| (format!("{name} {seed}"), job, seed));
    JOBS.into_iter().flat_map(of_job).collect()
}

#[test]
fn one_seed_is_one_course_of_events_in_every_process() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let other = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "replay::tells_its_courses", "--ignored", "--nocapture"])
        .current_dir(directory.path())
        .env_clear()
        .env("HOME", directory.path())
        .env("TMPDIR", directory.path())
        .env("TZ", "Pacific/Chatham")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("RUST_TEST_THREADS", "7")
        .env("RUST_LOG", "trace")
        .output()
        .expect("this test again");
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.success(), "{said}\n{}", String::from_utf8_lossy(&other.stderr));
    let lines = said.lines().filter_map(|line| line.strip_prefix(LABEL)?.split_once(": "));
    let theirs: BTreeMap<_, _> = lines.map(|(which, course)| (which.to_owned(), course.to_owned())).collect();
    let ours: BTreeMap<_, _> = courses().into_iter().map(|(which, job, seed)| (which, course(job, seed))).collect();
    assert_eq!(ours.len(), JOBS.len() * SEEDS.len());
    assert_eq!(theirs, ours, "the other process has another course of the same seeds");
}

/// All at once, each on a thread of its own.
#[test]
#[ignore = "started by another test as a process of its own"]
fn tells_its_courses() {
    let told: Vec<_> = thread::scope(|scope| {
        let begin = |(which, job, seed)| (which, scope.spawn(move || course(job, seed)));
        let running: Vec<_> = courses().into_iter().map(begin).collect();
        running.into_iter().map(|(which, running)| (which, running.join().expect("no panic"))).collect()
    });
    for (which, course) in told {
        // On a line of its own, whatever the harness has written before.
        println!("\n{LABEL}{which}: {course}");
    }
}
