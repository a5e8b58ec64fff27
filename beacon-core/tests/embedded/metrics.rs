//! What a running application measures: every metric of the catalogue is told, with the value that what happened says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{SystemTime, UNIX_EPOCH};

use beacon_core::checkpoint::{Manifest, MemoryObjectStore, ObjectErrorKind, ObjectFault, ObjectStore, Operation};
use beacon_core::log::Log;
use beacon_core::metrics::{Dialect, HistogramReading, Metric, Sample, SampleValue, catalogue, render};
use beacon_core::runtime::App;

use super::rig::{PACE, Rig, wait_running};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::faulty::FaultyLog;
use crate::support::kept::checkpoints;
use crate::support::wait_until;

/// One reading of everything.
struct Reading(Vec<Sample>);

impl Reading {
    fn of(app: &App, log: &dyn Log) -> Self {
        let watch = app.watch();
        let mut samples = watch.samples();
        samples.extend(watch.lag(log).expect("the log tells"));
        for sample in &samples {
            let names: Vec<_> = sample.labels.iter().map(|(name, _)| *name).collect();
            assert_eq!(names[..2], ["application", "instance"], "{sample:?}");
            assert_eq!(names[2..], *sample.metric.labels, "{sample:?}");
        }
        Self(samples)
    }

    fn samples(&self, metric: &'static Metric) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |sample| sample.metric == metric)
    }

    /// The values of all samples of a metric.
    fn numbers(&self, metric: &'static Metric) -> Vec<f64> {
        let number = |sample: &Sample| match &sample.value {
            SampleValue::Number(number) => *number,
            SampleValue::Histogram(_) => panic!("{} is a histogram", sample.metric.name),
        };
        self.samples(metric).map(number).collect()
    }

    /// The value of the one sample of a metric.
    fn number(&self, metric: &'static Metric) -> f64 {
        let numbers = self.numbers(metric);
        assert_eq!(numbers.len(), 1, "{}: {numbers:?}", metric.name);
        numbers[0]
    }

    /// The value of the sample whose own label has this value.
    fn labelled(&self, metric: &'static Metric, value: &str) -> f64 {
        let mut found = self.samples(metric).filter(|sample| sample.labels.iter().any(|(_, label)| label == value));
        match found.next().map(|sample| &sample.value) {
            Some(SampleValue::Number(number)) => *number,
            other => panic!("{} of {value}: {other:?}", metric.name),
        }
    }

    fn histogram(&self, metric: &'static Metric) -> &HistogramReading {
        match self.samples(metric).next().map(|sample| &sample.value) {
            Some(SampleValue::Histogram(reading)) => reading,
            other => panic!("{}: {other:?}", metric.name),
        }
    }
}

fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
fn every_metric_is_told_with_its_value() {
    let began = seconds_since_1970();
    let (rig, job) = (Rig::new(), Counting::new("measured", 20));
    job.make_topics(rig.log.as_ref());
    let log = FaultyLog::over(Arc::clone(&rig.log));
    log.faults.aborts.store(1, SeqCst);
    log.faults.unknown.store(2, SeqCst);
    let store = Arc::new(MemoryObjectStore::default());
    let mut config = rig.on_disk(job.config("0"));
    config.checkpoints = Some(checkpoints(store));
    let app = App::start(log.clone(), job.topology(&Default::default()), config).expect("started");
    wait_running(&app, u64::from(PARTITIONS));
    // Little by little, so that there are commits enough for all that goes wrong.
    job.feed(rig.log.as_ref(), job.records(), PACE);
    rig.wait_complete(&job);
    wait_until("each task has a checkpoint", || app.stats().checkpoints >= u64::from(PARTITIONS));
    // The last output is there before the commit that wrote it is counted.
    let all = |reading: &Reading| {
        reading.numbers(&catalogue::LAG).iter().all(|lag| *lag == 0.0)
            && reading.number(&catalogue::OVERLAY_BYTES) == 0.0
    };
    wait_until("it is at rest", || all(&Reading::of(&app, rig.log.as_ref())));
    let reading = Reading::of(&app, rig.log.as_ref());

    let told: BTreeSet<_> = reading.0.iter().map(|sample| sample.metric.name).collect();
    let missing: Vec<_> = catalogue::ALL.iter().map(|metric| metric.name).filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "not told: {missing:?}");
    assert_eq!(told.len(), catalogue::ALL.len(), "and nothing else is told: {told:?}");

    // Each record once as it came and once re-keyed, and what the dropped commit did once more.
    assert!(reading.number(&catalogue::PROCESSED) >= (2 * job.records()) as f64);
    assert!(reading.number(&catalogue::TIMERS_FIRED) >= job.words as f64, "a timer a word");
    assert!(reading.histogram(&catalogue::TIMER_LATENESS).count() >= 1);
    let stats = app.stats();
    let committed = reading.labelled(&catalogue::COMMITS, "committed");
    assert!(committed >= 3.0 && committed <= stats.commits as f64, "{committed}, {stats:?}");
    assert_eq!(reading.labelled(&catalogue::COMMITS, "aborted"), 1.0);
    assert_eq!(reading.labelled(&catalogue::COMMITS, "unknown"), 2.0);
    let latency = reading.histogram(&catalogue::COMMIT_LATENCY);
    assert!(latency.count() as f64 >= committed && latency.sum > 0.0, "each commit that went through: {latency:?}");
    assert_eq!(reading.labelled(&catalogue::TASKS, "running"), f64::from(PARTITIONS));
    assert_eq!(reading.labelled(&catalogue::TASKS, "restoring"), 0.0);
    assert_eq!(reading.labelled(&catalogue::TASKS, "waiting"), 0.0);
    assert!(reading.histogram(&catalogue::REBALANCE_LATENCY).count() >= 1, "it was given its tasks once");
    for nothing in [
        &catalogue::LATE,
        &catalogue::DEAD_LETTERS,
        &catalogue::FENCED,
        &catalogue::REJOINED,
        &catalogue::LOST,
        &catalogue::RESTORED_RECORDS,
        &catalogue::RESTORED_BYTES,
        &catalogue::RESTORE_REMAINING_RECORDS,
        &catalogue::RESTORE_REMAINING_BYTES,
        &catalogue::RESTORE_REMAINING_SECONDS,
        &catalogue::STANDBYS,
        &catalogue::STANDBY_RECORDS,
        &catalogue::CHECKPOINT_FAILURES,
        &catalogue::CHECKPOINT_RESTORES,
    ] {
        assert_eq!(reading.number(nothing), 0.0, "{}", nothing.name);
    }
    assert!(reading.number(&catalogue::CHECKPOINTS) >= f64::from(PARTITIONS));
    assert!(reading.number(&catalogue::CHECKPOINT_BYTES) > 0.0);
    let times = reading.numbers(&catalogue::CHECKPOINT_TIME);
    assert_eq!(times.len(), PARTITIONS as usize);
    assert!(times.iter().all(|at| (began - 1.0..=seconds_since_1970() + 1.0).contains(at)), "{times:?} from {began}");
    // The input and the internal topic; nothing but records takes offsets here.
    for metric in [&catalogue::COMMITTED_OFFSET, &catalogue::HIGH_OFFSET, &catalogue::STABLE_OFFSET] {
        let offsets = reading.numbers(metric);
        assert_eq!(offsets.len(), 2 * PARTITIONS as usize, "{}", metric.name);
        assert_eq!(offsets.iter().sum::<f64>(), (2 * job.records()) as f64, "{}: {offsets:?}", metric.name);
    }
    assert!(reading.numbers(&catalogue::STABLE_LAG).iter().all(|lag| *lag == 0.0));
    let (total, buffers) = (
        reading.labelled(&catalogue::MEMORY_LIMIT, "total"),
        reading.labelled(&catalogue::MEMORY_LIMIT, "write_buffers"),
    );
    assert!(total > buffers && buffers > 0.0, "{total}, {buffers}");
    assert!(reading.number(&catalogue::MEM_TABLES) > 0.0, "stores are open");

    let text = render(&reading.0, Dialect::Prometheus);
    let application = job.application();
    let line = format!("beacon_commit_total{{application=\"{application}\",instance=\"0\",outcome=\"aborted\"}} 1");
    assert!(text.lines().any(|found| found == line), "{text}");
    app.stop().expect("stopped");
}

