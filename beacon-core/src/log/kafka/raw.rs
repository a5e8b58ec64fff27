//! The thin unsafe layer over librdkafka: one file, so that every promise made to C stands in one place.
//!
//! It wraps what the safe crate does too slowly or not at all: messages that outlive a poll, borrowed sends, rebalances that are
//! answered outside of their callback, and the transaction calls without the safe crate's 100 ms steps.
//! It decides nothing: no retries, no error policy, no state of a session.
//!
//! Invariants:
//!
//! * a [`Client`] outlives everything that points into it: messages hold it through their batch, topic handles belong
//!   to it and are destroyed before it;
//! * the callback target ([`Callbacks`]) is owned by the client and freed after `rd_kafka_destroy` has returned, when
//!   no librdkafka thread exists any more;
//! * callbacks touch only `Sync` data and never call back into user code, so nothing unwinds into C;
//! * pointers read from a message (key, value, headers) live as long as the [`Message`], which only its drop destroys.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::NativeClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys::{self as sys, RDKafkaRespErr};

use super::repeats::Repeats;
use crate::log::Header;

/// What a callback of librdkafka said about group membership, kept until the polling thread acts on it.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// Partitions given to this member.
    Assign(Vec<(String, i32)>),
    /// Partitions asked back or, with `lost`, already somebody else's.
    Revoke {
        /// Which.
        partitions: Vec<(String, i32)>,
        /// The membership is over: nothing on them can be committed any more.
        lost: bool,
    },
    /// The group protocol failed.
    Failed(RDKafkaErrorCode),
}

/// What became of one record sent.
pub(super) struct Delivery<'a> {
    /// The topic as the producer registered it.
    pub topic: &'a TopicState,
    /// Where it went.
    pub partition: i32,
    /// Its offset; meaningless with an error.
    pub offset: i64,
    /// Why it was not written.
    pub error: Option<RDKafkaErrorCode>,
    /// What was handed to [`Client::produce`] with the record.
    pub token: usize,
}

/// Gets each delivery report, on the thread that polls the producer. Must neither block nor panic.
pub(super) trait DeliverySink: Send + Sync {
    /// Called once per record sent.
    fn delivered(&self, delivery: &Delivery<'_>);
}

/// For clients that send nothing.
pub(super) struct NoDeliveries;

impl DeliverySink for NoDeliveries {
    fn delivered(&self, _: &Delivery<'_>) {}
}

/// What a producer keeps for each topic it writes; reachable from delivery reports.
pub(super) struct TopicState {
    /// The topic's name.
    pub name: Arc<str>,
    /// For each partition the offset after the last record written since the owner reset it, or -1.
    pub ends: Mutex<Vec<i64>>,
}

struct Callbacks {
    /// Who this is, for log lines.
    label: String,
    rebalances: Mutex<Vec<Rebalance>>,
    closing: AtomicBool,
    last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    repeats: Mutex<Repeats>,
    deliveries: Arc<dyn DeliverySink>,
}

/// An error object of the transaction calls, taken apart.
#[derive(Debug, Clone)]
pub(super) struct CallError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
}

/// A handle of a topic to send to; valid as long as its client, which owns it.
#[derive(Clone)]
pub(super) struct Topic {
    handle: NonNull<sys::rd_kafka_topic_t>,
    /// The same state that delivery reports lead to.
    pub state: Arc<TopicState>,
}

// SAFETY: topic handles are reference counted by librdkafka and documented as thread safe.
unsafe impl Send for Topic {}
// SAFETY: see above; nothing is reachable through a shared `Topic` but its state, which is `Sync`.
unsafe impl Sync for Topic {}

/// One librdkafka client, consumer or producer.
pub(super) struct Client {
    ptr: NonNull<sys::rd_kafka_t>,
    topics: Mutex<Vec<Topic>>,
    /// Where the opaque pointer of the callbacks points: freed with the client, after `rd_kafka_destroy`.
    callbacks: Box<Callbacks>,
}

// SAFETY: librdkafka documents its client objects as completely thread safe;
unsafe impl Send for Client {}
// SAFETY: see above.
unsafe impl Sync for Client {}

/// Consumer or producer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientKind {
    Consumer,
    Producer,
}

