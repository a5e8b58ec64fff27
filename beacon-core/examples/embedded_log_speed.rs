//! Figures of the embedded log on this machine: latency of a record end to end, throughput, CPU.
//!
//! ```text
//! cargo run -p beacon-core --example embedded_log_speed -- [directory] [thousands of records]
//! ```
//!
//! Each latency is printed beside its yardstick from the same run: an append and `fdatasync` of the same bytes to a
//! plain file in the same directory. Throughput counts only after its oracle has seen every record in order.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{
    CleanupPolicy, Event, Isolation, Log, LogError, Position, Record, SendRecord, SessionConfig, TopicPartition,
    TopicSpec,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const PARTITIONS: u32 = 4;
const ROUNDS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let scratch = tempfile::tempdir()?;
    let directory = arguments.next().map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let records = arguments.next().map_or(Ok(1000), |text| text.parse::<u64>())? * 1000;
    let log = EmbeddedLog::open(directory.join("log"))?;
    for topic in ["latency", "commits", "input", "output"] {
        let cleanup = CleanupPolicy::Delete { retention: None };
        let partitions = if topic == "latency" || topic == "commits" { 1 } else { PARTITIONS };
        log.create_topics(&[TopicSpec { name: topic.to_owned(), partitions, cleanup }])?;
    }
    yardstick(&directory)?;
    end_to_end(&log)?;
    commits(&log)?;
    fill(&log, records)?;
    copy(&log, records)?;
    restore(&log, records, "right after")?;
    drop(log);
    let started = Instant::now();
    let log = EmbeddedLog::open(directory.join("log"))?;
    println!("{:34} {:8.0} ms", "open again", started.elapsed().as_secs_f64() * 1e3);
    restore(&log, records, "from the disk")
}

/// What the device costs: append 200 bytes to a file and wait for it.
fn yardstick(directory: &Path) -> Outcome<()> {
    let path = directory.join("yardstick");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        file.write_all(&[b'x'; 200])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    std::fs::remove_file(path)?;
    print_latency("yardstick: write + fdatasync", times);
    Ok(())
}

/// From the call of append to the moment a session on another thread holds the record.
fn end_to_end(log: &Arc<EmbeddedLog>) -> Outcome<()> {
    let mut session = log.session(SessionConfig::new("latency", "latency", vec!["latency".to_owned()]))?;
    let (arrived, arrivals) = mpsc::channel();
    let (ready, when_ready) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut left = ROUNDS;
        while left > 0 {
            match session.poll(PATIENCE).map_err(|error| error.to_string())? {
                Event::Records(batch) => {
                    left -= batch.len();
                    arrived.send(Instant::now()).map_err(|error| error.to_string())?;
                }
                Event::EndOfPartition(..) => ready.send(()).map_err(|error| error.to_string())?,
                _ => {}
            }
        }
        Ok::<(), String>(())
    });
    let appender = log.appender()?;
    let complain = |result: Result<Vec<Position>, LogError>| {
        if let Err(error) = result {
            eprintln!("append: {error}");
        }
    };
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        when_ready.recv()?;
        let started = Instant::now();
        appender.append(vec![Record::new("latency", "key", vec![b'x'; 100])], Box::new(complain));
        times.push(arrivals.recv_timeout(PATIENCE)?.duration_since(started));
    }
    reader.join().map_err(|_| "the reader panicked")??;
    print_latency("append to delivery, 100 B", times);
    Ok(())
}

/// One record and one offset in a transaction, from begin to the end of commit.
fn commits(log: &Arc<EmbeddedLog>) -> Outcome<()> {
    let mut session = log.session(SessionConfig::new("commits", "commits", vec!["latency".to_owned()]))?;
    while !matches!(session.poll(PATIENCE)?, Event::Assigned(_)) {}
    let mut times = Vec::new();
    for offset in 0..ROUNDS {
        let started = Instant::now();
        session.begin()?;
        session.send(record("commits", 0, None, &[b'x'; 100]))?;
        session.commit(&[(TopicPartition::new("latency", 0), offset as u64)])?;
        times.push(started.elapsed());
    }
    print_latency("begin, send, commit with offset", times);
    Ok(())
}

