//! A group whose offsets Kafka has forgotten, as it does a week after the last member left.

use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::runtime::{App, Membership};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use super::support::counting::{Counting, PARTITIONS};
use super::support::{chain, state_by_changelog, wait_until};
use super::{config, log, servers, unique};

/// What a broker does by itself when the offsets' time is over, to a group without members.
fn forget_offsets(group: &str) {
    let admin: AdminClient<DefaultClientContext> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", servers()).create().expect("a client");
    wait_until("the group is deleted", || {
        let outcome = futures_executor::block_on(admin.delete_groups(&[group], &AdminOptions::new())).expect("asked");
        // Not while the member that was stopped is still counted.
        outcome.iter().all(Result::is_ok)
    });
}

#[test]
fn an_application_whose_offsets_were_forgotten_ends_instead_of_counting_twice() {
    let (log, directory) = (log(), tempfile::tempdir().expect("a temporary directory"));
    let job = Counting::new(unique("forgotten"), 20);
    job.make_topics(log.as_ref());
    let start = |state: &str| {
        let config = config(job.config("0"), Membership::Dynamic, &directory.path().join(state));
        App::start(log.clone(), job.topology(&Default::default()), config).expect("started")
    };
    let app = start("disk");
    job.feed(log.as_ref(), job.records() / 2, Duration::ZERO);
    let topology = job.topology(&Default::default());
    let internal = topology.internal_topics().iter().map(|topic| topic.name.to_string());
    let inputs: Vec<_> = internal.chain([job.input()]).collect();
    let known = || {
        let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
        log.committed(&job.application(), &inputs).expect("asked")
    };
    let state = || state_by_changelog(log.as_ref(), &job.application(), PARTITIONS);
    let changelog = topology.changelog();
    wait_until("the application has made its topics", || log.describe_topic(&changelog).expect("asked").is_some());
    wait_until("every task has state", || state().iter().all(|task| !task.is_empty()));
    app.stop().expect("stopped in good order");
    let before = state();
    // Answered when the last commit is decided: its markers would bring back what it committed, were the group deleted before.
    assert!(!known().is_empty());
    forget_offsets(&job.application());
    assert_eq!(known(), []);

    // With the state on the disk, and with the state from the changelog.
    for directory in ["disk", "empty"] {
        let text = chain(&start(directory).wait().expect_err("nobody knows where it was"));
        assert!(text.contains(&job.application()) && text.contains("offsets.retention.minutes"), "{text}");
        assert_eq!(state(), before, "nothing is counted twice");
    }
}