impl Client {
    /// Starts a client; `label` names it in log lines.
    pub fn new(
        kind: ClientKind,
        config: NativeClientConfig,
        label: String,
        deliveries: Arc<dyn DeliverySink>,
    ) -> Result<Self, String> {
        let callbacks = Box::new(Callbacks {
            label,
            rebalances: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            last_error: Mutex::new(None),
            repeats: Mutex::default(),
            deliveries,
        });
        let native_kind = match kind {
            ClientKind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            ClientKind::Producer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration pointer is valid; `callbacks` is boxed, so its address is stable, and lives until
        // after rd_kafka_destroy. On success rd_kafka_new owns the configuration, hence ManuallyDrop; on failure it
        // stays ours and is dropped.
        let ptr = unsafe {
            let conf = config.ptr();
            sys::rd_kafka_conf_set_opaque(conf, ptr::from_ref(&*callbacks).cast_mut().cast());
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            match kind {
                ClientKind::Consumer => sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance)),
                ClientKind::Producer => sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery)),
            }
            sys::rd_kafka_new(native_kind, conf, text.as_mut_ptr(), text.len())
        };
        let Some(ptr) = NonNull::new(ptr) else {
            return Err(text_of(text.as_ptr()));
        };
        let _owned_by_client = ManuallyDrop::new(config);
        if kind == ClientKind::Consumer {
            // SAFETY: a live consumer; redirecting the main queue lets one poll serve errors and records alike.
            unsafe { sys::rd_kafka_poll_set_consumer(ptr.as_ptr()) };
        }
        Ok(Self { ptr, topics: Mutex::new(Vec::new()), callbacks })
    }

    /// The last global error reported (broker away, login refused), for messages; forgets it.
    pub fn take_last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.callbacks.last_error).take()
    }

    /// The error that made this client useless, if any.
    pub fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: live client, buffer of the given size.
        let code = unsafe { sys::rd_kafka_fatal_error(self.ptr.as_ptr(), text.as_mut_ptr(), text.len()) };
        error_of(code).map(|code| (code, text_of(text.as_ptr())))
    }

    // ---- producing ----

    /// The handle for a topic; made at first use.
    pub fn topic(&self, name: &str) -> Result<Topic, RDKafkaErrorCode> {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.iter().find(|topic| &*topic.state.name == name) {
            return Ok(topic.clone());
        }
        let native_name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let state = Arc::new(TopicState { name: Arc::from(name), ends: Mutex::new(Vec::new()) });
        // SAFETY: live client. The topic's opaque is a TopicState kept in `self.topics`, which is dropped after
        // rd_kafka_destroy, hence after the last delivery report. rd_kafka_topic_new takes the configuration.
        let handle = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(self.ptr.as_ptr());
            sys::rd_kafka_topic_conf_set_opaque(conf, Arc::as_ptr(&state).cast_mut().cast());
            NonNull::new(sys::rd_kafka_topic_new(self.ptr.as_ptr(), native_name.as_ptr(), conf))
        };
        let Some(handle) = handle else {
            return Err(last_error());
        };
        let topic = Topic { handle, state };
        topics.push(topic.clone());
        Ok(topic)
    }

    /// Queues a record; its bytes are copied before this returns. `token` comes back in the [`Delivery`].
    pub fn produce(&self, topic: &Topic, message: &Outgoing<'_>) -> Result<(), CallError> {
        use sys::rd_kafka_vtype_t as vtype;
        let mut fields = [empty_field(); 8];
        let mut count = 0;
        let mut push = |kind, value| {
            fields[count] = sys::rd_kafka_vu_t { vtype: kind, u: value };
            count += 1;
        };
        type Value = sys::rd_kafka_vu_s__bindgen_ty_1;
        push(vtype::RD_KAFKA_VTYPE_RKT, Value { rkt: topic.handle.as_ptr() });
        push(vtype::RD_KAFKA_VTYPE_PARTITION, Value { i32_: message.partition });
        push(vtype::RD_KAFKA_VTYPE_MSGFLAGS, Value { i: sys::RD_KAFKA_MSG_F_COPY });
        push(vtype::RD_KAFKA_VTYPE_KEY, Value { mem: memory(message.key) });
        push(vtype::RD_KAFKA_VTYPE_VALUE, Value { mem: memory(message.value) });
        push(vtype::RD_KAFKA_VTYPE_OPAQUE, Value { ptr: message.token as *mut c_void });
        if let Some(timestamp) = message.timestamp_ms {
            push(vtype::RD_KAFKA_VTYPE_TIMESTAMP, Value { i64_: timestamp });
        }
        let headers = if message.headers.is_empty() { None } else { Some(Headers::new(message.headers)) };
        if let Some(headers) = &headers {
            push(vtype::RD_KAFKA_VTYPE_HEADERS, Value { headers: headers.0 });
        }
        // SAFETY: live client and topic of it; `fields` holds `count` initialised entries whose pointers outlive the
        // call; MSG_F_COPY makes librdkafka copy key and value. Headers become librdkafka's only on success.
        let error = unsafe { sys::rd_kafka_produceva(self.ptr.as_ptr(), fields.as_ptr(), count) };
        match take_error(error) {
            None => {
                std::mem::forget(headers);
                Ok(())
            }
            Some(error) => Err(error),
        }
    }

    /// Serves delivery reports and errors for at most `timeout`; returns how many.
    pub fn poll(&self, timeout: Duration) -> i32 {
        // SAFETY: live client.
        unsafe { sys::rd_kafka_poll(self.ptr.as_ptr(), milliseconds(timeout)) }
    }

    pub fn init_transactions(&self, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: live client; the returned error is owned by us.
        call(unsafe { sys::rd_kafka_init_transactions(self.ptr.as_ptr(), milliseconds(timeout)) })
    }

    pub fn begin_transaction(&self) -> Result<(), CallError> {
        // SAFETY: as above.
        call(unsafe { sys::rd_kafka_begin_transaction(self.ptr.as_ptr()) })
    }

    pub fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        member: &Membership,
        timeout: Duration,
    ) -> Result<(), CallError> {
        // SAFETY: live client, list and metadata, none of which is kept.
        call(unsafe {
            sys::rd_kafka_send_offsets_to_transaction(
                self.ptr.as_ptr(),
                offsets.ptr(),
                member.0.as_ptr(),
                milliseconds(timeout),
            )
        })
    }

    /// The raw commit. All deliveries must have been polled, or it flushes for as long as they take.
    pub fn commit_transaction(&self, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: as above.
        call(unsafe { sys::rd_kafka_commit_transaction(self.ptr.as_ptr(), milliseconds(timeout)) })
    }

    pub fn abort_transaction(&self, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: as above.
        call(unsafe { sys::rd_kafka_abort_transaction(self.ptr.as_ptr(), milliseconds(timeout)) })
    }

    // ---- consuming ----

    pub fn subscribe(&self, topics: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: live consumer; the list is copied.
        result_of(unsafe { sys::rd_kafka_subscribe(self.ptr.as_ptr(), topics.ptr()) })
    }

    /// Appends up to `limit` messages (records, and errors in the shape of messages) to `into`: waits at most
    /// `timeout` for the first one and takes what else is there. Rebalances on the way are in
    /// [`Client::take_rebalances`].
    ///
    /// Not `rd_kafka_consume_batch_queue`: it counts an end-of-partition notice as a consumed record, so that after a
    /// pause, and every KIP-848 rebalance pauses all partitions, librdkafka 2.12 goes on one offset too far and skips a
    /// record or finds itself out of range. Reading 2 million records costs 0.93 s of CPU this way, 0.90 s that way.
    pub fn consume(&self, into: &mut Vec<Message>, limit: usize, timeout: Duration) {
        let mut wait = milliseconds(timeout);
        while into.len() < limit {
            // SAFETY: live consumer; the result is null or a message that is ours to destroy.
            let message = unsafe { sys::rd_kafka_consumer_poll(self.ptr.as_ptr(), wait) };
            let Some(message) = NonNull::new(message) else { break };
            into.push(Message(message));
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
        let protocol = unsafe { sys::rd_kafka_rebalance_protocol(self.ptr.as_ptr()) };
        // SAFETY: null or a static NUL-terminated string.
        !protocol.is_null() && unsafe { CStr::from_ptr(protocol) }.to_bytes() == b"COOPERATIVE"
    }

    /// Whether the broker has taken this member's partitions away already.
    pub fn assignment_lost(&self) -> bool {
        // SAFETY: live client.
        unsafe { sys::rd_kafka_assignment_lost(self.ptr.as_ptr()) != 0 }
    }

    /// Replaces the assignment; `None` gives all up.
    pub fn assign(&self, partitions: Option<&TopicPartitionList>) -> Result<(), RDKafkaErrorCode> {
        let list = partitions.map_or(ptr::null(), |list| list.ptr().cast_const());
        // SAFETY: live consumer; the list is copied.
        result_of(unsafe { sys::rd_kafka_assign(self.ptr.as_ptr(), list) })
    }

    pub fn incremental_assign(&self, partitions: &TopicPartitionList) -> Result<(), CallError> {
        // SAFETY: as above; the returned error is owned by us.
        call(unsafe { sys::rd_kafka_incremental_assign(self.ptr.as_ptr(), partitions.ptr()) })
    }

    pub fn incremental_unassign(&self, partitions: &TopicPartitionList) -> Result<(), CallError> {
        // SAFETY: as above.
        call(unsafe { sys::rd_kafka_incremental_unassign(self.ptr.as_ptr(), partitions.ptr()) })
    }

    pub fn pause(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: live consumer; per-partition results are written into the list.
        result_of(unsafe { sys::rd_kafka_pause_partitions(self.ptr.as_ptr(), partitions.ptr()) })
    }

    pub fn resume(&self, partitions: &TopicPartitionList) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: as above.
        result_of(unsafe { sys::rd_kafka_resume_partitions(self.ptr.as_ptr(), partitions.ptr()) })
    }

    /// Sets positions; each partition's own result is in the list.
    pub fn seek(&self, partitions: &TopicPartitionList, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: as above.
        call(unsafe { sys::rd_kafka_seek_partitions(self.ptr.as_ptr(), partitions.ptr(), milliseconds(timeout)) })
    }

    /// Committed offsets of the client's group, into the list.
    pub fn committed(&self, partitions: &TopicPartitionList, timeout: Duration) -> Result<(), RDKafkaErrorCode> {
        // SAFETY: as above.
        result_of(unsafe { sys::rd_kafka_committed(self.ptr.as_ptr(), partitions.ptr(), milliseconds(timeout)) })
    }

    /// First offset and end of a partition, the end under the isolation level this client was made with.
    pub fn watermarks(&self, topic: &str, partition: i32, timeout: Duration) -> Result<(i64, i64), RDKafkaErrorCode> {
        let topic = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: live client; the out pointers are valid for the call.
        result_of(unsafe {
            sys::rd_kafka_query_watermark_offsets(
                self.ptr.as_ptr(),
                topic.as_ptr(),
                partition,
                &mut low,
                &mut high,
                milliseconds(timeout),
            )
        })?;
        Ok((low, high))
    }

    /// This consumer's membership as of now; `None` while it is not a member of its group.
    ///
    /// Metadata of a non-member has generation -1, which brokers take for an administrator's commit and let pass for
    /// an empty group: handing it to a transaction would lift the fence.
    pub fn membership(&self) -> Option<Membership> {
        // SAFETY: live consumer; the result is null or owned by us.
        let metadata = NonNull::new(unsafe { sys::rd_kafka_consumer_group_metadata(self.ptr.as_ptr()) })?;
        let membership = Membership(metadata);
        // SAFETY: live metadata; the member id is a string inside of it.
        let (generation, member) = unsafe {
            (
                sys::rd_kafka_consumer_group_metadata_generation_id(metadata.as_ptr()),
                sys::rd_kafka_consumer_group_metadata_member_id(metadata.as_ptr()),
            )
        };
        let is_member = generation > 0 && !text_of(member).is_empty();
        is_member.then_some(membership)
    }

    /// Leaves the group; revocations that this causes are answered at once.
    pub fn close_consumer(&self) -> Result<(), RDKafkaErrorCode> {
        self.callbacks.closing.store(true, Ordering::Release);
        // SAFETY: live consumer.
        result_of(unsafe { sys::rd_kafka_consumer_close(self.ptr.as_ptr()) })
    }

    // ---- administration ----

    /// What the cluster says of all topics, or of one, which this never creates on a consumer.
    pub fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Vec<TopicMetadata>, RDKafkaErrorCode> {
        let topic = topic.map(|name| self.topic(name)).transpose()?;
        let only = topic.map_or(ptr::null_mut(), |topic| topic.handle.as_ptr());
        let mut metadata = ptr::null();
        // SAFETY: live client; on success `metadata` is a result that is ours, destroyed once after it was copied,
        // with `topic_cnt` topics of `partition_cnt` partitions each.
        unsafe {
            result_of(sys::rd_kafka_metadata(
                self.ptr.as_ptr(),
                c_int::from(only.is_null()),
                only,
                &mut metadata,
                milliseconds(timeout),
            ))?;
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
            let topics = (0..count)
                .map(|index| &*(*metadata).topics.add(index))
                .map(|topic| TopicMetadata {
                    name: text_of(topic.topic),
                    error: error_of(topic.err),
                    leaders: (0..usize::try_from(topic.partition_cnt).unwrap_or(0))
                        .map(|index| (*topic.partitions.add(index)).leader >= 0)
                        .collect(),
                })
                .collect();
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(topics)
        }
    }

    /// For [`raw_admin`](super::raw_admin), the other half of the unsafe layer; valid as long as the client.
    pub(super) fn native_ptr(&self) -> *mut sys::rd_kafka_t {
        self.ptr.as_ptr()
    }

    /// Sets configurations of a consumer group kept on the broker (KIP-848 `GROUP` resource, incremental).
    pub fn alter_group(
        &self,
        group: &str,
        settings: &[(&str, String)],
        timeout: Duration,
    ) -> Result<(), (RDKafkaErrorCode, String)> {
        let invalid = |_| (RDKafkaErrorCode::InvalidArgument, "a name or value holds a zero byte".to_owned());
        let group = CString::new(group).map_err(invalid)?;
        let mut native = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            native.push((CString::new(*name).map_err(invalid)?, CString::new(value.as_str()).map_err(invalid)?));
        }
        // SAFETY: all strings outlive the calls, which copy them; resource, options, queue and event are each
        // destroyed exactly once at the end; the result's resources are read before their event is destroyed.
        unsafe {
            let rk = self.ptr.as_ptr();
            let resource =
                sys::rd_kafka_ConfigResource_new(sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP, group.as_ptr());
            for (name, value) in &native {
                let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
                let error =
                    sys::rd_kafka_ConfigResource_add_incremental_config(resource, name.as_ptr(), set, value.as_ptr());
                if let Some(error) = take_error(error) {
                    sys::rd_kafka_ConfigResource_destroy(resource);
                    return Err((error.code, error.text));
                }
            }
            let options =
                sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS);
            let mut text = [0 as c_char; 256];
            sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                milliseconds(timeout),
                text.as_mut_ptr(),
                text.len(),
            );
            let queue = sys::rd_kafka_queue_new(rk);
            let mut resources = [resource];
            sys::rd_kafka_IncrementalAlterConfigs(rk, resources.as_mut_ptr(), 1, options, queue);
            // The request's own time-out answers; the queue's is longer so that the answer is always seen.
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout + Duration::from_secs(5)));
            let outcome = alter_outcome(event);
            if !event.is_null() {
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_ConfigResource_destroy(resource);
            outcome
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.callbacks.closing.store(true, Ordering::Release);
        // SAFETY: the last use of everything below. Topics go before the client, as librdkafka demands;
        // messages cannot exist any more since each batch holds the client.
        unsafe {
            for topic in lock(&self.topics).iter() {
                sys::rd_kafka_topic_destroy(topic.handle.as_ptr());
            }
            sys::rd_kafka_destroy(self.ptr.as_ptr());
        }
    }
}

