//! What a job is made of: keyed operators, and the step they run in.
//!
//! A *step* is one record or one due timer going through a task's operators. It reads state, sets timers and emits;
//! everything it does is kept or taken back as one. What it deliberately cannot do: ask a clock, block, or reach the
//! log.

mod aggregate;
mod context;
mod division;
mod error;
mod event_time;
mod marks;
mod output;
mod port;
mod process;
mod step;
mod tally;
mod watermarks;

pub use aggregate::{Aggregate, Count, MergeAggregate};
pub use context::{BroadcastCtx, Ctx};
pub(crate) use division::divide_marks;
pub use error::{OpError, OpResult};
pub use event_time::STAGES;
pub(crate) use event_time::{Announced, Announcement, TimeFrom, TimedInput};
pub use output::Output;
pub use port::{Port, Receiver};
pub use process::{
    BroadcastProcess, BroadcastSide, ConnectedProcess, KeyedProcess, KeyedRunner, RightSide, TimerTarget,
};
pub use step::{Call, Outgoing, RecordMeta, Step};
pub(crate) use tally::Tally;
pub(crate) use watermarks::Watermarks;
