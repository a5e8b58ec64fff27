//! Restores of state, shown while they last: a bar in a terminal, a line every ten seconds in a log.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use beacon_core::runtime::{RestorePhase, RestoreProgress, time_left};
use indicatif::{HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use crate::screen::bars;

/// Where nobody looks at a terminal, a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows how far one application's restores are.
pub(crate) struct Restoring {
    bars: MultiProgress,
    application: String,
    course: Option<Course>,
}

/// Restores under way at the same time, shown as one.
struct Course {
    said: Instant,
    bar: ProgressBar,
}

/// Files in bytes, changelogs in offsets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    tasks: u64,
    bytes: (u64, u64),
    records: (u64, u64),
}

impl Sum {
    fn of(restores: &[RestoreProgress]) -> Self {
        let mut sum = Self { tasks: restores.len() as u64, ..Self::default() };
        for restore in restores {
            let part = match restore.phase {
                RestorePhase::Files => &mut sum.bytes,
                RestorePhase::Changelog => &mut sum.records,
            };
            part.0 += restore.done;
            part.1 += restore.total;
        }
        sum
    }

    /// Done of a thousand, both kinds taken together by what they are in bytes.
    fn permille(&self) -> u64 {
        let each = |phase: RestorePhase| u128::from(phase.bytes_each());
        let weight = |index: fn((u64, u64)) -> u64| {
            each(RestorePhase::Files) * u128::from(index(self.bytes))
                + each(RestorePhase::Changelog) * u128::from(index(self.records))
        };
        let (done, total) = (weight(|part| part.0), weight(|part| part.1));
        u64::try_from((1000 * done).checked_div(total).unwrap_or(0)).unwrap_or(1000).min(1000)
    }

    fn text(&self) -> String {
        let mut text = format!("{} task{}", self.tasks, if self.tasks == 1 { "" } else { "s" });
        // Writing to a string cannot fail.
        if self.bytes.1 > 0 {
            let _ = write!(text, ", files {} of {}", HumanBytes(self.bytes.0), HumanBytes(self.bytes.1));
        }
        if self.records.1 > 0 {
            let _ = write!(text, ", changelog {} of {}", HumanCount(self.records.0), HumanCount(self.records.1));
        }
        text
    }
}

/// How long it will take at the pace so far, in words.
fn left_in_words(restores: &[RestoreProgress]) -> String {
    time_left(restores).map_or_else(|| "not known yet".to_owned(), |left| HumanDuration(left).to_string())
}

impl Restoring {
    /// Among the bars of this process.
    pub(crate) fn new(application: &str) -> Self {
        Self::among(bars(), application)
    }

    fn among(bars: &MultiProgress, application: &str) -> Self {
        Self { bars: bars.clone(), application: application.to_owned(), course: None }
    }

    /// Shows this reading, to be called a few times a second.
    pub(crate) fn show(&mut self, restores: &[RestoreProgress]) {
        let sum = Sum::of(restores);
        if sum.tasks == 0 {
            if let Some(course) = self.course.take() {
                course.bar.finish_and_clear();
            }
            return;
        }
        let (bars, application) = (&self.bars, &self.application);
        let course = self.course.get_or_insert_with(|| Course::begin(bars, application));
        let permille = sum.permille();
        course.bar.set_position(permille);
        let left = left_in_words(restores);
        course.bar.set_message(format!("time left: {left}, {}", sum.text()));
        if course.said.elapsed() >= LINE_EVERY {
            course.said = Instant::now();
            if course.bar.is_hidden() {
                tracing::info!(application, percent = permille / 10, left, "restoring: {}", sum.text());
            }
        }
    }
}

impl Course {
    fn begin(bars: &MultiProgress, application: &str) -> Self {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {percent:>3} %, {msg}")
            .expect("the template is fixed, and right");
        let bar = bars.add(ProgressBar::new(1000)).with_style(style).with_prefix(format!("restoring {application}"));
        Self { said: Instant::now(), bar }
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if let Some(course) = self.course.take() {
            course.bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests;
