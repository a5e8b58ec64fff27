//! Applications on a real Kafka: exactly once through kills, rebalances and a zombie.
//!
//! Needs a broker: `KAFKA_BOOTSTRAP_SERVERS=host:port`. Tests fail without one.
#![cfg(all(feature = "kafka", feature = "rocksdb"))]

/// Makes two tests of each claim about groups: for static members, which speak the classic protocol, and for dynamic ones,
/// which speak that of KIP-848.
macro_rules! under_both_protocols {
    ($($claim:ident),+ $(,)?) => {
        mod classic {
            $(#[test] fn $claim() { super::$claim(super::Membership::Static) })+
        }
        mod kip_848 {
            $(#[test] fn $claim() { super::$claim(super::Membership::Dynamic) })+
        }
    };
}

#[path = "kafka/checkpoints.rs"]
mod checkpoints;
#[path = "kafka/damage.rs"]
mod damage;
#[path = "kafka/forgotten_offsets.rs"]
mod forgotten_offsets;
#[path = "kafka/gone.rs"]
mod gone;
#[path = "kafka/handover.rs"]
mod handover;
#[path = "kafka/memory.rs"]
mod memory;
#[path = "kafka/operators.rs"]
mod operators;
#[path = "kafka/plant.rs"]
mod plant;
#[path = "kafka/refused.rs"]
mod refused;
#[path = "kafka/silent.rs"]
mod silent;
#[path = "kafka/staying.rs"]
mod staying;
mod support;
#[path = "kafka/trimming.rs"]
mod trimming;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{Event, Isolation, Log, Reader, RecordBatch, TopicPartition};
use beacon_core::metrics::{Dialect, Metric, Sample, SampleValue, catalogue, render};
use beacon_core::runtime::{App, AppConfig, Membership, StateLocation};
use beacon_core::task::decode_chunk;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use handover::{a_stop_commits_what_was_done, a_task_asked_back_is_committed_before_it_goes};
use support::children::{Other, say, wait_for_parent};
use support::counting::{Counting, PARTITIONS, TIMES};
use support::watchdog::Watchdog;
use support::{PATIENCE, chance, wait_until};

/// The shortest that brokers take.
const SESSION: Duration = Duration::from_secs(6);

fn servers() -> String {
    std::env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or_else(|_| {
        panic!(
            "KAFKA_BOOTSTRAP_SERVERS is not set. These tests need a real Kafka (4.0 or newer, one node will do): \
             run `make test`, or set the variable to host:port of a broker"
        )
    })
}

fn log() -> Arc<KafkaLog> {
    KafkaLog::connect(KafkaConfig::new(servers())).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers")
}

/// Whether a group that has members shows them to the request of before KIP-848, which knows classic groups only.
fn is_classic(group: &str) -> bool {
    let mut config = rdkafka::ClientConfig::new();
    let client: BaseConsumer = config.set("bootstrap.servers", servers()).create().expect("a client");
    let groups = client.fetch_group_list(Some(group), Duration::from_secs(20)).expect("the broker answers");
    groups.groups().iter().any(|found| found.name() == group && !found.members().is_empty())
}

/// A prefix that no other test or run uses.
fn unique(what: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos();
    format!("{what}-{nanos:x}")
}

fn config(mut config: AppConfig, membership: Membership, state: &Path) -> AppConfig {
    config.membership = membership;
    config.session_timeout = SESSION;
    config.transaction_timeout = SESSION;
    config.state = StateLocation::Directory(state.join(&config.instance));
    config
}

/// Counts the records of a topic as they come: cheaper than reading it again and again.
struct Tail {
    reader: Box<dyn Reader>,
    seen: usize,
}

impl Tail {
    fn of(log: &dyn Log, topic: &str) -> Self {
        let mut reader = log.reader(Isolation::Committed).expect("a reader");
        let count = log.describe_topic(topic).expect("described").expect("there").partitions;
        let all: Vec<_> = (0..count).map(|number| (TopicPartition::new(topic, number), 0)).collect();
        reader.assign(&all).expect("assigned");
        Self { reader, seen: 0 }
    }

    fn wait_for(&mut self, wanted: usize) {
        wait_until("all outputs", || {
            if let Event::Records(batch) = self.reader.poll(Duration::from_millis(50)).expect("read") {
                self.seen += batch.len();
            }
            self.seen >= wanted
        });
    }
}

fn feed(job: &Counting, log: &Arc<KafkaLog>, pause: Duration) -> std::thread::JoinHandle<()> {
    let (job, log) = (job.clone(), Arc::clone(log));
    std::thread::spawn(move || job.feed(log.as_ref(), job.records(), pause))
}

const PREFIX: &str = "BEACON_TEST_PREFIX";
const WORDS: &str = "BEACON_TEST_WORDS";
const INSTANCE: &str = "BEACON_TEST_INSTANCE";
const STATE: &str = "BEACON_TEST_STATE";
/// Commits at this interval only, in milliseconds.
const COMMIT_MS: &str = "BEACON_TEST_COMMIT_MS";
/// There is an open transaction at nearly every moment.
const SLOW: (&str, &str) = (COMMIT_MS, "2000");
/// The longest with a head start.
const AHEAD: (&str, &str) = (COMMIT_MS, "50");
const DYNAMIC: &str = "BEACON_TEST_DYNAMIC";

under_both_protocols!(
    outputs_and_state_are_exact_through_kill_9,
    two_instances_share_the_work_while_one_comes_and_goes,
    a_zombie_changes_nothing_and_rejoins_in_process,
    a_takeover_from_a_standby_copy_reads_a_tail,
    a_task_asked_back_is_committed_before_it_goes,
    a_stop_commits_what_was_done,
);

/// Counts until its parent is gone.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let variable = |name: &str| std::env::var(name).expect("set by the parent");
    let job = Counting::new(prefix, variable(WORDS).parse().expect("a number"));
    let membership = if std::env::var_os(DYNAMIC).is_some() { Membership::Dynamic } else { Membership::Static };
    let mut config = config(job.config(&variable(INSTANCE)), membership, Path::new(&variable(STATE)));
    let commit_ms = std::env::var(COMMIT_MS).ok();
    if let Some(interval) = &commit_ms {
        config.commit_interval = Duration::from_millis(interval.parse().expect("a number"));
        config.commit_when_idle = false;
    }
    let app = App::start(log(), job.topology(&Default::default()), config).expect("started");
    say("STARTED");
    if commit_ms.is_some() {
        wait_until("it is at work", || app.stats().records > 20);
        say("AT WORK");
    }
    wait_for_parent();
    let stats = app.stats();
    // Tasks that were taken away show at a commit, at a poll, or as a loss, whichever comes first.
    say(if stats.fenced + stats.rejoined + stats.aborts + stats.lost > 0 { "DISTURBED" } else { "UNDISTURBED" });
    app.stop().expect("stopped in good order");
}

fn start_child(job: &Counting, instance: &str, membership: Membership, state: &Path, more: &[(&str, &str)]) -> Other {
    let words = job.words.to_string();
    let state = state.to_str().expect("text");
    let dynamic: &[_] = if membership == Membership::Dynamic { &[(DYNAMIC, "1")] } else { &[] };
    let variables =
        [&[(PREFIX, job.prefix.as_str()), (WORDS, &words), (INSTANCE, instance), (STATE, state)], dynamic, more]
            .concat();
    let mut child = Other::start("child", &variables);
    child.wait_for("STARTED");
    child
}

fn outputs_and_state_are_exact_through_kill_9(membership: Membership) {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("kill"), 200);
    job.make_topics(log.as_ref());
    let started = Instant::now();
    let feeder = feed(&job, &log, Duration::from_millis(30));
    let mut kills = 0;
    while kills < 5 {
        if kills == 3 {
            std::fs::remove_dir_all(directory.path().join("0")).expect("the disk is lost");
        }
        let child = start_child(&job, "0", membership, directory.path(), &[]);
        assert!(child.kill_after(Duration::from_millis(1200 + chance(1800))), "it was alive");
        kills += 1;
    }
    let mut tail = Tail::of(log.as_ref(), &job.output());
    let mut last = start_child(&job, "0", membership, directory.path(), &[]);
    feeder.join().expect("fed");
    tail.wait_for(job.outputs());
    last.stdin = None;
    last.wait_for_end();
    job.check(log.as_ref());
    println!("{kills} kills in {:?}", started.elapsed());
}

