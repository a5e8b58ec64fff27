//! A plant, its sensors and its customers: one job with nearly every operator there is, whose outputs depend on nothing but
//! its input, whatever happens when.
//!
//! Why they do not: a sensor's readings stand in one partition, in order, and a watermark of that partition alone says which
//! of them are late. Windows behind a re-key, which all partitions feed, take only readings that never are. The rows of one
//! join stand among the records it joins, those of the other are read before these are written. The two sides of the
//! connection speak when both are complete, and so does a bill of what windows of the wall clock and a broadcast say. Lifetimes
//! are of the wall clock: only an inquiry tells what they have left, and it comes when their end has passed for certain.

#[path = "bill.rs"]
mod bill;

use std::time::Duration;

use beacon_core::codec::{Codec, CodecError, Oldest, Schema, Versioned};
use beacon_core::operator::{
    Aggregate, ConnectedProcess, Ctx, KeyedProcess, MergeAggregate, OpError, OpResult, Output,
};
use beacon_core::state::{ListState, MapState, Registry, Ttl, Value};
use beacon_core::topology::{Changed, Sessions, Stream, Topic, Topology, TopologyBuilder, Windowed, Windows};

use bill::Bill;

pub const SENSORS: u64 = 12;
const GROUPS: u64 = 5;
pub const CUSTOMERS: u64 = 8;
/// Payments of a customer.
pub const PAYMENTS: u64 = 4;
/// Tariffs that everybody is told.
pub const TARIFFS: u64 = 3;
/// From here on numbers are no readings but inquiries: what is left?
pub const ASKS: u64 = 1_000_000;
/// From here on they only say that the time is over.
pub const ENDS: u64 = 2_000_000;
/// How long the entries live that do not outlive a run.
pub const LIFETIME: Duration = Duration::from_millis(1500);
/// Readings out of order by less are not late.
const OUT_OF_ORDER: Duration = Duration::from_secs(1);

/// Event time is that of the numbers alone: 1 January 2026.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// A reading every tenth of a second, out of order by less than [`OUT_OF_ORDER`], with pauses; stragglers are late, some by
/// little and some by much.
pub fn time_ms(number: u64) -> i64 {
    let at = number as i64;
    let since = match number {
        ENDS.. => 20_000_000,
        ASKS.. => 10_000_000,
        _ if is_straggler(number) => on_time(at) - 3000 - at % 5 * 1500,
        _ => on_time(at) - at * 7919 % 900,
    };
    BEGIN_MS + since
}

fn on_time(at: i64) -> i64 {
    at * 100 + at / 45 * 5000
}

fn is_straggler(number: u64) -> bool {
    number % 13 == 5
}

fn is_poison(number: u64) -> bool {
    number % 29 == 11
}

pub fn sensor(number: u64) -> String {
    match number {
        ENDS.. => format!("end{}", number - ENDS),
        ASKS.. => format!("s{}", (number - ASKS) % SENSORS),
        _ => format!("s{}", number % SENSORS),
    }
}

fn group(reading: u64) -> String {
    format!("g{}", reading % GROUPS)
}

pub fn customer(number: u64) -> String {
    format!("c{}", number % CUSTOMERS)
}

/// What a reading says of the name of its sensor, if anything.
fn row(reading: u64) -> Option<(String, Option<u64>)> {
    (reading % 10 == 3).then(|| (sensor(reading), (reading % 40 != 33).then_some(reading)))
}

/// How many readings there are, and what they come to.
#[derive(Clone)]
pub struct Sum;

#[derive(Clone, Debug, Default)]
pub struct Sums {
    count: u64,
    sum: u64,
}

impl Codec for Sums {
    fn encode(&self, out: &mut Vec<u8>) {
        self.count.encode(out);
        self.sum.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (count, sum) = bytes.split_at_checked(8).ok_or_else(|| CodecError::new("Sums", "too short"))?;
        Ok(Self { count: u64::decode(count)?, sum: u64::decode(sum)? })
    }
}

impl Aggregate for Sum {
    type In = u64;
    type Accumulator = Sums;
    type Out = Sums;

    fn init(&self) -> Sums {
        Sums::default()
    }
    fn add(&self, sums: &mut Sums, reading: &u64) -> OpResult {
        self.merge(sums, Sums { count: 1, sum: *reading });
        Ok(())
    }
    fn result(&self, sums: &Sums) -> Sums {
        sums.clone()
    }
}

impl MergeAggregate for Sum {
    fn merge(&self, sums: &mut Sums, other: Sums) {
        sums.count += other.count;
        sums.sum += other.sum;
    }
}