/// One topic as the cluster describes it.
#[derive(Debug)]
pub(super) struct TopicMetadata {
    pub name: String,
    /// Why it cannot be described.
    pub error: Option<RDKafkaErrorCode>,
    /// For each partition whether a leader takes writes.
    pub leaders: Vec<bool>,
}

/// A record on its way to [`Client::produce`].
pub(super) struct Outgoing<'a> {
    /// -1: the partitioner chooses.
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header],
    pub timestamp_ms: Option<i64>,
    pub token: usize,
}

/// Group membership as it was when asked for; made fresh for each commit.
pub(super) struct Membership(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

/// A message of librdkafka, destroyed on drop. Its client must outlive it: keep them together.
#[repr(transparent)]
pub(super) struct Message(NonNull<sys::rd_kafka_message_t>);

// SAFETY: a message is plain memory that only its owner touches; destroying it is allowed from any thread.
unsafe impl Send for Message {}

impl Message {
    fn native(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: points to a live message until drop.
        unsafe { self.0.as_ref() }
    }

    /// What this message reports instead of a record.
    pub fn error(&self) -> Option<RDKafkaErrorCode> {
        error_of(self.native().err)
    }

    /// The text of an error message.
    pub fn error_text(&self) -> String {
        // SAFETY: live message; the string belongs to it or is static.
        text_of(unsafe { sys::rd_kafka_message_errstr(self.0.as_ptr()) })
    }

    /// Identity of the topic while a handle of it is held; 0 for errors without topic.
    pub fn topic_id(&self) -> usize {
        self.native().rkt as usize
    }

    /// The topic's name, empty for errors without topic.
    pub fn topic_name(&self) -> &str {
        if self.native().rkt.is_null() {
            return "";
        }
        // SAFETY: the message holds a reference on its topic, whose name is NUL-terminated and immutable.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.native().rkt)) }.to_str().unwrap_or("")
    }

    pub fn partition(&self) -> i32 {
        self.native().partition
    }

    pub fn offset(&self) -> i64 {
        self.native().offset
    }

    /// Milliseconds since the epoch; 0 when the message has none.
    pub fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: live message, valid out pointer.
        unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &mut kind) }.max(0)
    }

    pub fn key(&self) -> Option<&[u8]> {
        let message = self.native();
        // SAFETY: key and key_len describe memory of the message.
        unsafe { bytes(message.key, message.key_len) }
    }

    pub fn value(&self) -> Option<&[u8]> {
        let message = self.native();
        // SAFETY: payload and len describe memory of the message.
        unsafe { bytes(message.payload, message.len) }
    }

    pub fn headers(&self) -> Vec<Header> {
        let mut list = ptr::null_mut();
        // SAFETY: live message. The call parses lazily and caches inside of the message; `Message` is not `Sync`, so
        // nobody does so at the same time. Names and values live as long as the message and are copied.
        unsafe {
            if error_of(sys::rd_kafka_message_headers(self.0.as_ptr(), &mut list)).is_some() {
                return Vec::new();
            }
            let mut headers = Vec::with_capacity(sys::rd_kafka_header_cnt(list));
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            while error_of(sys::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut size))
                .is_none()
            {
                headers.push((text_of(name), bytes(value.cast_mut(), size).unwrap_or_default().to_vec()));
            }
            headers
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// Headers being built; destroyed on drop unless a successful send took them.
struct Headers(*mut sys::rd_kafka_headers_t);

impl Headers {
    fn new(headers: &[Header]) -> Self {
        // SAFETY: name and value are copied with their lengths; adding only fails for lack of memory.
        unsafe {
            let list = sys::rd_kafka_headers_new(headers.len());
            for (name, value) in headers {
                sys::rd_kafka_header_add(
                    list,
                    name.as_ptr().cast(),
                    isize::try_from(name.len()).unwrap_or(isize::MAX),
                    value.as_ptr().cast(),
                    isize::try_from(value.len()).unwrap_or(isize::MAX),
                );
            }
            Self(list)
        }
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: still ours, see `Client::produce`.
        unsafe { sys::rd_kafka_headers_destroy(self.0) }
    }
}

// ---- callbacks ----

/// # Safety
/// `opaque` is the `Callbacks` of a live client.
unsafe fn callbacks<'a>(opaque: *mut c_void) -> &'a Callbacks {
    // SAFETY: set in `Client::new`, freed after the client.
    unsafe { &*opaque.cast::<Callbacks>() }
}

unsafe extern "C" fn on_delivery(
    _: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands over a live message of a topic made by `Client::topic`, whose opaque is a TopicState
    // that lives as long as the client.
    let (callbacks, message, topic) = unsafe {
        let message = &*message;
        (callbacks(opaque), message, &*sys::rd_kafka_topic_opaque(message.rkt).cast::<TopicState>())
    };
    callbacks.deliveries.delivered(&Delivery {
        topic,
        partition: message.partition,
        offset: message.offset,
        error: error_of(message.err),
        token: message._private as usize,
    });
}

unsafe extern "C" fn on_rebalance(
    rk: *mut sys::rd_kafka_t,
    code: RDKafkaRespErr,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: live client and list for the length of the callback.
    let callbacks = unsafe { callbacks(opaque) };
    if callbacks.closing.load(Ordering::Acquire) {
        // Nobody polls any more: what is asked back is given back here, or closing would wait for it.
        // SAFETY: as above; assigning nothing is right under both protocols while closing.
        unsafe { sys::rd_kafka_assign(rk, ptr::null()) };
        return;
    }
    let event = match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
            // SAFETY: as above.
            Rebalance::Assign(unsafe { names(partitions) })
        }
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => Rebalance::Revoke {
            // SAFETY: as above.
            partitions: unsafe { names(partitions) },
            // SAFETY: as above.
            lost: unsafe { sys::rd_kafka_assignment_lost(rk) != 0 },
        },
        other => Rebalance::Failed(other.into()),
    };
    lock(&callbacks.rebalances).push(event);
}

