//! Tasks that change hands: members that come and go, and one that was silent for too long.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::TopicPartition;

use super::rig::{PACE, Rig, wait_running};
use crate::support::counting::{Counting, PARTITIONS};
use crate::support::mood::Mood;
use crate::support::{read_partition, wait_until};

#[test]
fn two_instances_share_the_work_while_one_comes_and_goes() {
    let rig = Rig::new();
    // Stateless reading tasks and keyed tasks change hands.
    let job = Counting { inputs: 3, ..Counting::new("shared", 100) };
    job.make_topics(rig.log.as_ref());
    let feeder = std::thread::spawn({
        let (job, log) = (job.clone(), Arc::clone(&rig.log));
        move || job.feed(log.as_ref(), job.records(), PACE)
    });
    let first = rig.count(&job, "a", &Default::default());
    let mut turns = 0;
    while !feeder.is_finished() || turns < 5 {
        let second = rig.count(&job, "b", &Default::default());
        wait_until("the second has its share", || second.stats().tasks == 3 && second.stats().restoring == 0);
        wait_until("the first has the rest", || first.stats().tasks == 4 && first.stats().restoring == 0);
        std::thread::sleep(Duration::from_millis(20));
        second.stop().expect("the second stops in good order");
        turns += 1;
    }
    feeder.join().expect("fed");
    rig.wait_complete(&job);
    wait_running(&first, u64::from(PARTITIONS) + 3);
    first.stop().expect("the first stops in good order");
    // The state of either may be old; what the log says is the truth.
    job.check(rig.log.as_ref());
    println!("{turns} rebalances there and back");
}

#[test]
fn an_instance_that_was_silent_too_long_loses_its_tasks_and_goes_on() {
    let rig = Rig::new();
    let job = Counting::new("silent", 40);
    job.make_topics(rig.log.as_ref());
    let moods = [Arc::new(Mood::default()), Arc::new(Mood::default())];
    let start = |number: usize, instance: &str| {
        let mut config = rig.on_disk(job.config(instance));
        config.session_timeout = Duration::from_millis(400);
        rig.start(job.topology(&moods[number]), config)
    };
    moods[0].blocks();
    let silent = start(0, "a");
    job.feed_all(rig.log.as_ref());
    wait_until("it hangs in its operator", || moods[0].hits.load(std::sync::atomic::Ordering::SeqCst) == 1);
    let other = start(1, "b");
    rig.wait_complete(&job);
    wait_running(&other, u64::from(PARTITIONS));
    moods[0].content();
    wait_until("it is back", || silent.stats().tasks > 0 && other.stats().tasks < u64::from(PARTITIONS));
    wait_until("nobody restores", || silent.stats().restoring + other.stats().restoring == 0);
    silent.stop().expect("it never ended");
    other.stop().expect("nor did the other");
    job.check(rig.log.as_ref());
}

#[test]
fn a_thread_that_was_silent_too_long_does_not_lock_its_neighbours_out() {
    let rig = Rig::new();
    let job = Counting::new("neighbours", 40);
    job.make_topics(rig.log.as_ref());
    let mood = Arc::new(Mood::default());
    mood.blocks();
    let mut config = rig.on_disk(job.config("0"));
    config.session_timeout = Duration::from_millis(1500);
    config.threads = 1;
    let app = rig.start(job.topology(&mood), config.clone());
    job.feed_all(rig.log.as_ref());
    wait_until("it hangs in its operator", || mood.hits.load(std::sync::atomic::Ordering::SeqCst) == 1);
    // Another thread over the same state: it is given the tasks while the first still has their directories open.
    config.instance = "1".to_owned();
    let neighbour = rig.start(job.topology(&Default::default()), config);
    wait_until("the neighbour is given the tasks", || {
        neighbour.status() == beacon_core::runtime::AppStatus::Stopped || neighbour.stats().waiting > 0
    });
    mood.content();
    rig.wait_complete(&job);
    neighbour.stop().expect("it waited for the directories");
    app.stop().expect("it never ended");
    job.check(rig.log.as_ref());
}

#[test]
fn threads_share_the_tasks_and_the_gauges_count_all_of_them() {
    let rig = Rig::new();
    let job = Counting { inputs: 3, ..Counting::new("threads", 40) };
    job.make_topics(rig.log.as_ref());
    let mut config = rig.on_disk(job.config("0"));
    config.threads = 3;
    let app = rig.start(job.topology(&Default::default()), config);
    job.feed_all(rig.log.as_ref());
    rig.wait_complete(&job);
    wait_running(&app, u64::from(PARTITIONS) + 3);
    app.request_stop();
    wait_until("it stopped", || app.status() == beacon_core::runtime::AppStatus::Stopped);
    assert_eq!(app.stats().tasks, 0, "a stopped application runs no task");
    app.wait().expect("in good order");
    rig.check(&job, "0");
}

/// Records in the changelog of a task.
fn logged_by(rig: &Rig, job: &Counting, task: u32) -> usize {
    read_partition(rig.log.as_ref(), &TopicPartition::new(format!("{}-changelog", job.application()), task)).len()
}

#[test]
fn a_task_with_a_standby_copy_restores_only_a_tail() {
    let restored = |standbys: u32| {
        let rig = Rig::new();
        let job = Counting::new(format!("standby{standbys}"), 60);
        job.make_topics(rig.log.as_ref());
        let start = |instance: &str| {
            let mut config = rig.on_disk(job.config(instance));
            config.standbys = standbys;
            rig.start(job.topology(&Default::default()), config)
        };
        let owner = start("a");
        wait_running(&owner, u64::from(PARTITIONS));
        job.feed(rig.log.as_ref(), job.records() / 2, Duration::ZERO);
        let other = start("b");
        wait_until("each has its half", || owner.stats().tasks == 2 && other.stats().tasks == 2);
        wait_until("copies are warm", || other.stats().standbys == u64::from(standbys.min(2)));
        job.feed_all(rig.log.as_ref());
        rig.wait_complete(&job);
        let before = other.stats();
        let logged: usize = [0, 1].into_iter().map(|number| logged_by(&rig, &job, number)).sum();
        wait_until("copies have read all", || standbys == 0 || other.stats().standby_records == logged as u64);
        owner.stop().expect("stopped");
        wait_running(&other, u64::from(PARTITIONS));
        let restored = other.stats().restored_records - before.restored_records;
        other.stop().expect("stopped");
        rig.check(&job, "b");
        restored
    };
    let (without, with) = (restored(0), restored(2));
    println!("{without} changelog records read at the takeover without a copy, {with} with one");
    assert!(without >= 20, "the changelog is long enough to tell");
    assert!(with * 10 <= without, "{with} with a copy, {without} without");
}
