//! Small conversions between C and Rust.

use std::ffi::{CStr, c_char, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka_sys as sys;

/// A mutex whose holders do not panic; a poisoned one still holds consistent data.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `list` is null or a live list.
pub(super) unsafe fn names(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<(String, i32)> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: a live list has `cnt` initialised elements, each with a NUL-terminated topic.
    unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        (0..count).map(|index| &*(*list).elems.add(index)).map(|part| (text_of(part.topic), part.partition)).collect()
    }
}

/// A name as it is: spaces at its end belong to it. Empty for null.
///
/// # Safety
/// `text` is null or a NUL-terminated string that lives through the call.
pub(super) unsafe fn name_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What librdkafka says, without the line's end. Empty for null.
///
/// # Safety
/// `text` is null or a NUL-terminated string that lives through the call.
pub(super) unsafe fn text_of(text: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { name_of(text) }.trim_end().to_owned()
}

/// What librdkafka wrote into a buffer.
pub(super) fn text_in(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().take_while(|byte| **byte != 0).map(|byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// A time-out as librdkafka takes it.
pub(super) fn milliseconds(timeout: Duration) -> c_int {
    // Rounded up: the last part of a millisecond would otherwise be a wait of 0, asked again and again until it is over.
    c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
}
