//! Operators made of operators: named outputs, connected streams, folds, joins — what they say, what they refuse, and
//! that a crash changes none of it.

use beacon_core::codec::Codec;
use beacon_core::operator::{Aggregate, ConnectedProcess, Count, Ctx, KeyedProcess, OpError, OpResult, Output};
use beacon_core::state::{ListState, Registry, Value};
use beacon_core::testing::TestDriver;
use beacon_core::topology::{Stream, Topic, Topology, TopologyBuilder};

fn texts(name: &str) -> Topic<String> {
    Topic::new(name.to_owned())
}

fn built(build: impl FnOnce(&TopologyBuilder)) -> Topology {
    let app = TopologyBuilder::new("app");
    app.dead_letters("dead");
    build(&app);
    app.build().expect("a valid topology")
}

fn sink(stream: &Stream<String>, name: &str) {
    stream.sink(name, &texts(name), |text| text.clone().into_bytes());
}

/// `key:number` records of a topic, by key.
fn numbers(app: &TopologyBuilder, topic: &str) -> beacon_core::topology::KeyedStream<String, u64> {
    app.source(topic, &texts(topic))
        .try_flat_map(&format!("{topic} parsed"), |text: String| {
            let (key, number) = text.split_once(':').ok_or_else(|| OpError::dead_letter("no colon"))?;
            Ok(Some((key.to_owned(), number.parse::<u64>().map_err(OpError::dead_letter)?)))
        })
        .keyed(&format!("{topic} keyed"), |(key, _)| key.clone())
        .map_values(&format!("{topic} numbers"), |(_, number)| number)
}

fn send(driver: &mut TestDriver, topic: &str, texts_of_keys: &[&str]) {
    for text in texts_of_keys {
        let key = text.split(':').next().unwrap_or_default();
        driver.send(&texts(topic), key.as_bytes(), &(*text).to_owned());
    }
}

/// Passes small numbers on and sends the others elsewhere.
struct Sorter {
    seen: Value<u64>,
    large: Output<u64>,
    alarms: Output<String>,
}

impl KeyedProcess for Sorter {
    type Key = String;
    type In = u64;
    type Out = String;
    type Timer = ();

    fn on_record(&self, number: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let seen = self.seen.get(ctx)?.unwrap_or(0) + 1;
        self.seen.set(ctx, &seen);
        if number >= 100 {
            ctx.emit_to(&self.large, number)?;
            ctx.emit_to(&self.alarms, format!("{} has {number}", ctx.key()))?;
        }
        if number >= 1000 {
            return Err(OpError::dead_letter("far too large"));
        }
        ctx.emit(format!("{}#{seen}={number}", ctx.key()))
    }
}

impl Sorter {
    fn new(state: &mut Registry) -> Self {
        Self { seen: state.value("seen"), large: state.output("large"), alarms: state.output("alarms") }
    }
}

#[test]
fn named_outputs_are_streams_of_their_own_and_taken_back_with_the_step() {
    let mut driver = TestDriver::new(
        built(|app| {
            let sorted = numbers(app, "in").process("sort", Sorter::new);
            sink(&sorted, "small");
            sink(&sorted.output::<u64>("large").map("large text", |number| number.to_string()), "large");
            sink(&sorted.output("alarms"), "alarms");
        }),
        1,
    );
    send(&mut driver, "in", &["a:1", "a:100", "a:5000", "b:200"]);
    assert_eq!(driver.output(&texts("small")), ["a#1=1", "a#2=100", "b#1=200"]);
    assert_eq!(driver.output(&texts("large")), ["100", "200"]);
    assert_eq!(driver.output(&texts("alarms")), ["a has 100", "b has 200"]);
    assert_eq!(driver.records("dead").len(), 1);
}

#[test]
fn an_output_that_nobody_takes_is_dropped() {
    let mut driver = TestDriver::new(built(|app| sink(&numbers(app, "in").process("sort", Sorter::new), "small")), 1);
    send(&mut driver, "in", &["a:100"]);
    assert_eq!(driver.output(&texts("small")), ["a#1=100"]);
}

