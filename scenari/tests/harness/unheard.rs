//! An answer that never comes: a broker takes a member for told what it has now, and the member has not heard of it.
//!
//! A member that has something is given more when another one gives it up, without a new epoch: that answer is told once. What
//! makes it certain that it is lost is a thief, who asks in the member's name and keeps the answer; then the broker stands still,
//! as it does where this happens by itself. The two requests of his are written here byte by byte (Kafka protocol guide:
//! `ConsumerGroupHeartbeat` 68, version 0, and `ConsumerGroupDescribe` 69, version 0), because no client lets its caller do
//! this.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::{GroupProtocol, KafkaConfig, KafkaLog};
use beacon_core::log::{CleanupPolicy, Event, Log, Session, SessionConfig, TopicPartition, TopicSpec};
use scenari::kafka::Kafka;

const PATIENCE: Duration = Duration::from_secs(60);
/// Shorter than the session lives, and longer than it takes a heartbeat to fail: up to half a second until it is sent, half a
/// second for the answer, and up to two until librdkafka looks for those that are late.
const FROZEN: Duration = Duration::from_secs(4);

struct Thief {
    broker: TcpStream,
    group: String,
}

/// A member as its group knows it.
struct Known {
    id: String,
    epoch: i32,
    /// Partitions that it has, without those that it is asked to give up.
    has: usize,
}

/// A string of the flexible encoding.
fn compact(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len() + 1).expect("short"));
    bytes.extend(text.as_bytes());
}

/// What is read from the front of an answer.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn skip(&mut self, count: usize) {
        self.0 = &self.0[count..];
    }

    fn number(&mut self) -> i32 {
        let (number, rest) = self.0.split_first_chunk::<4>().expect("four bytes");
        let number = i32::from_be_bytes(*number);
        self.0 = rest;
        number
    }

    fn varint(&mut self) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.0[0];
            self.skip(1);
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn text(&mut self) -> String {
        let length = self.varint().saturating_sub(1);
        let text = String::from_utf8_lossy(&self.0[..length]).into_owned();
        self.skip(length);
        text
    }
}

impl Thief {
    fn ask(&mut self, key: u16, body: &[u8]) -> Vec<u8> {
        let mut request = Vec::new();
        request.extend(key.to_be_bytes());
        request.extend(0_u16.to_be_bytes());
        request.extend(1_i32.to_be_bytes());
        request.extend(5_u16.to_be_bytes());
        request.extend(b"thief");
        request.push(0);
        request.extend(body);
        self.broker.write_all(&u32::try_from(request.len()).expect("short").to_be_bytes()).expect("written");
        self.broker.write_all(&request).expect("written");
        let mut length = [0; 4];
        self.broker.read_exact(&mut length).expect("answered");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.broker.read_exact(&mut answer).expect("answered");
        answer
    }

    fn members(&mut self) -> Vec<Known> {
        let mut body = vec![2];
        compact(&mut body, &self.group);
        body.extend([0, 0]);
        let bytes = self.ask(69, &body);
        let mut answer = Answer(&bytes);
        // Correlation id and tags, throttling; one group: error, message, id, state, two epochs, assignor.
        answer.skip(4 + 1 + 4);
        assert_eq!(answer.varint(), 2, "one group");
        answer.skip(2);
        let (_message, _id, _state) = (answer.text(), answer.text(), answer.text());
        answer.skip(8);
        let _assignor = answer.text();
        let count = answer.varint().saturating_sub(1);
        let mut members = Vec::new();
        for _ in 0..count {
            let id = answer.text();
            let (_instance, _rack) = (answer.text(), answer.text());
            let epoch = answer.number();
            let (_client, _host) = (answer.text(), answer.text());
            for _ in 0..answer.varint().saturating_sub(1) {
                answer.text();
            }
            let _regex = answer.text();
            // What it has, and what it is to have.
            let [has, _] = [(); 2].map(|()| {
                let mut count = 0;
                for _ in 0..answer.varint().saturating_sub(1) {
                    answer.skip(16);
                    let _topic = answer.text();
                    let partitions = answer.varint().saturating_sub(1);
                    answer.skip(4 * partitions + 1);
                    count += partitions;
                }
                answer.skip(1);
                count
            });
            answer.skip(1);
            members.push(Known { id, epoch, has });
        }
        members
    }

    fn member(&mut self, id: &str) -> Known {
        self.members().into_iter().find(|known| known.id == id).expect("a member")
    }

