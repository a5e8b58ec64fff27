//! Chaos on a real Kafka: two worker processes through kills, freezes, lost disks, broker failures and outages of the
//! object storage by seed. Ten rounds have at least one incident of each kind.
//!
//! The invariant after each round: every input record counted exactly once per key and in order, every timer fired
//! exactly once or cancelled, the state that a new worker would restore equal to that of a calm run, and no worker ended by
//! itself. In half of the rounds the workers are dynamic members, and in half of them worker B keeps standby copies.
//!
//! `BEACON_CHAOS_ROUNDS` says how many rounds (default 10), `BEACON_CHAOS_SEED` which run. A failure names the seed of
//! its round: `BEACON_CHAOS_ROUND_SEED` does that plan again, as exactly as clocks, kernels and brokers allow.
//! `BEACON_CHAOS_KEEP` names a directory for the broker's data and everybody's output, to look for a cause in.

mod job;
mod plan;
mod rolling;
mod stage;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use beacon_core::log::Log;
use beacon_core::log::kafka::{KafkaConfig, KafkaLog};

use job::{Auditor, Job, PARTITIONS, WORDS, Words};
use plan::{Kind, plan, seed_of_round, settings};
use stage::Stage;

/// All outputs of a round must be there so long after its last step: sessions, transactions and a restart's reads of
/// the log are over by then several times. No longer than the engine's `backlog_patience`, after which it lets timers
/// fire over a partition that nobody reads: that must not pass for a round that went well.
const PATIENCE: Duration = Duration::from_secs(60);
/// The input of a round comes over this time.
const SPAN: Duration = Duration::from_secs(7);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    let digits = text.strip_prefix("0x");
    let parsed = digits.map_or_else(|| text.parse(), |digits| u64::from_str_radix(digits, 16));
    Some(parsed.unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

#[test]
fn every_record_counts_once_whatever_fails() {
    let rounds = number("BEACON_CHAOS_ROUNDS").unwrap_or(10);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let run = number("BEACON_CHAOS_SEED").unwrap_or(nanos);
    let only = number("BEACON_CHAOS_ROUND_SEED");
    println!("chaos: {rounds} rounds of run {run:#x}");
    let job = Job { prefix: "c".into() };
    let mut stage = Stage::set(&job).expect("a stage");
    let log: Arc<dyn Log> = KafkaLog::connect(KafkaConfig::new(stage.kafka.bootstrap())).expect("the broker answers");
    job.make_topics(log.as_ref()).expect("topics");
    let storage = stage.storage().expect("a valid address");
    let mut auditor = Auditor::new(Arc::clone(&log), storage, &job).expect("a reader");
    let mut happened: BTreeMap<Kind, u32> = BTreeMap::new();
    for round in 0..rounds {
        let seed = only.unwrap_or_else(|| seed_of_round(run, round));
        let words = Words::new(&job, round, WORDS);
        let (plan, [a, b]) = (plan(seed), settings(seed, PARTITIONS));
        let told: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        println!("round {round}, seed {seed:#x}: {b} at worker B; {}", told.join(", "));
        stage.set_workers(log.as_ref(), &job.application(), [a, b]).expect("the workers of this round");
        let started = Instant::now();
        if let Err(error) = act_out(&mut stage, &log, &words, &plan.steps, &mut auditor, &job.application()) {
            if let Some(into) = std::env::var_os("BEACON_CHAOS_KEEP").filter(|into| !into.is_empty()) {
                stage.keep(into.as_ref()).expect("a directory to keep the round in");
            }
            panic!("round {round}: {error:#}\nagain: make chaos ROUND_SEED={seed:#x}");
        }
        // Each of its acts was done, and lasted as long as planned.
        plan.kinds.iter().for_each(|kind| *happened.entry(*kind).or_default() += 1);
        let outputs = words.outputs();
        println!(
            "round {round}: {} records, {outputs} outputs, exact after {:.1?}",
            words.records(),
            started.elapsed()
        );
    }
    let restored = stage.begin_anew().expect("workers with empty disks");
    stage.close().expect("the workers end in good order");
    auditor.check_end().expect("nothing comes late");
    println!("chaos: {happened:?}");
    println!("chaos: workers restored {restored} tasks and copies from checkpoints");
    let starts = auditor.changelog_starts().expect("the broker answers");
    println!("chaos: the changelog was trimmed to {starts:?} by checkpoints");
    // The first checkpoints are in the first rounds, and the third one trims.
    assert!(rounds < 3 || starts.iter().all(|start| *start > 0), "restores never needed a checkpoint: {starts:?}");
    assert!(rounds < 3 || restored >= PARTITIONS as usize, "only {restored} restores from checkpoints");
    // The same round again and again has its own kinds only.
    let enough = only.is_none() && rounds >= Kind::ALL.len() as u64;
    let missing: Vec<_> = Kind::ALL.iter().filter(|kind| !happened.contains_key(kind)).collect();
    assert!(!enough || missing.is_empty(), "{missing:?} never happened in {rounds} rounds");
}

fn act_out(
    stage: &mut Stage,
    log: &Arc<dyn Log>,
    words: &Words,
    steps: &[plan::Step],
    auditor: &mut Auditor,
    group: &str,
) -> Result<()> {
    let feeder = {
        let (words, log) = (words.clone(), Arc::clone(log));
        std::thread::spawn(move || words.feed(log.as_ref(), SPAN))
    };
    let started = Instant::now();
    let mut late = BTreeMap::new();
    for step in steps {
        let due: Duration = step.at + late.get(&step.incident).copied().unwrap_or_default();
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        late.insert(step.incident, started.elapsed().saturating_sub(step.at));
        stage.act(step.act).with_context(|| format!("at {step}"))?;
    }
    feeder.join().expect("the feeder does not panic").context("feeding")?;
    auditor.check(words, PATIENCE, || stage.all_alive())?;
    // One that hangs leaves its work to the others, and the outputs are exact.
    stage.wait_until_all_are_members(log.as_ref(), group)
}
