//! Times of single operations, and their percentiles.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Collects times; three significant digits, from a microsecond to a minute.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

/// Percentiles, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50: f64,
    /// 99 of 100 were not longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

impl Times {
    /// None yet.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds and digits are in range"))
    }

    /// Adds one; longer than a minute counts as a minute.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// What was added by somebody else.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// What came of it.
    pub fn percentiles(&self) -> Percentiles {
        let at = |share| self.0.value_at_quantile(share) as f64 / 1e3;
        Percentiles { count: self.0.len(), p50: at(0.5), p99: at(0.99), max: self.0.max() as f64 / 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut times = Times::new();
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        let found = times.percentiles();
        assert_eq!(found.count, 100);
        assert!((found.p50 - 50.0).abs() < 0.1 && (found.p99 - 99.0).abs() < 0.1, "{found:?}");
    }
}