/// What the error callback may say that the error policy tells apart.
const CONNECTION_ERRORS: [RDKafkaErrorCode; 9] = [
    RDKafkaErrorCode::AllBrokersDown,
    RDKafkaErrorCode::Authentication,
    RDKafkaErrorCode::BrokerTransportFailure,
    RDKafkaErrorCode::ClusterAuthorizationFailed,
    RDKafkaErrorCode::Fatal,
    RDKafkaErrorCode::Resolve,
    RDKafkaErrorCode::SaslAuthenticationFailed,
    RDKafkaErrorCode::SSL,
    RDKafkaErrorCode::UnsupportedSASLMechanism,
];

unsafe extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: live callbacks; librdkafka passes one of its own codes, which the conversion accepts or reports.
    let callbacks = unsafe { callbacks(opaque) };
    let reason = text_of(reason);
    match lock(&callbacks.repeats).note(&reason, Instant::now()) {
        None => tracing::debug!(target: "librdkafka", client = %callbacks.label, "{reason}"),
        Some(left_out) => {
            let left_out = (left_out > 0).then_some(left_out);
            tracing::warn!(target: "librdkafka", client = %callbacks.label, left_out, "{reason}");
        }
    }
    let code = CONNECTION_ERRORS.into_iter().find(|known| *known as c_int == code).unwrap_or(RDKafkaErrorCode::Unknown);
    // "All brokers down" only sums up what an earlier error explained.
    let mut last = lock(&callbacks.last_error);
    if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
        *last = Some((code, reason));
    }
}

