//! The two times of a job, as types that cannot be mixed up.
//!
//! Nothing in the core asks a clock: processing time is read once per step by the runtime and handed in, event time
//! comes with the records (`tests/layers.rs: pure_modules_neither_wait_nor_look_around`). That is what makes a
//! run replayable.

use std::ops::{Add, Sub};
use std::time::Duration;

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// From milliseconds since the epoch.
            pub const fn from_millis(millis: i64) -> Self {
                Self(millis)
            }

            /// Milliseconds since the epoch.
            pub const fn as_millis(self) -> i64 {
                self.0
            }

            /// How much later `self` is than `earlier`; zero when it is not.
            pub fn since(self, earlier: Self) -> Duration {
                Duration::from_millis(self.0.saturating_sub(earlier.0).max(0) as u64)
            }
        }

        impl Add<Duration> for $name {
            type Output = Self;
            fn add(self, duration: Duration) -> Self {
                Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
            }
        }

        impl Sub<Duration> for $name {
            type Output = Self;
            fn sub(self, duration: Duration) -> Self {
                Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
            }
        }
    };
}

instant! {
    /// When something is processed: the wall clock, read once per step. Milliseconds since the epoch.
    ProcessingTime
}

instant! {
    /// When something happened, by the record's own timestamp. Milliseconds since the epoch.
    EventTime
}

/// Which clock a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// The wall clock.
    Processing,
    /// The task's watermark.
    Event,
}

/// A moment of one of the two times: what a timer can be set to.
pub trait Deadline: Copy {
    /// Which clock it is on.
    const DOMAIN: TimeDomain;
    /// Milliseconds since the epoch.
    fn millis(self) -> i64;
}

impl Deadline for ProcessingTime {
    const DOMAIN: TimeDomain = TimeDomain::Processing;
    fn millis(self) -> i64 {
        self.0
    }
}

impl Deadline for EventTime {
    const DOMAIN: TimeDomain = TimeDomain::Event;
    fn millis(self) -> i64 {
        self.0
    }
}
