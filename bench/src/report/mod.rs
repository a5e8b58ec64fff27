//! What was found, as measures beside their yardsticks; and as a table, a page, a picture and a file.

mod chart;
mod markdown;
mod measures;
mod table;

pub use chart::{chart, escape};
pub use markdown::{markdown, row};
pub use table::table;

use serde::Serialize;

use crate::alerts::{Intake, Notification};
use crate::commit::Commit;
use crate::machine::Machine;

/// Everything of one run of the benchmark, as it is written to `results.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where and with what.
    pub machine: Machine,
    /// The command that made this.
    pub command: String,
    /// The machine's load average at the start of each part: what else ran cannot be told from it, but that something
    /// did.
    pub load: Vec<(&'static str, f64)>,
    /// The figures that people look at.
    pub measures: Vec<Measure>,
    /// Each kind of commit.
    pub commits: Vec<Commit>,
    /// Each system under load.
    pub intakes: Vec<Intake>,
    /// Each system's way to a webhook.
    pub notifications: Vec<Notification>,
}

impl Results {
    /// Computes the measures from what was found.
    pub fn conclude(&mut self) {
        self.measures = measures::all(self);
    }
}

/// One figure of ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// Heading it stands under.
    pub section: &'static str,
    /// What is measured.
    pub what: String,
    /// What figures are in.
    pub unit: &'static str,
    /// Ours.
    pub beacon: f64,
    /// What it is compared with, from the same run.
    pub yardstick: Option<Yardstick>,
    /// How many times as good as the yardstick; 2 is twice as fast, or half as long.
    pub ratio: Option<f64>,
    /// What is wanted, and how far off we are.
    pub aim: Option<Verdict>,
}

/// What a figure is compared with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Yardstick {
    /// Who.
    pub name: &'static str,
    /// How much.
    pub value: f64,
}

/// What is wanted of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// At least so many times as good as the yardstick.
    Ratio(f64),
    /// Less than this.
    Below(f64),
}

/// An aim and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was wanted.
    pub aim: Aim,
    /// `None`: reached. Else how far off: 0.2 is a fifth short of the ratio, or a fifth over the limit.
    pub missed_by: Option<f64>,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    More,
    /// Times and sizes.
    Less,
}

impl Measure {
    /// A figure alone.
    pub fn new(section: &'static str, what: impl Into<String>, unit: &'static str, beacon: f64) -> Self {
        Self { section, what: what.into(), unit, beacon, yardstick: None, ratio: None, aim: None }
    }

    /// Puts a yardstick beside it.
    pub fn beside(mut self, name: &'static str, value: f64, better: Better) -> Self {
        let ratio = match better {
            Better::More => self.beacon / value,
            Better::Less => value / self.beacon,
        };
        self.ratio = ratio.is_finite().then_some(ratio);
        self.yardstick = Some(Yardstick { name, value });
        self
    }

    /// Judges it.
    pub fn aims(mut self, aim: Aim) -> Self {
        let missed_by = match aim {
            Aim::Ratio(wanted) => {
                self.ratio.map_or(Some(1.0), |ratio| (ratio < wanted).then_some(1.0 - ratio / wanted))
            }
            Aim::Below(limit) => (self.beacon >= limit).then_some(self.beacon / limit - 1.0),
        };
        self.aim = Some(Verdict { aim, missed_by });
        self
    }
}

/// A figure with as many digits as a person reads.
pub fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
            groups.join(",")
        }
        middle if middle >= 100.0 => format!("{value:.0}"),
        small if small >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl Verdict {
    /// `≥ 0.5x: reached`, `< 15: missed by 20 %`.
    pub fn text(&self) -> (String, String) {
        let aim = match self.aim {
            Aim::Ratio(wanted) => format!("≥ {}x", (wanted * 100.0).round() / 100.0),
            Aim::Below(limit) => format!("< {limit}"),
        };
        let outcome =
            self.missed_by.map_or("reached".to_owned(), |by| format!("missed by {:.0} %", (by * 100.0).max(1.0)));
        (aim, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_good_for_rates_and_for_times() {
        let rate = Measure::new("", "", "/s", 200.0).beside("other", 100.0, Better::More);
        let time = Measure::new("", "", "ms", 5.0).beside("other", 10.0, Better::Less);
        assert_eq!((rate.ratio, time.ratio), (Some(2.0), Some(2.0)));
    }

    #[test]
    fn a_missed_aim_says_by_how_much() {
        let half = Measure::new("", "", "/s", 40.0).beside("other", 100.0, Better::More).aims(Aim::Ratio(0.5));
        assert_eq!(half.aim.map(|verdict| verdict.text().1), Some("missed by 20 %".to_owned()));
        let slow = Measure::new("", "", "ms", 18.0).aims(Aim::Below(15.0));
        assert_eq!(slow.aim.map(|verdict| verdict.text()), Some(("< 15".to_owned(), "missed by 20 %".to_owned())));
        let near = slow.beside("other", 18.0, Better::Less).aims(Aim::Ratio(1.0 / 1.2));
        assert_eq!(near.aim.map(|verdict| verdict.text()), Some(("≥ 0.83x".to_owned(), "reached".to_owned())));
        let fast = Measure::new("", "", "ms", 14.9).aims(Aim::Below(15.0));
        assert_eq!(fast.aim.map(|verdict| verdict.text().1), Some("reached".to_owned()));
    }

    #[test]
    fn figures_have_as_many_digits_as_are_read() {
        let shown: Vec<String> = [0.123, 4.567, 45.67, 456.7, 45_678.9, 1_234_567.0].map(figure).into();
        assert_eq!(shown, ["0.12", "4.57", "45.7", "457", "45,679", "1,234,567"]);
    }
}
