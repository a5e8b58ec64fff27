//! A plain transactional copy from topic to topic on librdkafka: the ceiling in the benchmarks of `bench/kafka-streams`.
//!
//! No engine, no state, no log contract: a batch of what is there, sends, and a raw commit every `COMMIT_MS`. It uses
//! everything librdkafka offers for speed, and nothing a careful program would add: it dies at the first error.
//!
//! Environment: `KAFKA_BOOTSTRAP_SERVERS`, `IN_TOPIC`, `OUT_TOPIC` (made before, of equal partition count), `GROUP_ID`,
//! `COMMIT_MS` (default 100) and `WORKLOAD`: `w1` (the default) copies each record to the partition it came from, `w4`
//! sends the first 16 bytes of its value and how many records of its key came so far, a count that is kept in memory only
//! and ends with the process. Runs until SIGTERM; prints `STATE RUNNING <epoch ms>` at its assignment and every five
//! seconds what it did.

use std::collections::HashMap;
use std::error::Error;
use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

fn main() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("set {name}"));
    let (input, output) = (variable("IN_TOPIC")?, variable("OUT_TOPIC")?);
    let group = variable("GROUP_ID")?;
    let interval = Duration::from_millis(variable("COMMIT_MS").unwrap_or_else(|_| "100".into()).parse()?);
    let counting = match variable("WORKLOAD").unwrap_or_else(|_| "w1".into()).as_str() {
        "w1" => false,
        "w4" => true,
        other => return Err(format!("WORKLOAD is {other}: without state there are only w1 and w4").into()),
    };
    let mut common = ClientConfig::new();
    common.set("bootstrap.servers", variable("KAFKA_BOOTSTRAP_SERVERS")?);

    let producer: BaseProducer = common
        .clone()
        .set("transactional.id", format!("{group}-plain"))
        .set("transaction.timeout.ms", "10000")
        .set("retry.backoff.ms", "1")
        // Larger requests cost less, smaller ones are under way before the commit: to each workload what it gains by.
        .set("linger.ms", if counting { "0" } else { "5" })
        .set("delivery.report.only.error", "true")
        .set("compression.type", "lz4")
        .create()?;
    producer.init_transactions(Duration::from_secs(30))?;
    let consumer: BaseConsumer = common
        .set("group.id", &group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "5")
        .create()?;
    consumer.subscribe(&[&input])?;
    join(&consumer)?;
    Copy::new(&consumer, &producer, input, &output, counting)?.run(interval)
}

/// Polls until there is an assignment, which the safe crate answers inside of its own poll. Later rebalances are not
/// answered: run one at a time.
fn join(consumer: &BaseConsumer) -> Result<(), Box<dyn Error>> {
    while consumer.assignment()?.count() == 0 {
        if let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message?;
            let offset = Offset::Offset(message.offset());
            consumer.seek(message.topic(), message.partition(), offset, Duration::from_secs(10))?;
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    println!("STATE RUNNING {}", now.as_millis());
    Ok(())
}

/// What the loop works on.
struct Copy<'a> {
    consumer: &'a BaseConsumer,
    producer: &'a BaseProducer,
    queue: *mut sys::rd_kafka_queue_t,
    target: *mut sys::rd_kafka_topic_t,
    input: String,
    /// Next offsets to read, of what was copied since the last commit.
    positions: HashMap<i32, i64>,
    /// Records of each key so far, if they are counted.
    counts: Option<HashMap<Vec<u8>, u64>>,
    copied: u64,
    commits: Vec<Duration>,
}

