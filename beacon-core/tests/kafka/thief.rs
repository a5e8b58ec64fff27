//! An answer that never comes: somebody else asks for what a member is given, so that the broker takes it for told.
//!
//! The two requests are written here byte by byte (Kafka protocol guide: `ConsumerGroupHeartbeat` 68, version 0, and
//! `ConsumerGroupDescribe` 69, version 0), because no client lets its caller do this.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::GroupProtocol;
use beacon_core::log::{Event, Session, TopicPartition};

use super::support::*;

struct Thief {
    broker: TcpStream,
    group: String,
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

    /// Id and epoch of the group's members, oldest epochs and all.
    fn members(&mut self) -> Vec<(String, i32)> {
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
            members.push((id, answer.number()));
            let (_client, _host) = (answer.text(), answer.text());
            for _ in 0..answer.varint().saturating_sub(1) {
                answer.text();
            }
            let _regex = answer.text();
            // What it has, and what it is to have.
            for _ in 0..2 {
                for _ in 0..answer.varint().saturating_sub(1) {
                    answer.skip(16);
                    let _topic = answer.text();
                    let partitions = answer.varint().saturating_sub(1);
                    answer.skip(4 * partitions + 1);
                }
                answer.skip(1);
            }
            answer.skip(1);
        }
        members
    }

    /// A heartbeat in a member's name that says nothing new; whether its answer has partitions that the member was to hear
    /// of.
    fn steal(&mut self, (id, epoch): &(String, i32)) -> bool {
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

/// What a frozen broker, or a network that drops one answer, does to a member under KIP-848.
#[test]
fn a_member_that_never_heard_of_its_partitions_gets_them_after_all() {
    let log = log_speaking(GroupProtocol::Consumer);
    let topic = make_topic(&*log, "stolen", 4);
    let group = unique("group");
    let address = servers().split(',').next().expect("a broker").to_owned();
    let mut thief = Thief { broker: TcpStream::connect(address).expect("connected"), group: group.clone() };
    thief.broker.set_nodelay(true).expect("set");
    let (mut first, mut second) = (open(&*log, &group, &[&topic]), open(&*log, &group, &[&topic]));
    let (mut of_first, mut of_second) = (BTreeSet::new(), BTreeSet::new());
    let deadline = Instant::now() + PATIENCE;
    while (of_first.len(), of_second.len()) != (2, 2) {
        follow(&mut *first, &mut of_first);
        follow(&mut *second, &mut of_second);
        assert!(Instant::now() < deadline, "{of_first:?} {of_second:?}");
    }
    // What the first had is the second's, which its next heartbeat would be told.
    first.close().expect("closed");
    while thief.members().len() > 1 {
        assert!(Instant::now() < deadline, "a member that has left is still there");
    }
    let victim = thief.members().remove(0);
    while !thief.steal(&victim) {
        assert!(Instant::now() < deadline, "{victim:?} is told nothing");
    }
    // It asks twice whether it lacks something before it believes that.
    let deadline = Instant::now() + 3 * PATIENCE;
    while of_second.len() < 4 {
        follow(&mut *second, &mut of_second);
        assert!(Instant::now() < deadline, "{of_second:?}");
    }
}

/// Polls once, and keeps the account of what a member has.
fn follow(session: &mut dyn Session, owned: &mut BTreeSet<TopicPartition>) {
    match session.poll(Duration::from_millis(10)).expect("polled") {
        Event::Assigned(partitions) => owned.extend(partitions.into_iter().map(|(partition, _)| partition)),
        Event::Revoked(partitions) | Event::Lost(partitions) => {
            owned.retain(|partition| !partitions.contains(partition));
        }
        _ => {}
    }
}