/// The last reading and how many there were: a value that will change with the program.
struct Latest {
    last: u64,
    count: u64,
}

impl Codec for Latest {
    fn encode(&self, out: &mut Vec<u8>) {
        Sums { count: self.count, sum: self.last }.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let Sums { count, sum } = Sums::decode(bytes)?;
        Ok(Self { last: sum, count })
    }
}

impl Schema for Latest {
    const VERSION: u8 = 1;
    type Before = Oldest;
    fn upgrade(before: Oldest) -> Self {
        match before {}
    }
}

/// Remembers readings in a list, how often each remainder came in a map, and the last; sounds an alarm now and then.
struct Remember {
    all: ListState<u64>,
    often: MapState<u64, u64>,
    seen: Value<Versioned<Latest>>,
    alarms: Output<(String, u64)>,
}

impl Remember {
    fn new(state: &mut Registry) -> Self {
        Self {
            all: state.list("all"),
            often: state.map("often"),
            seen: state.value("seen"),
            alarms: state.output("alarms"),
        }
    }
}

impl KeyedProcess for Remember {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, reading: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.all.append(ctx, &reading)?;
        let remainder = reading % 3;
        let often = self.often.get(ctx, &remainder)?.unwrap_or(0) + 1;
        self.often.insert(ctx, &remainder, &often);
        let before = self.seen.get(ctx)?.map_or(0, |seen| seen.count);
        self.seen.set(ctx, &Versioned(Latest { last: reading, count: before + 1 }));
        if is_poison(reading) {
            // After it was written down everywhere.
            return Err(OpError::dead_letter(format!("{reading} is poison")));
        }
        if reading.is_multiple_of(7) {
            ctx.emit_to(&self.alarms, (ctx.key().clone(), reading))?;
        }
        let (all, often) = (self.all.to_vec(ctx)?, self.often.entries(ctx)?);
        let last = &all[all.len().saturating_sub(3)..];
        ctx.emit((ctx.key().clone(), format!("{last:?} of {}, {often:?}, {} before", all.len(), before)))
    }
}

/// Entries that end, beside some that do not.
struct Fading {
    list: ListState<i64>,
    value: Value<i64>,
    map: MapState<u64, i64>,
    kept: ListState<u64>,
}

impl Fading {
    fn new(state: &mut Registry) -> Self {
        let short = Ttl::since_write(LIFETIME);
        Self {
            list: state.expiring(short).list("list"),
            value: state.expiring(short).value("value"),
            map: state.expiring(short).map("map"),
            kept: state.expiring(Ttl::since_write(Duration::from_secs(24 * 60 * 60))).list("kept"),
        }
    }
}

impl KeyedProcess for Fading {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, number: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let now = ctx.processing_time().as_millis();
        let mut left = self.list.to_vec(ctx)?;
        left.extend(self.value.get(ctx)?);
        left.extend(self.map.entries(ctx)?.into_iter().map(|(_, written)| written));
        let lifetime = LIFETIME.as_millis() as i64;
        if let Some(written) = left.iter().find(|written| **written + lifetime <= now) {
            return Err(OpError::Stop(format!("an entry of {written} is there at {now}, and lives for {lifetime} ms")));
        }
        if number >= ASKS {
            let kept = self.kept.to_vec(ctx)?;
            return ctx.emit((ctx.key().clone(), format!("{} left of {kept:?}", left.len())));
        }
        self.list.append(ctx, &now)?;
        self.value.set(ctx, &now);
        self.map.insert(ctx, &(number % 3), &now);
        Ok(self.kept.append(ctx, &number)?)
    }
}

/// Waits for a customer's order and all its payments.
struct Match {
    order: Value<u64>,
    payments: ListState<u64>,
}

impl Match {
    fn new(state: &mut Registry) -> Self {
        Self { order: state.value("order"), payments: state.list("payments") }
    }

    fn settle(&self, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let (Some(order), payments) = (self.order.get(ctx)?, self.payments.to_vec(ctx)?) else { return Ok(()) };
        if payments.len() as u64 != PAYMENTS {
            return Ok(());
        }
        self.order.clear(ctx);
        self.payments.clear(ctx)?;
        ctx.emit((ctx.key().clone(), format!("order {order} is paid by {payments:?}")))
    }
}

impl KeyedProcess for Match {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, order: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.order.set(ctx, &order);
        self.settle(ctx)
    }
}

impl ConnectedProcess for Match {
    type Right = u64;

    fn on_right(&self, payment: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        self.payments.append(ctx, &payment)?;
        self.settle(ctx)
    }
}

