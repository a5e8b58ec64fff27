//! Decisions about deliveries: pure functions of what happened, without I/O and without a clock.

pub mod carry;
pub mod http;
pub mod retry;
pub mod retry_after;
pub mod smtp;
