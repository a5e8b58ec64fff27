//! State written by an older program, and by a newer one.

use std::error::Error;

use beacon_core::codec::{Codec, CodecError, Oldest, Schema, Versioned};
use beacon_core::log::Record;
use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::runtime::{App, AppConfig};
use beacon_core::state::{ListState, MapState, Registry, Ttl, Value};
use beacon_core::testing::TestDriver;
use beacon_core::tools;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};

use super::rig::{Rig, wait_running};
use crate::support::counting::by_word;
use crate::support::{Seen, read_all, state_by_changelog, state_on_disk, timeless, topic, wait_until};

const PARTITIONS: u32 = 4;
const CUSTOMERS: u64 = 9;

/// What the first program keeps of an account: how many payments there were.
#[derive(Clone, Debug)]
struct AccountV1 {
    payments: u64,
}

/// What the second one keeps: and what they were worth, since it runs.
#[derive(Clone, Debug)]
struct Account {
    payments: u64,
    cents: u64,
}

impl Codec for AccountV1 {
    fn encode(&self, out: &mut Vec<u8>) {
        self.payments.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Ok(Self { payments: u64::decode(bytes)? })
    }
}

impl Codec for Account {
    fn encode(&self, out: &mut Vec<u8>) {
        self.payments.encode(out);
        self.cents.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (payments, cents) = bytes.split_at_checked(8).ok_or_else(|| CodecError::new("Account", "too short"))?;
        Ok(Self { payments: u64::decode(payments)?, cents: u64::decode(cents)? })
    }
}

impl Schema for AccountV1 {
    const VERSION: u8 = 1;
    type Before = Oldest;
    fn upgrade(before: Oldest) -> Self {
        match before {}
    }
}

impl Schema for Account {
    const VERSION: u8 = 2;
    type Before = AccountV1;
    fn upgrade(before: AccountV1) -> Self {
        Self { payments: before.payments, cents: 0 }
    }
}

/// What both programs do with their accounts.
trait Booked: Schema + std::fmt::Debug + 'static {
    fn opened() -> Self;
    fn book(&mut self, cents: u64);
}

impl Booked for AccountV1 {
    fn opened() -> Self {
        Self { payments: 0 }
    }
    fn book(&mut self, _: u64) {
        self.payments += 1;
    }
}

impl Booked for Account {
    fn opened() -> Self {
        Self { payments: 0, cents: 0 }
    }
    fn book(&mut self, cents: u64) {
        self.payments += 1;
        self.cents += cents;
    }
}

/// Keeps accounts in states of each kind.
struct Ledger<A> {
    total: Value<Versioned<A>>,
    by_kind: MapState<u64, Versioned<A>>,
    history: ListState<Versioned<A>>,
    lately: Value<Versioned<A>>,
}

impl<A: Booked> Ledger<A> {
    fn new(state: &mut Registry) -> Self {
        Self {
            total: state.value("total"),
            by_kind: state.map("by kind"),
            history: state.list("history"),
            lately: state.expiring(Ttl::since_write(std::time::Duration::from_secs(24 * 60 * 60))).value("lately"),
        }
    }
}

impl<A: Booked> KeyedProcess for Ledger<A> {
    type Key = String;
    type In = u64;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, cents: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let booked = |account: Option<Versioned<A>>| {
            let mut account = account.unwrap_or_else(|| Versioned(A::opened()));
            account.book(cents);
            account
        };
        let kind = cents % 3;
        // What it does before it meets another version is taken back with the rest.
        ctx.emit((ctx.key().clone(), format!("payment of {cents}")))?;
        let total = booked(self.total.get(ctx)?);
        let of_kind = booked(self.by_kind.get(ctx, &kind)?);
        let lately = booked(self.lately.get(ctx)?);
        self.total.set(ctx, &total);
        self.by_kind.insert(ctx, &kind, &of_kind);
        self.lately.set(ctx, &lately);
        self.history.append(ctx, &booked(None))?;
        let kinds = self.by_kind.entries(ctx)?;
        let history = self.history.to_vec(ctx)?;
        ctx.emit((ctx.key().clone(), format!("{total:?} {kinds:?} {lately:?} {history:?}")))
    }
}

fn customer(cents: u64) -> String {
    format!("c{}", cents % CUSTOMERS)
}

/// The program whose accounts are `A`.
fn program<A: Booked>() -> Topology {
    let app = TopologyBuilder::new("bank");
    app.dead_letters("dead");
    app.source("payments", &Topic::<u64>::new("payments"))
        .keyed("customer", |cents| customer(*cents))
        .process("ledger", Ledger::<A>::new)
        .map("line", |(customer, line)| Changed { key: customer.into_bytes(), value: Some(line) })
        .sink_changes("out", &Topic::<String>::new("out"));
    app.build().expect("a valid topology")
}

