//! The embedded log keeps the contract of all logs, and what only it promises.

#[path = "../log_contract/mod.rs"]
mod log_contract;
#[path = "../support/small_disk.rs"]
mod small_disk;

mod cleaning;
mod crash;
mod damage;
mod full;
mod sessions;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::embedded::{EmbeddedLog, EmbeddedOptions};

use log_contract::{Subject, unique_prefix};

log_contract::claims!(|_| subject());

/// A new log in a directory of its own.
fn subject() -> Subject {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = EmbeddedLog::open(directory.path()).expect("opened");
    subject_of(log, directory)
}

/// A log under the helpers of the contract's claims.
fn subject_of(log: Arc<EmbeddedLog>, keep: impl Send + Sync + 'static) -> Subject {
    Subject {
        log,
        prefix: unique_prefix(),
        patience: Duration::from_secs(20),
        quiet: Duration::from_millis(150),
        session_timeout: Duration::from_millis(500),
        keep: Box::new(keep),
    }
}

/// Options that bring small data to the disk in many files.
fn small_buffers() -> EmbeddedOptions {
    let mut options = EmbeddedOptions::default();
    options.write_buffer_bytes = 64 << 10;
    options.tail_cache_bytes = 0;
    options
}

fn open_with(directory: &Path, options: EmbeddedOptions) -> Arc<EmbeddedLog> {
    EmbeddedLog::open_with(directory, options).expect("opened")
}
