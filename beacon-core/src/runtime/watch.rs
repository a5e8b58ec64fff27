//! Watching an application from outside of its threads: its metrics, with the lag that only the log can tell.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::StoreMemory;
use super::app::{AppStatus, Shared};
use super::progress::{RestorePhase, RestoreProgress, time_left};
use crate::log::{Isolation, Log, LogError, Offset, TopicPartition};
use crate::metrics::{Sample, catalogue};

/// A handle to what one application in this process measures. Outlives the application; its numbers then stand still.
#[derive(Clone)]
pub struct AppWatch {
    pub(super) application: String,
    pub(super) instance: String,
    pub(super) threads: u32,
    pub(super) shared: Arc<Shared>,
    pub(super) memory: StoreMemory,
    pub(super) has_checkpoints: bool,
}

impl AppWatch {
    /// How far the application is. A stop that was asked for counts as done.
    pub fn status(&self) -> AppStatus {
        if self.shared.stop.load(Ordering::Acquire) {
            AppStatus::Stopped
        } else if self.shared.joined.load(Ordering::Acquire) >= self.threads {
            AppStatus::Running
        } else {
            AppStatus::Starting
        }
    }

    /// The application's name.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// How far the restores under way are, by task.
    pub fn restores(&self) -> Vec<RestoreProgress> {
        self.shared.restores.read()
    }

    /// What the engine counts itself; never blocks.
    pub fn samples(&self) -> Vec<Sample> {
        let labels = self.labels();
        let mut samples = self.shared.stats.samples(&labels);
        if self.has_checkpoints {
            samples.extend(self.shared.stats.checkpoint_samples(&labels));
        }
        let restores = self.restores();
        let left = |phase| {
            let restores = restores.iter().filter(|restore| restore.phase == phase);
            restores.map(RestoreProgress::left).sum::<u64>() as f64
        };
        samples.extend([
            Sample::number(&catalogue::RESTORE_REMAINING_RECORDS, labels.clone(), left(RestorePhase::Changelog)),
            Sample::number(&catalogue::RESTORE_REMAINING_BYTES, labels.clone(), left(RestorePhase::Files)),
        ]);
        samples.extend(
            time_left(&restores)
                .map(|left| Sample::number(&catalogue::RESTORE_REMAINING_SECONDS, labels.clone(), left.as_secs_f64())),
        );
        samples.extend(self.memory.samples(&labels));
        samples
    }

    /// How far each input partition of this process is behind. Asks the log twice for each of them, so it blocks for
    /// that many round trips: not to be called from where something waits.
    ///
    /// # Errors
    /// Those of the log; what was asked before it failed is not told.
    pub fn lag(&self, log: &dyn Log) -> Result<Vec<Sample>, LogError> {
        let mut samples = Vec::new();
        for (partition, committed) in self.shared.stats.inputs() {
            let stable = log.offsets(&partition, Isolation::Committed)?.end;
            let end = log.offsets(&partition, Isolation::Uncommitted)?.end;
            samples.extend(self.lag_of(&partition, committed, stable, end.max(stable)));
        }
        Ok(samples)
    }

    fn lag_of(&self, partition: &TopicPartition, committed: Offset, stable: Offset, end: Offset) -> [Sample; 5] {
        let mut labels = self.labels();
        labels.push(("topic", partition.topic.to_string()));
        labels.push(("partition", partition.partition.to_string()));
        [
            (&catalogue::COMMITTED_OFFSET, committed),
            (&catalogue::HIGH_OFFSET, end),
            (&catalogue::STABLE_OFFSET, stable),
            (&catalogue::LAG, end.saturating_sub(committed)),
            (&catalogue::STABLE_LAG, stable.saturating_sub(committed)),
        ]
        .map(|(metric, value)| Sample::number(metric, labels.clone(), value as f64))
    }

    fn labels(&self) -> Vec<(&'static str, String)> {
        vec![("application", self.application.clone()), ("instance", self.instance.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SampleValue;

    fn watch() -> AppWatch {
        AppWatch {
            application: "a".into(),
            instance: "0".into(),
            threads: 1,
            shared: Arc::default(),
            memory: StoreMemory::of_this_process(),
            has_checkpoints: false,
        }
    }

    #[test]
    fn nothing_to_restore_is_zero_and_not_less() {
        let left = |sample: &Sample| sample.metric == &catalogue::RESTORE_REMAINING_BYTES;
        let samples = watch().samples();
        let sample = samples.iter().find(|sample| left(sample)).expect("always told");
        assert!(matches!(sample.value, SampleValue::Number(number) if number.is_sign_positive()), "{sample:?}");
    }

    #[test]
    fn lag_is_told_to_the_end_and_to_the_stable_end() {
        let watch = watch();
        let values: Vec<_> = watch
            .lag_of(&TopicPartition::new("t", 3), 10, 12, 20)
            .into_iter()
            .map(|sample| (sample.metric.name, sample.value))
            .collect();
        assert!(values.contains(&("beacon_records_lag", SampleValue::Number(10.0))), "{values:?}");
        assert!(values.contains(&("beacon_records_lag_stable", SampleValue::Number(2.0))), "{values:?}");
    }
}
