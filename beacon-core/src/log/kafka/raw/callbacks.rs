//! What librdkafka calls: on the thread that polls or closes, and for logs and for what a transactional producer has written on
//! its own threads.
//!
//! Invariants:
//!
//! * callbacks touch only `Sync` data, and hold no lock while they call out
//!   (`tests/log_contract/records.rs: an_answer_may_drop_the_appender_it_came_from`);
//! * nothing unwinds into C: they call no code of users but the subscriber of log lines, and Rust ends the process at a panic
//!   that would leave a function of C's (`tests/log_contract/records.rs: an_answer_that_panics_holds_up_no_other`);
//! * what a rebalance asks for is kept until the polling thread acts on it
//!   (`src/log/kafka/membership.rs: partitions_asked_back_are_owned_until_the_answer`), or until the client closes, which
//!   answers it (`tests/kafka/groups.rs: a_member_that_was_lost_leaves_kip_848`).

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys::{self as sys, RDKafkaRespErr};

use super::super::repeats::Repeats;
use super::codes::error_at;
use super::conversions::{lock, names, text_of};
use super::producing::TopicState;

/// What a callback of librdkafka said about group membership, kept until the polling thread acts on it.
#[derive(Debug)]
pub enum Rebalance {
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
pub struct Delivery<'a> {
    /// The topic as the producer registered it.
    pub topic: &'a TopicState,
    /// Where it went.
    pub partition: i32,
    /// Its offset; meaningless with an error.
    pub offset: i64,
    /// Why it was not written.
    pub error: Option<RDKafkaErrorCode>,
    /// What the broker said about it, if it was not written and the broker said more than a code.
    pub reason: Option<String>,
    /// What was handed to [`Client::produce`] with the record.
    pub token: usize,
}

/// Gets each delivery report, on the thread that polls the producer; of a transactional one, those of records that were written
/// on librdkafka's threads, of several at a time. Must neither block nor panic.
pub trait DeliverySink: Send + Sync {
    /// Called once per record sent.
    fn delivered(&self, delivery: &Delivery<'_>);
}

/// For clients that send nothing.
pub struct NoDeliveries;

impl DeliverySink for NoDeliveries {
    fn delivered(&self, _: &Delivery<'_>) {}
}

/// Where the opaque pointer of a client points.
pub struct Callbacks {
    /// Who this is, for log lines.
    label: String,
    pub(super) rebalances: Mutex<Vec<Rebalance>>,
    /// Rebalances said that no assignment has answered yet.
    pub(super) unanswered: AtomicUsize,
    /// Nobody polls any more.
    pub(super) closing: AtomicBool,
    pub(super) last_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    repeats: Mutex<Repeats>,
    deliveries: Arc<dyn DeliverySink>,
}

impl Callbacks {
    pub fn new(label: String, deliveries: Arc<dyn DeliverySink>) -> Self {
        Self {
            label,
            rebalances: Mutex::new(Vec::new()),
            unanswered: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            last_error: Mutex::new(None),
            repeats: Mutex::default(),
            deliveries,
        }
    }
}

/// # Safety
/// `opaque` is the `Callbacks` of a live client.
unsafe fn callbacks<'a>(opaque: *mut c_void) -> &'a Callbacks {
    // SAFETY: set in `Client::new`, freed after the client.
    unsafe { &*opaque.cast::<Callbacks>() }
}

pub(super) unsafe extern "C" fn on_delivery(
    _: *mut sys::rd_kafka_t,
    message: *const sys::rd_kafka_message_t,
    opaque: *mut c_void,
) {
    // SAFETY: librdkafka hands over a live message of a topic made by `Client::topic`, whose opaque is a TopicState
    // that lives as long as the client.
    let (callbacks, error, message, topic) = unsafe {
        let error = error_at(&raw const (*message).err);
        let message = &*message;
        (callbacks(opaque), error, message, &*sys::rd_kafka_topic_opaque(message.rkt).cast::<TopicState>())
    };
    let reason = error.and_then(|_| {
        // SAFETY: a message of a producer, as librdkafka hands it over; the text lives as long as it does.
        let text = unsafe { sys::rd_kafka_message_produce_errstr(message) };
        // SAFETY: as above, and not null.
        (!text.is_null()).then(|| unsafe { text_of(text) })
    });
    callbacks.deliveries.delivered(&Delivery {
        topic,
        partition: message.partition,
        offset: message.offset,
        error,
        reason,
        token: message._private as usize,
    });
}

/// Has a client that is being made tell of acknowledgements.
pub(super) unsafe extern "C" fn on_new_transactional(
    rk: *mut sys::rd_kafka_t,
    _: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> RDKafkaRespErr {
    // SAFETY: the client that is being made; the opaque pointer is its callbacks.
    unsafe { sys::rd_kafka_interceptor_add_on_acknowledgement(rk, c"beacon".as_ptr(), Some(on_acknowledged), opaque) }
}

/// A record was written, or failed; on the thread of librdkafka that heard of it.
unsafe extern "C" fn on_acknowledged(
    rk: *mut sys::rd_kafka_t,
    message: *mut sys::rd_kafka_message_t,
    opaque: *mut c_void,
) -> RDKafkaRespErr {
    // SAFETY: as for a report; librdkafka hands over its own message, before it destroys it.
    unsafe {
        // Of failures there are reports, which say more.
        if error_at(&raw const (*message).err).is_none() {
            on_delivery(rk, message, opaque);
        }
    }
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}

pub(super) unsafe extern "C" fn on_rebalance(
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
    callbacks.unanswered.fetch_add(1, Ordering::AcqRel);
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

pub(super) unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: live callbacks; the reason lives through the call.
    let (callbacks, reason) = unsafe { (callbacks(opaque), text_of(reason)) };
    let said = lock(&callbacks.repeats).note(&reason, Instant::now());
    match said {
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

pub(super) unsafe extern "C" fn on_log(
    _: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // The client may not be complete yet, so nothing of it is touched; threads of librdkafka call this.
    // SAFETY: both live through the call.
    let (facility, line) = unsafe { (text_of(facility), text_of(line)) };
    match level {
        0..=3 => tracing::error!(target: "librdkafka", "{facility}: {line}"),
        4 => tracing::warn!(target: "librdkafka", "{facility}: {line}"),
        5 | 6 => tracing::info!(target: "librdkafka", "{facility}: {line}"),
        _ => tracing::debug!(target: "librdkafka", "{facility}: {line}"),
    }
}