fn two_instances_share_the_work_while_one_comes_and_goes(membership: Membership) {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting { inputs: 3, ..Counting::new(unique("share"), 100) };
    job.make_topics(log.as_ref());
    let start = |instance: &str| {
        let config = config(job.config(instance), membership, directory.path());
        App::start(log.clone(), job.topology(&Default::default()), config).expect("started")
    };
    let started = Instant::now();
    let first = start("a");
    let feeder = feed(&job, &log, Duration::from_millis(50));
    wait_until("the first has everything", || first.stats().tasks == 7 && first.stats().restoring == 0);
    let opened = first.stats().opened;
    let (mut turns, mut moved) = (0, 0);
    while turns < 2 {
        let second = start("b");
        wait_until("each has its share", || {
            let (first, second) = (first.stats(), second.stats());
            // Of seven, one has three and the other four; which one has four is up to the broker.
            (3..=4).contains(&second.tasks)
                && first.tasks + second.tasks == 7
                && first.restoring + second.restoring == 0
        });
        moved += second.stats().tasks;
        second.stop().expect("the second stops in good order");
        turns += 1;
        // A static member's tasks wait for its session to expire.
        wait_until("the first has everything again", || first.stats().tasks == 7 && first.stats().restoring == 0);
    }
    feeder.join().expect("fed");
    // Those that stayed all the time were opened once; only what went was opened again when it came back.
    assert_eq!(first.stats().opened - opened, moved, "tasks that stay are not disturbed");
    assert_eq!(is_classic(&job.application()), membership == Membership::Static, "the group's protocol");
    Tail::of(log.as_ref(), &job.output()).wait_for(job.outputs());
    first.stop().expect("the first stops in good order");
    job.check(log.as_ref());
    println!("{turns} times there and back in {:?}", started.elapsed());
}

