//! The log contract on a real Kafka, and what only a Kafka can show: zombies, ghosts, undecided transactions.
//!
//! Needs a broker: `KAFKA_BOOTSTRAP_SERVERS=host:port`. Tests fail without one.
#![cfg(feature = "kafka")]

mod kafka;
