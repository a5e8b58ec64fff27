//! What state and timers cost beside bare RocksDB: `cargo bench -p beacon-core --bench state` (a minute; `-- --quick`
//! for a look).
//!
//! Both sides of a comparison take turns on the same machine, and the CPU time of this thread is compared, not the wall
//! clock: other programs may run beside it. It is as exact as the kernel's tick, some milliseconds, so each measurement
//! lasts a tenth of a second or more. What RocksDB's background threads do is not in it. Each side's answer is checked. Columns, tab-separated: what, ours, its yardstick, unit, how many times the yardstick, what is wanted.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use beacon_core::state::rocks::{RocksMemory, RocksStore};
use beacon_core::state::{StateError, TaskState};
use beacon_core::time::TimeDomain;
use beacon_core::timer::{TimerQueue, floors};
use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, Options, WriteBatch, WriteOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CACHE: usize = 64 << 20;
const BUFFER: usize = 8 << 20;
/// Updates between two commits, as a thread has them at 100 ms.
const COMMIT: u64 = 5_000;
const VALUE: usize = 32;

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (updates, timers, due, rounds) =
        if quick { (50_000, 50_000, 5_000, 1) } else { (500_000, 1_000_000, 100_000, 5) };
    println!("what\tours\tyardstick\tunit\ttimes\twanted");
    for (name, keys) in [("get and put, 10 thousand keys", 10_000), ("get and put, a million keys", 1_000_000)] {
        let keys = if quick { keys / 10 } else { keys };
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(through_the_overlay(keys, updates)?);
            bare.push(bare_rocksdb(keys, updates)?);
        }
        report(name, best(&ours) / updates as f64, best(&bare) / updates as f64, Some(1.3));
    }
    for (name, restarted) in [("firing a timer", false), ("firing a timer, queue read anew", true)] {
        let (mut after, mut fresh) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            after.push(firing(timers, due, restarted)?);
            fresh.push(firing(0, due, restarted)?);
        }
        let what = format!("{name}: after {timers} set and cancelled, beside none");
        report(&what, best(&after) / due as f64, best(&fresh) / due as f64, Some(1.3));
    }
    report("setting and cancelling a timer", set_and_cancel(timers)? / timers as f64, f64::NAN, None);
    Ok(())
}

/// Both in nanoseconds.
fn report(what: &str, ours: f64, yardstick: f64, wanted: Option<f64>) {
    let wanted = wanted.map_or(String::new(), |limit| format!("<= {limit}"));
    if yardstick.is_nan() {
        println!("{what}\t{ours:.0}\t\tns\t\t{wanted}");
    } else {
        println!("{what}\t{ours:.0}\t{yardstick:.0}\tns\t{:.2}\t{wanted}", ours / yardstick);
    }
}

/// Interference only adds: the least is nearest to the truth.
fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Nanoseconds that this thread has run (proc(5), schedstat).
fn thread_cpu() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = thread_cpu()?;
    work()?;
    Ok(thread_cpu()? - before)
}

/// Which key is updated at a step: all over the key space, the same for both sides.
fn key(step: u64, keys: u64) -> [u8; 19] {
    let number = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11;
    let mut key = [7; 19];
    key[11..].copy_from_slice(&(number % keys).wrapping_mul(0xBF58_476D_1CE4_E5B9).to_be_bytes());
    key
}

fn increased(old: Option<&[u8]>) -> Vec<u8> {
    let count = old.and_then(|bytes| Some(u64::from_be_bytes(*bytes.first_chunk()?))).unwrap_or(0) + 1;
    let mut value = vec![b'v'; VALUE];
    value[..8].copy_from_slice(&count.to_be_bytes());
    value
}

/// Counts up a value at each step and commits every [`COMMIT`] steps.
fn through_the_overlay(keys: u64, updates: u64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let mut state = state(directory.path())?;
    let mut run = |steps: std::ops::Range<u64>| -> Result<()> {
        for step in steps {
            let key = key(step, keys);
            let value = increased(state.get(&key)?.as_deref());
            state.put(&key, black_box(&value));
            state.keep_step();
            if step % COMMIT == COMMIT - 1 {
                state.apply()?;
            }
        }
        // The other writes all of it to RocksDB, too.
        state.apply()?;
        state.store()?;
        Ok(())
    };
    run(0..updates)?;
    let time = timed(|| run(updates..2 * updates))?;
    let mut sum = 0;
    state.scan(&[], None, &mut |_, value| {
        sum += value.first_chunk().map_or(0, |count| u64::from_be_bytes(*count));
        true
    })?;
    assert_eq!(sum, 2 * updates, "every update was counted once");
    Ok(time)
}