unsafe extern "C" fn on_log(_: *const sys::rd_kafka_t, level: c_int, facility: *const c_char, line: *const c_char) {
    // The client may not be complete yet, so nothing of it is touched; threads of librdkafka call this.
    let (facility, line) = (text_of(facility), text_of(line));
    match level {
        0..=3 => tracing::error!(target: "librdkafka", "{facility}: {line}"),
        4 => tracing::warn!(target: "librdkafka", "{facility}: {line}"),
        5 | 6 => tracing::info!(target: "librdkafka", "{facility}: {line}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
    }
}

// ---- small conversions ----

/// A mutex whose holders do not panic; a poisoned one still holds consistent data.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `list` is null or a live list.
unsafe fn names(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<(String, i32)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a live list has `cnt` initialised elements, each with a NUL-terminated topic.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count).map(|index| &*(*list).elems.add(index)).map(|part| (text_of(part.topic), part.partition)).collect()
    }
}

/// # Safety
/// `event` is null or a live event.
unsafe fn alter_outcome(event: *mut sys::rd_kafka_event_t) -> Result<(), (RDKafkaErrorCode, String)> {
    if event.is_null() {
        return Err((RDKafkaErrorCode::OperationTimedOut, "no answer in time".to_owned()));
    }
    // SAFETY: a live event; result and resources are checked for null and live as long as the event.
    unsafe {
        if let Some(code) = error_of(sys::rd_kafka_event_error(event)) {
            return Err((code, text_of(sys::rd_kafka_event_error_string(event))));
        }
        let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(event);
        if result.is_null() {
            return Err((RDKafkaErrorCode::BadMessage, "an answer of another kind".to_owned()));
        }
        let mut count = 0;
        let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
        for index in 0..count {
            let resource = *resources.add(index);
            if let Some(code) = error_of(sys::rd_kafka_ConfigResource_error(resource)) {
                return Err((code, text_of(sys::rd_kafka_ConfigResource_error_string(resource))));
            }
        }
    }
    Ok(())
}

