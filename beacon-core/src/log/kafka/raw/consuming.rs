//! Groups, assignments and the one call that records come from.

use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;

use super::callbacks::Rebalance;
use super::client::Client;
use super::codes::{CallError, call, own_result_of, rd_kafka_committed, result_of};
use super::conversions::{lock, milliseconds, text_of};
use super::message::Message;

/// How long closing waits for one thing to be said.
const CLOSE_SLICE: Duration = Duration::from_millis(20);

/// Group membership as it was when asked for; made fresh for each commit.
pub struct Membership(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

impl Membership {
    /// What the group knows this member by.
    pub fn member_id(&self) -> String {
        // SAFETY: live metadata; the id is a string inside of it, copied.
        unsafe { text_of(sys::rd_kafka_consumer_group_metadata_member_id(self.native())) }
    }

    /// For the other modules of the unsafe layer.
    pub(super) fn native(&self) -> *mut sys::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

impl Client {
    pub fn subscribe(&self, topics: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: live consumer; the list is copied.
        own_result_of(unsafe { sys::rd_kafka_subscribe(self.native(), topics.ptr()) })
    }

    /// Appends up to `limit` messages (records, and errors in the shape of messages) to `into`: waits at most
    /// `timeout` for the first one and takes what else is there. Rebalances on the way are in
    /// [`Client::take_rebalances`].
    ///
    /// Not `rd_kafka_consume_batch_queue`: it counts an end-of-partition notice as a consumed record, so that after a
    /// pause, and every KIP-848 rebalance pauses all partitions, librdkafka (2.2 to 2.12.1, its issue 4844) goes on one
    /// offset too far and skips a record or finds itself out of range. It would save 20 ns a record of 410. Nor
    /// `rd_kafka_consume_callback_queue`, which asserts at the first event that is no message.
    pub fn consume(&self, into: &mut Vec<Message>, limit: usize, timeout: Duration) {
        let mut wait = milliseconds(timeout);
        while into.len() < limit {
            // SAFETY: live consumer; the result is null or a message that is ours to destroy.
            let message = unsafe { Message::take(sys::rd_kafka_consumer_poll(self.native(), wait)) };
            let Some(message) = message else { break };
            into.push(message);
            wait = 0;
        }
    }

    /// Membership changes since the last call, oldest first.
    pub fn take_rebalances(&self) -> Vec<Rebalance> {
        std::mem::take(&mut *lock(&self.callbacks.rebalances))
    }

    /// Whether partitions come and go one by one (KIP-848, cooperative) or all at once (range, eager).
    pub fn is_incremental(&self) -> bool {
        // SAFETY: live client; the returned string is static.
        let protocol = unsafe { sys::rd_kafka_rebalance_protocol(self.native()) };
        // SAFETY: null or a static NUL-terminated string.
        !protocol.is_null() && unsafe { CStr::from_ptr(protocol) }.to_bytes() == b"COOPERATIVE"
    }

    /// Whether the broker has taken this member's partitions away already.
    pub fn assignment_lost(&self) -> bool {
        // SAFETY: live client.
        unsafe { sys::rd_kafka_assignment_lost(self.native()) != 0 }
    }

    /// Replaces the assignment; `None` gives all up.
    pub fn assign(&self, partitions: Option<&TopicPartitionList>) -> Result<(), RDKafkaErrorCode> {
        let list = partitions.map_or(ptr::null(), |list| list.ptr().cast_const());
        // SAFETY: live consumer; the list is copied.
        let assigned = own_result_of(unsafe { sys::rd_kafka_assign(self.native(), list) });
        self.answered(assigned)
    }

    pub fn incremental_assign(&self, partitions: &TopicPartitionList) -> Result<(), CallError> {
        // SAFETY: as above; the returned error is owned by us.
        let assigned = unsafe { call(sys::rd_kafka_incremental_assign(self.native(), partitions.ptr())) };
        self.answered(assigned)
    }

    pub fn incremental_unassign(&self, partitions: &TopicPartitionList) -> Result<(), CallError> {
        // SAFETY: as above.
        let unassigned = unsafe { call(sys::rd_kafka_incremental_unassign(self.native(), partitions.ptr())) };
        self.answered(unassigned)
    }

    /// Takes note of an answer to a rebalance.
    fn answered<E>(&self, result: Result<(), E>) -> Result<(), E> {
        if result.is_ok() {
            let one_less = |unanswered: usize| unanswered.checked_sub(1);
            // Nothing to answer: an assignment of our own accord.
            let _ = self.callbacks.unanswered.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        }
        result
    }

    pub fn pause(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: live consumer; per-partition results are written into the list.
        own_result_of(unsafe { sys::rd_kafka_pause_partitions(self.native(), partitions.ptr()) })
    }

    pub fn resume(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: as above.
        own_result_of(unsafe { sys::rd_kafka_resume_partitions(self.native(), partitions.ptr()) })
    }

    /// Sets positions; each partition's own result is in the list.
    pub fn seek(&self, partitions: &TopicPartitionList, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: as above.
        unsafe { call(sys::rd_kafka_seek_partitions(self.native(), partitions.ptr(), milliseconds(timeout))) }
    }

    /// Committed offsets of the client's group, into the list.
    pub fn committed(&self, partitions: &TopicPartitionList, timeout: Duration) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: as above.
        result_of(unsafe { rd_kafka_committed(self.native(), partitions.ptr(), milliseconds(timeout)) })
    }

    /// This consumer's membership as of now; `None` while it is not a member of its group.
    ///
    /// Metadata of a non-member has generation -1, which brokers take for an administrator's commit and let pass for
    /// an empty group: handing it to a transaction would lift the fence.
    pub fn membership(&self) -> Option<Membership> {
        // SAFETY: live consumer; the result is null or owned by us.
        let metadata = NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(self.native()) })?;
        let membership = Membership(metadata);
        // SAFETY: live metadata.
        let generation = unsafe { sys::rd_kafka_consumer_group_metadata_generation_id(metadata.as_ptr()) };
        let is_member = generation > 0 && !membership.member_id().is_empty();
        is_member.then_some(membership)
    }

    /// Leaves the group, however long that takes; revocations that this causes are answered at once, and so is what was
    /// said before and not answered.
    ///
    /// Not `rd_kafka_consumer_close`: librdkafka waits for the answer to a rebalance without end, and one that has lost its
    /// membership is not asked again (2.12). The answer counts only after closing has begun.
    pub fn close_consumer(&self) -> Result<(), CallError> {
        self.callbacks.closing.store(true, Ordering::Release);
        let queue = CloseQueue::new(self);
        // SAFETY: live consumer and queue; the error is null or ours.
        unsafe { call(sys::rd_kafka_consumer_close_queue(self.native(), queue.0)) }?;
        if self.callbacks.unanswered.load(Ordering::Acquire) > 0 {
            self.answer_at_the_end();
            // Closing itself may have asked before that answer.
            while queue.next(Duration::ZERO).is_some() {}
        }
        // SAFETY: live consumer.
        while unsafe { sys::rd_kafka_consumer_closed(self.native()) } == 0 {
            let mut is_asked = queue.next(CLOSE_SLICE) == Some(sys::RD_KAFKA_EVENT_REBALANCE);
            while let Some(event) = queue.next(Duration::ZERO) {
                is_asked |= event == sys::RD_KAFKA_EVENT_REBALANCE;
            }
            if is_asked {
                self.answer_at_the_end();
            }
        }
        Ok(())
    }

    fn answer_at_the_end(&self) {
        let assigned = self.assign(None);
        tracing::debug!(?assigned, "answered what the group says at the end");
    }
}

/// Where librdkafka says what has to be answered while a consumer closes.
struct CloseQueue(*mut sys::rd_kafka_queue_t);

impl CloseQueue {
    fn new(client: &Client) -> Self {
        // SAFETY: live client; a new queue, never null.
        Self(unsafe { sys::rd_kafka_queue_new(client.native()) })
    }

    /// The type of the next thing that is said within `wait`.
    fn next(&self, wait: Duration) -> Option<i32> {
        // SAFETY: live queue; the event is null or ours, looked at first and then destroyed, once.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.0, milliseconds(wait));
            if event.is_null() {
                return None;
            }
            let kind = sys::rd_kafka_event_type(event);
            sys::rd_kafka_event_destroy(event);
            Some(kind)
        }
    }
}

impl Drop for CloseQueue {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; what is still said on it is dropped.
        unsafe { sys::rd_kafka_queue_destroy(self.0) }
    }
}
