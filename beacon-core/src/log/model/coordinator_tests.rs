//! Claims about groups and fencing, among them one over random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Coordinator, Fencing, Join, Joining, MemberId, News, Rebalancing, Refusal};
use crate::log::TopicPartition;

const TIMEOUT: Duration = Duration::from_secs(10);

fn joining(id: &str, instance: Option<&str>) -> Joining {
    Joining {
        group: "group".to_owned(),
        transactional_id: id.to_owned(),
        instance_id: instance.map(str::to_owned),
        topics: vec![(Arc::from("a"), 4), (Arc::from("b"), 4)],
        session_timeout: TIMEOUT,
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn join(coordinator: &mut Coordinator, id: &str, now: Duration) -> MemberId {
    match coordinator.join(joining(id, None), now) {
        Join::Joined { member, .. } => member,
        Join::Wait => panic!("nobody is committing"),
    }
}

fn assigned(coordinator: &mut Coordinator, id: MemberId, now: Duration) -> Vec<TopicPartition> {
    match coordinator.poll(id, now).news {
        News::Assigned(partitions) => partitions,
        news => panic!("{news:?} instead of an assignment"),
    }
}

fn nothing(coordinator: &mut Coordinator, id: MemberId, now: Duration) -> Option<Duration> {
    match coordinator.poll(id, now).news {
        News::Nothing { again_at } => again_at,
        news => panic!("{news:?} instead of nothing"),
    }
}

#[test]
fn a_partition_moves_only_after_its_owner_polled_twice() {
    let mut coordinator = Coordinator::default();
    let first = join(&mut coordinator, "first", seconds(0));
    assert_eq!(assigned(&mut coordinator, first, seconds(0)).len(), 8);
    let second = join(&mut coordinator, "second", seconds(1));
    nothing(&mut coordinator, second, seconds(1));
    let News::Revoked(revoked) = coordinator.poll(first, seconds(2)).news else { panic!("asked back") };
    assert_eq!(revoked.len(), 4);
    nothing(&mut coordinator, second, seconds(2));
    coordinator.begin_commit(first, &revoked).expect("still its own");
    coordinator.end_commit(first);

    let turn = coordinator.poll(first, seconds(3));
    assert_eq!(turn.wake, [second], "the one that waits is woken");
    let refused = coordinator.begin_commit(first, &revoked).expect_err("given up");
    assert_eq!(refused, Refusal::NotOwned(revoked[0].clone()));
    assert_eq!(assigned(&mut coordinator, second, seconds(3)), revoked);
    assert_eq!(coordinator.generation("group"), 2);
}

#[test]
fn a_silent_member_is_expelled_only_while_others_wait_for_it() {
    let mut coordinator = Coordinator::default();
    let silent = join(&mut coordinator, "silent", seconds(0));
    let lost: BTreeSet<_> = assigned(&mut coordinator, silent, seconds(0)).into_iter().collect();
    coordinator.begin_commit(silent, &lost).expect("its own, an hour later too");
    coordinator.end_commit(silent);

    let waiting = join(&mut coordinator, "waiting", seconds(3600));
    let again_at = nothing(&mut coordinator, waiting, seconds(3600));
    assert_eq!(again_at, Some(seconds(3610)), "the whole time-out counts from when it is waited for");
    nothing(&mut coordinator, waiting, seconds(3609));
    assert_eq!(assigned(&mut coordinator, waiting, seconds(3610)).len(), 8);
    assert_eq!(coordinator.begin_commit(silent, &lost), Err(Refusal::Expelled));
    assert_eq!(coordinator.begin_commit(silent, []), Err(Refusal::Expelled), "without offsets too");

    let News::Lost(told) = coordinator.poll(silent, seconds(3611)).news else { panic!("it lost everything") };
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), lost);
    // It has joined again: half of it is asked back from the other.
    assert!(matches!(coordinator.poll(waiting, seconds(3612)).news, News::Revoked(back) if back.len() == 4));
}

