//! A broker that offers only the group protocol of before KIP-848, as brokers before 4.0 do.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::kafka::{GroupProtocol, KafkaConfig, KafkaLog};
use beacon_core::log::{CleanupPolicy, Log, Record, TopicSpec};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig, AppStatus, Membership};
use beacon_core::state::{Registry, Value};
use beacon_core::topology::{KeyedStream, Topic, Topology, TopologyBuilder};
use scenari::kafka::Kafka;
use scenari::topic::read_kafka;
use scenari::wait::{same, wait_until};

const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

struct Counter {
    count: Value<u64>,
}

impl KeyedProcess for Counter {
    type Key = String;
    type In = String;
    type Out = (String, u64);
    type Timer = ();

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.emit((word, count))
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("count");
    let words: KeyedStream<String, String> =
        app.source("words", &Topic::<String>::new("words")).key_by("word", Clone::clone);
    words
        .process("counter", |state: &mut Registry| Counter { count: state.value("count") })
        .keyed("counted", |(word, _)| word.clone())
        .map_values("just the count", |(_, count)| count)
        .sink("counts", &Topic::<u64>::new("counts"));
    app.build().expect("a valid topology")
}

fn config(instance: &str) -> AppConfig {
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: PARTITIONS,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    let mut config = AppConfig::new(PARTITIONS);
    config.instance = instance.to_owned();
    config.membership = Membership::Dynamic;
    config.session_timeout = Duration::from_secs(6);
    config.topics = vec![topic("words"), topic("counts")];
    config
}

/// Words that no other round has, each once: their counts are all 1.
fn feed(log: &dyn Log, round: u32) {
    let words = (0..100).map(|number| {
        let word = format!("{round}-{number}");
        Record::new("words", word.clone(), word)
    });
    log.appender().expect("an appender").append_blocking(words.collect()).expect("appended");
}

fn wait_for_counts(kafka: &Kafka, wanted: usize) {
    wait_until("all counts", PATIENCE, || {
        let found = read_kafka(kafka.bootstrap(), "counts").map_err(|error| error.to_string())?;
        same(found.len(), wanted)
    });
}

fn wait_for_tasks(app: &App, wanted: u64) {
    wait_until("its share of the tasks", PATIENCE, || {
        let stats = app.stats();
        if app.status() == AppStatus::Stopped { Ok(()) } else { same((stats.tasks, stats.restoring), (wanted, 0)) }
    });
}

#[test]
fn an_application_that_prefers_kip_848_falls_back_to_the_classic_protocol() {
    let kafka = Kafka::own_with(&[("group.coordinator.rebalance.protocols", "classic")]);
    let connect = |protocol| {
        let mut config = KafkaConfig::new(kafka.bootstrap());
        config.group_protocol = protocol;
        KafkaLog::connect(config).expect("the broker answers")
    };
    let log = connect(GroupProtocol::Auto);
    let start = |instance| App::start(Arc::clone(&log) as _, topology(), config(instance)).expect("started");

    let first = start("a");
    wait_for_tasks(&first, u64::from(PARTITIONS));
    feed(log.as_ref(), 1);
    wait_for_counts(&kafka, 100);
    let second = start("b");
    wait_for_tasks(&second, u64::from(PARTITIONS) / 2);
    wait_for_tasks(&first, u64::from(PARTITIONS) / 2);
    feed(log.as_ref(), 2);
    wait_for_counts(&kafka, 200);
    second.stop().expect("stopped in good order");
    // A dynamic member that leaves is not waited for.
    wait_for_tasks(&first, u64::from(PARTITIONS));
    feed(log.as_ref(), 3);
    wait_for_counts(&kafka, 300);
    let stats = first.stats();
    assert_eq!((stats.fenced, stats.rejoined, stats.lost), (0, 0, 0), "{stats:?}");
    first.stop().expect("stopped in good order");
    let counts = read_kafka(kafka.bootstrap(), "counts").expect("read");
    assert!(counts.iter().all(|entry| entry.value.as_deref() == counts[0].value.as_deref()), "all are 1");

    // Told to speak KIP-848 and nothing else, it says what is wrong: so this broker does not speak it indeed.
    let strict = connect(GroupProtocol::Consumer);
    let error = App::start(strict, topology(), config("c")).expect("started").wait().expect_err("refused");
    let text = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    assert!(text.contains("group count"), "{text}");
}
