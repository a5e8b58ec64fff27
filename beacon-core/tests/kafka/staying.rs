//! Tasks that stay where they are while members come and go: what a rebalance does to them, by the group's protocol.
//!
//! By order and not by time: what is told apart is whether records written after a rebalance began are committed before it
//! is over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use beacon_core::log::kafka::KafkaLog;
use beacon_core::log::{Log, TopicPartition};
use beacon_core::metrics::catalogue;
use beacon_core::runtime::{App, Membership};

use super::support::beats::Beats;
use super::support::counting::{Counting, PARTITIONS};
use super::support::faulty::FaultyLog;
use super::support::mood::Mood;
use super::support::wait_until;
use super::{SESSION, config, log, unique};

under_both_protocols!(tasks_that_stay_commit_before_a_newcomer_has_its_own);

const ALL: u64 = PARTITIONS as u64;
/// Between two records of a task.
const PACE: Duration = Duration::from_millis(20);

/// A process of the job, and what the group asks of it.
struct Member {
    app: App,
    log: Arc<FaultyLog>,
    mood: Arc<Mood>,
}

/// The job, its processes and their disks.
struct Group {
    log: Arc<KafkaLog>,
    directory: tempfile::TempDir,
    membership: Membership,
    session: Duration,
    beats: Arc<Beats>,
}

impl Group {
    fn new(what: &str, membership: Membership) -> Self {
        let log = log();
        let beats = Beats::of(Counting::new(unique(what), 1), log.clone());
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { log, directory, membership, session: SESSION, beats }
    }

    fn start(&self, instance: &str) -> Member {
        self.start_over(FaultyLog::over(self.log.clone()), instance)
    }

    fn start_over(&self, log: Arc<FaultyLog>, instance: &str) -> Member {
        let (job, mood) = (&self.beats.job, Arc::new(Mood::default()));
        let mut config = config(job.config(instance), self.membership, self.directory.path());
        config.session_timeout = self.session;
        let app = App::start(log.clone(), job.topology(&mood), config).expect("started");
        Member { app, log, mood }
    }

    fn members(&self) -> usize {
        self.log.members(&self.beats.job.application()).expect("the broker tells").len()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.beats.end();
    }
}

impl Member {
    fn has(&self, tasks: u64) -> bool {
        let stats = self.app.stats();
        (stats.tasks, stats.restoring, stats.waiting) == (tasks, 0, 0)
    }

    /// The tasks that it has now.
    fn tasks(&self, group: &Group) -> Vec<u32> {
        let input = group.beats.job.input();
        let label = |labels: &[(&str, String)], wanted| {
            labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let samples = self.app.watch().lag(group.log.as_ref()).expect("the log tells");
        let of_input = samples
            .iter()
            .filter(|sample| *sample.metric == catalogue::COMMITTED_OFFSET && label(&sample.labels, "topic") == input);
        of_input.map(|sample| label(&sample.labels, "partition").parse().expect("a number")).collect()
    }

    /// The tasks that it was asked to give back since the last time.
    fn take_asked_back(&self) -> BTreeSet<u32> {
        self.log.faults.take_asked_back().iter().map(|TopicPartition { partition, .. }| *partition).collect()
    }

    fn stop(self) {
        self.app.stop().expect("stopped in good order");
    }
}

/// One process has everything, another one comes, is held back before it is told what it has, and goes again.
fn tasks_that_stay_commit_before_a_newcomer_has_its_own(membership: Membership) {
    let group = Group::new("staying", membership);
    let first = group.start("a");
    wait_until("the first has everything", || first.has(ALL));
    let sender = group.beats.keep_sending(PACE);
    wait_until("all tasks count", || (0..PARTITIONS).all(|task| group.beats.came(task) > 0));
    first.take_asked_back();

    let began = Instant::now();
    let newcomers = FaultyLog::over(group.log.clone());
    newcomers.faults.goes_away();
    let second = group.start_over(newcomers, "b");
    wait_until("the first has given up half", || first.has(ALL / 2));
    let kept = first.tasks(&group);
    let asked_back = first.take_asked_back();
    // Written after that half was given up.
    let wanted: Vec<_> = kept.iter().map(|task| (*task, group.beats.sent(*task) + 5)).collect();
    wait_until("what it kept goes on", || wanted.iter().all(|(task, wanted)| group.beats.came(*task) >= *wanted));
    assert_eq!(second.app.stats().tasks, 0, "the other has nothing yet: it was not told");
    second.log.faults.comes_back();
    wait_until("each has its half", || second.has(ALL / 2) && first.has(ALL / 2));
    let joined = Instant::now();
    second.stop();
    // A static member's tasks wait for its session to expire.
    wait_until("the first has everything again", || first.has(ALL));
    let ended = Instant::now();
    println!(
        "{membership:?}: the longest gap in the outputs of tasks that stay was {:?} while a member joined and {:?} while it left",
        group.beats.longest_gap(&kept, began, joined),
        group.beats.longest_gap(&kept, joined, ended),
    );

    let disturbed: Vec<_> =
        asked_back.union(&first.take_asked_back()).copied().filter(|task| kept.contains(task)).collect();
    match membership {
        Membership::Static => assert_eq!(disturbed, kept, "the classic protocol asks everything back"),
        _ => assert!(disturbed.is_empty(), "what stays is not asked back: {disturbed:?}"),
    }
    group.beats.stop_sending(sender);
    group.beats.check();
    first.stop();
}

/// Two processes, of which one hangs in its operator, and the other's tasks. A third one has come.
struct Hanging {
    group: Group,
    hangs: Member,
    works: Member,
    kept: Vec<u32>,
}

impl Hanging {
    fn new(what: &str, membership: Membership) -> Self {
        let group = Group::new(what, membership);
        let [one, two] = ["a", "b"].map(|instance| group.start(instance));
        wait_until("each has its half", || one.has(ALL / 2) && two.has(ALL / 2));
        // Partitions go to members in the order of both, so the last one has to give one up to a third, wherever that comes.
        let last = PARTITIONS - 1;
        let (hangs, works) = if one.tasks(&group).contains(&last) { (one, two) } else { (two, one) };
        hangs.mood.chooses(|_, _| true);
        hangs.mood.blocks();
        group.beats.send(last);
        wait_until("it hangs in its operator", || hangs.mood.hits.load(SeqCst) == 1);
        let kept = works.tasks(&group);
        works.take_asked_back();
        Self { group, hangs, works, kept }
    }

