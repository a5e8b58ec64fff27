//! Keyed state as an operator sees it: lists, scans of maps, lifetimes — against plain models, through crashes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use beacon_core::operator::{Ctx, KeyedProcess, OpError, OpResult};
use beacon_core::state::layout::{EXPIRING, KEYED};
use beacon_core::state::{ListState, MapState, Registry, Ttl, Value};
use beacon_core::testing::TestDriver;
use beacon_core::topology::{Changed, Topic, Topology, TopologyBuilder};
use proptest::prelude::*;

/// Does what its records say, and says what it sees.
struct Interpreter {
    value: Value<String>,
    list: ListState<String>,
    map: MapState<u64, String>,
    names: MapState<String, u64>,
}

impl Interpreter {
    fn with(state: &mut Registry, ttl: Option<Ttl>) -> Self {
        match ttl {
            None => Self {
                value: state.value("value"),
                list: state.list("list"),
                map: state.map("map"),
                names: state.map("names"),
            },
            Some(ttl) => Self {
                value: state.expiring(ttl).value("value"),
                list: state.expiring(ttl).list("list"),
                map: state.expiring(ttl).map("map"),
                names: state.expiring(ttl).map("names"),
            },
        }
    }
}

impl KeyedProcess for Interpreter {
    type Key = String;
    type In = String;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, line: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let number = |at: usize| words[at].parse::<u64>().map_err(OpError::dead_letter);
        let said = match words[0] {
            "set" => {
                self.value.set(ctx, &words[1].to_owned());
                String::new()
            }
            "get" => self.value.get(ctx)?.unwrap_or_default(),
            "append" => {
                self.list.append(ctx, &words[1].to_owned())?;
                String::new()
            }
            "list" => self.list.to_vec(ctx)?.join(","),
            "take" => {
                let taken: Result<Vec<_>, _> = self.list.iter(ctx).take(number(1)? as usize).collect();
                taken?.join(",")
            }
            "forget" => {
                self.list.clear(ctx)?;
                self.map.clear(ctx)?;
                self.value.clear(ctx);
                String::new()
            }
            "insert" => {
                self.map.insert(ctx, &number(1)?, &words[2].to_owned());
                String::new()
            }
            "fill" => {
                let from = number(1)?;
                (from..from + 50).for_each(|number| self.map.insert(ctx, &number, &"x".to_owned()));
                String::new()
            }
            "remove" => {
                self.map.remove(ctx, &number(1)?);
                String::new()
            }
            "map" => text(self.map.entries(ctx)?),
            "range" => text(self.map.range(ctx, number(1)?..number(2)?).collect::<Result<Vec<_>, _>>()?),
            "upto" => text(self.map.range(ctx, ..=number(1)?).collect::<Result<Vec<_>, _>>()?),
            "ends" => text([self.map.first(ctx)?, self.map.last(ctx)?].into_iter().flatten().collect()),
            "before" => text(self.map.last_in(ctx, ..number(1)?)?.into_iter().collect()),
            "name" => {
                self.names.insert(ctx, &words[1].to_owned(), &number(2)?);
                String::new()
            }
            "names" => {
                let found = self.names.prefix(ctx, words[1]).collect::<Result<Vec<_>, _>>()?;
                found.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(",")
            }
            "poison" => {
                self.list.append(ctx, &"poison".to_owned())?;
                self.value.set(ctx, &"poison".to_owned());
                return Err(OpError::dead_letter("poison"));
            }
            other => return Err(OpError::dead_letter(format!("what is {other}?"))),
        };
        ctx.emit((ctx.key().clone(), said))
    }
}

