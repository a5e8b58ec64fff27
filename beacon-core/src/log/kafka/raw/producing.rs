//! Topics written to, records on their way, and the raw calls of transactions.
//!
//! Invariant: the opaque pointer of a topic made here is its [`TopicState`], which the client keeps until after
//! `rd_kafka_destroy`: every delivery report finds it
//! (`tests/kafka/appender.rs: positions_come_in_the_order_of_the_records`). So no other call may make librdkafka know a topic of a producer first.

use std::ffi::{CString, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;

use super::super::ends::Ends;
use super::callbacks::on_delivery;
use super::client::Client;
use super::codes::{CallError, call, last_error, own_result_of, take_error};
use super::consuming::Membership;
use super::conversions::{lock, milliseconds};
use crate::log::Header;

/// How often reports are taken while an abort waits for them.
const TAKE_REPORTS_EVERY: Duration = Duration::from_millis(1);

/// What a producer keeps for each topic it writes; reachable from delivery reports.
pub struct TopicState {
    /// The topic's name.
    pub name: Arc<str>,
    /// Where its partitions end, of those written to.
    pub ends: Ends,
}

/// A handle of a topic to send to; valid as long as its client, which owns it.
#[derive(Clone)]
pub struct Topic {
    handle: NonNull<sys::rd_kafka_topic_t>,
    /// The same state that delivery reports lead to.
    pub state: Arc<TopicState>,
}

// SAFETY: topic handles are reference counted by librdkafka and documented as thread safe.
unsafe impl Send for Topic {}
// SAFETY: see above; nothing is reachable through a shared `Topic` but its state, which is `Sync`.
unsafe impl Sync for Topic {}

impl Topic {
    /// For the other modules of the unsafe layer.
    pub(super) fn native(&self) -> *mut sys::rd_kafka_topic_t {
        self.handle.as_ptr()
    }
}

/// A record on its way to [`Client::produce`].
pub struct Outgoing<'a> {
    /// -1: the partitioner chooses.
    pub partition: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [Header],
    pub timestamp_ms: Option<i64>,
    pub token: usize,
}

impl Client {
    /// The handle for a topic; made at first use.
    pub fn topic(&self, name: &str) -> Result<Topic, RDKafkaErrorCode> {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.iter().find(|topic| &*topic.state.name == name) {
            return Ok(topic.clone());
        }
        let native_name = CString::new(name).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let state = Arc::new(TopicState { name: Arc::from(name), ends: Ends::default() });
        // SAFETY: live client. The topic's opaque is a TopicState kept in `self.topics`, which is dropped after
        // rd_kafka_destroy, hence after the last delivery report. rd_kafka_topic_new takes the configuration.
        let handle = unsafe {
            let conf = sys::rd_kafka_default_topic_conf_dup(self.native());
            sys::rd_kafka_topic_conf_set_opaque(conf, Arc::as_ptr(&state).cast_mut().cast());
            NonNull::new(sys::rd_kafka_topic_new(self.native(), native_name.as_ptr(), conf))
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
        let error = unsafe { sys::rd_kafka_produceva(self.native(), fields.as_ptr(), count) };
        // SAFETY: null or an error object that is ours.
        match unsafe { take_error(error) } {
            None => {
                std::mem::forget(headers);
                Ok(())
            }
            Some(error) => Err(error),
        }
    }

    /// Has a transactional producer tell of records that failed, and of errors; never waits.
    pub fn serve(&self) {
        // SAFETY: live client, whose main queue is a handle to give back. An event is ours to destroy, and its messages live
        // until then; only reports of deliveries have any.
        unsafe {
            let queue = sys::rd_kafka_queue_get_main(self.native());
            loop {
                let event = sys::rd_kafka_queue_poll(queue, 0);
                if event.is_null() {
                    break;
                }
                loop {
                    let message = sys::rd_kafka_event_message_next(event);
                    if message.is_null() {
                        break;
                    }
                    on_delivery(self.native(), message, Arc::as_ptr(&self.callbacks).cast_mut().cast());
                }
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_queue_destroy(queue);
        }
    }

    /// Serves delivery reports and errors for at most `timeout`; returns how many. Of transactional producers see [`Client::serve`].
    pub fn poll(&self, timeout: Duration) -> i32 {
        // SAFETY: live client.
        unsafe { sys::rd_kafka_poll(self.native(), milliseconds(timeout)) }
    }

    /// Has a transactional producer send what is queued, without lingering, and waits for at most `timeout`. Whether every
    /// record is written or was told to have failed, for which [`Client::serve`] has to be called.
    pub fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: live client.
        own_result_of(unsafe { sys::rd_kafka_flush(self.native(), milliseconds(timeout)) }).is_ok()
    }

    /// How many records are neither written nor told to have failed.
    pub fn in_flight(&self) -> i32 {
        // SAFETY: live client.
        unsafe { sys::rd_kafka_outq_len(self.native()) }
    }

    pub fn init_transactions(&self, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: live client; the returned error is owned by us.
        unsafe { call(sys::rd_kafka_init_transactions(self.native(), milliseconds(timeout))) }
    }

    pub fn begin_transaction(&self) -> Result<(), CallError> {
        // SAFETY: as above.
        unsafe { call(sys::rd_kafka_begin_transaction(self.native())) }
    }

    pub fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        member: &Membership,
        timeout: Duration,
    ) -> Result<(), CallError> {
        // SAFETY: live client, list and metadata, none of which is kept.
        unsafe {
            call(sys::rd_kafka_send_offsets_to_transaction(
                self.native(),
                offsets.ptr(),
                member.native(),
                milliseconds(timeout),
            ))
        }
    }

    /// The raw commit. Nothing may be in flight, see [`Client::flush`], or it flushes for as long as that takes.
    pub fn commit_transaction(&self, timeout: Duration) -> Result<(), CallError> {
        // SAFETY: as above.
        unsafe { call(sys::rd_kafka_commit_transaction(self.native(), milliseconds(timeout))) }
    }

    /// Drops what is queued, waits for what is in flight, and aborts.
    pub fn abort_transaction(&self, timeout: Duration) -> Result<(), CallError> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            // The call waits until reports of what was dropped are taken, which somebody else has to do.
            let server = thread::Builder::new().name("kafka-abort".into()).spawn_scoped(scope, || {
                while !over.load(Ordering::Acquire) {
                    self.serve();
                    thread::sleep(TAKE_REPORTS_EVERY);
                }
            });
            if let Err(error) = server {
                tracing::warn!(%error, "no thread for the reports of an abort");
            }
            // SAFETY: as above.
            let aborted = unsafe { call(sys::rd_kafka_abort_transaction(self.native(), milliseconds(timeout))) };
            over.store(true, Ordering::Release);
            aborted
        })
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
