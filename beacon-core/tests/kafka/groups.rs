//! Membership: rebalances, takeovers, undecided offsets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::{GroupProtocol, KafkaLog};
use beacon_core::log::{Event, Log, Session, StartFrom, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::support::*;

/// Follows a member's assignment; commits what is asked back before it is given up.
struct Member {
    session: Box<dyn Session>,
    owned: BTreeSet<TopicPartition>,
    committed_when_revoked: usize,
}

impl Member {
    fn new(session: Box<dyn Session>) -> Self {
        Self { session, owned: BTreeSet::new(), committed_when_revoked: 0 }
    }

    fn step(&mut self) {
        match self.session.poll(Duration::from_millis(20)).expect("polled") {
            Event::Assigned(partitions) => self.owned.extend(partitions.into_iter().map(|(partition, _)| partition)),
            Event::Revoked(partitions) => {
                self.session.begin().expect("begun");
                let offsets: Vec<_> = partitions.iter().map(|partition| (partition.clone(), 7)).collect();
                self.session.commit(&offsets).expect("still owned until the next poll");
                self.committed_when_revoked += offsets.len();
                self.owned.retain(|partition| !partitions.contains(partition));
            }
            Event::Lost(partitions) => panic!("nobody expired, but {partitions:?} were lost"),
            _ => {}
        }
    }
}

fn numbers(member: &Member, topic: &str) -> Vec<u32> {
    member.owned.iter().filter(|partition| &*partition.topic == topic).map(|partition| partition.partition).collect()
}

fn two_members_share(protocol: GroupProtocol) {
    let log = log_speaking(protocol);
    let (one, two) = (make_topic(&*log, "one", 4), make_topic(&*log, "two", 4));
    for partition in 0..4 {
        fill(&*log, &one, partition, &["x"; 7]);
        fill(&*log, &two, partition, &["x"; 7]);
    }
    let group = unique("group");
    let mut first = Member::new(open(&*log, &group, &[&one, &two]));
    let deadline = Instant::now() + PATIENCE;
    while first.owned.len() < 8 {
        first.step();
        assert!(Instant::now() < deadline);
    }
    let mut second = Member::new(open(&*log, &group, &[&one, &two]));
    while (first.owned.len(), second.owned.len()) != (4, 4) {
        first.step();
        second.step();
        assert!(Instant::now() < deadline, "{:?} {:?}", first.owned, second.owned);
    }
    assert!(first.owned.is_disjoint(&second.owned));
    for member in [&first, &second] {
        assert_eq!(numbers(member, &one), numbers(member, &two), "co-partitioned");
    }
    assert!(first.committed_when_revoked >= 4);
    let committed = log.committed(&group, &[&one, &two]).expect("asked");
    assert!(second.owned.iter().all(|partition| committed.contains(&(partition.clone(), 7))), "{committed:?}");

    let left = Instant::now();
    second.session.close().expect("closed");
    while first.owned.len() < 8 {
        first.step();
        assert!(Instant::now() < deadline);
    }
    println!("{protocol:?}: taken over from a member that left in {:?}", left.elapsed());
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

#[test]
fn two_members_share_partitions_and_one_takes_over_from_the_other_kip_848() {
    two_members_share(GroupProtocol::Consumer);
}

#[test]
fn two_members_share_partitions_and_one_takes_over_from_the_other_classic() {
    two_members_share(GroupProtocol::Classic);
}

#[test]
fn a_takeover_waits_for_offsets_that_are_undecided() {
    let log = log();
    let topic = make_topic(&*log, "undecided", 1);
    let group = unique("group");
    // A predecessor that has sent its offsets and not committed: plain librdkafka, since a session never stops there.
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers());
    let consumer: BaseConsumer =
        config.clone().set("group.id", &group).set("enable.auto.commit", "false").create().expect("a consumer");
    consumer.subscribe(&[&topic]).expect("subscribed");
    let deadline = Instant::now() + PATIENCE;
    while consumer.assignment().expect("asked").count() == 0 {
        let _ = consumer.poll(Duration::from_millis(50));
        assert!(Instant::now() < deadline);
    }
    let producer: BaseProducer = config.set("transactional.id", unique("transactional")).create().expect("a producer");
    producer.init_transactions(PATIENCE).expect("registered");
    producer.begin_transaction().expect("begun");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("added");
    let metadata = consumer.group_metadata().expect("a member");
    producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE).expect("sent");
    drop(consumer);

    let mut session = open(&*log, &group, &[&topic]);
    let undecided = Instant::now() + Duration::from_secs(3);
    while Instant::now() < undecided {
        let event = session.poll(Duration::from_millis(100)).expect("polled");
        assert!(matches!(event, Event::Idle), "{event:?} while the offset is undecided");
    }
    producer.commit_transaction(PATIENCE).expect("committed");
    assert_eq!(wait_assigned(&mut *session), [(TopicPartition::new(topic.as_str(), 0), 5)]);
}

#[test]
fn without_committed_offset_the_start_is_as_configured() {
    let log = log();
    let topic = make_topic(&*log, "started", 1);
    fill(&*log, &topic, 0, &["a", "b"]);
    for (start, offset) in [(StartFrom::Earliest, 0), (StartFrom::Latest, 2)] {
        let mut config = session_config(&unique("group"), &[&topic]);
        config.start = start;
        let mut session = log.session(config).expect("a session");
        assert_eq!(wait_assigned(&mut *session)[0].1, offset, "{start:?}");
    }
}