#[test]
fn outputs_that_an_operator_does_not_have_are_mistakes() {
    let app = TopologyBuilder::new("wrong");
    let sorted = numbers(&app, "in").process("sort", Sorter::new);
    sorted.output::<String>("larg");
    sorted.output::<String>("large");
    sorted.map("plain", |text| text).output::<String>("alarms");
    let mistakes = app.build().err().expect("three mistakes").mistakes;
    assert_eq!(mistakes[0], "`sort` has no output `larg` to take; not taken are: `alarms`, `large`");
    assert_eq!(mistakes[1], "output `large` of `sort` is taken as alloc::string::String, which it does not hold");
    assert_eq!(mistakes[2], "`plain` has no output `alarms` to take; not taken are: none");
}

/// Keeps payments until the order is there, and says when both are.
struct Match {
    order: Value<u64>,
    payments: ListState<u64>,
}

impl Match {
    fn settle(&self, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let (Some(order), payments) = (self.order.get(ctx)?, self.payments.to_vec(ctx)?) else { return Ok(()) };
        if payments.iter().sum::<u64>() < order {
            return Ok(());
        }
        self.order.clear(ctx);
        self.payments.clear(ctx)?;
        ctx.emit(format!("{} paid {payments:?}", ctx.key()))
    }
}

impl KeyedProcess for Match {
    type Key = String;
    type In = u64;
    type Out = String;
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
        if payment == 0 {
            return Err(OpError::dead_letter("a payment of nothing"));
        }
        self.settle(ctx)
    }
}

fn matching() -> Topology {
    built(|app| {
        let payments = numbers(app, "payments");
        let matched = numbers(app, "orders").connect("match", &payments, |state| Match {
            order: state.value("order"),
            payments: state.list("payments"),
        });
        sink(&matched, "out");
    })
}

#[test]
fn both_inputs_of_a_connection_see_the_state_of_their_key() {
    let mut driver = TestDriver::new(matching(), 4);
    send(&mut driver, "payments", &["a:5", "b:7"]);
    send(&mut driver, "orders", &["a:10", "c:3"]);
    driver.crash_and_restore();
    assert!(driver.output(&texts("out")).is_empty());
    send(&mut driver, "payments", &["a:0", "a:6", "c:3"]);
    driver.crash_and_restore();
    let mut out = driver.output(&texts("out"));
    out.sort();
    assert_eq!(out, ["a paid [5, 6]", "c paid [3]"]);
}

#[test]
fn a_dead_letter_names_the_operator_the_place_and_the_reason() {
    let mut driver = TestDriver::new(matching(), 1);
    send(&mut driver, "payments", &["a:5", "a:0", "nonsense"]);
    driver.send_bytes(&"orders".into(), b"a", Some(vec![0xff]));
    let letters: Vec<Vec<(String, String)>> = driver
        .records("dead")
        .into_iter()
        .map(|record| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            record.headers.into_iter().map(|(name, value)| (name, text(value))).take(3).collect()
        })
        .collect();
    let letter = |reason: &str, source: &str, operator: &str| {
        [("beacon.error", reason), ("beacon.source", source), ("beacon.operator", operator)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    };
    assert_eq!(
        letters,
        [
            letter("a payment of nothing", "payments/0@1", "match"),
            letter("no colon", "payments/0@2", "payments parsed"),
            letter("not a String: invalid utf-8 sequence of 1 bytes from index 0", "orders/0@0", "orders"),
        ]
    );
}

#[test]
fn an_error_that_stops_the_job_names_the_operator_and_the_record() {
    let app = TopologyBuilder::new("app");
    sink(&numbers(&app, "in").process("sort", Sorter::new), "small");
    let mut driver = TestDriver::new(app.build().expect("valid"), 1);
    let stopped =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| send(&mut driver, "in", &["a:1", "a:2000"])));
    let error = *stopped.expect_err("there is no topic for dead letters").downcast::<String>().expect("text");
    assert!(error.starts_with("in/0@1, operator `sort`: far too large"), "{error}");
}

/// The mean, of a sum and a count.
#[derive(Clone)]
struct Mean;

struct Sum {
    sum: u64,
    count: u64,
}

impl Codec for Sum {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sum.encode(out);
        self.count.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, beacon_core::codec::CodecError> {
        let (sum, count) = bytes.split_at(bytes.len().min(8));
        Ok(Self { sum: u64::decode(sum)?, count: u64::decode(count)? })
    }
}

impl Aggregate for Mean {
    type In = u64;
    type Accumulator = Sum;
    type Out = u64;

