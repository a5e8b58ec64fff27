//! What an application keeps besides counts: lists, maps, lifetimes, and windows and sessions of event time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use beacon_core::log::{Record, partition};
use beacon_core::operator::{Count, Ctx, KeyedProcess, OpResult};
use beacon_core::state::{ListState, MapState, Registry, Ttl, Value};
use beacon_core::topology::{Sessions, Topic, TopologyBuilder, Windowed, Windows};

use super::plant::job::tell;
use super::scaling::{self, Scaling};

pub const PER_PHASE: u64 = 160;
const PAGES: u64 = 24;
const SITES: u64 = 7;
/// From here on a number says that the time of a phase is over.
const ENDS: u64 = 1_000_000;
/// More partitions than any phase has; a key for each of them is one for each of fewer.
const MOST: u32 = 8;

/// Event time is that of the clicks alone: 1 January 2026.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// Four clicks in a row, and then it is another page's turn.
fn page(number: u64) -> String {
    if number < ENDS { format!("p{}", number / 4 * 5 % PAGES) } else { format!("end{}", number % ENDS) }
}

/// Its clicks are on pages of several partitions.
fn site(click: &u64) -> String {
    format!("s{}", click % SITES)
}

struct Remember {
    clicks: ListState<u64>,
    by_third: MapState<u64, u64>,
    lately: ListState<u64>,
    last: Value<u64>,
}

impl Remember {
    fn new(state: &mut Registry) -> Self {
        let day = Ttl::since_write(Duration::from_secs(24 * 60 * 60));
        Self {
            clicks: state.list("clicks"),
            by_third: state.map("by third"),
            lately: state.expiring(day).list("lately"),
            last: state.expiring(day).value("last"),
        }
    }
}

impl KeyedProcess for Remember {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, click: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let last = self.last.get(ctx)?;
        self.clicks.append(ctx, &click)?;
        self.lately.append(ctx, &click)?;
        self.last.set(ctx, &click);
        let third = click % 3;
        let times = self.by_third.get(ctx, &third)?.unwrap_or(0) + 1;
        self.by_third.insert(ctx, &third, &times);
        let (clicks, lately) = (self.clicks.to_vec(ctx)?, self.lately.to_vec(ctx)?);
        let by_third = self.by_third.entries(ctx)?;
        ctx.emit((ctx.key().clone(), format!("{clicks:?} {} {by_third:?} {last:?}", lately == clicks)))
    }
}

/// Adds all that to an application; what comes of it goes to `out`.
pub fn add(app: &TopologyBuilder, clicks: &Topic<u64>, out: &Topic<String>) {
    let clicks = app.source("clicks", clicks).with_event_time(Duration::ZERO);
    let by_page = clicks.filter("real clicks", |click| *click < ENDS).keyed("page", |click| page(*click));
    tell(&by_page.process("remember", Remember::new), "remembered", out, |line| line);
    let window = Windows::sliding(Duration::from_secs(4), Duration::from_secs(2));
    tell(&by_page.window("clicks in 4 s", window, Count::new()).to_stream(), "window", out, window_line);
    let sessions = Sessions::with_gap(Duration::from_secs(1));
    tell(&by_page.session_window("visits", sessions, Count::new()).to_stream(), "visit", out, window_line);
    // The same time behind a re-key: what tasks announce to each other is divided as well.
    let by_site = clicks.filter("clicks on sites", |click| *click < ENDS).key_by("site", site);
    let of_site = by_site.window("clicks of a site", Windows::tumbling(Duration::from_secs(3)), Count::new());
    tell(&of_site.to_stream(), "site", out, window_line);
}

fn window_line(told: Windowed<u64>) -> String {
    let [start, end] = [told.start, told.end].map(|at| at.as_millis() - BEGIN_MS);
    format!("{start}..{end} {:?} {}", told.timing, told.value)
}

/// The clicks of a phase, a tenth of a second apart: some windows are open at any time. `from..to` of [`PER_PHASE`].
pub fn records(topic: &str, phase: u64, part: Range<u64>) -> Vec<Record> {
    part.map(|number| phase * PER_PHASE + number).map(|click| record(topic, click, click * 100)).collect()
}

/// The same time for all partitions, so that they are equally far however many there are. It closes some windows of the
/// phase and leaves others open.
pub fn ends(topic: &str, phase: u64) -> Vec<Record> {
    let mut places = BTreeMap::new();
    for end in (0..).map(|number| ENDS + number) {
        if places.len() == MOST as usize {
            break;
        }
        places.entry(partition::for_key(page(end).as_bytes(), MOST)).or_insert(end);
    }
    let at = (phase + 1) * PER_PHASE * 100;
    places.into_values().map(|end| record(topic, end, at)).collect()
}

fn record(topic: &str, click: u64, at_ms: u64) -> Record {
    let mut record = Record::new(topic, page(click), click.to_be_bytes());
    record.timestamp_ms = Some(BEGIN_MS + at_ms as i64);
    record
}

impl Scaling {
    /// Writes a part of a phase: the words and clicks that are so many hundredths of it.
    pub fn write_part(&self, phase: u64, hundredths: Range<u64>) {
        let part = |of: u64| of * hundredths.start / 100..of * hundredths.end / 100;
        self.write("words", part(scaling::PER_PHASE).map(|number| scaling::word(phase * scaling::PER_PHASE + number)));
        self.click(phase, part(PER_PHASE));
    }

    pub fn click(&self, phase: u64, part: Range<u64>) {
        let name = self.name("clicks");
        let is_last = part.end == PER_PHASE;
        self.append(records(&name, phase, part));
        if is_last {
            self.append(ends(&name, phase));
        }
    }
}
