//! A histogram of durations that threads fill without waiting for each other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts durations in buckets of fixed upper bounds.
///
/// A reading is not one moment's: a value observed meanwhile may be in the sum and not yet in its bucket, never lost.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last takes everything above.
    buckets: Box<[AtomicU64]>,
    sum_micros: AtomicU64,
}

/// One reading of a [`Histogram`].
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramReading {
    /// Upper bounds in seconds, growing, each with how many values were at most that; the last is infinity.
    pub cumulative: Vec<(f64, u64)>,
    /// Sum of all values, seconds.
    pub sum: f64,
}

impl HistogramReading {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.cumulative.last().map_or(0, |(_, count)| *count)
    }
}

/// Bounds for what takes from a millisecond to ten seconds: a commit is 4 ms on a warm broker and 100 ms on a bad day.
pub const LATENCY_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds for what takes from milliseconds to many minutes: rebalances with restores, timers after downtime.
pub const LONG_BOUNDS: &[f64] =
    &[0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

impl Histogram {
    /// An empty histogram with these upper bounds in seconds, growing.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum_micros: AtomicU64::new(0) }
    }

    /// For latencies of 1 ms to 10 s.
    pub fn of_latencies() -> Self {
        Self::new(LATENCY_BOUNDS)
    }

    /// For durations of 1 ms to an hour.
    pub fn of_long_times() -> Self {
        Self::new(LONG_BOUNDS)
    }

    /// Counts one value.
    pub fn observe(&self, value: Duration) {
        let seconds = value.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.sum_micros.fetch_add(u64::try_from(value.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.buckets[bucket].fetch_add(1, Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> HistogramReading {
        let mut total = 0;
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| {
                total += bucket.load(Relaxed);
                (bound, total)
            })
            .collect();
        HistogramReading { cumulative, sum: self.sum_micros.load(Relaxed) as f64 / 1e6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_is_in_that_bucket_and_none_is_lost() {
        let histogram = Histogram::new(&[0.01, 0.1]);
        for millis in [0, 10, 11, 100, 101, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let reading = histogram.read();
        assert_eq!(reading.cumulative, [(0.01, 2), (0.1, 4), (f64::INFINITY, 6)]);
        assert_eq!(reading.count(), 6);
        assert!((reading.sum - 90.222).abs() < 1e-9, "{}", reading.sum);
    }
}