    /// A heartbeat in a member's name that says nothing new; whether its answer has partitions that the member was to hear
    /// of.
    fn steal(&mut self, Known { id, epoch, .. }: &Known) -> bool {
        let mut body = Vec::new();
        compact(&mut body, &self.group);
        compact(&mut body, id);
        body.extend(epoch.to_be_bytes());
        body.extend([0, 0]);
        body.extend((-1_i32).to_be_bytes());
        body.extend([0, 0, 0, 0]);
        let bytes = self.ask(68, &body);
        let mut answer = Answer(&bytes);
        answer.skip(4 + 1 + 4);
        let error = answer.0[..2] != [0, 0];
        answer.skip(2);
        let (_message, _id) = (answer.text(), answer.text());
        answer.skip(4 + 4);
        // An assignment or none, and then its topics.
        !error && answer.0[0] == 1 && answer.0[1] > 1
    }
}

/// A member, by what its group knows it by, and what it reads.
struct Member {
    session: Box<dyn Session>,
    id: String,
    owned: BTreeSet<TopicPartition>,
}

impl Member {
    fn join(log: &dyn Log, name: &str, thief: &mut Thief) -> Self {
        let before = thief.members();
        let mut session = log.session(SessionConfig::new("group", name, vec!["input".to_owned()])).expect("a session");
        let mut owned = BTreeSet::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            follow(&mut *session, &mut owned);
            let joined = thief.members().into_iter().find(|joined| !before.iter().any(|known| known.id == joined.id));
            if let Some(Known { id, .. }) = joined {
                return Self { session, id, owned };
            }
            assert!(Instant::now() < deadline, "{name} does not join");
        }
    }

    fn follow(&mut self) {
        follow(&mut *self.session, &mut self.owned);
    }
}

/// Polls once, and keeps the account of what a member has.
fn follow(session: &mut dyn Session, owned: &mut BTreeSet<TopicPartition>) {
    match session.poll(Duration::from_millis(5)).expect("polled") {
        Event::Assigned(partitions) => owned.extend(partitions.into_iter().map(|(partition, _)| partition)),
        Event::Revoked(partitions) | Event::Lost(partitions) => {
            owned.retain(|partition| !partitions.contains(partition));
        }
        _ => {}
    }
}

/// Two members with half of the partitions each, the one with the first ones first, and a third one that has just joined and
/// whose id is before theirs: by range the first is to have what the second has.
fn three_members(log: &dyn Log, thief: &mut Thief) -> [Member; 3] {
    let mut members = [Member::join(log, "a", thief), Member::join(log, "b", thief)];
    members.sort_by(|one, other| one.id.cmp(&other.id));
    let deadline = Instant::now() + PATIENCE;
    loop {
        while members.iter().any(|member| member.owned.len() != 2) {
            members.iter_mut().for_each(Member::follow);
            assert!(Instant::now() < deadline, "two of four each");
        }
        let third = Member::join(log, "c", thief);
        if third.id < members[0].id {
            let [first, second] = members;
            return [first, second, third];
        }
        // Ids are drawn anew each time.
        third.session.close().expect("closed");
        while thief.members().len() > 2 {
            members.iter_mut().for_each(Member::follow);
            assert!(Instant::now() < deadline, "a member that has left is still there");
        }
        members.iter_mut().for_each(Member::follow);
    }
}

/// The first gives up what it has, the second what the first is to have, and the thief is told of that; false when the first
/// was.
fn steal_what_the_first_is_to_have([first, second, third]: &mut [Member; 3], thief: &mut Thief) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let victim = loop {
        first.follow();
        third.follow();
        let members = thief.members();
        let [known, newest] = [&*first, third].map(|member| members.iter().find(|known| known.id == member.id));
        if first.owned.is_empty() && known.map(|known| known.epoch) == newest.map(|known| known.epoch) {
            break thief.member(&first.id);
        }
        assert!(Instant::now() < deadline, "{:?} is not given up", first.owned);
    };
    loop {
        if thief.steal(&victim) {
            return true;
        }
        first.follow();
        second.follow();
        if !first.owned.is_empty() {
            return false;
        }
        assert!(Instant::now() < deadline, "{} is told nothing", victim.id);
    }
}

/// A log of a broker of its own, on which nobody but the tests' members speak KIP-848, and a thief of their answers.
fn stage(kafka: &Kafka) -> (Arc<KafkaLog>, Thief) {
    let mut config = KafkaConfig::new(kafka.bootstrap());
    config.group_protocol = GroupProtocol::Consumer;
    let log = KafkaLog::connect(config).expect("the broker answers");
    let cleanup = CleanupPolicy::Delete { retention: None };
    log.create_topics(&[TopicSpec { name: "input".to_owned(), partitions: 4, cleanup }]).expect("made");
    let thief = Thief { broker: TcpStream::connect(kafka.bootstrap()).expect("connected"), group: "group".to_owned() };
    thief.broker.set_nodelay(true).expect("set");
    (log, thief)
}

