//! How far this gateway's own appends to a topic have come, so that its reads can wait for them.

use std::sync::{Mutex, PoisonError};

use beacon_core::log::{Offset, Position};
use beacon_core::view::{Progress, WaitError};

/// For each partition, the offset after the newest record that this gateway appended.
#[derive(Debug, Default)]
pub struct Written(Mutex<Vec<Offset>>);

impl Written {
    /// Remembers what an append answered.
    pub fn remember(&self, positions: &[Position]) {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for position in positions {
            let partition = position.partition as usize;
            if ends.len() <= partition {
                ends.resize(partition + 1, 0);
            }
            ends[partition] = ends[partition].max(position.offset + 1);
        }
    }

    /// For each partition written to: its number and the newest offset.
    fn newest(&self) -> Vec<(u32, Offset)> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (0..).zip(ends.iter()).filter_map(|(partition, end)| Some((partition, end.checked_sub(1)?))).collect()
    }

    /// Waits until all of it is reflected by `progress`; sets no time limit.
    ///
    /// # Errors
    /// [`WaitError::Ended`]: it never will be.
    pub async fn reflected_in(&self, progress: &Progress) -> Result<(), WaitError> {
        for (partition, offset) in self.newest() {
            progress.reached(partition, offset).await?;
        }
        Ok(())
    }

    /// How many offsets `progress` is behind this gateway's own writes, over all partitions.
    pub fn lag(&self, progress: &Progress) -> u64 {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter().zip(progress.positions()).map(|(end, next)| end.saturating_sub(next)).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_read_waits_for_the_newest_write_of_every_partition() {
        let written = Written::default();
        let progress = Progress::new(3);
        let at = |partition, offset| Position { partition, offset };
        written.remember(&[at(0, 4), at(2, 7), at(2, 5)]);
        written.remember(&[at(0, 3)]);
        assert_eq!(written.lag(&progress), 5 + 8);
        progress.advance(0, 5);
        let early = tokio::time::timeout(Duration::from_millis(1), written.reflected_in(&progress)).await;
        assert!(early.is_err(), "partition 2 is not there yet");
        progress.advance(2, 8);
        assert_eq!(written.reflected_in(&progress).await, Ok(()));
        assert_eq!(written.lag(&progress), 0);
    }

    #[tokio::test]
    async fn a_failed_view_is_not_waited_for() {
        let written = Written::default();
        written.remember(&[Position { partition: 0, offset: 0 }]);
        let progress = Progress::new(1);
        progress.end("broken");
        assert_eq!(written.reflected_in(&progress).await, Err(WaitError::Ended("broken".to_owned())));
    }
}
