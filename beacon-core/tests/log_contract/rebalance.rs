//! Groups: who owns what when members come and go.

use std::time::Duration;

use beacon_core::log::SessionConfig;

use super::{Member, Subject, numbers, plain};

/// Polls all members in turn until the condition holds for them together.
fn poll_all_until(members: &mut [&mut Member], subject: &Subject, what: &str, done: impl Fn(&[&mut Member]) -> bool) {
    let deadline = std::time::Instant::now() + subject.patience;
    while !done(members) {
        assert!(std::time::Instant::now() < deadline, "waited in vain for: {what}");
        for member in members.iter_mut() {
            member.poll(Duration::from_millis(10));
        }
    }
}

pub fn the_first_member_gets_everything_and_equal_counts_go_together(subject: &Subject) {
    let (one, two) = (subject.topic("one", 4), subject.topic("two", 4));
    let mut first = subject.join("group", "a", &[&one, &two]);
    first.own(8);
    let mut second = subject.join("group", "b", &[&one, &two]);
    poll_all_until(&mut [&mut first, &mut second], subject, "an even division", |members| {
        members.iter().all(|member| member.owned.len() == 4 && member.revoked.is_empty())
    });
    for member in [&first, &second] {
        assert_eq!(member.numbers_of(&one), member.numbers_of(&two), "partition p of both topics together");
    }
    assert!(first.owned.keys().all(|at| !second.owned.contains_key(at)), "one owner each");
}

pub fn a_revoked_partition_can_be_committed_until_the_next_poll(subject: &Subject) {
    let (input, output) = (subject.topic("input", 2), subject.topic("output", 1));
    for partition in 0..2 {
        subject.append_numbers(&input, partition, 3);
    }
    let mut first = subject.join("group", "a", &[&input]);
    first.own(2);
    let mut second = subject.join("group", "b", &[&input]);
    // Both poll, as on threads of their own, until the first one is asked for something.
    poll_all_until(&mut [&mut first, &mut second], subject, "a revocation", |members| !members[0].revoked.is_empty());
    let asked_back: Vec<_> = first.revoked.iter().cloned().collect();
    second.poll_for(subject.quiet.min(subject.session_timeout / 4));
    assert!(second.owned.is_empty(), "not given up before the next poll: {:?}", second.owned);

    first.session.begin().expect("begun");
    first.session.send(plain(&output, 0, "0")).expect("sent");
    let offsets: Vec<_> = asked_back.iter().map(|at| (at.clone(), 2)).collect();
    first.session.commit(&offsets).expect("still the owner");
    poll_all_until(&mut [&mut first, &mut second], subject, "the handover", |members| {
        members.iter().all(|member| member.owned.len() == 1 && member.revoked.is_empty())
    });
    assert_eq!(subject.values(&output, 0), numbers(1));
    for (at, offset) in &second.owned {
        assert!(asked_back.contains(at));
        assert_eq!(*offset, 2, "the new owner begins where the old one committed");
    }
    second.poll_until("the rest of the records", |member| member.read.len() == 1);
    assert_eq!(second.read[0].value.as_deref(), Some(&b"2"[..]));
}

pub fn a_member_that_closes_leaves_its_partitions_to_the_others(subject: &Subject) {
    let input = subject.topic("input", 4);
    let mut first = subject.join("group", "a", &[&input]);
    let mut second = subject.join("group", "b", &[&input]);
    poll_all_until(&mut [&mut first, &mut second], subject, "an even division", |members| {
        members.iter().all(|member| member.owned.len() == 2 && member.revoked.is_empty())
    });
    second.session.close().expect("closed");
    first.own(4);
}

pub fn a_partition_that_was_paused_when_it_went_flows_when_it_returns(subject: &Subject) {
    let input = subject.topic("input", 2);
    for partition in 0..2 {
        subject.append_numbers(&input, partition, 3);
    }
    let mut first = subject.join("group", "a", &[&input]);
    first.own(2);
    let both: Vec<_> = first.owned.keys().cloned().collect();
    first.session.pause(&both).expect("paused");
    first.poll_for(subject.quiet);
    assert!(first.read.is_empty(), "paused when it was given");
    let mut second = subject.join("group", "b", &[&input]);
    poll_all_until(&mut [&mut first, &mut second], subject, "an even division", |members| {
        members.iter().all(|member| member.owned.len() == 1 && member.revoked.is_empty())
    });
    let moved = second.owned.keys().next().expect("one").clone();
    second.session.close().expect("closed");
    first.own(2);
    first.poll_until("the records of the partition that returned", |member| member.values(&moved).len() == 3);
    assert_eq!(first.values(&moved), numbers(3));
}

pub fn a_static_member_that_returns_gets_its_partitions_back(subject: &Subject) {
    let input = subject.topic("input", 4);
    let config =
        |id: &str| SessionConfig { instance_id: Some(subject.name(id)), ..subject.config("group", id, &[&input]) };
    let mut first = subject.join_with(config("a"));
    let mut second = subject.join_with(config("b"));
    let even =
        |members: &[&mut Member]| members.iter().all(|member| member.owned.len() == 2 && member.revoked.is_empty());
    poll_all_until(&mut [&mut first, &mut second], subject, "an even division", even);
    let (of_first, of_second) = (first.numbers_of(&input), second.numbers_of(&input));
    // The first is still there, as a process killed a moment ago is for the group: the new one takes its place.
    let mut again = subject.join_with(config("a"));
    poll_all_until(&mut [&mut again, &mut second], subject, "the same division", even);
    assert_eq!(again.numbers_of(&input), of_first);
    assert_eq!(second.numbers_of(&input), of_second);
    drop(first);
    again.poll_for(subject.quiet);
    assert_eq!(again.numbers_of(&input), of_first, "the end of the old session changes nothing");
}
