//! Transactions that fail, on the cluster that librdkafka plays for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::ledger::Ledger;
use super::super::raw::{Client, ClientKind};
use super::Transactor;
use crate::log::{LogErrorKind, SendRecord};

const PATIENCE: Duration = Duration::from_secs(30);

/// A producer whose first request with records is refused, and the account of what became of its records.
fn producer() -> (Transactor, Arc<Ledger>) {
    let ledger = Arc::new(Ledger::default());
    let sink: Arc<Ledger> = Arc::clone(&ledger);
    let client = Client::playing(ClientKind::TransactionalProducer, 1, &[("transactional.id", "id")], sink);
    client.play_topic(c"topic", 1);
    client.play_refusal();
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

#[test]
fn a_record_sent_into_a_transaction_that_has_failed_says_to_abort_it() {
    let (mut transactor, ledger) = producer();
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