/// The broker stands still for long enough that a heartbeat has no answer.
fn freeze(kafka: &Kafka) {
    kafka.pause();
    std::thread::sleep(FROZEN);
    kafka.resume();
}

#[test]
fn a_member_that_never_heard_of_its_partitions_gets_them_after_all() {
    let kafka = Kafka::own();
    let (log, mut thief) = stage(&kafka);
    let mut members = loop {
        let mut members = three_members(&*log, &mut thief);
        if steal_what_the_first_is_to_have(&mut members, &mut thief) {
            break members;
        }
        // Its own heartbeat was first.
        leave(members);
        while !thief.members().is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    freeze(&kafka);
    let (thawed, deadline) = (Instant::now(), Instant::now() + PATIENCE);
    while members.iter().map(|member| member.owned.len()).sum::<usize>() < 4 {
        members.iter_mut().for_each(Member::follow);
        let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
        assert!(Instant::now() < deadline, "{owned:?} are not all");
    }
    println!("all are read {:?} after the broker went on", thawed.elapsed());
    leave(members);
}

/// Another member joins, and the thief is told what the first one is to give up for it; `None` when the first one was.
fn steal_what_the_first_is_to_give_up(log: &dyn Log, first: &mut Member, thief: &mut Thief) -> Option<Member> {
    let mut second = Member::join(log, "b", thief);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let victim = thief.member(&first.id);
        if thief.steal(&victim) {
            return Some(second);
        }
        second.follow();
        first.follow();
        if first.owned.len() < 4 {
            second.session.close().expect("closed");
            return None;
        }
        assert!(Instant::now() < deadline, "{} is told nothing", first.id);
    }
}

#[test]
fn a_member_that_never_heard_what_it_is_to_give_up_gives_it_up_after_all() {
    let kafka = Kafka::own();
    let (log, mut thief) = stage(&kafka);
    let mut first = Member::join(&*log, "a", &mut thief);
    let deadline = Instant::now() + PATIENCE;
    let second = loop {
        while first.owned.len() < 4 {
            first.follow();
            assert!(Instant::now() < deadline, "{:?} are not all", first.owned);
        }
        if let Some(second) = steal_what_the_first_is_to_give_up(&*log, &mut first, &mut thief) {
            break second;
        }
    };
    freeze(&kafka);
    let (thawed, deadline) = (Instant::now(), Instant::now() + PATIENCE);
    let mut members = [first, second];
    while members.iter().any(|member| member.owned.len() != 2) {
        members.iter_mut().for_each(Member::follow);
        let owned: Vec<_> = members.iter().map(|member| &member.owned).collect();
        assert!(Instant::now() < deadline, "{owned:?} are not two each");
    }
    println!("two each {:?} after the broker went on", thawed.elapsed());
    assert!(members[0].owned.is_disjoint(&members[1].owned));
    leave(members);
}

/// What a member was given and has not taken yet is its own: the group must not hear from it that it has less.
#[test]
fn what_a_member_has_not_taken_yet_is_not_given_to_another() {
    let kafka = Kafka::own();
    let (log, mut thief) = stage(&kafka);
    let deadline = Instant::now() + 2 * PATIENCE;
    let mut first = Member::join(&*log, "a", &mut thief);
    let mut second = Member::join(&*log, "b", &mut thief);
    while first.owned.len() != 2 || second.owned.len() != 2 {
        [&mut first, &mut second].into_iter().for_each(Member::follow);
        assert!(Instant::now() < deadline, "two of four each");
    }
    second.session.close().expect("closed");
    while first.owned.len() != 4 {
        first.follow();
        assert!(Instant::now() < deadline, "{:?} are not all", first.owned);
    }
    // From here on it does not poll, and takes nothing of what it was just told of.
    let mut third = Member::join(&*log, "c", &mut thief);
    while thief.member(&first.id).has != 2 {
        third.follow();
        assert!(Instant::now() < deadline, "nothing is asked of the first");
    }
    freeze(&kafka);
    let thawed = Instant::now();
    // Some heartbeats of each.
    while thawed.elapsed() < Duration::from_secs(3) {
        third.follow();
        assert!(third.owned.is_empty(), "{:?} are the first's, too", third.owned);
    }
    while first.owned.len() != 2 || third.owned.len() != 2 {
        [&mut first, &mut third].into_iter().for_each(Member::follow);
        assert!(first.owned.is_disjoint(&third.owned), "{:?} and {:?}", first.owned, third.owned);
        assert!(Instant::now() < deadline, "{:?} and {:?} are not two each", first.owned, third.owned);
    }
    leave([first, third]);
}

fn leave<const COUNT: usize>(members: [Member; COUNT]) {
    for member in members {
        member.session.close().expect("closed");
    }
}