/// It was told that everything is asked back, and fell silent instead of answering.
#[test]
fn what_was_asked_back_already_is_not_told_as_lost() {
    let mut coordinator = Coordinator::default();
    let silent = join(&mut coordinator, "silent", seconds(0));
    let owned = assigned(&mut coordinator, silent, seconds(0)).len();
    // One for each of the four partitions that either topic has.
    let others: Vec<_> = ["a", "b", "c", "d"].map(|id| join(&mut coordinator, id, seconds(1))).into();
    assert!(matches!(coordinator.poll(silent, seconds(1)).news, News::Revoked(back) if back.len() == owned));
    for other in &others {
        nothing(&mut coordinator, *other, seconds(2));
    }
    assert_eq!(others.iter().map(|id| assigned(&mut coordinator, *id, seconds(20)).len()).sum::<usize>(), owned);
    nothing(&mut coordinator, silent, seconds(21));
}

#[test]
fn a_committing_member_is_neither_expelled_nor_fenced() {
    let mut coordinator = Coordinator::default();
    let old = join(&mut coordinator, "old", seconds(0));
    let own = assigned(&mut coordinator, old, seconds(0));
    let waiting = join(&mut coordinator, "waiting", seconds(1));
    coordinator.begin_commit(old, &own).expect("its own");
    nothing(&mut coordinator, waiting, seconds(100));
    assert_eq!(coordinator.join(joining("old", None), seconds(100)), Join::Wait);
    coordinator.end_commit(old);
    assert!(matches!(coordinator.join(joining("old", None), seconds(100)), Join::Joined { .. }));
    assert_eq!(coordinator.begin_commit(old, &own), Err(Refusal::Fenced(Fencing::TransactionalId("old".to_owned()))));
    assert!(matches!(coordinator.poll(old, seconds(100)).news, News::Fenced(_)));
}

#[test]
fn the_same_instance_takes_over_without_a_rebalance_of_the_others() {
    let mut coordinator = Coordinator::default();
    let join = |coordinator: &mut Coordinator, id: &str, instance: &str| match coordinator
        .join(joining(id, Some(instance)), seconds(0))
    {
        Join::Joined { member, .. } => member,
        Join::Wait => panic!("nobody is committing"),
    };
    let (one, two) = (join(&mut coordinator, "x", "1"), join(&mut coordinator, "y", "2"));
    let of_one = assigned(&mut coordinator, one, seconds(0));
    assigned(&mut coordinator, two, seconds(0));
    let again = join(&mut coordinator, "z", "1");
    assert_eq!(assigned(&mut coordinator, again, seconds(0)), of_one);
    assert_eq!(nothing(&mut coordinator, two, seconds(0)), None);
    assert_eq!(coordinator.poll(one, seconds(0)).news, News::Fenced(Fencing::InstanceId("1".to_owned())));
}

#[test]
fn a_transactional_id_fences_across_groups_and_an_instance_id_does_not() {
    let mut coordinator = Coordinator::default();
    let old = join(&mut coordinator, "id", seconds(0));
    let elsewhere = |id: &str, instance| Joining { group: "other".to_owned(), ..joining(id, instance) };
    coordinator.join(elsewhere("another id", Some("id")), seconds(0));
    assert_eq!(assigned(&mut coordinator, old, seconds(0)).len(), 8);
    coordinator.join(elsewhere("id", None), seconds(0));
    assert!(matches!(coordinator.poll(old, seconds(0)).news, News::Fenced(_)));
}

#[test]
fn an_assignment_put_back_is_made_again() {
    let mut coordinator = Coordinator::default();
    let member = join(&mut coordinator, "id", seconds(0));
    let first = assigned(&mut coordinator, member, seconds(0));
    coordinator.put_back(member, &first);
    assert!(coordinator.begin_commit(member, &first).is_err());
    assert_eq!(assigned(&mut coordinator, member, seconds(0)), first);
}

#[test]
fn who_left_cannot_commit_and_leaves_its_partitions_at_once() {
    let mut coordinator = Coordinator::default();
    let (first, second) = (join(&mut coordinator, "1", seconds(0)), join(&mut coordinator, "2", seconds(0)));
    let own = assigned(&mut coordinator, first, seconds(0));
    assigned(&mut coordinator, second, seconds(0));
    assert_eq!(coordinator.leave(first, seconds(1)), [second]);
    assert_eq!(assigned(&mut coordinator, second, seconds(1)), own);
    assert_eq!(coordinator.begin_commit(first, &own), Err(Refusal::Fenced(Fencing::Left)));
}

/// What may happen to a group.
#[derive(Clone, Debug)]
enum Act {
    Join(u8),
    Leave(u8),
    Poll(u8),
    Commit(u8),
    Wait(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..5u8).prop_map(Act::Join),
        1 => (0..5u8).prop_map(Act::Leave),
        8 => (0..5u8).prop_map(Act::Poll),
        4 => (0..5u8).prop_map(Act::Commit),
        2 => (1..20u8).prop_map(Act::Wait),
    ]
}

