//! A shop: a small job that stores something of every kind.
//!
//! It never changes, nor what is done to it in [`shopping`]: files that older versions wrote are of this one. What it does
//! not store yet belongs into a job beside it, with files of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::operator::{BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, OpError, OpResult, Output};
use beacon_core::state::{ListState, MapState, Registry, SharedMap, SharedValue, Ttl, Value};
use beacon_core::time::EventTime;
use beacon_core::timer_tags;
use beacon_core::topology::{Caller, Topic, Topology, TopologyBuilder};

use crate::run::{Call, Run};

pub const PARTITIONS: u32 = 2;
/// 2026-01-01T00:00:00Z.
pub const BEGIN_MS: i64 = 1_767_225_600_000;

/// `number customer item count`, at the partition of its number.
pub const ORDERS: &str = "orders";
/// `item price`, for everybody.
pub const PRICES: &str = "prices";
pub const TOLD: &str = "told";

timer_tags! {
    enum DeskTimer {
        /// On the clock.
        Idle = 1,
        /// In event time, behind a re-keyed topic.
        Closing = 2,
    }
}

timer_tags! {
    enum OrderTimer {
        /// In event time, right behind the source.
        Late = 1,
    }
}

/// What one customer bought.
struct Desk {
    spent: Value<u64>,
    items: MapState<String, u64>,
    orders: ListState<String>,
    latest: Value<String>,
    prices: SharedMap<String, u64>,
    new_price: SharedValue<String>,
    credits: Output<(String, String)>,
}

impl Desk {
    fn new(state: &mut Registry) -> Self {
        Self {
            spent: state.value("spent"),
            items: state.map("items"),
            orders: state.list("orders"),
            latest: state.expiring(Ttl::since_write(Duration::from_secs(3600))).value("latest"),
            prices: state.shared_map("prices"),
            new_price: state.shared_value("new price"),
            credits: state.output("credits"),
        }
    }

    fn sell(&self, number: &str, item: &str, count: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let item = item.to_owned();
        let price = self.prices.get(ctx, &item)?.ok_or_else(|| OpError::dead_letter("it is not for sale"))?;
        let spent = self.spent.get(ctx)?.unwrap_or(0) + price * count;
        let sold = self.items.get(ctx, &item)?.unwrap_or(0) + count;
        self.spent.set(ctx, &spent);
        self.items.insert(ctx, &item, &sold);
        self.orders.append(ctx, &number.to_owned())?;
        self.latest.set(ctx, &number.to_owned());
        ctx.set_timer(DeskTimer::Idle, ctx.processing_time() + Duration::from_secs(60))?;
        ctx.set_timer(DeskTimer::Closing, ctx.event_time() + Duration::from_secs(30))
    }

    /// All that is stored for a customer.
    fn show(&self, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let listed = |entries: Vec<(String, u64)>| {
            entries.iter().map(|(item, number)| format!("{item}={number}")).collect::<Vec<_>>().join(" ")
        };
        let text = format!(
            "{} spent {}; items: {}; orders: {}; latest: {}; prices: {}; new price: {}",
            ctx.key(),
            self.spent.get(ctx)?.unwrap_or(0),
            listed(self.items.entries(ctx)?),
            self.orders.to_vec(ctx)?.join(" "),
            self.latest.get(ctx)?.unwrap_or_default(),
            listed(self.prices.entries(ctx)?),
            self.new_price.get(ctx)?.unwrap_or_default(),
        );
        ctx.emit(text)
    }
}

impl KeyedProcess for Desk {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = DeskTimer;

    fn on_record(&self, order: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let [number, _, item, count] = words(&order)?;
        match item {
            "show" => self.show(ctx),
            "credit" => ctx.emit_to(&self.credits, (ctx.key().clone(), count.to_owned())),
            _ => self.sell(number, item, count.parse().map_err(OpError::dead_letter)?, ctx),
        }
    }

    fn on_timer(&self, timer: DeskTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let at = ctx.timer_deadline_ms().unwrap_or_default() - BEGIN_MS;
        ctx.emit(match timer {
            DeskTimer::Idle => format!("{} was idle at {at}", ctx.key()),
            DeskTimer::Closing => format!("{} was billed at {at}", ctx.key()),
        })
    }
}

impl BroadcastProcess for Desk {
    type Broadcast = String;

    fn on_broadcast(&self, change: String, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        let (item, price) = change.split_once(' ').ok_or_else(|| OpError::dead_letter("no price"))?;
        self.prices.insert(ctx, &item.to_owned(), &price.parse().map_err(OpError::dead_letter)?);
        self.new_price.set(ctx, &change);
        Ok(())
    }
}

