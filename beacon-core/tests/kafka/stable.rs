//! Who holds readers back: an open transaction is found, named, and gone when it is over.

use std::time::{Duration, Instant, SystemTime};

use beacon_core::log::{Log, TopicPartition};
use beacon_core::tools::{Holder, holders};

use super::support::*;

/// Looks until `holds`.
fn look_until(log: &dyn Log, topics: &[&str], holds: impl Fn(&[Holder]) -> bool) -> Vec<Holder> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = holders(log, topics).expect("looked");
        if holds(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {found:?}");
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

#[test]
fn an_open_transaction_is_named_until_it_is_over() {
    let log = log();
    let (input, output, other) =
        (make_topic(&*log, "input", 1), make_topic(&*log, "output", 2), make_topic(&*log, "other", 1));
    fill(&*log, &output, 0, &["before"]);
    let topics = [input.as_str(), &output, &other];
    assert_eq!(holders(&*log, &topics).expect("looked"), [], "nobody has begun");

    let config = session_config(&unique("group"), &[&input]);
    let writer = config.transactional_id.clone();
    let mut session = log.session(config).expect("a session");
    let partition = wait_assigned(&mut *session).remove(0).0;
    for commits in [true, false] {
        let before_ms = now_ms();
        session.begin().expect("begun");
        session.send(send_at_once(&output, "held")).expect("sent");
        let found = look_until(&*log, &topics, |found| !found.is_empty());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].partition, TopicPartition::new(output.as_str(), 0));
        assert!(found[0].stable >= 1 && found[0].end == found[0].stable + 1, "{found:?}");
        // The clock of this machine, which is the broker's, too, unless one is far away.
        let since_ms = found[0].since_ms.expect("the record is there");
        assert!(since_ms >= before_ms - 60_000 && since_ms <= now_ms() + 60_000, "{since_ms}, begun at {before_ms}");
        let writers = found[0].writers.as_ref().expect("the topic of transactions may be read");
        let named: Vec<_> = writers.iter().map(|writer| writer.transactional_id.as_str()).collect();
        assert_eq!(named, [writer.as_str()]);
        assert!(!writers[0].is_decided && writers[0].since_ms.is_some(), "{writers:?}");
        // It goes on being held, and others are not.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(holders(&*log, &topics).expect("looked").len(), 1);
        if commits {
            session.commit(&[(partition.clone(), 0)]).expect("committed");
        } else {
            session.abort().expect("aborted");
        }
        look_until(&*log, &topics, <[Holder]>::is_empty);
    }
    let open = log.open_transactions().expect("told");
    assert!(open.iter().all(|transaction| transaction.transactional_id != writer), "{open:?}");
}