fn text(entries: Vec<(u64, String)>) -> String {
    entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn lines() -> Topic<String> {
    Topic::new("lines")
}

fn said() -> Topic<String> {
    Topic::new("said")
}

fn interpreter(ttl: Option<Ttl>) -> Topology {
    let app = TopologyBuilder::new("interpreter");
    app.dead_letters("dead");
    app.source("lines", &lines())
        .keyed("key", |line: &String| line.split(' ').next().unwrap_or_default().to_owned())
        .process("interpret", move |state| Interpreter::with(state, ttl))
        .map("said", |(key, said)| Changed { key: key.into_bytes(), value: Some(said) })
        .sink_changes("out", &said());
    app.build().expect("a valid topology")
}

struct Talk(TestDriver);

impl Talk {
    fn new(ttl: Option<Ttl>) -> Self {
        Self(TestDriver::new(interpreter(ttl), 2))
    }

    fn tell(&mut self, key: &str, line: &str) {
        self.0.send(&lines(), key.as_bytes(), &format!("{key} {line}"));
    }

    fn ask(&mut self, key: &str, line: &str) -> String {
        self.0.output(&said());
        self.tell(key, line);
        self.0.output(&said()).pop().expect("an answer")
    }

    fn advance(&mut self, seconds: u64) {
        self.0.advance(Duration::from_secs(seconds));
    }

    /// Stored entries of states, of both kinds.
    fn stored(&self) -> usize {
        let dump = self.0.dump().expect("memory");
        dump.iter().flatten().filter(|(key, _)| [KEYED, EXPIRING].contains(&key[0])).count()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Append(u8),
    Insert(u8, u8),
    Remove(u8),
    Forget,
    Poison,
    Crash,
    Hold,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => any::<u8>().prop_map(Act::Append),
        6 => (0u8..20, any::<u8>()).prop_map(|(key, value)| Act::Insert(key, value)),
        3 => (0u8..20).prop_map(Act::Remove),
        1 => Just(Act::Forget),
        1 => Just(Act::Poison),
        1 => Just(Act::Crash),
        1 => Just(Act::Hold),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is written and what is pending answer alike, before and after crashes.
    #[test]
    fn lists_and_maps_answer_like_plain_ones(acts in proptest::collection::vec((0u8..3, act()), 0..60)) {
        let mut talk = Talk::new(None);
        let mut lists: BTreeMap<u8, Vec<String>> = BTreeMap::new();
        let mut maps: BTreeMap<u8, BTreeMap<u64, String>> = BTreeMap::new();
        for (key, act) in acts {
            let (list, map) = (lists.entry(key).or_default(), maps.entry(key).or_default());
            let name = format!("k{key}");
            match act {
                Act::Append(value) => { talk.tell(&name, &format!("append {value}")); list.push(value.to_string()); }
                Act::Insert(at, value) => {
                    talk.tell(&name, &format!("insert {at} {value}"));
                    map.insert(at.into(), value.to_string());
                }
                Act::Remove(at) => { talk.tell(&name, &format!("remove {at}")); map.remove(&at.into()); }
                Act::Forget => { talk.tell(&name, "forget"); list.clear(); map.clear(); }
                Act::Poison => talk.tell(&name, "poison"),
                Act::Crash => talk.0.crash_and_restore(),
                // The next answer commits; a crash before it reads all of it again.
                Act::Hold => { talk.0.hold_commits(); continue; }
            }
            talk.0.commit();
            let plain = |entries: Vec<(&u64, &String)>| text(entries.into_iter().map(|(k, v)| (*k, v.clone())).collect());
            prop_assert_eq!(talk.ask(&name, "list"), list.join(","));
            prop_assert_eq!(talk.ask(&name, "take 3"), list[..list.len().min(3)].join(","));
            prop_assert_eq!(talk.ask(&name, "map"), plain(map.iter().collect()));
            prop_assert_eq!(talk.ask(&name, "range 5 12"), plain(map.range(5..12).collect()));
            prop_assert_eq!(talk.ask(&name, "upto 12"), plain(map.range(..=12).collect()));
            let ends = [map.first_key_value(), map.last_key_value()].into_iter().flatten().collect();
            prop_assert_eq!(talk.ask(&name, "ends"), plain(ends));
            prop_assert_eq!(talk.ask(&name, "before 9"), plain(map.range(..9).next_back().into_iter().collect()));
        }
    }
}

#[test]
fn entries_are_found_by_the_beginning_of_their_keys() {
    let mut talk = Talk::new(None);
    for name in ["web-1", "web-2", "we", "wf", "db"] {
        talk.tell("a", &format!("name {name} 1"));
    }
    talk.tell("b", "name web-3 1");
    assert_eq!(talk.ask("a", "names web"), "web-1,web-2");
    talk.0.crash_and_restore();
    assert_eq!(talk.ask("a", "names we"), "we,web-1,web-2");
}

#[test]
fn an_append_writes_one_element_and_the_length() {
    let mut talk = Talk::new(None);
    for number in 0..1000 {
        talk.tell("a", &format!("append {number}"));
    }
    talk.0.records("interpreter-changelog");
    talk.tell("a", "append last");
    let logged: usize =
        talk.0.records("interpreter-changelog").iter().map(|r| r.value.as_ref().map_or(0, Vec::len)).sum();
    assert!(logged < 100, "{logged} bytes for one more element");
}

#[test]
fn entries_are_gone_at_their_end_and_not_before() {
    let mut talk = Talk::new(Some(Ttl::since_write(Duration::from_secs(60))));
    talk.tell("a", "set x");
    talk.tell("a", "append x");
    talk.tell("a", "insert 1 x");
    talk.advance(59);
    talk.tell("a", "append y");
    talk.tell("a", "insert 2 y");
    talk.0.crash_and_restore();
    let answers =
        |talk: &mut Talk| [talk.ask("a", "get"), talk.ask("a", "list"), talk.ask("a", "map"), talk.ask("a", "ends")];
    assert_eq!(answers(&mut talk), ["x", "x,y", "1=x,2=y", "1=x,2=y"]);
    talk.advance(1);
    assert_eq!(answers(&mut talk), ["", "y", "2=y", "2=y,2=y"]);
    talk.advance(58);
    assert_eq!(talk.ask("a", "list"), "y", "reading does not prolong");
    talk.0.down_for(Duration::from_secs(1));
    assert_eq!(answers(&mut talk), ["", "", "", ""]);
    talk.tell("a", "append z");
    assert_eq!(talk.ask("a", "list"), "z", "a list begins anew");
}

#[test]
fn a_list_that_got_a_shorter_lifetime_overwrites_nothing() {
    let mut talk = Talk::new(Some(Ttl::since_write(Duration::from_secs(3600))));
    talk.tell("a", "append 1");
    talk.tell("a", "append 2");
    talk.0.upgrade(interpreter(Some(Ttl::since_write(Duration::from_secs(60)))));
    talk.tell("a", "append 3");
    talk.advance(60);
    assert_eq!(talk.ask("a", "list"), "1,2", "the youngest ends first");
    talk.tell("a", "append 4");
    assert_eq!(talk.ask("a", "list"), "1,2,4");
}

#[test]
fn the_sweep_keeps_up_with_steps_that_write_much() {
    let mut talk = Talk::new(Some(Ttl::since_write(Duration::from_secs(1))));
    for round in 0..50 {
        talk.tell("a", &format!("fill {}", round * 50));
        talk.advance(2);
    }
    let left = talk.stored();
    assert!(left <= 100, "{left} entries are left of what ended long ago");
}

#[test]
fn entries_in_use_live_on() {
    let mut talk = Talk::new(Some(Ttl::since_use(Duration::from_secs(60))));
    talk.tell("a", "set x");
    talk.tell("a", "append 1");
    talk.tell("a", "append 2");
    talk.tell("a", "insert 1 x");
    talk.tell("a", "insert 2 x");
    for _ in 0..5 {
        talk.advance(59);
        assert_eq!(talk.ask("a", "get"), "x");
        assert_eq!(talk.ask("a", "take 1"), "1");
        assert_eq!(talk.ask("a", "upto 1"), "1=x");
        talk.0.crash_and_restore();
    }
    assert_eq!(talk.ask("a", "map"), "1=x", "what was not read is over");
    talk.tell("a", "append 3");
    assert_eq!(talk.ask("a", "list"), "1,3", "numbers went on, so nothing was overwritten");
}

#[test]
fn what_is_over_is_swept_a_little_with_each_step() {
    let mut talk = Talk::new(Some(Ttl::since_write(Duration::from_secs(60))));
    for number in 0..500 {
        talk.tell("a", &format!("insert {number} x"));
        talk.tell("b", &format!("insert {number} x"));
    }
    assert_eq!(talk.stored(), 1000);
    talk.advance(64);
    talk.tell("a", "get");
    let left = talk.stored();
    assert!((980..1000).contains(&left), "one step sweeps a little: {left} left");
    talk.0.crash_and_restore();
    for _ in 0..40 {
        talk.tell("a", "get");
        talk.tell("b", "get");
    }
    assert_eq!(talk.stored(), 0, "also what only the changelog told of");
}

#[test]
fn a_refused_record_prolongs_nothing_and_removes_nothing() {
    let mut talk = Talk::new(Some(Ttl::since_use(Duration::from_secs(60))));
    talk.tell("a", "set x");
    let before = talk.0.dump().expect("memory");
    talk.advance(30);
    talk.tell("a", "poison");
    assert_eq!(talk.0.dump().expect("memory"), before);
    talk.advance(30);
    assert_eq!(talk.ask("a", "get"), "");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A queue of elements with their ends says what a list with lifetimes holds; crashes change nothing, sweeps neither.
    #[test]
    fn lists_with_lifetimes_answer_like_queues(
        acts in proptest::collection::vec((any::<bool>(), 0u64..50, any::<bool>()), 0..60), by_use: bool,
    ) {
        let lifetime = Duration::from_secs(60);
        let mut talk = Talk::new(Some(if by_use { Ttl::since_use(lifetime) } else { Ttl::since_write(lifetime) }));
        let mut model: VecDeque<(u64, u64)> = VecDeque::new();
        let mut now = 0;
        for (number, (append, wait, crash)) in (0..).zip(acts) {
            talk.advance(wait);
            now += wait;
            model.retain(|(_, end)| *end > now);
            if append {
                talk.tell("a", &format!("append {number}"));
                model.push_back((number, now + 60));
            }
            if crash {
                talk.0.crash_and_restore();
            }
            let expected: Vec<_> = model.iter().map(|(number, _)| number.to_string()).collect();
            prop_assert_eq!(talk.ask("a", "list"), expected.join(","));
            if by_use {
                model.iter_mut().for_each(|(_, end)| *end = now + 60);
            }
        }
        // Steps that touch none of it sweep it away, however often reads have moved its end.
        talk.advance(64);
        (0..200).for_each(|_| talk.tell("a", "get"));
        prop_assert_eq!(talk.stored(), 0);
    }
}
