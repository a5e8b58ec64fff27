//! Error codes and error objects of librdkafka, as the rest of the log knows them.
//!
//! Invariant: a code that a broker may have sent is read as the number it is in C. The bindings declare it as a Rust enum,
//! which must never hold a number that it does not know, and brokers are newer than librdkafka: a Kafka of 2025 has some
//! thirty codes more (`src/log/kafka/raw/codes.rs: a_code_that_only_newer_brokers_know_is_an_unknown_error`).

use std::ffi::{c_char, c_int};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys::{self as sys, RDKafkaRespErr};

use super::conversions::text_of;

/// An error object of the transaction calls, taken apart.
#[derive(Debug, Clone)]
pub struct CallError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
}

/// Calls whose answer is a code, with the code as a number.
#[allow(clashing_extern_declarations, reason = "the bindings have an enum where C has any number")]
mod numbered {
    use super::{c_char, c_int, sys};

    unsafe extern "C" {
        pub fn rd_kafka_committed(
            rk: *mut sys::rd_kafka_t,
            partitions: *mut sys::rd_kafka_topic_partition_list_t,
            timeout_ms: c_int,
        ) -> c_int;
        pub fn rd_kafka_query_watermark_offsets(
            rk: *mut sys::rd_kafka_t,
            topic: *const c_char,
            partition: i32,
            low: *mut i64,
            high: *mut i64,
            timeout_ms: c_int,
        ) -> c_int;
        pub fn rd_kafka_metadata(
            rk: *mut sys::rd_kafka_t,
            all_topics: c_int,
            only_rkt: *mut sys::rd_kafka_topic_t,
            metadatap: *mut *const sys::rd_kafka_metadata,
            timeout_ms: c_int,
        ) -> c_int;
        pub fn rd_kafka_fatal_error(rk: *mut sys::rd_kafka_t, errstr: *mut c_char, errstr_size: usize) -> c_int;
        pub fn rd_kafka_event_error(rkev: *mut sys::rd_kafka_event_t) -> c_int;
        pub fn rd_kafka_ConfigResource_error(config: *const sys::rd_kafka_ConfigResource_t) -> c_int;
        pub fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> c_int;
    }
}
pub(super) use numbered::*;

/// The error of a code, `None` for success. One that librdkafka has no name for is [`RDKafkaErrorCode::Unknown`].
pub(super) fn error_of(code: c_int) -> Option<RDKafkaErrorCode> {
    (code != 0).then(|| RDKafkaRespErr::try_from(code).map_or(RDKafkaErrorCode::Unknown, RDKafkaErrorCode::from))
}

/// The error of a code that stands in memory of librdkafka.
///
/// # Safety
/// `code` points to a code that was written.
pub(super) unsafe fn error_at(code: *const RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    // SAFETY: the caller's promise; the enum is laid out as the number.
    error_of(unsafe { code.cast::<c_int>().read() })
}

/// What a list says of each of its partitions, in its order. The safe crate reads these codes, which brokers send, as the enum.
pub fn errors_of(list: &TopicPartitionList) -> Vec<Option<RDKafkaErrorCode>> {
    // SAFETY: a live list has `cnt` initialised elements; it is not changed meanwhile, since it is borrowed.
    unsafe {
        let list = list.ptr();
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count).map(|index| error_at(&raw const (*(*list).elems.add(index)).err)).collect()
    }
}

/// The outcome of a code.
pub(super) fn result_of(code: c_int) -> Result<(), RDKafkaErrorCode> {
    error_of(code).map_or(Ok(()), Err)
}

/// The outcome of a call that only librdkafka itself answers, with codes of its own.
pub(super) fn own_result_of(code: RDKafkaRespErr) -> Result<(), RDKafkaErrorCode> {
    result_of(code as c_int)
}

/// Why the last call of this thread failed, for calls that do not say it themselves.
pub(super) fn last_error() -> RDKafkaErrorCode {
    // SAFETY: reads a thread-local of librdkafka, which holds its own codes.
    unsafe { sys::rd_kafka_last_error() }.into()
}

/// The outcome of a call that returned an error object or null.
///
/// # Safety
/// `error` is null or a live error object that is the caller's, and given up here.
pub(super) unsafe fn call(error: *mut sys::rd_kafka_error_t) -> Result<(), CallError> {
    // SAFETY: the caller's promise.
    unsafe { take_error(error) }.map_or(Ok(()), Err)
}

/// What an error object says; `None` for null.
///
/// # Safety
/// `error` is null or a live error object that is the caller's, and given up here.
pub(super) unsafe fn take_error(error: *mut sys::rd_kafka_error_t) -> Option<CallError> {
    if error.is_null() {
        return None;
    }
    // SAFETY: read first, then destroyed, once.
    unsafe {
        let taken = CallError {
            code: error_of(rd_kafka_error_code(error)).unwrap_or(RDKafkaErrorCode::Unknown),
            text: text_of(sys::rd_kafka_error_string(error)),
            fatal: sys::rd_kafka_error_is_fatal(error) != 0,
            retriable: sys::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        sys::rd_kafka_error_destroy(error);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `INCONSISTENT_TOPIC_ID`, which a broker of 2022 may answer and librdkafka 2.12 has no name for.
    const NEWER: c_int = 103;

    #[test]
    fn a_code_that_only_newer_brokers_know_is_an_unknown_error() {
        assert_eq!(error_of(0), None);
        assert_eq!(error_of(3), Some(RDKafkaErrorCode::UnknownTopicOrPartition));
        assert_eq!(error_of(-191), Some(RDKafkaErrorCode::PartitionEOF));
        for code in [NEWER, 98, 109, 120, 133, 32767, -300] {
            assert_eq!(error_of(code), Some(RDKafkaErrorCode::Unknown), "{code}");
        }
        let mut list = TopicPartitionList::new();
        let _ = list.add_partition("known", 0);
        let _ = list.add_partition("newer", 1);
        // SAFETY: a live list of two; a number in the place of a code, as librdkafka writes it.
        unsafe { (&raw mut (*(*list.ptr()).elems.add(1)).err).cast::<c_int>().write(NEWER) };
        assert_eq!(errors_of(&list), [None, Some(RDKafkaErrorCode::Unknown)]);
        let code: c_int = NEWER;
        // SAFETY: a number in the place of a code, as librdkafka writes it.
        assert_eq!(unsafe { error_at((&raw const code).cast()) }, Some(RDKafkaErrorCode::Unknown));
    }
}
