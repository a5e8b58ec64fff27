//! Zombies: sessions that do not know yet that somebody else has taken over.

use beacon_core::log::{CommitError, LogErrorKind, TopicPartition};

use super::{Subject, numbers, plain};

pub fn a_newer_session_with_the_same_transactional_id_fences_the_older_one(subject: &Subject) {
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    let at = TopicPartition::new(input.clone(), 0);
    let mut old = subject.join("group", "id", &[&input]);
    old.own(1);
    old.session.begin().expect("begun");
    old.session.send(plain(&output, 0, "of the zombie")).expect("sent");

    // Another group, so that only the transactional id can be what fences.
    let mut new = subject.join("other group", "id", &[&input]);
    let error = old.session.commit(&[(at.clone(), 7)]).expect_err("a newer session has the id");
    match &error {
        CommitError::Fenced(error) => assert_eq!(error.kind(), LogErrorKind::Fenced),
        other => panic!("{other} instead of fenced"),
    }
    new.own(1);
    new.session.begin().expect("begun");
    new.session.send(plain(&output, 0, "0")).expect("sent");
    new.session.commit(&[(at, 1)]).expect("the newer one commits");
    assert_eq!(subject.values(&output, 0), numbers(1));
    assert!(subject.committed("group", &[&input]).is_empty());
}

pub fn a_zombie_whose_partition_moved_cannot_commit_it(subject: &Subject) {
    let (input, output) = (subject.topic("input", 2), subject.topic("output", 1));
    let mut zombie = subject.join("group", "zombie", &[&input]);
    zombie.own(2);
    zombie.session.begin().expect("begun");
    zombie.session.send(plain(&output, 0, "of the zombie")).expect("sent");

    // It does not poll any more. The other member comes, waits for it, and takes over in the end.
    let mut heir = subject.join("group", "heir", &[&input]);
    heir.poll_until("a partition of the silent member", |heir| !heir.owned.is_empty());
    let moved = heir.owned.keys().next().expect("not empty").clone();
    let refused = zombie.session.commit(&[(moved.clone(), 99)]).expect_err("the partition moved");
    assert!(matches!(refused, CommitError::Abortable(_) | CommitError::Fenced(_)), "{refused}");

    heir.session.begin().expect("begun");
    heir.session.send(plain(&output, 0, "0")).expect("sent");
    heir.session.commit(&[(moved.clone(), 1)]).expect("the owner commits");
    assert_eq!(subject.values(&output, 0), numbers(1));
    assert!(subject.committed("group", &[&input]).contains(&(moved, 1)));
}

pub fn a_dropped_session_does_not_hold_up_the_next_one(subject: &Subject) {
    let (input, output) = (subject.topic("input", 1), subject.topic("output", 1));
    for n in 0..3 {
        let mut member = subject.join("group", "id", &[&input]);
        member.own(1);
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, &n.to_string())).expect("sent");
        member.session.commit(&[(TopicPartition::new(input.clone(), 0), n)]).expect("committed");
        member.session.begin().expect("begun");
        member.session.send(plain(&output, 0, "left open")).expect("sent");
        drop(member);
    }
    assert_eq!(subject.values(&output, 0), numbers(3));
}