/// Waits for the delivery of one order, which never comes.
struct Delivery {
    placed: Value<EventTime>,
}

impl KeyedProcess for Delivery {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = OrderTimer;

    fn on_record(&self, order: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let [_, _, item, _] = words(&order)?;
        if item == "show" || item == "credit" {
            return Ok(());
        }
        self.placed.set(ctx, &ctx.event_time());
        ctx.set_timer(OrderTimer::Late, ctx.event_time() + Duration::from_secs(20))
    }

    fn on_timer(&self, _: OrderTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let placed = self.placed.get(ctx)?.unwrap_or_default().as_millis() - BEGIN_MS;
        let at = ctx.timer_deadline_ms().unwrap_or_default() - BEGIN_MS;
        self.placed.clear(ctx);
        ctx.emit(format!("{} of {placed} was late at {at}", ctx.key()))
    }
}

/// Counts what the bank said.
struct Book {
    answers: Value<u64>,
}

impl KeyedProcess for Book {
    type Key = String;
    type In = String;
    type Out = String;
    type Timer = ();

    fn on_record(&self, answer: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let answers = self.answers.get(ctx)?.unwrap_or(0) + 1;
        self.answers.set(ctx, &answers);
        ctx.emit(format!("{} has credit: {answer} (answer {answers})", ctx.key()))
    }
}

fn words(order: &str) -> Result<[&str; 4], OpError> {
    let words: Vec<_> = order.split(' ').collect();
    words.try_into().map_err(|_| OpError::dead_letter("not an order"))
}

pub fn topology() -> Topology {
    let app = TopologyBuilder::new("shop");
    let caller = Caller::new(|_: Result<String, _>, _: Box<dyn FnOnce(String) + Send>| {});
    let replies = app.replies::<String, String>("credit", Arc::new(caller));
    let orders = app.source("orders", &Topic::<String>::new(ORDERS)).with_event_time(Duration::ZERO);
    let prices = app.source("prices", &Topic::<String>::new(PRICES)).broadcast("price");
    let late = orders
        .keyed("number", |order| order.split(' ').next().unwrap_or_default().to_owned())
        .process("delivery", |state| Delivery { placed: state.value("placed") });
    let desk = orders.key_by("customer", |order| order.split(' ').nth(1).unwrap_or_default().to_owned()).process_with(
        "desk",
        &prices,
        Desk::new,
    );
    let asked = desk
        .output::<(String, String)>("credits")
        .keyed("asked", |(customer, _)| customer.clone())
        .map_values("amount", |(_, amount)| amount);
    let book = replies.stream().process("book", |state| Book { answers: state.value("answers") });
    replies.ask(&asked, |amount| amount.clone().into_bytes());
    late.merge("told of orders", &desk).merge("told of all", &book).sink("told", &Topic::new(TOLD), |_| Vec::new());
    app.build().expect("a valid topology")
}

/// What is done to the job before it is kept: most of it is state in the end, some lies in topics and is not read yet. The
/// disks are a while behind the changelog, as after a crash.
pub fn shopping() -> Run {
    let mut run = Run::begin(topology(), PARTITIONS, BEGIN_MS);
    run.send(PRICES, "tea", "tea 250");
    run.send(PRICES, "rum", "rum 1900");
    run.settle();
    run.order("o-1 ann tea 2");
    run.order("o-2 ben rum 1");
    run.settle();
    run.advance(Duration::from_secs(10));
    run.order("o-3 ann credit 5000");
    run.order("o-4 ben credit 100");
    run.order("o-5 cid credit 70");
    run.settle();
    run.answer(&call_of(&run, "ann"), "yes");
    run.settle();
    run.keep_disks();
    run.advance(Duration::from_secs(5));
    run.order("o-6 cid tea 1");
    run.order("o-7 ann rum 1");
    run.settle();
    // Written, and read by nobody yet: orders by customer, a price, an answer.
    run.order("o-8 ann tea 1");
    run.order("o-9 cid rum 2");
    run.send(PRICES, "tea", "tea 300");
    run.feed();
    run.commit();
    run.answer(&call_of(&run, "cid"), "no");
    run
}

pub fn call_of(run: &Run, customer: &str) -> Call {
    let mut calls: BTreeMap<_, _> = run.open_calls().into_iter().map(|call| (call.key.clone(), call)).collect();
    calls.remove(customer.as_bytes()).unwrap_or_else(|| panic!("no call of {customer} is open"))
}
