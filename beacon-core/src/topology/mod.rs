//! The plan of a job: sources, operators, sinks, and the internal topics between them.
//!
//! Built once with [`TopologyBuilder`], checked as a whole, then assembled anew for every task. Operators of one task
//! call each other directly; a re-key, a broadcast and the replies of calls go through internal topics, so that every
//! task reads all its input in one order from the log.
//!
//! What it deliberately does not know: which tasks run where, and which log they read.

mod assembly;
mod broadcast;
mod builder;
mod call;
mod describe;
mod fold;
mod join;
mod keyed;
mod names;
mod source;
mod stages;
mod stream;
mod transform;
mod window;
mod window_span;
mod window_spec;

pub use assembly::Assembly;
pub use broadcast::BroadcastStream;
pub use builder::{BuildErrors, InternalTopic, Topology, TopologyBuilder};
#[doc(hidden)]
pub use call::encode_reply;
pub use call::{CallDone, Caller, RawCaller, Replies};
pub use join::Table;
pub use keyed::KeyedStream;
pub use source::{Changed, Outbound, RawRecord, RawSource, SourceSpec, Topic};
pub use stream::Stream;
pub use window_span::{Timing, Windowed};
pub use window_spec::{Sessions, Windows};