/// A bank whose program changes.
struct Bank(Rig);

impl Bank {
    fn config(&self) -> AppConfig {
        let mut config = AppConfig::new(PARTITIONS);
        config.commit_interval = std::time::Duration::from_millis(10);
        config.topics = ["payments", "out", "dead"].map(|name| topic(name, PARTITIONS)).into();
        self.0.on_disk(config)
    }

    fn start<A: Booked>(&self) -> App {
        self.0.start(program::<A>(), self.config())
    }

    fn pay(&self, cents: std::ops::Range<u64>) {
        let records = cents.map(|cents| Record::new("payments", customer(cents), cents.to_be_bytes())).collect();
        self.0.log.appender().expect("an appender").append_blocking(records).expect("appended");
    }

    /// Runs a program over some payments. Returns how many records of the changelog it had to read.
    fn run<A: Booked>(&self, cents: std::ops::Range<u64>) -> u64 {
        let app = self.start::<A>();
        wait_running(&app, u64::from(PARTITIONS));
        self.pay(cents);
        self.finish::<A>(app)
    }

    fn finish<A: Booked>(&self, app: App) -> u64 {
        let topology = program::<A>();
        wait_until("everything is read", || {
            let lag = tools::lag(self.0.log.as_ref(), &topology).expect("lag");
            !lag.is_empty() && lag.iter().all(|lag| lag.stable_lag() == 0)
        });
        let restored = app.stats().restored_records;
        app.stop().expect("stopped");
        restored
    }

    /// Outputs and state are those of a driver that was upgraded after the first `older` of `all` payments.
    fn check(&self, older: u64, all: u64) {
        let mut driver = TestDriver::new(program::<AccountV1>(), PARTITIONS);
        for cents in 0..all {
            if cents == older {
                driver.upgrade(program::<Account>());
            }
            driver.send(&Topic::<u64>::new("payments"), customer(cents).as_bytes(), &cents);
        }
        let log = self.0.log.as_ref();
        let expected = by_word(driver.records("out").into_iter().map(Seen::from).collect());
        assert_eq!(by_word(read_all(log, "out")), expected);
        assert_eq!(read_all(log, "dead"), [], "what another version wrote makes nobody's record wrong");
        let timeless = |state: Vec<Vec<(Vec<u8>, Vec<u8>)>>| state.into_iter().map(timeless).collect::<Vec<_>>();
        let state = timeless(driver.dump().expect("memory"));
        assert!(timeless(state_by_changelog(log, "bank", PARTITIONS)) == state, "the logged state differs");
        assert!(timeless(state_on_disk(&self.0.state("0"), "bank", PARTITIONS)) == state, "the state on disk differs");
    }

    fn lose_the_disk(&self) {
        std::fs::remove_dir_all(self.0.state("0")).expect("it is there");
    }
}

#[test]
fn state_on_disk_of_an_older_program_is_read_and_upgraded() {
    let bank = Bank(Rig::new());
    bank.run::<AccountV1>(0..200);
    assert_eq!(bank.run::<Account>(200..300), 0, "it is read from the disk");
    bank.check(200, 300);
}

#[test]
fn a_changelog_of_an_older_program_is_read_and_upgraded() {
    let bank = Bank(Rig::new());
    bank.run::<AccountV1>(0..200);
    bank.lose_the_disk();
    assert!(bank.run::<Account>(200..300) > 0, "it is read from the changelog");
    // What nobody touched since is still in the older form, and is so once more.
    bank.lose_the_disk();
    bank.run::<Account>(300..301);
    bank.check(200, 301);
}

#[test]
fn an_older_program_refuses_state_of_a_newer_one_by_name_and_leaves_it_as_it_is() {
    for lost in [false, true] {
        let bank = Bank(Rig::new());
        bank.run::<AccountV1>(0..50);
        bank.run::<Account>(50..100);
        if lost {
            bank.lose_the_disk();
        }
        let app = bank.start::<AccountV1>();
        bank.pay(100..120);
        let error = app.wait().expect_err("it cannot read what the newer one wrote");
        let text = error.to_string();
        for part in [
            "application `bank`, task ",
            "state `ledger/total`",
            "AccountV1",
            "stored as version 2 by a newer program",
            "this one knows versions 1 to 1",
            "start the newer program again",
        ] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        assert!(error.source().is_some());
        // The newer one goes on where it was.
        let app = bank.start::<Account>();
        bank.finish::<Account>(app);
        bank.check(50, 120);
    }
}
