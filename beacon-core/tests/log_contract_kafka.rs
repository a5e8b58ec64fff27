//! The log contract on a real Kafka, and what only a Kafka can show: zombies, ghosts, undecided transactions.
//!
//! Needs a broker: `KAFKA_BOOTSTRAP_SERVERS=host:port`. Tests fail without one.
#![cfg(feature = "kafka")]

mod kafka;
#[path = "log_contract/mod.rs"]
mod log_contract;

use std::time::Duration;

use beacon_core::log::kafka::KafkaLog;
use log_contract::{Subject, unique_prefix};

/// Every claim has clients of its own on the one broker.
fn subject(_claim: &str) -> Subject {
    let mut config = kafka::support::config();
    // As short as brokers allow: a member that stopped polling is given up after this.
    config.extra.insert("max.poll.interval.ms".into(), "6000".into());
    Subject {
        log: KafkaLog::connect(config).expect("the broker of KAFKA_BOOTSTRAP_SERVERS answers"),
        prefix: unique_prefix(),
        patience: kafka::support::PATIENCE,
        quiet: Duration::from_millis(500),
        session_timeout: Duration::from_secs(6),
        keep: Box::new(()),
    }
}

log_contract::claims!(subject);
