//! Records: their order, their partition, and that they come back as they were.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beacon_core::log::{Appender, Isolation, Record, SendRecord, TopicPartition, partition};

use super::{Subject, numbers};

pub fn records_of_a_partition_are_read_in_the_order_they_were_appended(subject: &Subject) {
    let topic = subject.topic("order", 2);
    let appender = subject.appender();
    for n in 0..20_u32 {
        let record = |k: u32| Record::new(Arc::clone(&topic), "k", (n * 100 + k).to_string()).to_partition(1);
        appender.append_blocking((0..100).map(record).collect()).expect("appended");
    }
    assert_eq!(subject.values(&topic, 1), numbers(2000));
    let read = subject.read_all(&topic, 1, Isolation::Committed);
    assert!(read.is_sorted_by(|left, right| left.offset < right.offset), "offsets only grow");
    assert!(subject.values(&topic, 0).is_empty());
}

pub fn positions_name_where_each_record_stands(subject: &Subject) {
    let topic = subject.topic("positions", 3);
    let record = |n: u32| Record::new(Arc::clone(&topic), "k", n.to_string()).to_partition(n % 3);
    let positions = subject.appender().append_blocking((0..30).map(record).collect()).expect("appended");
    assert_eq!(positions.len(), 30);
    for (n, position) in positions.iter().enumerate() {
        assert_eq!(position.partition, n as u32 % 3);
        let at = TopicPartition::new(Arc::clone(&topic), position.partition);
        let read = subject.read_from(&at, position.offset, Isolation::Committed);
        assert_eq!((read[0].offset, read[0].value.as_deref()), (position.offset, Some(n.to_string().as_bytes())));
    }
}

pub fn keys_go_to_the_partition_that_kafka_would_choose(subject: &Subject) {
    let (appended, sent, trigger) = (subject.topic("a", 7), subject.topic("s", 7), subject.topic("trigger", 1));
    let keys: Vec<String> = (0..50).map(|n| format!("key-{n}")).collect();
    let records = keys.iter().map(|key| Record::new(Arc::clone(&appended), key.as_str(), "v")).collect();
    let positions = subject.appender().append_blocking(records).expect("appended");
    for (key, position) in keys.iter().zip(positions) {
        assert_eq!(position.partition, partition::for_key(key.as_bytes(), 7), "{key}");
    }
    let mut member = subject.join("group", "id", &[&trigger]);
    member.own(1);
    member.session.begin().expect("begun");
    for key in &keys {
        let record = SendRecord {
            topic: &sent,
            partition: None,
            key: Some(key.as_bytes()),
            value: None,
            headers: &[],
            timestamp_ms: None,
        };
        member.session.send(record).expect("sent");
    }
    member.session.commit(&[(TopicPartition::new(trigger, 0), 0)]).expect("committed");
    for partition in 0..7 {
        for read in subject.read_all(&sent, partition, Isolation::Committed) {
            assert_eq!(partition, partition::for_key(&read.key.expect("a key"), 7));
        }
    }
}

pub fn headers_timestamps_and_tombstones_come_back(subject: &Subject) {
    let topic = subject.topic("whole", 1);
    let headers = vec![
        ("trace".to_owned(), vec![0, 255, 7]),
        ("empty".to_owned(), vec![]),
        ("trace".to_owned(), b"again".to_vec()),
        (" Größe \t".to_owned(), vec![1]),
    ];
    let base = Record::new(Arc::clone(&topic), vec![0, 1, 254], vec![9; 3]).to_partition(0);
    let records = vec![
        Record { headers: headers.clone(), timestamp_ms: Some(1_600_000_000_123), ..base.clone() },
        Record { value: None, timestamp_ms: Some(1_500_000_000_000), ..base.clone() },
        Record { key: None, timestamp_ms: Some(1_700_000_000_000), ..base.clone() },
        // Not 0: librdkafka takes that for "now".
        Record { key: Some(vec![]), value: Some(vec![]), timestamp_ms: Some(1), ..base },
    ];
    subject.appender().append_blocking(records.clone()).expect("appended");
    let read = subject.read_all(&topic, 0, Isolation::Committed);
    assert_eq!(read.len(), records.len());
    for (read, record) in read.iter().zip(&records) {
        assert_eq!(read.key, record.key);
        assert_eq!(read.value, record.value, "a tombstone is not an empty value");
        assert_eq!(read.headers, record.headers);
        assert_eq!(Some(read.timestamp_ms), record.timestamp_ms);
    }
}

