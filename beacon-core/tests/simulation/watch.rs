//! A job that only a downtime can fool: an alarm that the next record calls off.

use std::time::Duration;

use beacon_core::log::Record;
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::Value;
use beacon_core::testing::simulation::{Fault, Faults, Simulation};
use beacon_core::timer_tags;
use beacon_core::topology::{Topic, Topology, TopologyBuilder};

use super::job::{PARTITIONS, topic};

/// How long a host may be silent.
pub const MOST_SILENCE: Duration = Duration::from_secs(8);
const HOSTS: u64 = 8;
const BEATS: u64 = 6;

timer_tags! {
    enum Alarm { Silent = 1 }
}

struct Watch {
    beats: Value<u64>,
}

impl KeyedProcess for Watch {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = Alarm;

    fn on_record(&self, _: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let beats = self.beats.get(ctx)?.unwrap_or(0) + 1;
        self.beats.set(ctx, &beats);
        // The last one says goodbye.
        if beats == BEATS {
            ctx.cancel_timer(Alarm::Silent)
        } else {
            ctx.set_timer(Alarm::Silent, ctx.processing_time() + MOST_SILENCE)
        }
    }

    fn on_timer(&self, _: Alarm, ctx: &mut Ctx<'_, Self>) -> OpResult {
        ctx.emit(ctx.key().clone())
    }
}

fn topology() -> Topology {
    let app = TopologyBuilder::new("watch");
    app.source("beats", &Topic::<String>::new("beats"))
        .key_by("host", Clone::clone)
        .process("silence", |state| Watch { beats: state.value("beats") })
        .sink("alarms", &Topic::<String>::new("alarms"), |host| host.clone().into_bytes());
    app.build().expect("a valid topology")
}

/// Every host beats in time. Only the watch itself is away now and then, all of it at once, up to a minute.
pub fn watch() -> Simulation {
    let beat = |number: u64| {
        let host = format!("h{}", number % HOSTS);
        let at = Duration::from_millis(number / HOSTS * 2500 + number % HOSTS * 300);
        (at, Record::new("beats", number.to_string(), host))
    };
    Simulation::new(topology())
        .partitions(PARTITIONS)
        .topics(["beats", "alarms"].map(topic))
        .input(move |_| (0..HOSTS * BEATS).map(beat).collect())
        .quiet(MOST_SILENCE)
        .faults(Faults::only([Fault::Blackout, Fault::LostDisk]))
        .invariant("no host is ever called silent", |finished| {
            let alarms = finished.values(&Topic::<String>::new("alarms"))?;
            if alarms.is_empty() { Ok(()) } else { Err(format!("alarms for {:?}", alarms.into_values())) }
        })
}
