//! What every log must do, written once: claims over a [`Subject`], which is a log and what this log needs to be tested.
//!
//! A log runs them all with
//!
//! ```ignore
//! #[path = "log_contract/mod.rs"]
//! mod log_contract;
//! log_contract::claims!(|claim| Subject { .. });
//! ```
//!
//! where the closure makes the subject of one claim, called with the claim's name. Claims use topics, groups and
//! transactional ids of their own ([`Subject::name`]), so that they can share one broker and run at the same time.

#![allow(dead_code, reason = "each log's tests use the part they need")]

pub mod admin;
pub mod fencing;
pub mod member;
pub mod reading;
pub mod rebalance;
pub mod records;
pub mod transactions;
pub mod upkeep;
pub mod views;

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use beacon_core::log::{
    Appender, CleanupPolicy, Event, Isolation, Log, Offset, Position, Record, SendRecord, SessionConfig,
    TopicPartition, TopicSpec,
};

pub use member::{Member, Read};

/// A log under test.
pub struct Subject {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Begins all names; see [`unique_prefix`].
    pub prefix: String,
    /// How long something may take that has to happen.
    pub patience: Duration,
    /// How long to watch for something that must not happen.
    pub quiet: Duration,
    /// The shortest session time-out the log takes.
    pub session_timeout: Duration,
    /// What must live as long as the log: a directory, a container.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// A prefix that no other test, process or earlier run has used.
pub fn unique_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    format!("t{nanos:x}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

impl Subject {
    /// A name for a topic, group or transactional id of this claim.
    pub fn name(&self, base: &str) -> String {
        format!("{}-{base}", self.prefix)
    }

    /// Makes a topic that keeps everything and returns its full name.
    pub fn topic(&self, base: &str, partitions: u32) -> Arc<str> {
        let name = self.name(base);
        let cleanup = CleanupPolicy::Delete { retention: None };
        self.log.create_topics(&[TopicSpec { name: name.clone(), partitions, cleanup }]).expect("topic made");
        Arc::from(name)
    }

    pub fn appender(&self) -> Box<dyn Appender> {
        self.log.appender().expect("an appender")
    }

    /// Appends one record and waits.
    pub fn append(&self, record: Record) -> Position {
        self.appender().append_blocking(vec![record]).expect("appended")[0]
    }

    /// Appends records `0..count`, the number being key and value, to a partition.
    pub fn append_numbers(&self, topic: &Arc<str>, partition: u32, count: u32) -> Vec<Position> {
        let record = |n: u32| Record::new(Arc::clone(topic), n.to_string(), n.to_string()).to_partition(partition);
        self.appender().append_blocking((0..count).map(record).collect()).expect("appended")
    }

    /// Settings of a session of group `group` and transactional id `id`, both made unique.
    pub fn config(&self, group: &str, id: &str, topics: &[&Arc<str>]) -> SessionConfig {
        let topics = topics.iter().map(|topic| topic.to_string()).collect();
        SessionConfig {
            session_timeout: self.session_timeout,
            ..SessionConfig::new(self.name(group), self.name(id), topics)
        }
    }

    /// Joins with [`Subject::config`].
    pub fn join(&self, group: &str, id: &str, topics: &[&Arc<str>]) -> Member {
        self.join_with(self.config(group, id, topics))
    }

    pub fn join_with(&self, config: SessionConfig) -> Member {
        Member::new(self, self.log.session(config).expect("a session"))
    }

    /// Everything a reader sees of a partition from its start to its end, by [`Event::EndOfPartition`].
    pub fn read_all(&self, topic: &Arc<str>, partition: u32, isolation: Isolation) -> Vec<Read> {
        let at = TopicPartition::new(Arc::clone(topic), partition);
        let start = self.log.offsets(&at, isolation).expect("offsets").start;
        self.read_from(&at, start, isolation)
    }

    pub fn read_from(&self, at: &TopicPartition, offset: Offset, isolation: Isolation) -> Vec<Read> {
        let mut reader = self.log.reader(isolation).expect("a reader");
        reader.assign(&[(at.clone(), offset)]).expect("assigned");
        let mut read = Vec::new();
        loop {
            match reader.poll(self.patience).expect("polled") {
                Event::Records(batch) => read.extend((0..batch.len()).map(|index| Read::of(batch.get(index)))),
                Event::EndOfPartition(partition, _) if partition == *at => return read,
                event => panic!("{at}: {event:?} instead of records or the end"),
            }
        }
    }

    /// The values of [`Subject::read_all`], as text.
    pub fn values(&self, topic: &Arc<str>, partition: u32) -> Vec<String> {
        texts(&self.read_all(topic, partition, Isolation::Committed))
    }

    pub fn committed(&self, group: &str, topics: &[&Arc<str>]) -> Vec<(TopicPartition, Offset)> {
        let topics: Vec<&str> = topics.iter().map(|topic| &***topic).collect();
        let mut committed = self.log.committed(&self.name(group), &topics).expect("committed offsets");
        committed.sort();
        committed
    }
}

/// The values of records, as text.
pub fn texts(read: &[Read]) -> Vec<String> {
    read.iter().map(|read| String::from_utf8(read.value.clone().expect("a value")).expect("text")).collect()
}

/// `0..count` as text.
pub fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|n| n.to_string()).collect()
}