    /// Lets the rebalance go on to its end, and checks what came of it.
    fn end(self, third: Member) {
        self.hangs.mood.content();
        wait_until("all have their part", || {
            let members = [&self.hangs, &self.works, &third];
            members.iter().all(|member| member.app.stats().tasks > 0)
                && members.iter().map(|member| member.app.stats().tasks).sum::<u64>() == ALL
        });
        self.group.beats.check();
        [self.hangs, self.works, third].into_iter().for_each(Member::stop);
    }
}

/// Under KIP-848 nobody waits for a member that has not given up what it was asked for, but who is to have that.
#[test]
fn tasks_that_stay_work_on_while_a_rebalance_waits_for_another_member() {
    const MOST_TRIES: u32 = 20;
    let hanging = Hanging::new("kept", Membership::Dynamic);
    let Hanging { group, hangs, works, kept } = &hanging;
    // Several heartbeats of each member, by which it is asked for what it has to give up.
    let goes_on = |third: &Member| {
        (0..20).all(|_| {
            kept.iter().for_each(|task| group.beats.send(*task));
            let mut is_kept = true;
            wait_until("what stays is counted, or it does not stay", || {
                is_kept = works.has(kept.len() as u64) && third.app.stats().tasks == 0;
                !is_kept || kept.iter().all(|task| group.beats.came(*task) == group.beats.sent(*task))
            });
            std::thread::sleep(Duration::from_millis(100));
            is_kept
        })
    };
    for tries in 1.. {
        let third = group.start("c");
        wait_until("it is a member", || group.members() == 3);
        if goes_on(&third) {
            assert_eq!(hangs.mood.hits.load(SeqCst), 1);
            assert!(third.has(0), "it waits for what the other one has");
            assert_eq!(works.take_asked_back(), BTreeSet::new());
            println!("a rebalance that hung, the {tries}. try");
            hanging.end(third);
            return;
        }
        // By chance, it comes before the others in the order of members, and has the beginning.
        third.stop();
        wait_until("its part is back", || works.has(kept.len() as u64));
        works.take_asked_back();
        assert!(tries < MOST_TRIES, "{tries} newcomers, and none of them at the end");
    }
}

/// Under the classic protocol all wait for all: that is the moment for which tasks stand still at a rebalance.
#[test]
fn under_the_classic_protocol_every_task_waits_for_the_slowest_member() {
    let hanging = Hanging::new("classic", Membership::Static);
    let Hanging { group, works, kept, .. } = &hanging;
    let third = group.start("c");
    wait_until("all is asked back", || works.has(0));
    assert_eq!(works.take_asked_back(), kept.iter().copied().collect());
    let before: Vec<_> = kept.iter().map(|task| group.beats.came(*task)).collect();
    kept.iter().for_each(|task| group.beats.send(*task));
    // Nothing to wait for: nothing happens.
    std::thread::sleep(Duration::from_secs(1));
    assert!(works.has(0) && third.has(0), "the rebalance hangs");
    assert_eq!(kept.iter().map(|task| group.beats.came(*task)).collect::<Vec<_>>(), before);
    hanging.end(third);
}

/// A static member that comes back within its session gets its tasks without a rebalance.
#[test]
fn one_that_comes_back_in_time_is_noticed_by_nobody() {
    let mut group = Group::new("back", Membership::Static);
    group.session = 5 * SESSION;
    let [stays, goes] = ["a", "b"].map(|instance| group.start(instance));
    wait_until("each has its half", || stays.has(ALL / 2) && goes.has(ALL / 2));
    let sender = group.beats.keep_sending(PACE);
    wait_until("all tasks count", || (0..PARTITIONS).all(|task| group.beats.came(task) > 0));
    let kept = stays.tasks(&group);
    stays.take_asked_back();

    let began = Instant::now();
    goes.stop();
    let back = group.start("b");
    wait_until("it has its half again", || back.has(ALL / 2));
    let gone = back.tasks(&group);
    let wanted: Vec<_> = gone.iter().map(|task| (*task, group.beats.sent(*task))).collect();
    wait_until("it counts", || wanted.iter().all(|(task, wanted)| group.beats.came(*task) >= *wanted));
    let longest = |tasks: &[u32]| group.beats.longest_gap(tasks, began, Instant::now());
    println!("the longest gap in outputs was {:?} of who went and {:?} of who stayed", longest(&gone), longest(&kept));
    assert_eq!(stays.take_asked_back(), BTreeSet::new());
    assert_eq!(stays.tasks(&group), kept);
    group.beats.stop_sending(sender);
    group.beats.check();
    [stays, back].into_iter().for_each(Member::stop);
}
