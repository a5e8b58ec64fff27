//! Tests against a real broker, by subject.

mod admin;
mod appender;
mod children;
mod commit;
mod groups;
mod reading;
mod stable;
pub mod support;
mod untaken;
