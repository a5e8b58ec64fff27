//! A job that only somebody else's commit can fool: clocks that strike by themselves, so that what is committed is timers'
//! work and moves no offset.
//!
//! All clocks strike on the same beat. So a thread has much to send in one turn, and where one stands still it has most
//! often sent something of it and not yet all. Transactions outlive sessions: who comes back late has not lost its
//! transaction, and nothing but the group stands between its commit and the work that another member has done meanwhile.

use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::Membership;
use beacon_core::state::Value;
use beacon_core::testing::simulation::{Faults, Simulation};
use beacon_core::time::ProcessingTime;
use beacon_core::timer_tags;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::job::{PARTITIONS, topic};

const CLOCKS: u64 = 12;
/// How often each strikes.
const STRIKES: u64 = 30;
const BEAT: Duration = Duration::from_millis(400);

timer_tags! {
    enum Hand { Strike = 1 }
}

struct Clock {
    strikes: Value<u64>,
}

fn next_beat(now: ProcessingTime) -> ProcessingTime {
    let beat = BEAT.as_millis() as i64;
    ProcessingTime::from_millis((now.as_millis() / beat + 1) * beat)
}

impl KeyedProcess for Clock {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = Hand;

    fn on_record(&self, _: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.set_timer(Hand::Strike, next_beat(ctx.processing_time()))
    }

    fn on_timer(&self, _: Hand, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let strikes = self.strikes.get(ctx)?.unwrap_or(0) + 1;
        self.strikes.set(ctx, &strikes);
        if strikes < STRIKES {
            ctx.set_timer(Hand::Strike, next_beat(ctx.processing_time()))?;
        }
        ctx.emit((ctx.key().clone(), format!("strike {strikes}")))
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("tower");
    app.source("clocks", &Topic::<String>::new("clocks"))
        .keyed("clock", Clone::clone)
        .process("strike", |state| Clock { strikes: state.value("strikes") })
        .map("line", |(clock, line)| Changed { key: clock.into_bytes(), value: Some(line) })
        .sink_changes("out", &Topic::<String>::new("strikes"));
    app.build().expect("a valid topology")
}

/// Clocks that are wound up once and strike for a while, under these faults, on four processes.
pub fn clocks(faults: Faults) -> Simulation {
    let wind_up = |number: u64| {
        let clock = format!("c{number}");
        (Duration::from_millis(100 + number), Record::new("clocks", clock.clone(), clock))
    };
    Simulation::new(topology())
        .partitions(PARTITIONS)
        .processes(4)
        .topics(["clocks", "strikes"].map(topic))
        .input(move |_| (0..CLOCKS).map(wind_up).collect())
        .faults_after_input(BEAT * STRIKES as u32)
        .quiet(BEAT * 4)
        .configure(|config| {
            config.session_timeout = Duration::from_secs(2);
            config.transaction_timeout = Duration::from_secs(10);
        })
        .faults(faults)
}

/// The same with work at hand most of the time, in processes that leave when they are asked to and are not waited for.
pub fn lazy(faults: Faults) -> Simulation {
    clocks(faults).configure(|config| {
        config.membership = Membership::Dynamic;
        config.commit_when_idle = false;
        config.commit_interval = Duration::from_secs(1);
    })
}
