//! A message of librdkafka: a record, or an error in the shape of one.
//!
//! Invariant: what is read from a message (key, value, headers) lives as long as the [`Message`], which only its drop destroys
//! (`tests/kafka/reading.rs: a_batch_outlives_its_reader`).

use std::ffi::{CStr, c_void};
use std::ptr::{self, NonNull};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::codes::{error_at, own_result_of};
use super::conversions::{name_of, text_of};
use crate::log::Header;

/// A message of librdkafka, destroyed on drop. Its client must outlive it: keep them together.
#[repr(transparent)]
pub struct Message(NonNull<sys::rd_kafka_message_t>);

// SAFETY: a message is plain memory that only its owner touches; destroying it is allowed from any thread.
unsafe impl Send for Message {}

impl Message {
    /// Takes over a message; `None` for null.
    ///
    /// # Safety
    /// `message` is null or a live message that nobody else destroys.
    pub(super) unsafe fn take(message: *mut sys::rd_kafka_message_t) -> Option<Self> {
        NonNull::new(message).map(Self)
    }

    fn native(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: points to a live message until drop.
        unsafe { self.0.as_ref() }
    }

    /// What this message reports instead of a record.
    pub fn error(&self) -> Option<RDKafkaErrorCode> {
        // SAFETY: a live message, whose code was written.
        unsafe { error_at(&raw const (*self.0.as_ptr()).err) }
    }

    /// The text of an error message.
    pub fn error_text(&self) -> String {
        // SAFETY: live message; the string belongs to it or is static.
        unsafe { text_of(sys::rd_kafka_message_errstr(self.0.as_ptr())) }
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
            if own_result_of(sys::rd_kafka_message_headers(self.0.as_ptr(), &mut list)).is_err() {
                return Vec::new();
            }
            let mut headers = Vec::with_capacity(sys::rd_kafka_header_cnt(list));
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            while own_result_of(sys::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut size))
                .is_ok()
            {
                headers.push((name_of(name), bytes(value.cast_mut(), size).unwrap_or_default().to_vec()));
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

/// # Safety
/// `start` is null or points to `length` bytes that live as long as `'a`.
unsafe fn bytes<'a>(start: *mut c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast_const().cast(), length) })
}