fn a_zombie_changes_nothing_and_rejoins_in_process(membership: Membership) {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("zombie"), 100);
    job.make_topics(log.as_ref());
    let started = Instant::now();
    let mut zombie = start_child(&job, "z", membership, directory.path(), &[SLOW]);
    let config = config(job.config("a"), membership, directory.path());
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    let all = u64::from(PARTITIONS);
    wait_until("both have their share", || app.stats().tasks == all / 2 && app.stats().restoring == 0);
    let feeder = feed(&job, &log, Duration::from_millis(5));
    wait_until("it is at work", || app.stats().records > 200);
    // Frozen before it had any task, it could lose none.
    zombie.wait_for("AT WORK");
    zombie.signal("STOP");
    println!("stopped after {:?}", started.elapsed());
    wait_until("its tasks are taken over", || app.stats().tasks == all && app.stats().restoring == 0);
    println!("taken over after {:?}", started.elapsed());
    feeder.join().expect("fed");
    Tail::of(log.as_ref(), &job.output()).wait_for(job.outputs());
    zombie.signal("CONT");
    wait_until("it is a member again", || app.stats().tasks == all / 2);
    println!("rejoined after {:?}", started.elapsed());
    app.stop().expect("stopped in good order");
    zombie.stdin = None;
    zombie.wait_for("DISTURBED");
    zombie.wait_for_end();
    job.check(log.as_ref());
}

