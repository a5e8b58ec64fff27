//! Transactions whose records nobody writes, on the cluster that librdkafka plays for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::super::ledger::{Ledger, TIMED_OUT_IN_A_ROW};
use super::super::raw::{Client, ClientKind};
use super::Transactor;
use crate::log::{CommitError, LogErrorKind, SendRecord};

const PATIENCE: Duration = Duration::from_secs(30);

/// A producer, and the account of what became of its records; `play` makes the topic.
fn producer(play: impl FnOnce(&Client)) -> (Transactor, Arc<Ledger>) {
    let mut config = ClientConfig::new();
    config.set("test.mock.num.brokers", "1").set("transactional.id", "id").set("message.timeout.ms", "300");
    let config = config.create_native_config().expect("settings of librdkafka");
    let ledger = Arc::new(Ledger::default());
    let sink: Arc<Ledger> = Arc::clone(&ledger);
    let client = Client::new(ClientKind::TransactionalProducer, config, "test".to_owned(), sink).expect("a client");
    play(&client);
    (Transactor::open(client, Arc::clone(&ledger), "id", PATIENCE).expect("opened"), ledger)
}

fn record() -> SendRecord<'static> {
    SendRecord {
        topic: "topic",
        partition: Some(0),
        key: None,
        value: Some(b"value"),
        headers: &[],
        timestamp_ms: None,
    }
}

fn in_vain(transactor: &mut Transactor) -> CommitError {
    transactor.begin().expect("begun");
    transactor.send(&record(), |_| Ok(1)).expect("librdkafka takes it");
    let error = transactor.commit(&TopicPartitionList::new(), || None).expect_err("nobody writes it");
    if matches!(error, CommitError::Abortable(_)) {
        transactor.abort(PATIENCE).expect("aborted");
    }
    error
}

#[test]
fn a_producer_that_gets_nothing_written_again_and_again_makes_way_for_another() {
    let (mut transactor, ledger) = producer(|client| client.play_topic(c"topic", -1));
    for _ in 0..2 {
        for _ in 1..TIMED_OUT_IN_A_ROW {
            let error = in_vain(&mut transactor);
            assert!(matches!(error, CommitError::Abortable(_)), "it may have met an outage: {error}");
        }
        // Whoever gets anything written has found its brokers.
        ledger.begin();
        ledger.committed();
    }
    for _ in 1..TIMED_OUT_IN_A_ROW {
        in_vain(&mut transactor);
    }
    let CommitError::Fenced(error) = in_vain(&mut transactor) else { panic!("it would try for ever") };
    assert!(error.to_string().contains("topic/0") && error.to_string().contains("in a row"), "{error}");
}

#[test]
fn a_record_sent_into_a_transaction_that_has_failed_says_to_abort_it() {
    let (mut transactor, ledger) = producer(|client| {
        client.play_topic(c"topic", 1);
        client.play_refusal();
    });
    transactor.begin().expect("begun");
    transactor.send(&record(), |_| Ok(1)).expect("librdkafka takes it");
    transactor.send_ahead().expect("on its way");
    let deadline = Instant::now() + PATIENCE;
    while ledger.failure("it").is_none() {
        assert!(Instant::now() < deadline, "nothing has failed");
        transactor.client().serve();
        std::thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..2 {
        let sent = transactor.send(&record(), |_| Ok(1)).and_then(|()| transactor.send_ahead());
        assert_eq!(sent.expect_err("it has failed").kind(), LogErrorKind::Abortable);
    }
    transactor.abort(PATIENCE).expect("aborted");
    transactor.begin().expect("another one begins");
}
