//! W5: keeps the last value of each key; a probe is answered with the number of the value it replaces.

use beacon_core::codec::{Codec, CodecError, Raw};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::{Registry, Value};
use beacon_core::topology::{Changed, Topic, TopologyBuilder};

use crate::wire::Fields;

pub fn build(app: &TopologyBuilder, input: &Topic<Update>, output: &Topic<Answer>) {
    app.source_changes("input", input)
        .keyed("key", |update| Raw(update.key.clone()))
        .process("upsert", Upsert::new)
        .sink_changes("output", output);
}

struct Upsert {
    last: Value<Update>,
}

impl Upsert {
    fn new(state: &mut Registry) -> Self {
        Self { last: state.value("last") }
    }
}

impl KeyedProcess for Upsert {
    type Key = Raw;
    type In = Changed<Update>;
    type Out = Changed<Answer>;
    type Timer = ();

    fn on_record(&self, changed: Changed<Update>, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(update) = changed.value else { return Ok(()) };
        if update.probe {
            let previous = self.last.get(ctx)?.map_or(-1, |last| last.number as i64);
            ctx.emit(Changed { key: changed.key, value: Some(Answer { number: update.number, previous }) })?;
        }
        self.last.set(ctx, &update);
        Ok(())
    }
}

/// The whole value is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    number: u64,
    probe: bool,
    bytes: Vec<u8>,
}

impl Codec for Update {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Update", bytes);
        let number = u64::from_be_bytes(fields.take()?);
        Ok(Self { number, probe: fields.byte()? == 1, bytes: bytes.to_vec() })
    }
}

/// 16 bytes; -1: there was no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    number: u64,
    previous: i64,
}

impl Codec for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.previous.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Answer", bytes);
        Ok(Self { number: u64::from_be_bytes(fields.take()?), previous: i64::from_be_bytes(fields.take()?) })
    }
}

#[cfg(test)]
mod tests {
    use beacon_core::testing::TestDriver;

    use super::*;

    fn update(number: u64, probe: bool) -> Update {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.push(u8::from(probe));
        bytes.extend_from_slice(&[b'x'; 91]);
        Update { number, probe, bytes }
    }

    #[test]
    fn a_probe_is_answered_with_what_it_replaces_also_after_a_lost_disk() {
        let (input, output) = (Topic::new("input"), Topic::new("output"));
        let app = TopologyBuilder::new("job");
        build(&app, &input, &output);
        let mut driver = TestDriver::new(app.build().expect("a sound topology"), 1);
        driver.send(&input, b"a", &update(1, true));
        driver.send(&input, b"a", &update(2, false));
        driver.crash_and_restore();
        driver.send(&input, b"a", &update(3, true));
        driver.send(&input, b"a", &update(4, true));
        let answers: Vec<_> = driver.output(&output).into_iter().map(|a| (a.number, a.previous)).collect();
        assert_eq!(answers, [(1, -1), (3, 2), (4, 3)]);
    }
}
