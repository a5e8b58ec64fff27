//! A member that was given partitions, stood still before it took them, and has left the group for that.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::GroupProtocol;
use beacon_core::log::{Event, Session};

use super::groups::{close_in_time, log_of_the_impatient, wait_until_empty};
use super::support::*;

const POLL: Duration = Duration::from_millis(20);

/// A member of two partitions, one of which it has been given and does not know of, that has left its group meanwhile.
fn one_that_stood_still(protocol: GroupProtocol) -> (Box<dyn Session>, String) {
    let log = log_of_the_impatient(protocol);
    let topic = make_topic(&*log, "untaken", 2);
    (0..2).for_each(|partition| fill(&*log, &topic, partition, &["x"]));
    let group = unique("group");
    let mut member = open(&*log, &group, &[&topic]);
    assert_eq!(wait_assigned(&mut *member).len(), 2);
    let mut other = open(&*log, &group, &[&topic]);
    let deadline = Instant::now() + PATIENCE;
    let (mut asked_back, mut given) = (false, false);
    while !(asked_back && given) {
        asked_back |= matches!(member.poll(POLL).expect("polled"), Event::Revoked(_));
        given |= matches!(other.poll(POLL).expect("polled"), Event::Assigned(_));
        assert!(Instant::now() < deadline, "asked back: {asked_back}, given: {given}");
    }
    // So that the member has nothing left to hear of but what the other one leaves behind.
    wait_for(&mut *member, |event| matches!(event, Event::Idle).then_some(()));
    other.close().expect("closed");
    wait_until_empty(&*log, &group);
    (member, topic)
}

fn goes_on(protocol: GroupProtocol) {
    let (mut member, topic) = one_that_stood_still(protocol);
    let mut owned = BTreeSet::new();
    let mut lost = 0;
    let deadline = Instant::now() + PATIENCE;
    while lost == 0 || owned.len() < 2 {
        match member.poll(POLL).expect("it goes on") {
            Event::Assigned(partitions) => owned.extend(partitions.into_iter().map(|(at, _)| at.partition)),
            // Under the classic protocol it may have been asked for them before it was too late.
            Event::Lost(partitions) | Event::Revoked(partitions) => {
                lost += partitions.len();
                owned.retain(|owned| partitions.iter().all(|at| at.partition != *owned));
            }
            _ => {}
        }
        assert!(Instant::now() < deadline, "{protocol:?}: has {owned:?} of {topic}, lost {lost}");
    }
}

#[test]
fn a_member_that_left_before_it_took_what_it_was_given_goes_on_kip_848() {
    goes_on(GroupProtocol::Consumer);
}

#[test]
fn a_member_that_left_before_it_took_what_it_was_given_goes_on_classic() {
    goes_on(GroupProtocol::Classic);
}

/// At once, or when it has heard of some of it.
fn leaves(protocol: GroupProtocol) {
    let after = |polls: usize| {
        let (mut member, _) = one_that_stood_still(protocol);
        for _ in 0..polls {
            // An error is as good as an event here: what matters is what the client has said and nobody has answered.
            let _ = member.poll(POLL);
        }
        close_in_time(member, &format!("{protocol:?}, after {polls} polls"));
    };
    std::thread::scope(|scope| (0..4).for_each(|polls| drop(scope.spawn(move || after(polls)))));
}

#[test]
fn a_member_that_left_before_it_took_what_it_was_given_can_be_closed_kip_848() {
    leaves(GroupProtocol::Consumer);
}

#[test]
fn a_member_that_left_before_it_took_what_it_was_given_can_be_closed_classic() {
    leaves(GroupProtocol::Classic);
}
