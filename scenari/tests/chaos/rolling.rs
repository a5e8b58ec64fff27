//! How long outputs stop while workers are restarted one after the other: a figure, not a claim. The claim is that
//! nothing is lost or doubled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use beacon_core::log::Log;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};

use crate::PATIENCE;
use crate::job::{Auditor, Job, Words};
use crate::plan::{Act, Worker};
use crate::stage::Stage;

/// Enough that each task has an output every twenty milliseconds or so.
const WORDS: u64 = 280;
const SPAN: Duration = Duration::from_secs(14);

fn restart_each(stage: &mut Stage) -> Result<()> {
    for who in [Worker::A, Worker::B] {
        std::thread::sleep(Duration::from_secs(2));
        stage.act(Act::Stop(who))?;
        stage.act(Act::Start(who))?;
        stage.wait_until_working(who)?;
    }
    Ok(())
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let job = Job { prefix: "r".into() };
    let mut stage = Stage::set(&job, &[]).expect("a stage");
    let log: Arc<dyn Log> = KafkaLog::connect(KafkaConfig::new(stage.kafka.bootstrap())).expect("the broker answers");
    job.make_topics(log.as_ref()).expect("topics");
    let storage = stage.storage().expect("a valid address");
    let mut auditor = Auditor::new(Arc::clone(&log), storage, &job).expect("a reader");
    for who in [Worker::A, Worker::B] {
        stage.act(Act::Start(who)).expect("it starts");
        stage.wait_until_working(who).expect("it works");
    }
    let words = Words::new(&job, 0, WORDS);
    let started = Instant::now();
    let restarted = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| words.feed(log.as_ref(), SPAN));
        let stage = &mut stage;
        let restarts = scope.spawn(move || restart_each(stage).map(|()| started.elapsed()));
        auditor.check(&words, SPAN + PATIENCE, || Ok(())).expect("exactly once");
        feeder.join().expect("no panic").context("feeding").expect("fed");
        restarts.join().expect("no panic").expect("restarted")
    });
    stage.close().expect("the workers end in good order");
    auditor.check_end().expect("nothing comes late");
    println!(
        "rolling restart of two workers, {} records in {:.1?}, both restarted after {restarted:.1?}: longest gap in a \
         task's output {:.1?}",
        words.records(),
        started.elapsed(),
        auditor.pulse.longest_gap()
    );
}
