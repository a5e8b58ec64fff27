//! A job whose timers a later record cancels: what an alerting pipeline does all day.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use beacon_core::log::{Isolation, Log, Record, TopicPartition};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig};
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::{count, read_all, topic, wait_until};

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;

timer_tags! {
    enum Deadline { Silence = 1 }
}

struct Watch {
    patience: Duration,
    /// Microseconds that a record takes.
    work: Arc<AtomicU64>,
}

impl KeyedProcess for Watch {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = Deadline;

    fn on_record(&self, what: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        std::thread::sleep(Duration::from_micros(self.work.load(SeqCst)));
        match what.rsplit(' ').next() {
            Some("arm") => ctx.set_timer(Deadline::Silence, ctx.processing_time() + self.patience),
            Some("cancel") => ctx.cancel_timer(Deadline::Silence),
            _ => Ok(()),
        }
    }

    fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit(ctx.key().clone())
    }
}

/// Hands records on.
struct Pass;

impl KeyedProcess for Pass {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, record: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit(record)
    }
}

/// One run of the job.
#[derive(Clone)]
pub struct Watchdog {
    pub prefix: String,
    pub patience: Duration,
    /// How many internal topics a record goes through before it meets the timers.
    pub hops: usize,
    pub work: Arc<AtomicU64>,
}

impl Watchdog {
    pub fn new(prefix: impl Into<String>, hops: usize, patience: Duration) -> Self {
        Self { prefix: prefix.into(), patience, hops, work: Arc::default() }
    }

    pub fn application(&self) -> String {
        format!("{}-watch", self.prefix)
    }

    pub fn input(&self) -> String {
        format!("{}-beats", self.prefix)
    }

    pub fn output(&self) -> String {
        format!("{}-fired", self.prefix)
    }

    /// `host what`, keyed by the host.
    pub fn topology(&self) -> Topology {
        let app = TopologyBuilder::new(self.application());
        let host = |beat: &String| beat.split(' ').next().unwrap_or_default().to_owned();
        let mut beats = app.source("beats", &Topic::<String>::new(self.input()));
        for hop in 1..self.hops {
            beats = beats.key_by(&format!("hop{hop}"), Clone::clone).process(&format!("pass{hop}"), |_| Pass);
        }
        let keyed = if self.hops == 0 { beats.keyed("host", host) } else { beats.key_by("host", host) };
        let (patience, work) = (self.patience, Arc::clone(&self.work));
        keyed
            .process("watch", move |_| Watch { patience, work: Arc::clone(&work) })
            .map("fired", |host| Changed { key: host.into_bytes(), value: Some("fired".to_owned()) })
            .sink_changes("out", &Topic::<String>::new(self.output()));
        app.build().expect("a valid topology")
    }

    pub fn config(&self, instance: &str) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.instance = instance.to_owned();
        config.commit_interval = Duration::from_millis(10);
        config.retry_backoff = Duration::from_millis(20);
        config.topics = vec![topic(self.input(), PARTITIONS), topic(self.output(), PARTITIONS)];
        config
    }

    pub fn record(&self, host: &str, what: &str) -> Record {
        Record::new(self.input(), host, format!("{host} {what}"))
    }

    /// Appends `what` for each host, in the partition of its key.
    pub fn send<'a>(&self, log: &dyn Log, hosts: impl IntoIterator<Item = &'a str>, what: &str) {
        let records: Vec<_> = hosts.into_iter().map(|host| self.record(host, what)).collect();
        log.appender().expect("an appender").append_blocking(records).expect("appended");
    }

    pub fn make_topics(&self, log: &dyn Log) {
        log.create_topics(&self.config("any").topics).expect("made");
    }

    /// Whether the group has read all of the input.
    pub fn is_read_up(&self, log: &dyn Log) -> bool {
        let at = |number| TopicPartition::new(self.input(), number);
        let committed = log.committed(&self.application(), &[&self.input()]).expect("committed");
        (0..PARTITIONS).all(|number| {
            let end = log.offsets(&at(number), Isolation::Committed).expect("offsets").end;
            end == 0 || committed.contains(&(at(number), end))
        })
    }

    /// Arms 200 timers, is down when they are due, and comes back to a backlog that cancels all but one.
    pub fn a_backlog_wins(&self, log: &dyn Log, start: impl FnOnce() -> App, restart: impl FnOnce() -> App) {
        let hosts: Vec<String> = (0..200).map(|number| format!("h{number}")).collect();
        let names = || hosts.iter().map(String::as_str);
        self.make_topics(log);
        let app = start();
        wait_until("it runs", || app.stats().tasks > 0);
        let armed = Instant::now();
        self.send(log, names(), "arm");
        let steps = (self.hops as u64 + 1) * hosts.len() as u64;
        wait_until("all timers are set", || self.is_read_up(log) && app.stats().records >= steps);
        app.stop().expect("stopped");
        assert!(armed.elapsed() < self.patience, "the machine is too slow for this test");
        assert_eq!(count(log, &self.output()), 0);
        // More than one poll brings, so that the end of the backlog is a while away.
        let fine = (0..100).flat_map(|_| names().map(|host| self.record(host, "fine")));
        let cancel = names().filter(|host| *host != "h7").map(|host| self.record(host, "cancel"));
        log.appender().expect("an appender").append_blocking(fine.chain(cancel).collect()).expect("appended");
        std::thread::sleep(self.patience.saturating_sub(armed.elapsed()) + Duration::from_millis(50));
        let app = restart();
        wait_until("the one timer left fires", || count(log, &self.output()) >= 1);
        wait_until("everything is read", || self.is_read_up(log));
        app.stop().expect("stopped");
        let fired: Vec<_> = read_all(log, &self.output()).into_iter().map(|record| record.key).collect();
        assert_eq!(fired, [b"h7".to_vec()], "{} timers fired", fired.len());
    }
}
