//! A state several times larger than the memory of its process, under a real limit of a control group.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use beacon_core::codec::Raw;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Appender, Log, Record};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, MemoryBudget, StateLocation};
use beacon_core::state::{Registry, Value};
use beacon_core::timer_tags;
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

use crate::support::children::{Other, say};
use crate::support::{count, topic};

const DIRECTORY: &str = "BEACON_TEST_DIRECTORY";
const LIMIT: u64 = 192 << 20;
const KEYS: u64 = 96 << 10;
/// Bytes that are kept of each key: 384 MiB of them all.
const KEPT: usize = 4 << 10;
const AT_ONCE: u64 = 2048;

timer_tags! {
    enum Never { Fires = 1 }
}

/// Bytes that no compression makes small, other ones for each number.
fn kept_of(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(KEPT);
    while bytes.len() < KEPT {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Keeps a lot of each key, and says at its second record whether it is still right.
struct Keep {
    kept: Value<Raw>,
}

impl KeyedProcess for Keep {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type Timer = Never;

    fn on_record(&self, number: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match self.kept.get(ctx)? {
            None => {
                self.kept.set(ctx, &Raw(kept_of(number)));
                Ok(())
            }
            Some(Raw(kept)) if kept == kept_of(number) => ctx.emit(number),
            Some(_) => panic!("what was kept of {number} is something else"),
        }
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("large");
    app.source("numbers", &Topic::<u64>::new("numbers"))
        .keyed("number", |number| *number)
        .process("keep", |state: &mut Registry| Keep { kept: state.value("kept") })
        .keyed("kept number", |number| *number)
        .sink("right", &Topic::new("right"));
    app.build().expect("a valid topology")
}

fn feed(appender: &dyn Appender, log: &dyn Log) {
    for from in (0..KEYS).step_by(AT_ONCE as usize) {
        let record = |number: u64| Record::new("numbers", number.to_be_bytes(), number.to_be_bytes());
        appender.append_blocking((from..from + AT_ONCE).map(record).collect()).expect("appended");
        // Not far ahead of the job: what is measured is its memory, not the input's.
        while log.committed("large", &["numbers"]).expect("asked").iter().map(|(_, offset)| offset).sum::<u64>()
            < from / 2
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Keeps all keys and looks at each again, in whatever memory it is given.
#[test]
#[ignore = "started by another test as a process of its own"]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let directory = Path::new(&directory);
    assert_eq!(MemoryBudget::of_this_process(), MemoryBudget::within(LIMIT), "the limit is seen");
    let log = EmbeddedLog::open(directory.join("log")).expect("opened");
    let mut config = AppConfig::new(4);
    config.state = StateLocation::Directory(directory.join("state"));
    config.topics = ["numbers", "right"].map(|name| topic(name, 4)).to_vec();
    log.create_topics(&config.topics).expect("made");
    let app = App::start(log.clone(), topology(), config).expect("started");
    let appender = log.appender().expect("an appender");
    feed(appender.as_ref(), log.as_ref());
    feed(appender.as_ref(), log.as_ref());
    while (count(log.as_ref(), "right") as u64) < KEYS {
        std::thread::sleep(Duration::from_millis(100));
    }
    app.stop().expect("stopped in good order");
    assert_eq!(count(log.as_ref(), "right") as u64, KEYS, "each once");
    say(&format!("PEAK {}", peak_of_itself()));
    say("DONE");
}

/// Bytes of memory of its own, files' pages not counted, that this process had at most.
fn peak_of_itself() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") << 10
}

/// A control group with a limit on memory, gone with its handle.
struct Group {
    path: PathBuf,
}

impl Group {
    fn new(limit: u64) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").expect("Linux tells");
        let (mount, group, file) = own
            .lines()
            .find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (controllers, group) = (fields.next()?, fields.next()?);
                let is_memory = controllers.split(',').any(|controller| controller == "memory");
                is_memory.then_some(("/sys/fs/cgroup/memory", group.to_owned(), "memory.limit_in_bytes"))
            })
            .unwrap_or_else(|| {
                let group = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned();
                ("/sys/fs/cgroup", group, "memory.max")
            });
        let name = format!("beacon-test-{}", std::process::id());
        let (inside, root) =
            (Path::new(mount).join(group.trim_start_matches('/')).join(&name), Path::new(mount).join(&name));
        let tried: Vec<_> = [inside, root]
            .into_iter()
            .map(|path| match std::fs::create_dir(&path) {
                Ok(()) => match std::fs::write(path.join(file), limit.to_string()) {
                    Ok(()) => Ok(Self { path: path.clone() }),
                    Err(error) => {
                        let _ = std::fs::remove_dir(&path);
                        Err(format!("{}: {error}", path.join(file).display()))
                    }
                },
                Err(error) => Err(format!("{}: {error}", path.display())),
            })
            .collect();
        let mut why = Vec::new();
        for tried in tried {
            match tried {
                Ok(group) => return group,
                Err(error) => why.push(error),
            }
        }
        panic!(
            "this test needs a control group with a limit on memory and cannot make one ({}): run the tests as root, or \
             under `systemd-run --user --scope -p Delegate=yes make test`",
            why.join("; ")
        );
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty once its process is gone, which the kernel may notice a moment later.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_state_larger_than_the_memory_limit_stays_within_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let group = Group::new(LIMIT);
    // A shell that enters the group and becomes the child: its memory counts there from the first page on.
    let enter = group.path.join("cgroup.procs");
    let mut child = Other::start_by(
        Command::new("/bin/sh").args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(&enter),
        "embedded::memory::child",
        &[(DIRECTORY, directory.path().to_str().expect("text"))],
    );
    let peak = child.wait_for_value("PEAK ");
    child.wait_for("DONE");
    child.wait_for_end();
    let peak: u64 = peak.parse().expect("a number");
    assert!(peak < LIMIT, "{} MiB of {} MiB", peak >> 20, LIMIT >> 20);
}