fn empty_field() -> sys::rd_kafka_vu_t {
    sys::rd_kafka_vu_t {
        vtype: sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        u: sys::rd_kafka_vu_s__bindgen_ty_1 { i64_: 0 },
    }
}

fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    match bytes {
        Some(bytes) => {
            sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: bytes.as_ptr().cast_mut().cast(), size: bytes.len() }
        }
        None => sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: ptr::null_mut(), size: 0 },
    }
}

/// # Safety
/// `start` is null or points to `length` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast_const().cast(), length) })
}

pub(super) fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: every caller passes a NUL-terminated string that lives through the call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().trim_end().to_owned()
}

pub(super) fn milliseconds(timeout: Duration) -> c_int {
    // Rounded up: the last part of a millisecond would otherwise be a wait of 0, asked again and again until it is over.
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}

pub(super) fn error_of(code: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

fn result_of(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    error_of(code).map_or(Ok(()), Err)
}

fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads a thread-local of librdkafka.
    unsafe { sys::rd_kafka_last_error() }.into()
}

fn call(error: *mut sys::rd_kafka_error_t) -> Result<(), CallError> {
    take_error(error).map_or(Ok(()), Err)
}

fn take_error(error: *mut sys::rd_kafka_error_t) -> Option<CallError> {
    if error.is_null() {
        return None;
    }
    // SAFETY: a live error object that is ours: read, then destroyed once.
    unsafe {
        let taken = CallError {
            code: sys::rd_kafka_error_code(error).into(),
            text: text_of(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Some(taken)
    }
}