/// It dies between the head start of a commit and the commit.
#[test]
fn a_process_killed_after_a_head_start_leaves_nothing_of_it() {
    const RECORDS_A_KILL: u64 = 400;
    const MOST_KILLS: u64 = 20;
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("ahead"), RECORDS_A_KILL * MOST_KILLS / TIMES);
    job.make_topics(log.as_ref());
    let topic = format!("{}-changelog", job.application());
    let changelogs: Vec<_> = (0..PARTITIONS).map(|number| TopicPartition::new(topic.as_str(), number)).collect();
    let mut kills = 0;
    loop {
        let child = start_child(&job, "0", Membership::Static, directory.path(), &[AHEAD]);
        wait_until("it has made its changelog", || log.describe_topic(&topic).expect("the log tells").is_some());
        let mut changes = log.reader(Isolation::Uncommitted).expect("a reader");
        changes
            .assign(&changelogs.iter().map(|at| (at.clone(), end_of(log.as_ref(), at))).collect::<Vec<_>>())
            .expect("assigned");
        let (feeding, feeder_log, limit) = (job.clone(), Arc::clone(&log), job.fed(log.as_ref()) + RECORDS_A_KILL);
        let feeder = std::thread::spawn(move || feeding.feed(feeder_log.as_ref(), limit, Duration::from_millis(20)));
        let killed = child.kill_when("a commit has a head start", || {
            matches!(changes.poll(Duration::from_millis(5)).expect("read"), Event::Records(batch) if ends_without_changes(batch.as_ref()))
                || feeder.is_finished()
        });
        assert!(killed, "it was alive");
        kills += 1;
        feeder.join().expect("fed");
        // What it left is there until the next one has its transactional id. It may have been quicker than the kill.
        if changelogs.iter().any(|changelog| ends_with_an_open_head_start(log.as_ref(), changelog)) {
            break;
        }
        assert!(kills < MOST_KILLS, "{kills} kills, and none after a head start");
    }
    job.feed_all(log.as_ref());
    let mut tail = Tail::of(log.as_ref(), &job.output());
    let mut last = start_child(&job, "0", Membership::Static, directory.path(), &[]);
    tail.wait_for(job.outputs());
    last.stdin = None;
    last.wait_for_end();
    job.check(log.as_ref());
    println!("the last of {kills} kills was after a head start");
}

/// Whether a changelog ends with a record without changes, of a transaction that is not over.
fn ends_with_an_open_head_start(log: &dyn Log, changelog: &TopicPartition) -> bool {
    let committed = log.offsets(changelog, Isolation::Committed).expect("offsets").end;
    let mut reader = log.reader(Isolation::Uncommitted).expect("a reader");
    reader.assign(&[(changelog.clone(), committed)]).expect("assigned");
    loop {
        match reader.poll(PATIENCE).expect("read") {
            Event::Records(batch) => return ends_without_changes(batch.as_ref()),
            Event::EndOfPartition(..) => return false,
            _ => {}
        }
    }
}

/// Whether the last record of a changelog's is that of a head start.
fn ends_without_changes(batch: &dyn RecordBatch) -> bool {
    let value = batch.get(batch.len() - 1).value.unwrap_or_default();
    decode_chunk(value).is_ok_and(|changes| changes.is_empty())
}

fn end_of(log: &dyn Log, partition: &TopicPartition) -> u64 {
    log.offsets(partition, Isolation::Uncommitted).expect("offsets").end
}

fn a_takeover_from_a_standby_copy_reads_a_tail(membership: Membership) {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("standby"), 300);
    job.make_topics(log.as_ref());
    let mut owner = start_child(&job, "a", membership, directory.path(), &[]);
    job.feed_all(log.as_ref());
    let mut tail = Tail::of(log.as_ref(), &job.output());
    tail.wait_for(job.outputs() / 2);
    let mut with_copies = config(job.config("b"), membership, directory.path());
    with_copies.standbys = PARTITIONS;
    let other = App::start(log.clone(), job.topology(&Default::default()), with_copies).expect("started");
    let half = u64::from(PARTITIONS) / 2;
    wait_until("each has its half, the other's copied", || {
        other.stats().tasks == half && other.stats().standbys == half
    });
    tail.wait_for(job.outputs());
    let logged = |number| {
        let changelog = TopicPartition::new(format!("{}-changelog", job.application()), number);
        support::read_partition(log.as_ref(), &changelog).len() as u64
    };
    let copied: u64 = (0..PARTITIONS / 2).map(logged).sum();
    wait_until("the copies have read all", || other.stats().standby_records >= copied);
    let restored = other.stats().restored_records;
    owner.kill();
    let killed = Instant::now();
    let all = u64::from(PARTITIONS);
    wait_until("it has everything", || other.stats().tasks == all && other.stats().restoring == 0);
    let tail_read = other.stats().restored_records - restored;
    println!(
        "taken over {:?} after a kill; of {copied} changelog records {tail_read} were read then",
        killed.elapsed()
    );
    assert!(tail_read * 10 <= copied, "{tail_read} of {copied} records were read at the takeover");
    other.stop().expect("stopped in good order");
    job.check(log.as_ref());
    let disk = support::state_on_disk(&directory.path().join("b"), &job.application(), PARTITIONS);
    assert!(disk == job.calm_run().1, "a copy that was taken over holds another state");
}

