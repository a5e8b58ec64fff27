//! What happened in a run: a hash of all of it, and the last of it as text.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

use super::Fault;

/// Events kept for the report of a failing seed.
const KEPT: usize = 80;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) at: Duration,
    /// `None`: outside of all processes.
    pub(super) process: Option<usize>,
    pub(super) what: &'static str,
    pub(super) detail: u64,
}

/// The course of one run.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    hash: u64,
    events: u64,
    last: VecDeque<Event>,
    faults: Vec<(Event, Fault)>,
    /// What the seed has chosen for the whole run, to be told with its end.
    chosen: &'static str,
    pub(super) counts: BTreeMap<Fault, u64>,
}

impl Trace {
    /// Nothing has happened yet.
    pub(super) fn new(chosen: &'static str) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            events: 0,
            last: VecDeque::new(),
            faults: Vec::new(),
            chosen,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn note(&mut self, event: Event) {
        self.events += 1;
        self.mix(&(event.at.as_micros() as u64).to_le_bytes());
        self.mix(&[event.process.map_or(255, |process| process as u8)]);
        self.mix(event.what.as_bytes());
        self.mix(&event.detail.to_le_bytes());
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }

    pub(super) fn fault(&mut self, event: Event, fault: Fault) {
        self.note(event);
        *self.counts.entry(fault).or_default() += 1;
        self.faults.push((event, fault));
    }

    /// FNV-1a, 64 bits: enough to tell two runs apart, and the same everywhere.
    pub(super) fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// The faults of the run and its last events, a line each.
    pub(super) fn report(&self) -> String {
        let mut text = String::new();
        let lines = |text: &mut String, event: &Event| {
            let who = event.process.map_or("-".to_owned(), |process| process.to_string());
            // Writing to a string does not fail.
            let _ = write!(text, "  {:>10.3} s  process {who}  {}", event.at.as_secs_f64(), event.what);
            if event.detail != 0 {
                let _ = write!(text, " ({})", event.detail);
            }
        };
        let skipped = self.faults.len().saturating_sub(KEPT);
        let _ = writeln!(text, "{}", self.chosen);
        let _ = writeln!(text, "faults ({}, the last {} of them):", self.faults.len(), self.faults.len() - skipped);
        for (event, fault) in &self.faults[skipped..] {
            lines(&mut text, event);
            let _ = writeln!(text, "  [{fault}]");
        }
        let _ = writeln!(text, "last events of {}:", self.events);
        for event in &self.last {
            lines(&mut text, event);
            text.push('\n');
        }
        text
    }
}