    fn init(&self) -> Sum {
        Sum { sum: 0, count: 0 }
    }
    fn add(&self, total: &mut Sum, value: &u64) -> OpResult {
        if *value == 13 {
            return Err(OpError::dead_letter("thirteen"));
        }
        total.sum += value;
        total.count += 1;
        Ok(())
    }
    fn result(&self, total: &Sum) -> u64 {
        total.sum / total.count
    }
}

#[test]
fn folds_say_what_each_record_came_to_and_go_on_after_a_crash() {
    let mut driver = TestDriver::new(
        built(|app| {
            let numbers = numbers(app, "in");
            numbers.reduce("largest", u64::max).sink("largest out", &Topic::new("largest"));
            numbers.aggregate("mean", Mean).sink("mean out", &Topic::new("mean"));
            numbers.aggregate("count", Count::new()).sink("count out", &Topic::new("count"));
        }),
        1,
    );
    send(&mut driver, "in", &["a:4", "a:2"]);
    driver.crash_and_restore();
    send(&mut driver, "in", &["a:13", "a:6", "b:1"]);
    assert_eq!(driver.output(&Topic::<u64>::new("largest")), [4, 4, 6, 1], "the refused thirteen is in no fold");
    assert_eq!(driver.output(&Topic::<u64>::new("mean")), [4, 3, 4, 1]);
    assert_eq!(driver.output(&Topic::<u64>::new("count")), [1, 2, 3, 1]);
    assert_eq!(driver.records("dead").len(), 1);
}

fn joins() -> Topology {
    built(|app| {
        let names = app.table::<String, String>("names", &texts("names"));
        let numbers = numbers(app, "in");
        let joined = numbers.join("inner", &names, |number, name| format!("{name} {number}"));
        sink(
            &joined.output::<(String, u64)>("unmatched").map("who", |(key, number)| format!("{key} {number}")),
            "none",
        );
        joined.sink("inner out", &texts("inner"));
        let named = |number, name: Option<String>| format!("{} {number}", name.unwrap_or_else(|| "?".into()));
        numbers.left_join("left", &names, named).sink("left out", &texts("left"));
    })
}

#[test]
fn records_meet_the_row_their_task_has_read() {
    let mut driver = TestDriver::new(joins(), 1);
    send(&mut driver, "in", &["a:1"]);
    driver.send(&texts("names"), b"a", &"Ada".to_owned());
    assert!(driver.output(&texts("inner")).is_empty(), "a row that comes late joins nothing again");
    send(&mut driver, "in", &["a:2", "b:3"]);
    driver.crash_and_restore();
    driver.send(&texts("names"), b"a", &"Ada L.".to_owned());
    send(&mut driver, "in", &["a:4"]);
    driver.send_tombstone(&texts("names"), b"a");
    send(&mut driver, "in", &["a:5"]);
    assert_eq!(driver.output(&texts("inner")), ["Ada 2", "Ada L. 4"]);
    assert_eq!(driver.output(&texts("none")), ["a 1", "b 3", "a 5"]);
    assert_eq!(driver.output(&texts("left")), ["? 1", "Ada 2", "? 3", "Ada L. 4", "? 5"]);
}

#[test]
fn a_table_must_be_partitioned_like_the_application() {
    let topology = joins();
    let names = topology.sources().iter().find(|source| &*source.topic == "names").expect("read");
    assert!(names.copartitioned, "the runtime checks it at start");
}

#[test]
fn what_a_join_says_is_the_same_with_crashes() {
    let run = |crash: bool| {
        let mut driver = TestDriver::new(joins(), 4);
        for number in 0..120u64 {
            let key = format!("k{}", number % 7);
            if crash && number % 5 == 2 {
                driver.hold_commits();
            }
            match number % 3 {
                0 => driver.send(&texts("names"), key.as_bytes(), &format!("N{number}")),
                1 if number % 11 == 1 => driver.send_tombstone(&texts("names"), key.as_bytes()),
                _ => send(&mut driver, "in", &[&format!("{key}:{number}")]),
            }
            if crash && number % 2 == 0 {
                driver.crash_and_restore();
            }
        }
        driver.commit();
        let mut out = [driver.output(&texts("inner")), driver.output(&texts("none")), driver.output(&texts("left"))];
        out.iter_mut().for_each(|lines| lines.sort());
        (out, driver.dump().expect("memory"))
    };
    assert!(run(false) == run(true), "outputs or state differ");
}
