//! Every metric of the engine, with the names by which Kafka Streams and librdkafka know the same thing.
//!
//! Names are Kafka's where it has one, behind `beacon_`, with Prometheus's units and endings: `commit-latency-avg`
//! becomes the histogram `beacon_commit_latency_seconds`. Kafka's names are those of its monitoring documentation
//! (stream-thread, stream-task, stream-state-updater, consumer-fetch-manager and consumer-coordinator metrics);
//! librdkafka's those of its STATISTICS.md.

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process starts again.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often a value was at most so large.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric of the catalogue.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, with unit and, for counters, `_total`.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Names of its labels beside `application` and `instance`, which all have.
    pub labels: &'static [&'static str],
    /// What Kafka Streams, Kafka's clients or librdkafka call it; empty: they have no such thing.
    pub known_as: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal $labels:tt $help:literal, $known_as:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric =
                Metric { name: $name, kind: Kind::$kind, help: $help, labels: &$labels, known_as: $known_as };
        )*
        /// All of them, in the order in which they are written.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    PROCESSED = Counter "beacon_process_total" []
        "Records processed, those done again after an abort included.",
        "process-total (Kafka Streams, thread)";
    TIMERS_FIRED = Counter "beacon_punctuate_total" []
        "Processing-time timers fired, those done again included.",
        "punctuate-total (Kafka Streams, thread)";
    TIMER_LATENESS = Histogram "beacon_timer_lateness_seconds" []
        "How late the earliest of the timers was that fired together; those of a backlog after downtime included.",
        "";
    LATE = Counter "beacon_late_records_total" []
        "Records that came when all their windows were gone, counted by each operator that has windows, of commits that went through. They are in the output `late`, if the job uses it.",
        "dropped-records-total (Kafka Streams, task)";
    DEAD_LETTERS = Counter "beacon_dead_letters_total" []
        "Records and timers that an operator or a codec refused and that are in the topic of dead letters, of commits that went through.",
        "dropped-records-total (Kafka Streams, task)";
    COMMITS = Counter "beacon_commit_total" ["outcome"]
        "Commits by outcome: committed, aborted (dropped and done again), unknown (asked again until it was known).",
        "commit-total (Kafka Streams, thread)";
    COMMIT_LATENCY = Histogram "beacon_commit_latency_seconds" []
        "From sealing a commit to its state being in the store, of commits that went through.",
        "commit-latency-avg, -max (Kafka Streams, thread); txn-commit-time-ns-total (producer)";
    OVERLAY_BYTES = Gauge "beacon_overlay_bytes" []
        "Bytes of state that wait for the next commit.",
        "";
    TASKS = Gauge "beacon_tasks" ["condition"]
        "Tasks of this process by condition: running, restoring, waiting (cannot be opened yet).",
        "restoring-active-tasks (Kafka Streams, state updater)";
    REBALANCE_LATENCY = Histogram "beacon_rebalance_latency_seconds" []
        "From being given tasks until the thread runs all it has, restores included.",
        "rebalance-latency-avg, -max, rebalance-total (consumer coordinator)";
    FENCED = Counter "beacon_fenced_total" []
        "Times a thread was fenced by a newer owner and joined again.",
        "";
    REJOINED = Counter "beacon_rejoined_total" []
        "Times a thread joined again because it could not go on: a full disk, a log that was away at a bad moment.",
        "";
    LOST = Counter "beacon_lost_total" []
        "Times another member took partitions without asking, because this one was not heard of in time.",
        "partitions-lost-latency-avg (consumer coordinator, as a time)";
    RESTORED_RECORDS = Counter "beacon_restore_total" []
        "Changelog records read to restore state.",
        "restore-total (Kafka Streams, task)";
    RESTORED_BYTES = Counter "beacon_restore_bytes_total" []
        "Bytes of checkpoints' files that tasks were restored from.",
        "";
    RESTORE_REMAINING_RECORDS = Gauge "beacon_restore_remaining_records" []
        "Offsets of changelogs that restores under way have still to read.",
        "restore-remaining-records-total (Kafka Streams, task)";
    RESTORE_REMAINING_BYTES = Gauge "beacon_restore_remaining_bytes" []
        "Bytes of checkpoints' files that restores under way have still to fetch.",
        "";
    RESTORE_REMAINING_SECONDS = Gauge "beacon_restore_remaining_seconds" []
        "Seconds that restores under way will still take at their pace so far; left out while there is no pace yet.",
        "";
    STANDBYS = Gauge "beacon_standby_tasks" []
        "Standby copies that have been brought up to the end of their changelog.",
        "standby-updating-tasks (Kafka Streams, state updater)";
    STANDBY_RECORDS = Counter "beacon_standby_update_total" []
        "Changelog records read to keep standby copies warm.",
        "update-total (Kafka Streams, task)";
    CHECKPOINTS = Counter "beacon_checkpoint_total" []
        "Checkpoints that this process made durable in object storage.",
        "";
    CHECKPOINT_TIME = Gauge "beacon_checkpoint_timestamp_seconds" ["task"]
        "When the newest checkpoint of a task of this process was durable, in seconds since 1970; before the first, since when the task is here.",
        "";
    CHECKPOINT_BYTES = Counter "beacon_checkpoint_upload_bytes_total" []
        "Bytes uploaded for checkpoints: what the ones before did not have.",
        "";
    CHECKPOINT_FAILURES = Counter "beacon_checkpoint_failures_total" []
        "Calls that failed on the way to a checkpoint, those tried again included.",
        "";
    CHECKPOINT_RESTORES = Counter "beacon_checkpoint_restore_total" []
        "Tasks whose files came from a checkpoint.",
        "";
    COMMITTED_OFFSET = Gauge "beacon_committed_offset" ["topic", "partition"]
        "Next offset to read of an input partition of this process, as committed.",
        "committed_offset (librdkafka)";
    HIGH_OFFSET = Gauge "beacon_hi_offset" ["topic", "partition"]
        "End of an input partition, what is not committed included.",
        "hi_offset (librdkafka)";
    STABLE_OFFSET = Gauge "beacon_ls_offset" ["topic", "partition"]
        "Last stable offset of an input partition: a reader of committed records gets no further.",
        "ls_offset (librdkafka)";
    LAG = Gauge "beacon_records_lag" ["topic", "partition"]
        "Offsets between the committed position and the end of an input partition.",
        "records-lag (consumer); consumer_lag_stored (librdkafka, up to ls_offset)";
    STABLE_LAG = Gauge "beacon_records_lag_stable" ["topic", "partition"]
        "Offsets between the committed position and the last stable offset: what could be read now.",
        "consumer_lag (librdkafka with read_committed)";
    MEMORY_LIMIT = Gauge "beacon_memory_budget_bytes" ["part"]
        "Bytes that the stores of this process may use together, by part: total, and of it tables (entries at hand) and write_buffers.",
        "";
    BLOCK_CACHE = Gauge "beacon_block_cache_usage_bytes" []
        "Bytes in the block cache that all stores of this process share, write buffers charged to it included.",
        "block-cache-usage (Kafka Streams, RocksDB)";
    MEM_TABLES = Gauge "beacon_all_mem_tables_bytes" []
        "Bytes in the write buffers of all stores of this process.",
        "size-all-mem-tables (Kafka Streams, RocksDB)";
}

/// The catalogue as a table of Markdown: `docs/metrics.md` holds it, and a test compares.
pub fn table() -> String {
    let mut text =
        String::from("| Metric | Kind | Labels | What it says | Known elsewhere as |\n|---|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (metric.name, metric.kind.word());
        text += &format!("| `{name}` | {kind} | {} | {} | {} |\n", labels.join(", "), metric.help, metric.known_as);
    }
    text
}