/// What each session believes to own, from what its polls have told it.
type Beliefs = BTreeMap<MemberId, (u8, BTreeSet<TopicPartition>, BTreeSet<TopicPartition>)>;

proptest! {
    #[test]
    fn no_partition_can_be_committed_by_two_and_all_are_owned_in_the_end(
        acts in proptest::collection::vec(act(), 0..120),
        rebalancing in prop_oneof![Just(Rebalancing::OneByOne), Just(Rebalancing::AllAtOnce)],
    ) {
        let mut coordinator = Coordinator::new(rebalancing);
        let mut current: BTreeMap<u8, MemberId> = BTreeMap::new();
        let mut beliefs = Beliefs::new();
        let mut now = Duration::ZERO;
        for act in acts {
            match act {
                Act::Join(id) => {
                    let member = join(&mut coordinator, &id.to_string(), now);
                    current.insert(id, member);
                    beliefs.insert(member, (id, BTreeSet::new(), BTreeSet::new()));
                }
                Act::Leave(id) => if let Some(member) = current.remove(&id) {
                    coordinator.leave(member, now);
                    beliefs.remove(&member);
                },
                Act::Poll(id) => if let Some(&member) = current.get(&id) {
                    poll(&mut coordinator, &mut beliefs, member, now);
                },
                Act::Commit(id) => for (member, (of, owned, _)) in &beliefs {
                    if *of == id && coordinator.begin_commit(*member, owned).is_ok() {
                        coordinator.end_commit(*member);
                        prop_assert_eq!(current.get(&id), Some(member), "a fenced session committed");
                    }
                },
                Act::Wait(seconds) => now += Duration::from_secs(u64::from(seconds)),
            }
            let mut owners: BTreeMap<&TopicPartition, MemberId> = BTreeMap::new();
            for (member, (_, owned, _)) in &beliefs {
                for partition in owned {
                    if coordinator.begin_commit(*member, [partition]).is_ok() {
                        coordinator.end_commit(*member);
                        prop_assert!(owners.insert(partition, *member).is_none(), "{:?} has two owners", partition);
                    }
                }
            }
        }
        for _ in 0..8 {
            now += TIMEOUT / 4;
            for member in current.values() {
                poll(&mut coordinator, &mut beliefs, *member, now);
            }
        }
        let owned: usize = current.values().map(|member| beliefs[member].1.len()).sum();
        prop_assert_eq!(owned, if current.is_empty() { 0 } else { 8 });
        for member in current.values() {
            let (_, owned, _) = &beliefs[member];
            for partition in 0..4 {
                let of = |topic: &str| owned.contains(&TopicPartition::new(topic, partition));
                prop_assert_eq!(of("a"), of("b"), "partition p of both topics together");
            }
        }
    }
}

fn poll(coordinator: &mut Coordinator, beliefs: &mut Beliefs, member: MemberId, now: Duration) {
    let (_, owned, revoked) = beliefs.get_mut(&member).expect("a session of this test");
    for partition in std::mem::take(revoked) {
        owned.remove(&partition);
    }
    match coordinator.poll(member, now).news {
        News::Assigned(partitions) => owned.extend(partitions),
        News::Revoked(partitions) => revoked.extend(partitions),
        News::Lost(partitions) => partitions.iter().for_each(|partition| {
            owned.remove(partition);
        }),
        News::Fenced(_) => owned.clear(),
        News::Nothing { .. } => {}
    }
}

#[test]
fn members_that_died_are_expelled_although_nobody_waits_for_them() {
    let mut coordinator = Coordinator::default();
    let dead = join(&mut coordinator, "dead", seconds(0));
    let alive = join(&mut coordinator, "alive", seconds(0));
    assigned(&mut coordinator, dead, seconds(0));
    assert!(coordinator.expel_silent(seconds(1)).is_empty(), "not before its time-out");
    coordinator.poll(alive, seconds(3600));
    coordinator.expel_silent(seconds(3600));
    assert_eq!(coordinator.begin_commit(dead, []), Err(Refusal::Expelled));
    assert_eq!(coordinator.begin_commit(alive, []), Ok(()), "it has just polled");
}
