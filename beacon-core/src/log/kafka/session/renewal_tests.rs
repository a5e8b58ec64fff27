//! A producer that gets nothing written, on the cluster that librdkafka plays for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::admin::Cluster;
use super::super::raw::{Client, ClientKind, NoDeliveries};
use super::super::transaction::TIMED_OUT;
use super::super::{GroupProtocol, KafkaConfig};
use super::KafkaSession;
use crate::log::{CommitError, CommitReceipt, Event, SendRecord, Session, SessionConfig, TopicPartition};

/// One transaction with one record; `Unknown` is asked again, as the contract says.
fn transact(session: &mut KafkaSession, topic: &str, input: &TopicPartition) -> Result<CommitReceipt, CommitError> {
    session.begin().expect("begun");
    let record =
        SendRecord { topic, partition: Some(0), key: None, value: Some(b"value"), headers: &[], timestamp_ms: None };
    session.send(record).expect("librdkafka takes it");
    loop {
        match session.commit(&[(input.clone(), 0)]) {
            Err(CommitError::Unknown(_)) => {}
            outcome => return outcome,
        }
    }
}

#[test]
fn a_session_whose_producer_gets_nothing_written_goes_on_with_another() {
    let player = Client::playing(ClientKind::Producer, 1, &[], Arc::new(NoDeliveries));
    player.play_topic(c"input", 1);
    player.play_topic(c"led", 1);
    player.play_topic(c"leaderless", -1);
    let mut config = KafkaConfig::new(player.played_brokers());
    config.group_protocol = GroupProtocol::Classic;
    config.extra.insert("message.timeout.ms".to_owned(), "300".to_owned());
    let cluster = Arc::new(Cluster::connect(config).expect("connected"));
    let config = SessionConfig::new("group", "id", vec!["input".to_owned()]);
    let mut session = KafkaSession::open(cluster, config).expect("a session");
    let deadline = Instant::now() + Duration::from_secs(60);
    let input = loop {
        assert!(Instant::now() < deadline, "nothing was assigned");
        if let Event::Assigned(places) = session.poll(Duration::from_millis(100)).expect("polled")
            && let [(partition, _)] = &*places
        {
            break partition.clone();
        }
    };

    let first = Arc::clone(session.transactor.client());
    let in_vain = |session: &mut KafkaSession| {
        let outcome = transact(session, "leaderless", &input);
        assert!(matches!(outcome, Err(CommitError::Abortable(_))), "{outcome:?}");
        session.abort().expect("aborted");
    };
    for _ in 0..2 {
        // It may have met an outage.
        (1..TIMED_OUT).for_each(|_| in_vain(&mut session));
        // Whoever gets anything written has found its brokers.
        transact(&mut session, "led", &input).expect("committed");
    }
    (1..=TIMED_OUT).for_each(|_| in_vain(&mut session));
    assert!(Arc::ptr_eq(&first, session.transactor.client()));
    transact(&mut session, "led", &input).expect("committed by the next producer");
    assert!(!Arc::ptr_eq(&first, session.transactor.client()), "it would try for ever");
    assert!(session.membership.owns(&input), "it is the same member");
}
