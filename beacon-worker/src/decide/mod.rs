//! What the pipeline decides: pure functions over states and the time, without engine or log.

pub mod flush;
pub mod merge;
pub mod reroute;