#[test]
fn joining_is_quick() {
    let log = log();
    let topic = make_topic(&*log, "joined", 4);
    for protocol in [GroupProtocol::Consumer, GroupProtocol::Classic] {
        let log = log_speaking(protocol);
        let started = Instant::now();
        let mut session = open(&*log, &unique("group"), &[&topic]);
        let opened = started.elapsed();
        wait_assigned(&mut *session);
        println!("{protocol:?}: session in {opened:?}, assigned after {:?}", started.elapsed());
    }
}

/// Closes it elsewhere: a close that hangs must fail the test, not hang it.
pub fn close_in_time(session: Box<dyn Session>, when: &str) {
    let (told, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || told.send(session.close()));
    let result = closed.recv_timeout(PATIENCE);
    assert!(matches!(result, Ok(Ok(()))), "{when}: {result:?}");
}

/// Polls until an event of this kind was told, and no further: nothing of it is answered yet.
fn until_told(member: &mut dyn Session, other: &mut Option<Member>, wanted: impl Fn(&Event) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&member.poll(Duration::from_millis(20)).expect("polled")) {
        other.iter_mut().for_each(Member::step);
        assert!(Instant::now() < deadline);
    }
}

fn a_member_leaves_in_the_middle_of_a_rebalance(protocol: GroupProtocol) {
    let log = log_speaking(protocol);
    let topic = make_topic(&*log, "left", 4);
    let group = unique("group");
    let mut first = open(&*log, &group, &[&topic]);
    until_told(first.as_mut(), &mut None, |event| matches!(event, Event::Assigned(_)));
    close_in_time(first, "just given partitions");

    let mut first = open(&*log, &group, &[&topic]);
    until_told(first.as_mut(), &mut None, |event| matches!(event, Event::Assigned(_)));
    let mut second = Some(Member::new(open(&*log, &group, &[&topic])));
    until_told(first.as_mut(), &mut second, |event| matches!(event, Event::Revoked(_)));
    close_in_time(first, "just asked for partitions");
    let mut second = second.expect("set above");
    let deadline = Instant::now() + PATIENCE;
    while second.owned.len() < 4 {
        second.step();
        assert!(Instant::now() < deadline, "{:?}", second.owned);
    }
}

#[test]
fn a_member_leaves_in_the_middle_of_a_rebalance_kip_848() {
    a_member_leaves_in_the_middle_of_a_rebalance(GroupProtocol::Consumer);
}

#[test]
fn a_member_leaves_in_the_middle_of_a_rebalance_classic() {
    a_member_leaves_in_the_middle_of_a_rebalance(GroupProtocol::Classic);
}

/// Who does not poll is lost after as short a time as brokers allow.
pub fn log_of_the_impatient(protocol: GroupProtocol) -> Arc<KafkaLog> {
    let mut config = config();
    config.group_protocol = protocol;
    config.extra.insert("max.poll.interval.ms".into(), "6000".into());
    KafkaLog::connect(config).expect("connected")
}

pub fn wait_until_empty(log: &dyn Log, group: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !log.members(group).expect("asked").is_empty() {
        assert!(Instant::now() < deadline, "still a member");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One that has lost everything, and has heard of it or not, with records at hand or not.
fn a_member_that_was_lost_leaves(protocol: GroupProtocol) {
    let after = |polls: usize| {
        let log = log_of_the_impatient(protocol);
        let topic = make_topic(&*log, "lost", 2);
        let values: Vec<_> = (0..500).map(|_| "x").collect();
        (0..2).for_each(|partition| fill(&*log, &topic, partition, &values));
        let group = unique("group");
        let mut session = open(&*log, &group, &[&topic]);
        wait_assigned(&mut *session);
        take_records(&mut *session, 1);
        wait_until_empty(&*log, &group);
        for _ in 0..polls {
            // An error is as good as an event here: what matters is what the client has said and nobody has answered.
            let _ = session.poll(Duration::from_millis(20));
        }
        close_in_time(session, &format!("{protocol:?}, lost, after {polls} polls"));
    };
    std::thread::scope(|scope| (0..6).for_each(|polls| drop(scope.spawn(move || after(polls)))));
}

#[test]
fn a_member_that_was_lost_leaves_kip_848() {
    a_member_that_was_lost_leaves(GroupProtocol::Consumer);
}

#[test]
fn a_member_that_was_lost_leaves_classic() {
    a_member_that_was_lost_leaves(GroupProtocol::Classic);
}

/// A thread that stood still, in an operator or in a long outage, has lost its tasks and nothing else.
fn a_member_that_did_not_poll_in_time_hears_of_it_and_goes_on(protocol: GroupProtocol) {
    let log = log_of_the_impatient(protocol);
    let topic = make_topic(&*log, "still", 1);
    fill(&*log, &topic, 0, &["x", "y"]);
    let group = unique("group");
    let mut session = open(&*log, &group, &[&topic]);
    let given = wait_assigned(&mut *session);
    take_records(&mut *session, 2);
    wait_until_empty(&*log, &group);

    let lost = wait_for(&mut *session, |event| match event {
        Event::Lost(partitions) => Some(partitions),
        Event::Assigned(partitions) => panic!("{partitions:?} were given again before they were lost"),
        _ => None,
    });
    assert_eq!(lost, [given[0].0.clone()]);
    assert_eq!(wait_assigned(&mut *session), given, "nothing was committed");
    assert_eq!(take_records(&mut *session, 2)[1].2, "y");
}

#[test]
fn a_member_that_did_not_poll_in_time_hears_of_it_and_goes_on_kip_848() {
    a_member_that_did_not_poll_in_time_hears_of_it_and_goes_on(GroupProtocol::Consumer);
}

#[test]
fn a_member_that_did_not_poll_in_time_hears_of_it_and_goes_on_classic() {
    a_member_that_did_not_poll_in_time_hears_of_it_and_goes_on(GroupProtocol::Classic);
}
