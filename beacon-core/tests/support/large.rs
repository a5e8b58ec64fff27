//! A job whose state is several times larger than the memory of its process, under a real limit of a control group.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::codec::Raw;
use beacon_core::log::{Appender, Event, Isolation, Log, Reader, Record, TopicPartition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, MemoryBudget, StateLocation};
use beacon_core::state::{Registry, Value};
use beacon_core::timer_tags;
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

use super::children::{Other, say};
use super::topic;

const LIMIT: u64 = 192 << 20;
const KEYS: u64 = 96 << 10;
/// Bytes that are kept of each key: 384 MiB of them all.
pub const KEPT: usize = 4 << 10;
const AT_ONCE: u64 = 2048;

timer_tags! {
    enum Never { Fires = 1 }
}

/// Bytes that no compression makes small, other ones for each number.
pub fn kept_of(number: u64) -> Vec<u8> {
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

/// One run of the job.
pub struct Large {
    /// Begins all names.
    pub prefix: String,
    pub partitions: u32,
}

impl Large {
    fn numbers(&self) -> String {
        format!("{}-numbers", self.prefix)
    }

    fn right(&self) -> String {
        format!("{}-right", self.prefix)
    }

    fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.prefix.clone());
        app.source("numbers", &Topic::<u64>::new(self.numbers()))
            .keyed("number", |number| *number)
            .process("keep", |state: &mut Registry| Keep { kept: state.value("kept") })
            .keyed("kept number", |number| *number)
            .sink("right", &Topic::new(self.right()));
        app.build().expect("a valid topology")
    }

    fn feed(&self, appender: &dyn Appender, log: &dyn Log) {
        for from in (0..KEYS).step_by(AT_ONCE as usize) {
            let record = |number: u64| Record::new(self.numbers(), number.to_be_bytes(), number.to_be_bytes());
            appender.append_blocking((from..from + AT_ONCE).map(record).collect()).expect("appended");
            // Not far ahead of the job: what is measured is its memory, not the input's.
            let read = || {
                let committed = log.committed(&self.prefix, &[&self.numbers()]).expect("asked");
                committed.iter().map(|(_, offset)| offset).sum::<u64>()
            };
            while read() < from / 2 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn reader(&self, log: &dyn Log) -> Box<dyn Reader> {
        let mut reader = log.reader(Isolation::Committed).expect("a reader");
        let all: Vec<_> = (0..self.partitions).map(|number| (TopicPartition::new(self.right(), number), 0)).collect();
        reader.assign(&all).expect("assigned");
        reader
    }

    /// Reads what the job says, and keeps none of it, until there are as many as keys.
    fn wait_for_all(&self, log: &dyn Log) {
        let mut reader = self.reader(log);
        let mut seen = 0;
        while seen < KEYS {
            if let Event::Records(batch) = reader.poll(Duration::from_millis(100)).expect("read") {
                seen += batch.len() as u64;
            }
        }
    }

    /// How much it said, when it says no more.
    fn count_all(&self, log: &dyn Log) -> u64 {
        let mut reader = self.reader(log);
        let (mut seen, mut ended) = (0, vec![false; self.partitions as usize]);
        while ended.contains(&false) {
            match reader.poll(Duration::from_millis(100)).expect("read") {
                Event::Records(batch) => seen += batch.len() as u64,
                Event::EndOfPartition(at, end) => {
                    ended[at.partition as usize] = end >= log.offsets(&at, Isolation::Committed).expect("asked").end;
                }
                _ => {}
            }
        }
        seen
    }

    /// Keeps all keys and looks at each again, in whatever memory this process is given, and says what it took.
    pub fn run(&self, log: &Arc<dyn Log>, state: &Path) {
        assert_eq!(MemoryBudget::of_this_process(), MemoryBudget::within(LIMIT), "the limit is seen");
        let mut config = AppConfig::new(self.partitions);
        config.state = StateLocation::Directory(state.to_owned());
        config.topics = [self.numbers(), self.right()].map(|name| topic(name, self.partitions)).to_vec();
        log.create_topics(&config.topics).expect("made");
        let app = App::start(Arc::clone(log), self.topology(), config).expect("started");
        let appender = log.appender().expect("an appender");
        self.feed(appender.as_ref(), log.as_ref());
        self.feed(appender.as_ref(), log.as_ref());
        self.wait_for_all(log.as_ref());
        app.stop().expect("stopped in good order");
        assert_eq!(self.count_all(log.as_ref()), KEYS, "each once");
        say(&format!("PEAK {}", peak_of_itself()));
        say("DONE");
    }
}

/// Starts the ignored test `entry` of this program, which calls [`Large::run`], in a control group of its own.
pub fn stays_within_the_limit(entry: &str, variables: &[(&str, &str)]) {
    let group = Group::new(LIMIT);
    // A shell that enters the group and becomes the child: its memory counts there from the first page on.
    let enter = group.path.join("cgroup.procs");
    let mut child = Other::start_by(
        Command::new("/bin/sh").args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(&enter),
        entry,
        variables,
    );
    let peak = child.wait_for_value("PEAK ");
    child.wait_for("DONE");
    child.wait_for_end();
    let peak: u64 = peak.parse().expect("a number");
    println!("peak: {} MiB of {} MiB", peak >> 20, LIMIT >> 20);
    assert!(peak < LIMIT, "{} MiB of {} MiB", peak >> 20, LIMIT >> 20);
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