#[test]
fn overdue_timers_wait_for_a_backlog_that_reaches_them_through_a_re_key() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Watchdog::new(unique("backlog"), 1, Duration::from_secs(6));
    let start = || {
        let config = config(job.config("0"), Membership::Static, directory.path());
        App::start(log.clone(), job.topology(), config).expect("started")
    };
    job.a_backlog_wins(log.as_ref(), start, start);
}

/// The values of a metric for the partitions of a topic, by partition.
fn of_topic(samples: &[Sample], metric: &Metric, topic: &str) -> Vec<f64> {
    let of_it = |sample: &&Sample| sample.metric == metric && sample.labels.contains(&("topic", topic.to_owned()));
    let number = |sample: &Sample| match sample.value {
        SampleValue::Number(number) => number,
        SampleValue::Histogram(_) => panic!("{} is a histogram", metric.name),
    };
    let mut found: Vec<_> = samples.iter().filter(of_it).collect();
    found.sort_by_key(|sample| sample.labels.iter().find(|(name, _)| *name == "partition").map(|(_, value)| value));
    found.into_iter().map(number).collect()
}

#[test]
fn what_an_open_transaction_holds_back_is_lag_and_no_stable_lag() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("lag"), 10);
    job.make_topics(log.as_ref());
    let config = config(job.config("0"), Membership::Static, directory.path());
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    job.feed_all(log.as_ref());
    let watch = app.watch();
    let input = |metric: &Metric| of_topic(&watch.lag(log.as_ref()).expect("the log tells"), metric, &job.input());
    // Appends are no transactions, so the input holds records only.
    let rest = vec![0.0; PARTITIONS as usize];
    wait_until("all is read", || input(&catalogue::LAG) == rest && input(&catalogue::STABLE_LAG) == rest);
    let read = input(&catalogue::COMMITTED_OFFSET)[0];

    let producer: BaseProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", servers())
        .set("transactional.id", unique("somebody"))
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("registered");
    producer.begin_transaction().expect("begun");
    for _ in 0..5 {
        producer.send(BaseRecord::<str, str>::to(&job.input()).partition(0).key("k").payload("w")).expect("taken");
    }
    producer.flush(PATIENCE).expect("written");
    let samples = watch.lag(log.as_ref()).expect("the log tells");
    let at_0 = |metric: &Metric| of_topic(&samples, metric, &job.input())[0];
    assert_eq!((at_0(&catalogue::LAG), at_0(&catalogue::STABLE_LAG)), (5.0, 0.0));
    assert_eq!((at_0(&catalogue::STABLE_OFFSET), at_0(&catalogue::HIGH_OFFSET)), (read, read + 5.0));
    assert_eq!(input(&catalogue::COMMITTED_OFFSET)[0], read, "it is not read before it is committed");
    let text = render(&[watch.samples(), samples.clone()].concat(), Dialect::Prometheus);
    assert!(text.contains("beacon_commit_total{") && text.contains("beacon_records_lag_stable{"), "{text}");

    producer.commit_transaction(PATIENCE).expect("committed");
    // The marker takes an offset, too.
    wait_until("it is read", || {
        input(&catalogue::COMMITTED_OFFSET)[0] >= read + 5.0 && input(&catalogue::STABLE_OFFSET)[0] == read + 6.0
    });
    assert!(input(&catalogue::LAG)[0] <= 1.0);
    app.stop().expect("stopped in good order");
}
