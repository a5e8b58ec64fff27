//! Tests against a real broker, by subject.

mod admin;
mod appender;
mod away;
mod children;
mod commit;
mod groups;
mod reading;
pub mod support;
