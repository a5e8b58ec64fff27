//! Kafka: the shared one works; our own dies, freezes and comes back with its data.

use std::time::Duration;

use scenari::kafka::Kafka;
use scenari::topic::{create_kafka, delete_kafka, read_kafka, write_kafka};

#[test]
fn records_written_to_the_shared_broker_are_read_back_with_key_and_headers() {
    let kafka = Kafka::shared().bootstrap();
    let topic = format!("harness-{}", std::process::id());
    create_kafka(kafka, &topic, 3).expect("a new topic");
    let records: Vec<_> = (0..10).map(|n| (format!("key {n}").into_bytes(), b"value".to_vec())).collect();
    write_kafka(kafka, &topic, &records, &[("source", "test")]).expect("taken");
    let entries = read_kafka(kafka, &topic).expect("the topic is there");
    assert_eq!(entries.len(), 10);
    assert!(entries.iter().all(|entry| entry.header("source").as_deref() == Some("test")));
    assert!(entries.iter().any(|entry| entry.key == b"key 7" && entry.value.as_deref() == Some(b"value")));
    delete_kafka(kafka, &topic).expect("deleted");
}

#[test]
fn an_unknown_topic_is_an_error_and_not_an_empty_topic() {
    let error = read_kafka(Kafka::shared().bootstrap(), "no-such-topic").expect_err("it does not exist");
    assert!(error.to_string().contains("no-such-topic"), "{error}");
}

#[test]
fn our_own_broker_keeps_address_and_data_over_kill_and_restart() {
    let kafka = Kafka::own();
    create_kafka(kafka.bootstrap(), "kept", 1).expect("a new topic");
    let write = |value: &[u8]| write_kafka(kafka.bootstrap(), "kept", &[(b"k".to_vec(), value.to_vec())], &[]);
    write(b"before").expect("taken");
    kafka.kill9();
    assert!(std::net::TcpStream::connect(kafka.bootstrap()).is_err(), "a dead broker refuses connections");
    kafka.restart();
    write(b"after").expect("taken");
    let values: Vec<_> =
        read_kafka(kafka.bootstrap(), "kept").expect("kept").into_iter().filter_map(|entry| entry.value).collect();
    assert_eq!(values, [b"before".to_vec(), b"after".to_vec()]);

    kafka.pause();
    let asked = std::time::Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_kafka(kafka.bootstrap(), "kept"));
        scenari::wait::holds_for("a frozen broker answers nobody", Duration::from_secs(1), || {
            if reading.is_finished() { Err("answered") } else { Ok(()) }
        });
        kafka.resume();
        let entries = reading.join().expect("no panic").expect("the broker runs on");
        assert_eq!(entries.len(), 2);
    });
    assert!(asked.elapsed() >= Duration::from_secs(1));
}