impl<'a> Copy<'a> {
    fn new(
        consumer: &'a BaseConsumer,
        producer: &'a BaseProducer,
        input: String,
        output: &str,
        counting: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let name = CString::new(output)?;
        // SAFETY: both clients are alive; queue and topic handle are used while they are, and left to the exit.
        let (queue, target) = unsafe {
            (
                sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()),
                sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), ptr::null_mut()),
            )
        };
        let (positions, counts) = (HashMap::new(), counting.then(HashMap::new));
        Ok(Self { consumer, producer, queue, target, input, positions, counts, copied: 0, commits: Vec::new() })
    }

    fn run(mut self, interval: Duration) -> Result<(), Box<dyn Error>> {
        let mut messages = vec![ptr::null_mut(); 8192];
        let (mut due, mut report) = (None, Instant::now() + Duration::from_secs(5));
        loop {
            let wait = match due {
                None => Duration::from_millis(100),
                Some(due) => until(due),
            };
            let got = self.consume(&mut messages, wait);
            if got > 0 && due.is_none() {
                self.producer.begin_transaction()?;
                due = Some(Instant::now() + interval);
            }
            for &message in &messages[..got] {
                self.copy(message)?;
            }
            if due.is_some_and(|due| Instant::now() >= due) {
                self.commit()?;
                due = None;
            }
            if Instant::now() >= report {
                self.report();
                report = Instant::now() + Duration::from_secs(5);
            }
        }
    }

    /// One message is waited for, the rest is what is there.
    fn consume(&self, messages: &mut [*mut sys::rd_kafka_message_t], wait: Duration) -> usize {
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: a live queue; the slice has the room that is told.
        let mut take = |from: usize, count: usize, wait: i32| unsafe {
            let got = sys::rd_kafka_consume_batch_queue(self.queue, wait, messages[from..].as_mut_ptr(), count);
            usize::try_from(got).unwrap_or(0)
        };
        let first = take(0, 1, wait);
        if first == 0 { 0 } else { first + take(1, 8191, 0) }
    }

    fn copy(&mut self, message: *mut sys::rd_kafka_message_t) -> Result<(), Box<dyn Error>> {
        // SAFETY: a live message, ours to destroy once; its bytes are copied by the send.
        unsafe {
            let record = &*message;
            if record.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                let code = rdkafka::error::RDKafkaErrorCode::from(record.err);
                sys::rd_kafka_message_destroy(message);
                return Err(format!("reading: {code}").into());
            }
            let mut counted = [0_u8; 24];
            let (payload, length) = match &mut self.counts {
                None => (record.payload, record.len),
                Some(_) if record.key.is_null() || record.payload.is_null() => {
                    return Err("a record of w4 has key and value".into());
                }
                Some(counts) => {
                    let key = std::slice::from_raw_parts(record.key.cast::<u8>(), record.key_len);
                    let value = std::slice::from_raw_parts(record.payload.cast::<u8>(), record.len);
                    let head = value.first_chunk::<16>().ok_or("a value of w4 has at least 16 bytes")?;
                    if !counts.contains_key(key) {
                        counts.insert(key.to_vec(), 0);
                    }
                    let count = counts.get_mut(key).ok_or("inserted above")?;
                    *count += 1;
                    counted[..16].copy_from_slice(head);
                    counted[16..].copy_from_slice(&count.to_be_bytes());
                    (counted.as_mut_ptr().cast(), counted.len())
                }
            };
            while sys::rd_kafka_produce(
                self.target,
                record.partition,
                sys::RD_KAFKA_MSG_F_COPY,
                payload,
                length,
                record.key,
                record.key_len,
                ptr::null_mut(),
            ) != 0
            {
                let code = rdkafka::error::RDKafkaErrorCode::from(sys::rd_kafka_last_error());
                if code != rdkafka::error::RDKafkaErrorCode::QueueFull {
                    return Err(format!("sending: {code}").into());
                }
                self.producer.poll(Duration::from_millis(1));
            }
            self.positions.insert(record.partition, record.offset + 1);
            sys::rd_kafka_message_destroy(message);
        }
        self.copied += 1;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Box<dyn Error>> {
        let started = Instant::now();
        while self.producer.in_flight_count() > 0 {
            // Raw: the safe crate's waits for 100 ms at least. SAFETY: a live client.
            unsafe { sys::rd_kafka_flush(self.producer.client().native_ptr(), 100) };
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in self.positions.drain() {
            offsets.add_partition_offset(&self.input, partition, Offset::Offset(offset))?;
        }
        let member = self.consumer.group_metadata().ok_or("not a member")?;
        self.producer.send_offsets_to_transaction(&offsets, &member, Duration::from_secs(10))?;
        // SAFETY: a live client. The error object leaks, and the program ends.
        let error = unsafe { sys::rd_kafka_commit_transaction(self.producer.client().native_ptr(), -1) };
        if !error.is_null() {
            return Err("the commit failed".into());
        }
        self.commits.push(started.elapsed());
        Ok(())
    }

    fn report(&mut self) {
        self.commits.sort();
        let at = |share: usize| self.commits.get(self.commits.len() * share / 100).copied().unwrap_or_default();
        println!("copied {} records; {} commits, p50 {:?} p99 {:?}", self.copied, self.commits.len(), at(50), at(99));
        self.commits.clear();
    }
}

fn until(due: Instant) -> Duration {
    due.saturating_duration_since(Instant::now())
}