/// A record without key for a partition.
pub fn plain<'a>(topic: &'a str, partition: u32, value: &'a str) -> SendRecord<'a> {
    SendRecord {
        topic,
        partition: Some(partition),
        key: None,
        value: Some(value.as_bytes()),
        headers: &[],
        timestamp_ms: None,
    }
}

/// Makes one test of each claim. The argument is called with the claim's name and makes its [`Subject`].
macro_rules! claims {
    ($subject:expr) => {
        $crate::log_contract::claims! { @tests $subject;
            admin: created_topics_are_listed_and_described;
            admin: creating_a_topic_again_changes_nothing;
            admin: another_partition_count_is_a_mismatch_that_names_topic_and_counts;
            admin: unknown_topics_are_named_in_errors;
            admin: names_that_no_topic_can_have_are_refused_with_what_is_allowed;
            admin: a_new_partition_is_empty;
            admin: a_trimmed_partition_starts_later_and_refuses_readers_below;
            admin: a_record_that_is_too_large_is_refused_and_the_next_one_is_not;
            records: records_of_a_partition_are_read_in_the_order_they_were_appended;
            records: positions_name_where_each_record_stands;
            records: keys_go_to_the_partition_that_kafka_would_choose;
            records: headers_timestamps_and_tombstones_come_back;
            records: a_timestamp_may_be_far_from_now_where_it_decides_nothing;
            records: a_record_without_timestamp_gets_the_time_of_its_append;
            records: appends_of_many_threads_all_get_a_place_of_their_own;
            records: an_answer_may_drop_the_appender_it_came_from;
            records: an_answer_that_panics_holds_up_no_other;
            transactions: a_commit_writes_many_topics_and_offsets_as_one;
            transactions: an_aborted_transaction_is_never_visible;
            transactions: nothing_of_an_open_transaction_is_visible_to_a_committed_read;
            transactions: a_receipt_tells_the_offset_after_the_last_record;
            transactions: offsets_can_be_committed_alone;
            transactions: a_large_transaction_arrives_whole_and_in_order;
            transactions: calls_out_of_order_are_refused;
            transactions: the_uncommitted_end_is_the_true_end;
            transactions: a_committed_reader_past_the_stable_end_waits_there;
            fencing: a_newer_session_with_the_same_transactional_id_fences_the_older_one;
            fencing: a_zombie_whose_partition_moved_cannot_commit_it;
            fencing: a_dropped_session_does_not_hold_up_the_next_one;
            rebalance: the_first_member_gets_everything_and_equal_counts_go_together;
            rebalance: a_revoked_partition_can_be_committed_until_the_next_poll;
            rebalance: a_member_that_closes_leaves_its_partitions_to_the_others;
            rebalance: a_partition_that_was_paused_when_it_went_flows_when_it_returns;
            rebalance: a_static_member_that_returns_gets_its_partitions_back;
            reading: the_end_of_a_partition_is_told_each_time_it_is_reached;
            reading: a_member_is_told_of_the_end_of_an_empty_partition;
            reading: a_paused_partition_delivers_nothing_until_resumed;
            reading: a_sought_offset_is_delivered_next;
            reading: a_group_goes_on_at_its_committed_offset;
            reading: latest_starts_at_the_end_and_earliest_at_the_start;
            reading: a_poll_ends_idle_when_nothing_happens;
            reading: a_waiting_reader_gets_a_record_when_it_is_appended;
            reading: a_reader_reads_several_partitions_each_in_order;
            reading: a_reader_and_a_session_are_dropped_with_records_not_told_yet;
            upkeep: a_deleted_topic_is_gone_and_its_name_is_free;
            upkeep: a_topic_made_again_has_another_id_that_is_good_for_paths;
            upkeep: an_appender_goes_on_in_a_topic_made_again;
            upkeep: a_session_goes_on_in_a_topic_made_again;
            upkeep: members_are_told_while_they_are_in;
            upkeep: a_static_member_is_told_by_its_instance_id;
            upkeep: offsets_of_a_group_are_set_while_nobody_is_in_it;
            views: a_view_reflects_commits_to_the_offset_and_tells_each_change_once;
        }
    };
    (@tests $subject:expr; $($area:ident: $claim:ident;)*) => {$(
        #[test]
        fn $claim() {
            let subject: $crate::log_contract::Subject = ($subject)(stringify!($claim));
            $crate::log_contract::$area::$claim(&subject);
        }
    )*};
}
pub(crate) use claims;