pub fn a_timestamp_may_be_far_from_now_where_it_decides_nothing(subject: &Subject) {
    let topic = subject.topic("clocks", 1);
    // A device whose clock is wrong, in a topic that nothing is deleted from by age.
    let year_2100 = 4_102_444_800_000;
    let records =
        [1, year_2100].map(|at| Record { timestamp_ms: Some(at), ..Record::new(Arc::clone(&topic), "k", "v") });
    subject.appender().append_blocking(records.to_vec()).expect("appended");
    let read = subject.read_all(&topic, 0, Isolation::Committed);
    assert_eq!(read.iter().map(|read| read.timestamp_ms).collect::<Vec<_>>(), [1, year_2100]);
}

pub fn a_record_without_timestamp_gets_the_time_of_its_append(subject: &Subject) {
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let topic = subject.topic("clock", 1);
    let before = now_ms();
    subject.append(Record::new(Arc::clone(&topic), "k", "v"));
    let after = now_ms();
    let read = subject.read_all(&topic, 0, Isolation::Committed);
    // A broker on another machine has another clock; a minute is far more than it may be off.
    assert!((before - 60_000..=after + 60_000).contains(&read[0].timestamp_ms), "{} at {before}", read[0].timestamp_ms);
}

pub fn an_answer_may_drop_the_appender_it_came_from(subject: &Subject) {
    let topic = subject.topic("dropped-by-answer", 1);
    let appender: Arc<dyn Appender> = Arc::from(subject.appender());
    let (let_go, wait) = channel::<()>();
    let (sender, answer) = channel();
    let held = Arc::clone(&appender);
    let done = move |result| {
        // Only when this is the last one that holds the appender: for a while, since a log may answer before `append` returns.
        assert!(wait.recv_timeout(Duration::from_secs(1)).is_err(), "nothing is ever sent");
        drop(held);
        sender.send(result).expect("the test waits");
    };
    appender.append(vec![Record::new(Arc::clone(&topic), "k", "v").to_partition(0)], Box::new(done));
    drop(appender);
    drop(let_go);
    answer.recv().expect("an answer that comes to its end").expect("appended");
    assert_eq!(subject.values(&topic, 0), ["v"]);
}

/// Whether its append has succeeded or not.
pub fn an_answer_that_panics_holds_up_no_other(subject: &Subject) {
    let topic = subject.topic("panic", 1);
    let appender = subject.appender();
    let record = |topic: &str, value: &str| vec![Record::new(topic, "k", value).to_partition(0)];
    let (sender, answers) = channel();
    for n in 0..8 {
        let sender = sender.clone();
        let done = move |result: Result<_, _>| {
            sender.send((n, result.is_ok())).expect("the test waits");
            assert!(n % 2 == 1, "told by a test");
        };
        let topic = if n % 4 < 2 { topic.to_string() } else { subject.name("nowhere") };
        appender.append(record(&topic, &n.to_string()), Box::new(done));
    }
    drop(sender);
    let mut answered: Vec<_> = answers.iter().collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..8).map(|n| (n, n % 4 < 2)).collect::<Vec<_>>(), "each once, with what became of it");
    subject.append(Record::new(Arc::clone(&topic), "k", "by another appender").to_partition(0));
    appender.append_blocking(record(&topic, "after")).expect("appended");
    let values = subject.values(&topic, 0);
    assert_eq!((values.len(), values.last().map(String::as_str)), (6, Some("after")));
}

pub fn appends_of_many_threads_all_get_a_place_of_their_own(subject: &Subject) {
    let topic = subject.topic("threads", 1);
    let appender = subject.appender();
    let mut positions = thread::scope(|scope| {
        let append = |thread: u32| {
            let (topic, appender) = (&topic, &appender);
            scope.spawn(move || {
                let record = |n| vec![Record::new(Arc::clone(topic), "k", format!("{thread}-{n}")).to_partition(0)];
                (0..50)
                    .map(|n| {
                        (appender.append_blocking(record(n)).expect("appended")[0].offset, format!("{thread}-{n}"))
                    })
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(append).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(positions.iter().map(|(offset, _)| *offset).collect::<BTreeSet<_>>().len(), 200);
    positions.sort();
    let values: Vec<String> = positions.into_iter().map(|(_, value)| value).collect();
    assert_eq!(subject.values(&topic, 0), values);
}
