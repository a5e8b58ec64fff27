//! Claims about groups where everything moves at once.

use std::sync::Arc;
use std::time::Duration;

use super::{Coordinator, Join, Joining, MemberId, News, Rebalancing, Refusal};
use crate::log::TopicPartition;

const TIMEOUT: Duration = Duration::from_secs(10);

fn group() -> Coordinator {
    Coordinator::new(Rebalancing::AllAtOnce)
}

fn join(coordinator: &mut Coordinator, id: &str, instance: Option<&str>, now: Duration) -> MemberId {
    let joining = Joining {
        group: "group".to_owned(),
        transactional_id: id.to_owned(),
        instance_id: instance.map(str::to_owned),
        topics: vec![(Arc::from("a"), 2)],
        session_timeout: TIMEOUT,
    };
    match coordinator.join(joining, now) {
        Join::Joined { member, .. } => member,
        Join::Wait => panic!("nobody is committing"),
    }
}

fn parts(numbers: &[u32]) -> Vec<TopicPartition> {
    numbers.iter().map(|partition| TopicPartition::new("a", *partition)).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const NOTHING: News = News::Nothing { again_at: None };

/// Two members at work, the first one having partition 0 and the second one partition 1, at second 0.
fn two_at_work(coordinator: &mut Coordinator, instances: [Option<&str>; 2]) -> [MemberId; 2] {
    let [first, second] = [("first", instances[0]), ("second", instances[1])]
        .map(|(id, instance)| join(coordinator, id, instance, seconds(0)));
    for _ in 0..2 {
        for (member, own) in [(first, [0]), (second, [1])] {
            match coordinator.poll(member, seconds(0)).news {
                News::Assigned(given) => assert_eq!(given, parts(&own)),
                news => assert_eq!(news, NOTHING),
            }
        }
    }
    coordinator.begin_commit(first, &parts(&[0])).expect("its own");
    coordinator.end_commit(first);
    coordinator.begin_commit(second, &parts(&[1])).expect("its own");
    coordinator.end_commit(second);
    [first, second]
}

#[test]
fn everything_is_asked_back_and_given_when_all_have_given_it_up() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [None, None]);
    let third = join(&mut coordinator, "third", None, seconds(1));
    assert_eq!(coordinator.poll(third, seconds(1)).news, NOTHING);
    assert_eq!(coordinator.poll(first, seconds(1)).news, News::Revoked(parts(&[0])));
    coordinator.begin_commit(first, &parts(&[0])).expect("its own until the next poll");
    coordinator.end_commit(first);
    assert_eq!(coordinator.poll(first, seconds(1)).news, NOTHING);
    assert_eq!(coordinator.begin_commit(first, &parts(&[0])), Err(Refusal::NotOwned(parts(&[0])[0].clone())));
    assert_eq!(coordinator.poll(second, seconds(1)).news, News::Revoked(parts(&[1])));
    assert_eq!(coordinator.poll(third, seconds(1)).news, NOTHING, "one has not given up yet");
    assert_eq!(coordinator.poll(second, seconds(1)).news, News::Assigned(parts(&[1])), "the last one ends the round");
    assert_eq!(coordinator.poll(first, seconds(1)).news, News::Assigned(parts(&[0])));
    assert_eq!(coordinator.poll(third, seconds(1)).news, NOTHING, "nothing was asked of it, and nothing is its own");
}

#[test]
fn whoever_was_asked_for_everything_is_told_that_nothing_is_its_own() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [Some("b"), Some("c")]);
    join(&mut coordinator, "third", Some("a"), seconds(1));
    for member in [first, second] {
        assert!(matches!(coordinator.poll(member, seconds(1)).news, News::Revoked(_)));
    }
    coordinator.poll(first, seconds(1));
    assert_eq!(coordinator.poll(second, seconds(1)).news, News::Assigned(Vec::new()), "first in order are a and b");
    assert_eq!(coordinator.poll(second, seconds(1)).news, NOTHING, "once");
}

