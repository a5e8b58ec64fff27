//! W4: counts per key and passes the driver's number and due time on.

use beacon_core::codec::{Codec, CodecError, Raw};
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::{Registry, Value};
use beacon_core::topology::{Changed, Topic, TopologyBuilder};

use super::wire::Fields;

pub fn build(app: &TopologyBuilder, input: &Topic<Sent>, output: &Topic<Counted>) {
    app.source_changes("input", input)
        .keyed("key", |sent| Raw(sent.key.clone()))
        .process("count", CountPerKey::new)
        .sink_changes("output", output);
}

struct CountPerKey {
    count: Value<u64>,
}

impl CountPerKey {
    fn new(state: &mut Registry) -> Self {
        Self { count: state.value("count") }
    }
}

impl KeyedProcess for CountPerKey {
    type Key = Raw;
    type In = Changed<Sent>;
    type Out = Changed<Counted>;
    type Timer = ();

    fn on_record(&self, sent: Changed<Sent>, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let Some(value) = sent.value else { return Ok(()) };
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.emit(Changed { key: sent.key, value: Some(Counted { sent: value, count }) })
    }
}

/// Number and due time, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent([u8; 16]);

impl Codec for Sent {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Fields::of("Sent", bytes).take().map(Self)
    }
}

/// 24 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    sent: Sent,
    count: u64,
}

impl Codec for Counted {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sent.encode(out);
        out.extend_from_slice(&self.count.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut fields = Fields::of("Counted", bytes);
        Ok(Self { sent: Sent(fields.take()?), count: u64::from_be_bytes(fields.take()?) })
    }
}

#[cfg(test)]
mod tests {
    use beacon_core::testing::TestDriver;

    use super::*;

    #[test]
    fn each_key_counts_for_itself_and_goes_on_after_a_lost_disk() {
        let (input, output) = (Topic::new("input"), Topic::new("output"));
        let app = TopologyBuilder::new("job");
        build(&app, &input, &output);
        let mut driver = TestDriver::new(app.build().expect("a sound topology"), 4);
        driver.send(&input, b"a", &Sent([1; 16]));
        driver.send(&input, b"b", &Sent([2; 16]));
        driver.crash_and_restore();
        driver.send(&input, b"a", &Sent([3; 16]));
        let mut counted: Vec<_> = driver
            .changes(&output)
            .into_iter()
            .map(|(key, value)| (key, value.map(|v| (v.sent.0[0], v.count))))
            .collect();
        counted.sort();
        let row = |key: &[u8], first, count| (key.to_vec(), Some((first, count)));
        assert_eq!(counted, [row(b"a", 1, 1), row(b"a", 3, 2), row(b"b", 2, 1)]);
    }
}
