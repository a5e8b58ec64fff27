//! The same life with checkpoints, when the changelogs alone do not tell the state any more.

use beacon_core::checkpoint::{ObjectName, TaskObjects};
use beacon_core::log::{Isolation, TopicPartition};
use beacon_core::tools::checkpoints::{discard, other_histories};

use super::scaling::{AllState, Scaling, comparable};
use super::{state_on_disk, wait_until};

/// Parts that a phase is fed in. A changelog is trimmed past its start by the clean-up after the third checkpoint.
const PARTS: u64 = 5;

impl Scaling {
    fn changelog(&self, task: u32) -> TopicPartition {
        TopicPartition::new(format!("{}-changelog", self.application()), task)
    }

    /// The newest checkpoint of each task.
    fn newest(&self, partitions: u32) -> Vec<Option<String>> {
        let store = self.checkpoints.as_ref().expect("they are set");
        let newest = |task: u32| {
            let history = self.log.topic_id(&self.changelog(task).topic).expect("asked");
            let objects = TaskObjects { application: self.application(), task, history };
            let names = store.list(&objects.prefix()).expect("listed").into_iter().map(|object| object.name);
            names.filter(|name| matches!(objects.parse(name), Some(ObjectName::Manifest(_)))).max()
        };
        (0..partitions).map(newest).collect()
    }

    /// Runs a phase in parts, each with a checkpoint of every task, until every changelog is trimmed. Then the disk is lost.
    fn run_phase_until_trimmed_and_lose_the_disk(&self, partitions: u32, phase: u64) {
        let config = self.config(partitions);
        self.log.create_topics(&config.topics).expect("made");
        if phase == 0 {
            self.write("titles", ["title".to_owned()]);
        }
        let app = self.start(self.topology(), config);
        wait_until("the title is known", || self.read_to_the_end());
        for part in 0..PARTS {
            let before = self.newest(partitions);
            self.write_part(phase, part * 100 / PARTS..(part + 1) * 100 / PARTS);
            wait_until("every task has a new checkpoint", || {
                let now = self.newest(partitions);
                now.iter().zip(&before).all(|(now, before)| now > before)
            });
        }
        let start = |task| self.log.offsets(&self.changelog(task), Isolation::Uncommitted).expect("offsets").start;
        wait_until("every changelog is trimmed", || (0..partitions).all(|task| start(task) > 0));
        self.finish(app, phase + 1);
        self.check_disk(partitions, phase + 1);
        std::fs::remove_dir_all(self.state("0")).expect("it is there");
        self.wait_until_nobody_is_in();
    }

    fn check_disk(&self, partitions: u32, phases: u64) {
        let (outputs, state) = self.calm_run(phases);
        assert_eq!(self.sorted_out(), outputs);
        let disk = state_on_disk(&self.state("0"), &self.application(), partitions);
        let found: AllState = disk.into_iter().flat_map(comparable).collect();
        assert_eq!(found.len(), state.len());
        assert!(found == state, "the state on disk differs after phase {phases}");
    }

    /// What a rescale leaves of the checkpoints of before is found as such, and may be deleted.
    fn discard_checkpoints_of_before(&self) {
        let store = self.checkpoints.as_ref().expect("they are set").as_ref();
        let others = other_histories(self.log.as_ref(), store, &self.topology()).expect("listed");
        assert_eq!(others.len(), 1, "{others:?}");
        discard(store, &others).expect("deleted");
        assert!(store.list(&others[0].prefix).expect("listed").is_empty());
    }

    /// There and back, and each time the state is nowhere but in checkpoints and the changelog after them.
    pub fn four_to_eight_and_back_from_checkpoints_is_as_if_it_had_never_been(&self) {
        self.run_phase_until_trimmed_and_lose_the_disk(4, 0);
        self.rescale(4, 8).expect("to eight");
        self.discard_checkpoints_of_before();
        self.run_phase_until_trimmed_and_lose_the_disk(8, 1);
        self.rescale(8, 4).expect("back to four");
        self.discard_checkpoints_of_before();
        self.run_phase_until_trimmed_and_lose_the_disk(4, 2);
        // And once more from the last checkpoints, without a rescale.
        let app = self.start(self.topology(), self.config(4));
        wait_until("it is restored", || app.stats().tasks >= 4 && app.stats().restoring == 0);
        assert_eq!(app.stats().checkpoint_restores, 4);
        app.stop().expect("stopped");
        self.check_disk(4, 3);
    }
}
