//! Settings of checkpoints.

use std::sync::Arc;
use std::time::Duration;

use super::ObjectStore;

/// How an application's tasks are checkpointed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckpointConfig {
    /// Where to. Shared by all processes of the application.
    pub store: Arc<dyn ObjectStore>,
    /// Time between the checkpoints of a task that has changed. Shorter: a shorter tail to read after a lost disk, and
    /// a shorter changelog; longer: fewer uploads. Default 5 minutes.
    pub interval: Duration,
    /// Valid checkpoints to keep of each task; the changelog is kept from the oldest of them on. More: more of them may
    /// be damaged before a restore is refused; fewer: less storage. At least 1. Default 3.
    pub keep: usize,
    /// Nothing younger is deleted: longer than any upload takes, and than the clocks of storage and processes differ.
    /// Default one hour.
    pub minimum_age: Duration,
    /// Tasks of a process that upload at the same time. Default 2.
    pub uploads: usize,
    /// Files a restore downloads at the same time. Default 4.
    pub downloads: usize,
}

impl CheckpointConfig {
    /// Defaults for checkpoints in this store.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            store,
            interval: Duration::from_secs(5 * 60),
            keep: 3,
            minimum_age: Duration::from_secs(60 * 60),
            uploads: 2,
            downloads: 4,
        }
    }
}
