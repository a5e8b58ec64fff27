//! Input that somebody trimmed before the group had read it.

use std::time::Duration;

use beacon_core::log::{Isolation, Log, TopicPartition};
use beacon_core::runtime::{App, Membership};

use super::support::counting::Counting;
use super::support::{chain, wait_until};
use super::{config, log, unique};

#[test]
fn an_application_whose_input_is_gone_ends_and_names_the_place() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("gone"), 20);
    job.make_topics(log.as_ref());
    let start = || {
        let config = config(job.config("0"), Membership::Static, directory.path());
        App::start(log.clone(), job.topology(&Default::default()), config).expect("started")
    };
    let lost = TopicPartition::new(job.input(), 1);
    let end = || log.offsets(&lost, Isolation::Committed).expect("asked").end;
    let committed = || {
        let all = log.committed(&job.application(), &[&job.input()]).expect("asked");
        all.into_iter().find(|(at, _)| *at == lost).map(|(_, offset)| offset)
    };

    let app = start();
    job.feed(log.as_ref(), job.records() / 2, Duration::ZERO);
    let half = end();
    wait_until("half of it is read", || committed() == Some(half));
    app.stop().expect("stopped in good order");
    job.feed_all(log.as_ref());
    log.trim(&lost, end()).expect("trimmed by somebody");

    let error = start().wait().expect_err("what is gone cannot be counted");
    let text = chain(&error);
    assert!(text.contains(&job.application()), "{text}");
    assert!(text.contains(&format!("{lost}: offset {half} is not in the log any more")), "{text}");
    assert_eq!(committed(), Some(half), "nothing is passed over");
}
