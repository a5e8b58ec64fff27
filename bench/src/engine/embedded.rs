//! W4 without a broker: the same job on the embedded log, in this process; from the moment a record was due until a reader has
//! its output.
//!
//! Open loop: a stall of the log counts against every record that was due meanwhile. The oracle: each record comes once, and each
//! key's counts are 1, 2, 3 and so on.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{CleanupPolicy, Event, Isolation, Log, Record, TopicPartition, TopicSpec};
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_core::topology::{Topic, TopologyBuilder};

use super::{Rows, Sizes, System};
use crate::latency::Times;
use crate::system::cpu_seconds;

#[path = "../bin/engine-job/count.rs"]
mod count;
// Other jobs need what this one does not.
#[allow(dead_code)]
#[path = "../bin/engine-job/wire.rs"]
mod wire;

const PARTITIONS: u32 = 8;
const KEYS: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// When commits are made: whenever the input is empty (`None`), or at an interval in milliseconds.
pub const PACES: [Option<u64>; 3] = [None, Some(5), Some(25)];

/// Runs all of [`PACES`].
///
/// # Errors
/// The log fails, or an output is missing.
pub fn measure(sizes: &Sizes) -> Result<Rows> {
    let columns = ["sut", "commit", "rate_per_s", "p50_ms", "p99_ms", "max_ms", "cpu_%", "verified"];
    let mut rows = Rows { columns: columns.map(str::to_owned).to_vec(), rows: Vec::new() };
    for pace in PACES {
        let name = pace.map_or("idle".to_owned(), |ms| ms.to_string());
        let (times, cpu, verified) = run(pace, sizes).with_context(|| format!("the embedded log, commits {name}"))?;
        let found = times.percentiles();
        eprintln!("embedded\t{name}\t{:.2}\t{:.2}\t{verified}", found.p50, found.p99);
        rows.rows.push(vec![
            System::Beacon.to_string(),
            name,
            sizes.rate.to_string(),
            format!("{:.2}", found.p50),
            format!("{:.2}", found.p99),
            format!("{:.2}", found.max),
            format!("{:.1}", cpu * 100.0),
            verified,
        ]);
    }
    Ok(rows)
}

fn run(pace: Option<u64>, sizes: &Sizes) -> Result<(Times, f64, String)> {
    let directory = tempfile::tempdir().context("a directory for the log")?;
    let log: Arc<dyn Log> = EmbeddedLog::open(directory.path().join("log"))?;
    let topic = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: PARTITIONS,
        cleanup: CleanupPolicy::Delete { retention: None },
    };
    log.create_topics(&[topic("in"), topic("out")])?;
    let app = TopologyBuilder::new("embedded");
    count::build(&app, &Topic::new("in"), &Topic::new("out"));
    let mut settings = AppConfig::new(PARTITIONS);
    settings.state = StateLocation::Directory(directory.path().join("state"));
    if let Some(ms) = pace {
        settings.commit_interval = Duration::from_millis(ms);
        settings.commit_when_idle = false;
    }
    let app = App::start(Arc::clone(&log), app.build()?, settings)?;
    while app.stats().tasks < u64::from(PARTITIONS) {
        thread::sleep(Duration::from_millis(1));
    }
    let records = u64::from(sizes.rate) * u64::from(sizes.warmup + sizes.seconds);
    let warm = u64::from(sizes.rate) * u64::from(sizes.warmup);
    let start = Instant::now() + Duration::from_millis(100);
    let due = {
        let rate = f64::from(sizes.rate);
        move |number: u64| start + Duration::from_secs_f64(number as f64 / rate)
    };
    let writer = {
        let log = Arc::clone(&log);
        thread::spawn(move || write(log.as_ref(), records, due))
    };
    let own = [std::process::id()];
    let cpu = cpu_seconds(&own)?;
    let (times, ok) = read(log.as_ref(), records, warm, due)?;
    let cpu = (cpu_seconds(&own)? - cpu) / start.elapsed().as_secs_f64();
    writer.join().expect("the writer does not panic")?;
    app.stop()?;
    Ok((times, cpu, if ok { "ok".to_owned() } else { "FAIL".to_owned() }))
}

/// Each record when it is due, or as soon as the log has taken those before it.
fn write(log: &dyn Log, records: u64, due: impl Fn(u64) -> Instant) -> Result<()> {
    let appender = log.appender()?;
    let mut next = 0;
    while next < records {
        thread::sleep(due(next).saturating_duration_since(Instant::now()));
        let now = Instant::now();
        let mut batch = Vec::new();
        while next < records && due(next) <= now {
            let key = next.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
            let mut value = [b'.'; 100];
            value[..8].copy_from_slice(&next.to_be_bytes());
            batch.push(Record::new("in", key.to_be_bytes(), value));
            next += 1;
        }
        // Not waited for: what is due next does not wait for a disk.
        appender.append(batch, Box::new(|appended| appended.map(drop).expect("an embedded log takes what is due")));
    }
    Ok(())
}

/// Times of all but the first `warm` records, and whether all came once and in order.
fn read(log: &dyn Log, records: u64, warm: u64, due: impl Fn(u64) -> Instant) -> Result<(Times, bool)> {
    let mut reader = log.reader(Isolation::Committed)?;
    reader.assign(&(0..PARTITIONS).map(|number| (TopicPartition::new("out", number), 0)).collect::<Vec<_>>())?;
    let (mut times, mut ok, mut seen) = (Times::new(), true, 0);
    let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut last = Instant::now();
    while seen < records {
        let Event::Records(batch) = reader.poll(Duration::from_millis(100))? else {
            ensure!(last.elapsed() < PATIENCE, "{seen} of {records} outputs came");
            continue;
        };
        last = Instant::now();
        for index in 0..batch.len() {
            let record = batch.get(index);
            let Some((number, count)) = record.value.and_then(fields) else { bail!("an output of {:?}", record.value) };
            let known = counts.entry(record.key.unwrap_or_default().to_vec()).or_default();
            *known += 1;
            ok &= *known == count;
            if number >= warm {
                times.add(last.saturating_duration_since(due(number)));
            }
            seen += 1;
        }
    }
    Ok((times, ok))
}

/// Number and count of an output of 24 bytes.
fn fields(value: &[u8]) -> Option<(u64, u64)> {
    let number = |at: usize| Some(u64::from_be_bytes(value.get(at..at + 8)?.try_into().ok()?));
    Some((number(0)?, number(16)?))
}
