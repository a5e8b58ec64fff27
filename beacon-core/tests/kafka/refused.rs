//! Output that the broker refuses each time.

use std::time::Duration;

use beacon_core::codec::Codec;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};
use beacon_core::log::{Isolation, Log, Record, TopicPartition};
use beacon_core::runtime::{App, AppConfig, Membership};
use beacon_core::topology::{Topic, TopologyBuilder};

use super::support::{chain, topic, wait_until};
use super::{config, servers, unique};

#[test]
fn an_application_whose_record_is_refused_each_time_ends_and_says_what_to_do() {
    // The broker takes 1 MiB and no more.
    let mut connection = KafkaConfig::new(servers());
    connection.extra.insert("message.max.bytes".to_owned(), "8000000".to_owned());
    let log = KafkaLog::connect(connection).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers");
    let (name, directory) = (unique("refused"), tempfile::tempdir().expect("a temporary directory"));
    let (sizes, wide) = (Topic::<u64>::new(format!("{name}-sizes")), Topic::<String>::new(format!("{name}-wide")));
    log.create_topics(&[topic(&**sizes.name(), 1), topic(&**wide.name(), 1)]).expect("topics are made");
    let app = TopologyBuilder::new(&*name);
    app.source("sizes", &sizes).map("widen", |size| "x".repeat(size as usize)).sink("wide", &wide, |_| Vec::new());
    let topology = app.build().expect("a topology");

    let feed = |size: u64| {
        let mut value = Vec::new();
        size.encode(&mut value);
        let record = Record::new(&**sizes.name(), "k", value);
        log.appender().expect("an appender").append_blocking(vec![record]).expect("written");
    };
    let committed = |topic: &str| {
        let end = log.offsets(&TopicPartition::new(topic, 0), Isolation::Committed).expect("asked").end;
        log.committed(&name, &[topic]).expect("asked").first().map_or(0, |(_, offset)| *offset) == end
    };
    let mut app_config = AppConfig::new(1);
    app_config.commit_interval = Duration::from_millis(20);
    let app = App::start(log.clone(), topology, config(app_config, Membership::Static, directory.path()));
    let app = app.expect("started");
    feed(10);
    wait_until("the first one is through", || committed(sizes.name()));
    feed(2 << 20);
    let error = app.wait().expect_err("it cannot be written");
    let text = chain(&error);
    assert!(text.contains(&**wide.name()) && text.contains("max.message.bytes"), "{text}");
    assert!(!committed(sizes.name()), "nothing is passed over");
}
