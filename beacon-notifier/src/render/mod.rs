//! Rendering: a [`Notification`](beacon_proto::v1::Notification) in, the bytes or text for one channel out.
//!
//! Pure functions: no I/O, no clock, no randomness, and no templates yet. The same notification always renders to the same
//! bytes, so that a second attempt repeats the first one exactly. Labels and annotations are untrusted: whatever they
//! contain, they stay inside the place they were put in (see [`plain`] and [`html`]).

pub mod html;
pub mod links;
pub mod page;
pub mod pairs;
pub mod payload;
pub mod plain;
pub mod subject;
pub mod text;
pub mod time;

#[cfg(test)]
pub(crate) mod golden;
#[cfg(test)]
pub(crate) mod sample;