#[test]
fn whoever_is_silent_between_revocation_and_assignment_hears_nothing_of_what_it_missed() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [None, None]);
    let third = join(&mut coordinator, "third", None, seconds(1));
    coordinator.poll(third, seconds(1));
    for member in [first, second] {
        assert!(matches!(coordinator.poll(member, seconds(1)).news, News::Revoked(_)));
    }
    // The first one stands still: the others wait for it, and then take what was its own.
    assert_eq!(coordinator.poll(second, seconds(10)).news, NOTHING);
    coordinator.poll(third, seconds(10));
    assert_eq!(coordinator.poll(second, seconds(12)).news, News::Assigned(parts(&[0])));
    assert_eq!(coordinator.begin_commit(first, []), Err(Refusal::Expelled));
    assert_eq!(coordinator.poll(third, seconds(12)).news, News::Assigned(parts(&[1])));
    // It comes back, and has its own again.
    assert_eq!(coordinator.poll(first, seconds(13)).news, NOTHING);
    for member in [second, third] {
        assert!(matches!(coordinator.poll(member, seconds(13)).news, News::Revoked(_)));
        coordinator.poll(member, seconds(13));
    }
    assert_eq!(coordinator.poll(first, seconds(13)).news, News::Assigned(parts(&[0])));
}

#[test]
fn whoever_is_silent_at_work_is_told_what_it_lost() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [None, None]);
    coordinator.poll(second, seconds(5));
    assert_eq!(coordinator.poll(second, seconds(11)).news, News::Revoked(parts(&[1])));
    assert_eq!(coordinator.poll(second, seconds(11)).news, News::Assigned(parts(&[0, 1])));
    assert_eq!(coordinator.poll(first, seconds(12)).news, News::Lost(parts(&[0])));
}

#[test]
fn a_static_member_takes_its_ghosts_place_without_a_round() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [Some("a"), Some("b")]);
    let again = join(&mut coordinator, "first", Some("a"), seconds(1));
    assert_eq!(coordinator.poll(second, seconds(1)).news, NOTHING);
    assert_eq!(coordinator.poll(again, seconds(1)).news, News::Assigned(parts(&[0])));
    assert!(matches!(coordinator.poll(first, seconds(1)).news, News::Fenced(_)));
    assert!(matches!(coordinator.begin_commit(first, []), Err(Refusal::Fenced(_))));
    // Where there is a round already, it is in it.
    join(&mut coordinator, "third", Some("c"), seconds(2));
    let again = join(&mut coordinator, "first", Some("a"), seconds(2));
    assert_eq!(coordinator.poll(second, seconds(2)).news, News::Revoked(parts(&[1])));
    assert_eq!(coordinator.poll(again, seconds(2)).news, NOTHING);
}

#[test]
fn an_assignment_put_back_is_told_again_or_followed_by_the_next_one() {
    let mut coordinator = group();
    let [first, second] = two_at_work(&mut coordinator, [Some("b"), Some("c")]);
    let leaving = join(&mut coordinator, "third", None, seconds(1));
    for member in [first, second] {
        assert!(matches!(coordinator.poll(member, seconds(1)).news, News::Revoked(_)));
    }
    coordinator.leave(leaving, seconds(1));
    coordinator.poll(first, seconds(1));
    assert_eq!(coordinator.poll(second, seconds(1)).news, News::Assigned(parts(&[1])));
    coordinator.put_back(second, &parts(&[1]));
    assert_eq!(coordinator.poll(second, seconds(1)).news, News::Assigned(parts(&[1])));
    coordinator.put_back(second, &parts(&[1]));
    // A round begins before it could be told, and neither was the other one's.
    join(&mut coordinator, "fourth", Some("a"), seconds(2));
    assert_eq!(coordinator.poll(first, seconds(2)).news, NOTHING);
    assert_eq!(coordinator.poll(second, seconds(2)).news, News::Assigned(Vec::new()), "it had heard of a revocation");
    assert_eq!(coordinator.poll(first, seconds(2)).news, News::Assigned(parts(&[1])));
}
