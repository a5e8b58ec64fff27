//! Which windows there are: how time is cut.

use std::fmt;
use std::time::Duration;

use super::window_span::Span;
use crate::time::TimeDomain;

/// What windows of every kind are set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) clock: TimeDomain,
    pub(super) lateness_ms: i64,
    pub(super) updates: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { clock: TimeDomain::Event, lateness_ms: 0, updates: false }
    }
}

macro_rules! settings {
    ($name:ident) => {
        impl $name {
            /// Windows of the wall clock instead of the records' own times: a record belongs where it is processed, none
            /// is late, and what is in a window differs from run to run.
            pub fn on_processing_time(mut self) -> Self {
                self.settings.clock = TimeDomain::Processing;
                self
            }

            /// Keeps windows this much longer than until the watermark reached their end: records that come meanwhile
            /// still count, each with a corrected result ([`Timing::Late`](super::Timing)). Later ones come out of the
            /// output `late`. Longer keeps more state; it delays nothing.
            pub fn allowed_lateness(mut self, lateness: Duration) -> Self {
                self.settings.lateness_ms = millis(lateness);
                self
            }

            /// Emits what a window holds so far after each of its records ([`Timing::Early`](super::Timing)), too.
            pub fn with_updates(mut self) -> Self {
                self.settings.updates = true;
                self
            }
        }
    };
}

/// Windows of one size: each beginning at a multiple of `every` since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    size_ms: i64,
    every_ms: i64,
    pub(super) settings: Settings,
}

settings!(Windows);

impl Windows {
    /// One window after the other: each moment is in exactly one.
    pub fn tumbling(size: Duration) -> Self {
        Self::sliding(size, size)
    }

    /// Windows that overlap: a new one begins at each multiple of `every`, and each moment is in `size / every` of them.
    pub fn sliding(size: Duration, every: Duration) -> Self {
        Self { size_ms: millis(size), every_ms: millis(every), settings: Settings::default() }
    }

    pub(super) fn mistake(&self) -> Option<String> {
        let Self { size_ms, every_ms, .. } = self;
        if *size_ms < 1 || *every_ms < 1 {
            Some("windows must be at least a millisecond long and apart".to_owned())
        } else if every_ms > size_ms {
            Some(format!("windows of {size_ms} ms every {every_ms} ms leave gaps, whose records would be in none"))
        } else {
            None
        }
    }

    /// The windows of a moment, earliest first.
    pub(super) fn of(&self, at_ms: i64) -> impl Iterator<Item = Span> {
        let (size, every) = (self.size_ms, self.every_ms);
        let last = at_ms.div_euclid(every).saturating_mul(every);
        let earlier = (size - 1 - (at_ms - last)).div_euclid(every).max(0);
        (0..=earlier).rev().map(move |back| {
            let start = last.saturating_sub(back.saturating_mul(every));
            Span { start, end: start.saturating_add(size) }
        })
    }
}

/// Windows of activity: records of a key belong together when less than a gap of time lies between one and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    gap_ms: i64,
    pub(super) settings: Settings,
}

settings!(Sessions);

impl Sessions {
    /// A session ends when nothing came for `gap`. A record exactly that long after the last one begins the next.
    pub fn with_gap(gap: Duration) -> Self {
        Self { gap_ms: millis(gap), settings: Settings::default() }
    }

    pub(super) fn mistake(&self) -> Option<String> {
        (self.gap_ms < 1).then(|| "the gap between sessions must be at least a millisecond".to_owned())
    }

    /// The session of a single record: whatever it overlaps, it is one with.
    pub(super) fn of(&self, at_ms: i64) -> Span {
        Span { start: at_ms, end: at_ms.saturating_add(self.gap_ms) }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.clock {
            TimeDomain::Event => "event time",
            TimeDomain::Processing => "processing time",
        })?;
        if self.lateness_ms > 0 {
            write!(f, ", lateness {:?}", Duration::from_millis(self.lateness_ms.unsigned_abs()))?;
        }
        f.write_str(if self.updates { ", updates" } else { "" })
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [size, every] = [self.size_ms, self.every_ms].map(|ms| Duration::from_millis(ms.unsigned_abs()));
        if size == every {
            write!(f, "tumbling {size:?}")?
        } else {
            write!(f, "sliding {size:?} every {every:?}")?
        }
        write!(f, ", {}", self.settings)
    }
}

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sessions with gap {:?}, {}", Duration::from_millis(self.gap_ms.unsigned_abs()), self.settings)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_is_in_all_windows_that_cover_it(at in -10_000i64..10_000, size in 1u64..500, part in 1u64..500) {
            let every = part.min(size);
            let windows = Windows::sliding(Duration::from_millis(size), Duration::from_millis(every));
            let (size, every) = (size as i64, every as i64);
            let found: Vec<_> = windows.of(at).map(|span| (span.start, span.end)).collect();
            let expected: Vec<_> = (at - size - every..=at)
                .filter(|start| start.rem_euclid(every) == 0 && *start <= at && at < start + size)
                .map(|start| (start, start + size))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn windows_without_length_or_with_gaps_are_mistakes() {
        let ms = Duration::from_millis;
        assert!(Windows::tumbling(Duration::ZERO).mistake().is_some());
        assert!(Windows::sliding(ms(10), ms(11)).mistake().is_some());
        assert!(Windows::sliding(ms(10), Duration::ZERO).mistake().is_some());
        assert!(Sessions::with_gap(Duration::ZERO).mistake().is_some());
        assert!(Windows::sliding(ms(10), ms(3)).mistake().is_none());
    }
}
