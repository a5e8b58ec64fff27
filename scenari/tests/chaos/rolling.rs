//! How long outputs stop while workers are restarted one after the other, by how they take part: nothing is lost or doubled,
//! and no task is silent for as long as a group waits for a member's ghost unless told otherwise (45 s).

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use beacon_core::log::Log;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};

use crate::PATIENCE;
use crate::job::{Auditor, Job, PARTITIONS, Words};
use crate::plan::{Act, Setting, Worker};
use crate::stage::{Stage, WORKERS};

/// What comes while one worker is restarted: enough that each task has an output every twenty milliseconds or so.
const WORDS: u64 = 120;
const SPAN: Duration = Duration::from_secs(6);
/// The restart begins this long after the first of it.
const CALM_BEFORE: Duration = Duration::from_secs(1);
/// What is seen is told in docs/rolling-restart.md; a busy machine may take its time.
const LONGEST: Duration = Duration::from_secs(30);

/// Both work, and have their copies.
fn settle(stage: &mut Stage, setting: Setting) -> Result<()> {
    WORKERS.into_iter().try_for_each(|who| stage.wait_until_working(who))?;
    if setting.standbys > 0 { stage.wait_until_copied(PARTITIONS) } else { Ok(()) }
}

/// Stops it in good order, starts it again, and waits until all is as it was; how long it was away.
fn restart(stage: &mut Stage, who: Worker, setting: Setting) -> Result<Duration> {
    std::thread::sleep(CALM_BEFORE);
    let stopping = Instant::now();
    stage.act(Act::Stop(who))?;
    stage.act(Act::Start(who))?;
    stage.wait_until_working(who)?;
    let away = stopping.elapsed();
    settle(stage, setting)?;
    Ok(away)
}

#[test]
fn a_rolling_restart_loses_nothing_and_is_short_however_workers_take_part() {
    let job = Job { prefix: "r".into() };
    let mut stage = Stage::set(&job).expect("a stage");
    let log: Arc<dyn Log> = KafkaLog::connect(KafkaConfig::new(stage.kafka.bootstrap())).expect("the broker answers");
    job.make_topics(log.as_ref()).expect("topics");
    let storage = stage.storage().expect("a valid address");
    let mut auditor = Auditor::new(Arc::clone(&log), storage, &job).expect("a reader");
    let ways = [false, true].map(|dynamic| [0, PARTITIONS].map(|standbys| Setting { dynamic, standbys }));
    let mut round = 0;
    for setting in ways.into_iter().flatten() {
        stage.set_workers(log.as_ref(), &job.application(), [setting; 2]).expect("workers");
        settle(&mut stage, setting).expect("they work");
        for who in WORKERS {
            let words = Words::new(&job, round, WORDS);
            round += 1;
            let away = std::thread::scope(|scope| {
                let feeder = scope.spawn(|| words.feed(log.as_ref(), SPAN));
                let stage = &mut stage;
                let restart = scope.spawn(move || restart(stage, who, setting));
                auditor.check(&words, SPAN + PATIENCE, || Ok(())).expect("exactly once");
                feeder.join().expect("no panic").context("feeding").expect("fed");
                restart.join().expect("no panic").expect("restarted")
            });
            let gap = auditor.pulse.longest_gap();
            println!(
                "rolling restart, {setting}: worker {who:?} works again after {away:.1?}, longest gap in a task's output {gap:.2?}"
            );
            assert!(gap < LONGEST, "{setting}: a task was silent for {gap:.1?} while worker {who:?} was restarted");
        }
    }
    stage.close().expect("the workers end in good order");
    auditor.check_end().expect("nothing comes late");
}
