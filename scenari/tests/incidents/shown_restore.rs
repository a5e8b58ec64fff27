//! A worker whose disk was lost brings its state from slow storage: whoever sits at its terminal sees how far it is, and a
//! log that nobody sits at has lines of it, and nothing of a terminal.

use std::process::Command;
use std::time::Duration;

use scenari::metric;
use scenari::ports::free_port;
use scenari::process::{Launch, Process};
use scenari::proxy::{Proxy, Weather};
use scenari::s3::{BUCKET, S3};
use scenari::wait::wait_until;
use scenari::webhook::Webhook;
use scenari::world::{Role, World};

use crate::On;
use crate::lives::{Lives, plan};
use crate::lost_disk::run_until_checkpointed;

const LIVES: usize = 100;
/// A line of a log comes every ten seconds; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// What makes a terminal forget the line that it is in.
const CLEARED_LINE: &str = "\x1b[2K";
/// Of the answer with a file: less than its head, so that it has begun and nothing of the file is there.
const HELD: Weather = Weather::HeldAnswer("/files/", 100);

crate::on_both_logs!(a_restore_is_shown_in_a_terminal_and_told_in_a_log);

/// Checkpoints that were in a folder, on S3.
struct Moved {
    way: Proxy,
    _s3: S3,
}

impl Moved {
    fn from(world: &World) -> Self {
        let s3 = S3::start();
        let copied = Command::new("cp").arg("-r").arg(world.checkpoints()).arg(s3.folder()).status().expect("cp runs");
        assert!(copied.success(), "cp: {copied}");
        Self { way: Proxy::start(s3.port()), _s3: s3 }
    }

    /// The worker with its checkpoints here, which tells its metrics on this port.
    fn worker(&self, world: &World, on: On, port: u16) -> Launch {
        let url = format!("s3://{BUCKET}/checkpoints?endpoint=http://127.0.0.1:{}", self.way.port());
        let listens = if on == On::Embedded { "--web.listen-address" } else { "--metrics.listen-address" };
        let launch = world.rival(Role::Worker(0)).with_flag("--checkpoints", url);
        let launch = launch.with_flag(listens, format!("127.0.0.1:{port}"));
        S3::variables().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    }
}

/// Waits until there is what is wanted in its output.
#[track_caller]
fn wait_for(what: &str, process: &mut Process, wanted: impl Fn(&str) -> bool) {
    wait_until(what, PATIENCE, || match process.ended() {
        None if wanted(&process.output()) => Ok(()),
        ended => Err(format!("{ended:?}, {}", process.tail())),
    });
}

/// Whether the line is one of the worker's restore whose files are on their way.
fn tells(line: &str) -> bool {
    let parts = ["restoring", "pipeline", " task", ", files 0 B of "];
    parts.iter().all(|part| line.contains(part))
}

/// The bars of it that were drawn.
fn bars(output: &str) -> Vec<&str> {
    // Over and over in the same place.
    let drawn = output.split(['\r', '\n']).filter(|piece| piece.contains('░'));
    drawn.filter(|piece| tells(piece) && piece.contains(" 0 %, time left: not known yet")).collect()
}

/// Starts the worker, whose restore stands still until it shows what is wanted; then lets it go on, ends it, and takes its
/// disk once more.
fn restore(world: &mut World, on: On, moved: &Moved, in_terminal: bool, shows: impl Fn(&str) -> bool) -> Process {
    moved.way.set(HELD);
    let port = free_port();
    let launch = moved.worker(world, on, port);
    let launch = if in_terminal { launch.in_terminal() } else { launch };
    let mut process = launch.start().unwrap_or_else(|error| panic!("{error:#}"));
    wait_for("a restore to be shown", &mut process, shows);
    moved.way.set(Weather::Calm);
    // One process has both on the embedded log.
    let applications = if on == On::Embedded { vec!["pipeline", "notifier"] } else { vec!["pipeline"] };
    let tasks: usize = applications.into_iter().map(|name| world.checkpoints_of(name).len()).sum();
    wait_until("every task to be restored", PATIENCE, || {
        let restored = metric::sum(&format!("http://127.0.0.1:{port}"), "beacon_checkpoint_restore_total");
        if restored >= Some(tasks as f64) { Ok(()) } else { Err(format!("{restored:?}, {}", process.tail())) }
    });
    let status = process.terminate(PATIENCE);
    assert!(status.success(), "it ended with {status}\n{}", process.tail());
    world.lose_disk(Role::Worker(0));
    process
}

fn a_restore_is_shown_in_a_terminal_and_told_in_a_log(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, LIVES, Duration::from_millis(300));
    run_until_checkpointed(&world, &mut lives);
    world.kill9(Role::Worker(0));
    world.lose_disk(Role::Worker(0));
    let moved = Moved::from(&world);

    let process = restore(&mut world, on, &moved, true, |output| !bars(output).is_empty());
    wait_until("the bar to be gone", PATIENCE, || {
        let screen = process.output();
        let after = screen.rsplit('░').next().unwrap_or_default();
        if after.contains(CLEARED_LINE) { Ok(()) } else { Err(format!("{after:?}")) }
    });

    let log = restore(&mut world, on, &moved, false, |output| output.lines().any(tells)).output();
    assert_eq!(log.find(['\r', '\x1b', '░', '█']), None, "signs for a terminal in a log: {log:?}");
}
