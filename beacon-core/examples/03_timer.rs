//! Example 3: Timers: a host that is silent for a while raises an alarm; one that goes on talking does not.
//!
//! `cargo run --example 03_timer`

mod place;

use std::error::Error;
use std::time::Duration;

use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::Value;
use beacon_core::timer_tags;
use beacon_core::topology::{Topic, TopologyBuilder};
use place::Place;

timer_tags! {
    enum Deadline { Silence = 1 }
}

struct SilenceDetector {
    limit: Duration,
    beats: Value<u64>,
}

impl KeyedProcess for SilenceDetector {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = Deadline;

    fn on_record(&self, beat: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        if beat.ends_with("bye") {
            return ctx.cancel_timer(Deadline::Silence);
        }
        let beats = self.beats.get(ctx)?.unwrap_or(0) + 1;
        self.beats.set(ctx, &beats);
        // Setting moves: only the last one counts. A processing time waits for the clock, an event time for the watermark.
        ctx.set_timer(Deadline::Silence, ctx.processing_time() + self.limit)
    }

    fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let beats = self.beats.get(ctx)?.unwrap_or(0);
        ctx.emit(format!("{} is silent after {beats} beats", ctx.key()))
    }
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (heartbeats, alarms) = (Topic::<String>::new("heartbeats"), Topic::<String>::new("alarms"));
    let place = Place::with_topics(&["heartbeats", "alarms"])?;

    let app = TopologyBuilder::new("silence");
    app.source("heartbeats", &heartbeats)
        .key_by("host", |beat| beat.split(' ').next().unwrap_or_default().to_owned())
        .process("silence", |state| SilenceDetector { limit: Duration::from_millis(500), beats: state.value("beats") })
        .sink("alarms", &alarms, |alarm| alarm.clone().into_bytes());

    let running = place.start(app.build()?)?;
    for beat in ["web-1 ok", "web-1 ok", "db-1 ok", "db-1 bye", "web-2 ok"] {
        place.send(&heartbeats, "any", &beat.to_owned())?;
    }
    let mut found: Vec<_> = place.wait_for(&alarms, 2)?.into_iter().map(|(_, alarm)| alarm).collect();
    running.stop()?;
    found.sort();
    println!("{found:?}");
    assert_eq!(found, ["web-1 is silent after 2 beats", "web-2 is silent after 1 beats"]);
    Ok(())
}