/// The same by hand: reads go to the batch's own map first only if a careful program needs it, so here they do not; each
/// key is read from RocksDB and put into the batch.
fn bare_rocksdb(keys: u64, updates: u64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let db = DB::open(&options(), directory.path())?;
    let mut unlogged = WriteOptions::default();
    unlogged.disable_wal(true);
    let mut batch = WriteBatch::default();
    let mut written = 0;
    let mut run = |steps: std::ops::Range<u64>| -> Result<()> {
        for step in steps {
            let key = key(step, keys);
            let value = increased(db.get(key)?.as_deref());
            batch.put(key, black_box(value));
            if step % COMMIT == COMMIT - 1 {
                written += batch.len() as u64;
                db.write_opt(std::mem::take(&mut batch), &unlogged)?;
            }
        }
        Ok(())
    };
    run(0..updates)?;
    let time = timed(|| run(updates..2 * updates))?;
    assert_eq!(written + batch.len() as u64, 2 * updates, "every update was written once");
    Ok(time)
}

/// As `state::rocks` opens a store.
fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(CACHE));
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(BUFFER);
    options.set_max_write_buffer_number(2);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

fn state(path: &Path) -> std::result::Result<TaskState, StateError> {
    Ok(TaskState::new(Box::new(RocksStore::open(path, &RocksMemory::new(CACHE, BUFFER))?)))
}

const OPERATOR: u32 = 1;
const TAG: u8 = 1;

/// Sets and cancels so many timers in commits, then times how `due` others fire, one by one, with commits as a thread
/// makes them.
fn firing(cancelled: u64, due: u64, restarted: bool) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let mut state = state(directory.path())?;
    let mut queue = TimerQueue::new(TimeDomain::Processing);
    churn(&mut state, &mut queue, cancelled)?;
    for number in 0..due {
        let deadline = i64::try_from(cancelled + number)?;
        queue.set(&mut state, OPERATOR, &number.to_be_bytes(), TAG, deadline)?;
        state.keep_step();
        if number % COMMIT == COMMIT - 1 {
            commit(&mut state, &mut queue)?;
        }
    }
    commit(&mut state, &mut queue)?;
    if restarted {
        queue = TimerQueue::new(TimeDomain::Processing);
        floors::begin(&state, Some(END), std::iter::once(&mut queue))?;
    }
    let mut fired = 0;
    let time = timed(|| {
        while let Some(timer) = queue.pop_due(&mut state, i64::MAX)? {
            black_box(timer);
            state.keep_step();
            fired += 1;
            if fired % COMMIT == 0 {
                commit(&mut state, &mut queue)?;
            }
        }
        Ok(())
    })?;
    assert_eq!(fired, due, "those left fire once, those cancelled never");
    Ok(time)
}

/// A changelog offset; any will do.
const END: u64 = 1;

/// As a task commits.
fn commit(state: &mut TaskState, queue: &mut TimerQueue) -> Result<()> {
    queue.next_deadline(state)?;
    queue.committed();
    floors::store(state, END, std::iter::once(&*queue));
    Ok(state.apply()?)
}

/// Each timer is set, committed, and cancelled by a later commit, as alerts come and go.
fn churn(state: &mut TaskState, queue: &mut TimerQueue, count: u64) -> Result<()> {
    for first in (0..count).step_by(COMMIT as usize) {
        let range = first..(first + COMMIT).min(count);
        for number in range.clone() {
            queue.set(state, OPERATOR, &number.to_be_bytes(), TAG, i64::try_from(number)?)?;
            state.keep_step();
        }
        commit(state, queue)?;
        for number in range {
            queue.cancel(state, OPERATOR, &number.to_be_bytes(), TAG)?;
            state.keep_step();
        }
        commit(state, queue)?;
    }
    Ok(())
}

fn set_and_cancel(count: u64) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let mut state = state(directory.path())?;
    let mut queue = TimerQueue::new(TimeDomain::Processing);
    let time = timed(|| churn(&mut state, &mut queue, count))?;
    assert!(queue.pop_due(&mut state, i64::MAX)?.is_none(), "all were cancelled");
    Ok(time)
}
