//! The job that simulation runs: it counts visits through a re-key, follows prices by a broadcast, ticks by timers, and
//! asks the world outside at the end of each word.
//!
//! Its outputs and state do not depend on when things happen, so any run must end as a calm one does.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::{CleanupPolicy, Record, TopicSpec};
use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpResult};
use beacon_core::state::{Registry, SharedValue, Value};
use beacon_core::testing::simulation::{Faults, SimulatedCaller, Simulation};
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

/// Tasks of the application.
pub const PARTITIONS: u32 = 4;
/// Visits of each word.
pub const TIMES: u64 = 6;
/// Ticks after the last visit.
pub const TICKS: u64 = 3;
const WORDS: u64 = 10;
const PRICES: u64 = 4;

timer_tags! {
    enum Clock { Tick = 1 }
}

/// What comes to a word.
#[derive(Clone)]
enum Turn {
    Visit,
    Answer(String),
}

struct Counter {
    visits: Value<u64>,
    ticks: Value<u64>,
    answers: Value<u64>,
    prices: SharedValue<u64>,
}

impl Counter {
    fn new(state: &mut Registry) -> Self {
        Self {
            visits: state.value("visits"),
            ticks: state.value("ticks"),
            answers: state.value("answers"),
            prices: state.shared_value("prices"),
        }
    }
}

impl KeyedProcess for Counter {
    type Key = String;
    type In = Turn;
    type Out = (String, String);
    type Timer = Clock;

    fn on_record(&self, turn: Turn, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let word = ctx.key().clone();
        match turn {
            Turn::Visit => {
                let visits = self.visits.get(ctx)?.unwrap_or(0) + 1;
                self.visits.set(ctx, &visits);
                if visits == TIMES {
                    ctx.set_timer(Clock::Tick, ctx.processing_time() + Duration::from_millis(40))?;
                }
                ctx.emit((word, format!("visit {visits}")))
            }
            Turn::Answer(answer) => {
                let answers = self.answers.get(ctx)?.unwrap_or(0) + 1;
                self.answers.set(ctx, &answers);
                ctx.emit((word, format!("answer {answers}: {answer}")))
            }
        }
    }

    fn on_timer(&self, _: Clock, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let ticks = self.ticks.get(ctx)?.unwrap_or(0) + 1;
        self.ticks.set(ctx, &ticks);
        if ticks < TICKS {
            ctx.set_timer(Clock::Tick, ctx.processing_time() + Duration::from_millis(900))?;
        }
        ctx.emit((ctx.key().clone(), format!("tick {ticks}")))
    }
}

impl BroadcastProcess for Counter {
    type Broadcast = u64;

    fn on_broadcast(&self, price: u64, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        let sum = self.prices.get(ctx)?.unwrap_or(0) + price;
        self.prices.set(ctx, &sum);
        Ok(())
    }
}

pub fn topology() -> Topology {
    let app = TopologyBuilder::new("shop");
    let caller = SimulatedCaller::new(|question: String| format!("yes to {question}"));
    let replies = app.replies::<String, String>("ask", Arc::new(caller));
    let answers = replies.stream().map_values("answers", Turn::Answer);
    let prices = app.source("prices", &Topic::<u64>::new("prices")).broadcast("all-prices");
    let lines = app
        .source("visits", &Topic::<String>::new("visits"))
        .key_by("word", Clone::clone)
        .map_values("turns", |_| Turn::Visit)
        .merge("all turns", &answers)
        .process_with("count", &prices, Counter::new);
    let questions = lines
        .filter("last tick", |(_, line)| *line == format!("tick {TICKS}"))
        .keyed("asker", |(word, _)| word.clone())
        .map_values("question", |(word, _)| word);
    replies.ask(&questions, |word| word.clone().into_bytes());
    lines
        .map("line", |(word, line)| Changed { key: word.into_bytes(), value: Some(line) })
        .sink_changes("out", &Topic::<String>::new("lines"));
    app.build().expect("a valid topology")
}

pub fn topic(name: &str) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions: PARTITIONS, cleanup: CleanupPolicy::Delete { retention: None } }
}

/// Visits and prices over some ten seconds.
pub fn input() -> Vec<(Duration, Record)> {
    let visit = |number: u64| {
        let word = format!("w{}", number % WORDS);
        (Duration::from_millis(number * 150), Record::new("visits", number.to_string(), word))
    };
    let price = |number: u64| {
        (Duration::from_millis(500 + number * 2000), Record::new("prices", "price", (number + 1).to_be_bytes()))
    };
    (0..WORDS * TIMES).map(visit).chain((0..PRICES).map(price)).collect()
}

/// The same where sessions end soon, and what was read is trimmed away at once: who comes back late finds nothing where it
/// stood.
pub fn hurried(faults: Faults) -> Simulation {
    shop(faults).configure(|config| {
        config.session_timeout = Duration::from_secs(2);
        config.trim_interval = Duration::from_millis(300);
    })
}

/// The job under these faults, on three processes.
pub fn shop(faults: Faults) -> Simulation {
    Simulation::new(topology())
        .partitions(PARTITIONS)
        .topics(["visits", "prices", "lines"].map(topic))
        .input(|_| input())
        .quiet(Duration::from_millis(1500))
        .faults(faults)
}