#[test]
fn lag_grows_while_an_operator_stands_still() {
    let (rig, job) = (Rig::new(), Counting::new("standing", 10));
    job.make_topics(rig.log.as_ref());
    let mood = Arc::default();
    let app = rig.count(&job, "0", &mood);
    wait_running(&app, u64::from(PARTITIONS));
    mood.retries();
    job.feed_all(rig.log.as_ref());
    wait_until("aborts are counted", || {
        Reading::of(&app, rig.log.as_ref()).labelled(&catalogue::COMMITS, "aborted") >= 2.0
    });
    let lag = || Reading::of(&app, rig.log.as_ref()).numbers(&catalogue::LAG).iter().sum::<f64>();
    assert!(lag() > 0.0);
    mood.content();
    wait_until("nothing is unread", || lag() == 0.0);
    app.stop().expect("stopped");
}

#[test]
fn a_restore_tells_what_is_left_and_how_long_it_takes() {
    let rig = Rig::new();
    let kept = rig.kept("measured-restore", 60);
    kept.run_until_trimmed_and_lose_the_disk();
    // Of the first task's files the largest comes, and no other before it is allowed to.
    let newest = kept.store.get(&kept.manifests(0).pop().expect("there are some")).expect("read");
    let files = Manifest::decode(&newest).expect("a manifest").files;
    let largest = kept.task(0).file(files.iter().max_by_key(|file| file.size).expect("it lists files"));
    let slow = kept.task(0).prefix();
    kept.store.set_faults(move |operation, name| {
        let held = operation == Operation::Download && name.starts_with(&slow) && name.contains("/files/");
        (held && name != largest).then_some(ObjectFault::Fail(ObjectErrorKind::Retriable))
    });
    let app = kept.start();
    let log = kept.log.as_ref();
    let left = |metric| Reading::of(&app, log).numbers(metric);
    wait_until("the others run, and a file of the first is there", || {
        let reading = Reading::of(&app, log);
        reading.labelled(&catalogue::TASKS, "running") == f64::from(PARTITIONS - 1)
            && reading.numbers(&catalogue::RESTORE_REMAINING_SECONDS).iter().any(|seconds| *seconds > 0.0)
    });
    let reading = Reading::of(&app, log);
    assert_eq!(reading.labelled(&catalogue::TASKS, "restoring"), 1.0);
    assert!(reading.number(&catalogue::RESTORE_REMAINING_BYTES) > 0.0);
    assert_eq!(reading.number(&catalogue::CHECKPOINT_RESTORES), f64::from(PARTITIONS - 1));
    // Nothing comes, and so it takes longer and longer.
    let before = left(&catalogue::RESTORE_REMAINING_SECONDS)[0];
    wait_until("the estimate grows", || left(&catalogue::RESTORE_REMAINING_SECONDS)[0] > before);
    kept.store.clear_faults();
    wait_until("all tasks run", || app.stats().tasks == u64::from(PARTITIONS));
    let reading = Reading::of(&app, log);
    assert_eq!(reading.number(&catalogue::CHECKPOINT_RESTORES), f64::from(PARTITIONS));
    assert!(reading.number(&catalogue::RESTORED_BYTES) > 0.0);
    for metric in [
        &catalogue::RESTORE_REMAINING_BYTES,
        &catalogue::RESTORE_REMAINING_RECORDS,
        &catalogue::RESTORE_REMAINING_SECONDS,
    ] {
        assert_eq!(reading.number(metric), 0.0, "{}", metric.name);
    }
    kept.finish(app);
}

#[test]
fn a_changelog_that_is_read_again_is_counted() {
    let (rig, job) = (Rig::new(), Counting::new("measured-replay", 20));
    job.make_topics(rig.log.as_ref());
    let app = rig.count(&job, "0", &Arc::default());
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    app.stop().expect("stopped");
    std::fs::remove_dir_all(rig.state("0")).expect("it is there");
    let chunks = crate::support::count(rig.log.as_ref(), &format!("{}-changelog", job.application()));
    let app = rig.count(&job, "0", &Arc::default());
    wait_running(&app, u64::from(PARTITIONS));
    wait_until("all of it is counted", || {
        Reading::of(&app, rig.log.as_ref()).number(&catalogue::RESTORED_RECORDS) == chunks as f64
    });
    let reading = Reading::of(&app, rig.log.as_ref());
    assert_eq!(reading.number(&catalogue::RESTORE_REMAINING_RECORDS), 0.0);
    assert_eq!(reading.samples(&catalogue::CHECKPOINTS).count(), 0, "it has none");
    app.stop().expect("stopped");
}