/// Writes a line for each value, under the stream's name and the value's key.
pub fn tell<T: Clone + 'static>(
    stream: &Stream<(String, T)>,
    name: &str,
    out: &Topic<String>,
    line: impl Fn(T) -> String + Clone + Send + Sync + 'static,
) {
    let label = name.to_owned();
    stream
        .map(&format!("{name}.line"), move |(key, value)| Changed {
            key: format!("{label} {key}").into_bytes(),
            value: Some(line(value)),
        })
        .sink_changes(&format!("{name}.out"), out);
}

fn window_line(told: Windowed<Sums>) -> String {
    let [start, end] = [told.start, told.end].map(|at| at.as_millis() - BEGIN_MS);
    format!("{start}..{end} {:?} {} of {}", told.timing, told.value.sum, told.value.count)
}

/// The job, all of whose topics' names begin so.
pub fn topology(prefix: &str) -> Topology {
    let topic = |name: &str| Topic::<u64>::new(format!("{prefix}{name}"));
    let out = Topic::<String>::new(format!("{prefix}out"));
    let app = TopologyBuilder::new(format!("{prefix}plant"));
    app.dead_letters(format!("{prefix}dead"));
    let numbers = app.source("numbers", &topic("readings")).with_event_time(OUT_OF_ORDER);
    let readings = numbers.filter("readings", |number| *number < ASKS);
    let by_sensor = readings.keyed("sensor", |reading| sensor(*reading));

    let remembered = by_sensor.process("remember", Remember::new);
    tell(&remembered, "remembered", &out, |line| line);
    tell(&remembered.output::<(String, u64)>("alarms"), "alarm", &out, |reading| reading.to_string());

    let seconds = Windows::tumbling(Duration::from_secs(1)).allowed_lateness(Duration::from_millis(2500));
    let seconds = by_sensor.window("seconds", seconds, Sum);
    tell(&seconds.to_stream(), "second", &out, window_line);
    tell(&seconds.output::<(String, u64)>("late"), "late", &out, |reading| reading.to_string());

    let rows = readings.flat_map("rows", row).keyed("row", |(sensor, _)| sensor.clone());
    let rows = rows.map_values("row.value", |(_, value)| value).to_table();
    let named = by_sensor.join("name", &rows, |reading, row| format!("{reading} of {row}"));
    tell(&named.to_stream(), "named", &out, |line| line);
    tell(&named.output::<(String, u64)>("unmatched"), "unmatched", &out, |reading| reading.to_string());

    let again = readings.key_by("again", |reading| sensor(*reading));
    tell(&again.reduce("total", |a, b| a + b).to_stream(), "total", &out, |total| total.to_string());
    tell(&again.aggregate("sums", Sum).to_stream(), "sums", &out, |sums| format!("{sums:?}"));

    let grouped = readings.filter("in time", |reading| !is_straggler(*reading)).key_by("group", |r| group(*r));
    let sliding = Windows::sliding(Duration::from_secs(2), Duration::from_secs(1));
    tell(&grouped.window("sliding", sliding, Sum).to_stream(), "slid", &out, window_line);
    let bursts = Sessions::with_gap(Duration::from_millis(1300));
    tell(&grouped.session_window("bursts", bursts, Sum).to_stream(), "burst", &out, window_line);

    let fading = numbers.filter("fading", |number| *number < ENDS && (*number >= ASKS || number.is_multiple_of(5)));
    tell(&fading.keyed("fade", |n| sensor(*n)).process("fades", Fading::new), "left", &out, |line| line);

    let titles = app.table::<String, u64>("titles", &topic("titles"));
    let asks = numbers.filter("asks", |number| (ASKS..ENDS).contains(number)).keyed("ask", |ask| sensor(*ask));
    let titled = asks.left_join("title", &titles, |ask, title| format!("{} is {title:?}", ask - ASKS));
    tell(&titled.to_stream(), "titled", &out, |line| line);

    let orders = app.source("orders", &topic("orders")).keyed("buyer", |order| customer(*order));
    let payments = app.source("payments", &topic("payments")).keyed("payer", |payment| customer(*payment));
    tell(&orders.connect("match", &payments, Match::new), "matched", &out, |line| line);

    let tariffs = app.source("tariffs", &topic("tariffs")).broadcast("all-tariffs");
    let paid = payments.window("paid", Windows::tumbling(Duration::from_secs(1)).on_processing_time(), Sum);
    let bills = paid.process_with("bill", &tariffs, Bill::new);
    tell(&bills, "billed", &out, |line| line);
    app.build().expect("a valid topology")
}