fn fill(log: &Arc<EmbeddedLog>, records: u64) -> Outcome<()> {
    let appender = log.appender()?;
    let (answer, answers) = mpsc::channel();
    let measure = Measure::start();
    let mut open = 0;
    for first in (0..records).step_by(1000) {
        let record = |n: u64| {
            let mut value = vec![b'x'; 92];
            value.splice(0..0, (n / u64::from(PARTITIONS)).to_be_bytes());
            Record::new("input", n.to_be_bytes(), value).to_partition((n % u64::from(PARTITIONS)) as u32)
        };
        let answer = answer.clone();
        let batch = (first..first + 1000).map(record).collect();
        appender.append(batch, Box::new(move |result| drop(answer.send(result))));
        open += 1;
        if open > 64 {
            answers.recv()??;
            open -= 1;
        }
    }
    for _ in 0..open {
        answers.recv()??;
    }
    measure.print("append, 1000 a call", records);
    Ok(())
}

/// Exactly-once copy through a session that commits every 100 ms.
fn copy(log: &Arc<EmbeddedLog>, records: u64) -> Outcome<()> {
    let mut session = log.session(SessionConfig::new("copy", "copy", vec!["input".to_owned()]))?;
    let measure = Measure::start();
    let (mut copied, mut positions) = (0, [0; PARTITIONS as usize]);
    session.begin()?;
    let mut begun = Instant::now();
    while copied < records {
        if let Event::Records(batch) = session.poll(PATIENCE)? {
            for record in (0..batch.len()).map(|index| batch.get(index)) {
                let value = record.value.unwrap_or_default();
                session
                    .send(SendRecord { key: record.key, ..self::record("output", record.partition, None, value) })?;
                positions[record.partition as usize] = record.offset + 1;
            }
            copied += batch.len() as u64;
        }
        if begun.elapsed() > Duration::from_millis(100) || copied == records {
            let offsets: Vec<_> = (0..).zip(positions).map(|(p, at)| (TopicPartition::new("input", p), at)).collect();
            session.commit(&offsets)?;
            session.begin()?;
            begun = Instant::now();
        }
    }
    measure.print("copy, a commit each 100 ms", records);
    Ok(())
}

/// Reads everything the copy wrote and checks that it is all there, in order.
fn restore(log: &Arc<EmbeddedLog>, records: u64, what: &str) -> Outcome<()> {
    let mut reader = log.reader(Isolation::Uncommitted)?;
    let all: Vec<_> = (0..PARTITIONS).map(|p| (TopicPartition::new("output", p), 0)).collect();
    reader.assign(&all)?;
    let measure = Measure::start();
    let (mut expected, mut ends) = ([0_u64; PARTITIONS as usize], 0);
    while ends < PARTITIONS {
        match reader.poll(PATIENCE)? {
            Event::Records(batch) => {
                for record in (0..batch.len()).map(|index| batch.get(index)) {
                    let next = &mut expected[record.partition as usize];
                    let value = record.value.unwrap_or_default();
                    if value.get(..8) != Some(&next.to_be_bytes()[..]) {
                        return Err(format!("{record:?} is not record {next} of its partition").into());
                    }
                    *next += 1;
                }
            }
            Event::EndOfPartition(..) => ends += 1,
            event => return Err(format!("{event:?} while reading").into()),
        }
    }
    let read: u64 = expected.iter().sum();
    if read != records {
        return Err(format!("{read} records instead of {records}").into());
    }
    measure.print(&format!("read everything, {what}"), records);
    Ok(())
}

fn record<'a>(topic: &'a str, partition: u32, key: Option<&'a [u8]>, value: &'a [u8]) -> SendRecord<'a> {
    SendRecord { topic, partition: Some(partition), key, value: Some(value), headers: &[], timestamp_ms: None }
}

fn print_latency(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what:34} {:8.2} ms p50 {:8.2} ms p99", at(0.5), at(0.99));
}

/// Wall and CPU time of the whole process since it was started.
struct Measure {
    started: Instant,
    cpu_s: f64,
}

impl Measure {
    fn start() -> Self {
        Self { started: Instant::now(), cpu_s: cpu_seconds() }
    }

    fn print(self, what: &str, records: u64) {
        let (wall, cpu) = (self.started.elapsed().as_secs_f64(), cpu_seconds() - self.cpu_s);
        let millions = records as f64 / 1e6;
        println!("{what:34} {:8.0} thousand/s {:8.2} CPU s per million", records as f64 / wall / 1e3, cpu / millions);
    }
}

/// User and system time of this process, from `/proc/self/stat` (proc(5), fields 14 and 15, in hundredths of seconds).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
