use super::support::*;
use beacon_core::log::{Event, Isolation, Log, Record, TopicPartition};
use std::time::{Duration, Instant};

#[test]
#[ignore = "a measurement"]
fn reading_speed() {
    let log = log();
    let topic = make_topic(&*log, "speed", 4);
    let appender = log.appender().expect("a");
    let total: usize = 2_000_000;
    for _ in 0..total / 50_000 {
        let records =
            (0..50_000u64).map(|n| Record::new(topic.as_str(), n.to_be_bytes().to_vec(), vec![7u8; 100])).collect();
        appender.append_blocking(records).expect("appended");
    }
    for round in 0..6 {
        if round % 2 == 0 {
            unsafe { std::env::remove_var("SINGLE") }
        } else {
            unsafe { std::env::set_var("SINGLE", "1") }
        }
        let mut reader = log.reader(Isolation::Committed).expect("a reader");
        let all: Vec<_> = (0..4).map(|p| (TopicPartition::new(topic.as_str(), p), 0)).collect();
        reader.assign(&all).expect("assigned");
        let started = Instant::now();
        let cpu = cpu();
        let (mut count, mut batches, mut bytes) = (0, 0, 0);
        while count < total {
            if let Event::Records(batch) = reader.poll(Duration::from_millis(100)).expect("polled") {
                count += batch.len();
                batches += 1;
                for i in 0..batch.len() {
                    bytes += batch.get(i).value.unwrap_or_default().len();
                }
            }
        }
        println!(
            "single={} {count} in {batches} batches {bytes} {:?} cpu {:?}",
            round % 2,
            started.elapsed(),
            super::speed::cpu() - cpu
        );
    }
}
pub fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("s");
    let f: Vec<&str> = stat.rsplit(')').next().expect("x").split_whitespace().collect();
    Duration::from_millis(10 * (f[11].parse::<u64>().expect("n") + f[12].parse::<u64>().expect("n")))
}
