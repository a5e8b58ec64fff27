//! What operators do wrong: retry, panic, stop. Claims that hold on every log: nothing of a commit is kept, and what goes on
//! goes on exactly.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use beacon_core::log::Log;
use beacon_core::runtime::{App, AppConfig, AppStatus};
use beacon_core::state::layout;

use super::counting::{Counting, PARTITIONS, by_word};
use super::mood::{MOODY, MOODY_AT, Mood};
use super::{read_all, state_by_changelog, wait_until};

/// The counting job on some log, with state on disk.
pub struct Stage {
    pub log: Arc<dyn Log>,
    pub job: Counting,
    pub config: AppConfig,
}

/// How an application was ended by its operator.
pub struct Ended {
    /// What it said.
    pub error: String,
    application: String,
    /// The coordinates of the record that met the mood.
    pub record: String,
}

impl Ended {
    pub fn by_a_panic(&self) {
        self.said(&[&self.record, "the operator lost its mind"]);
    }

    pub fn by_a_stop(&self) {
        self.said(&[&format!("{}, operator `count`: the operator refuses to go on", self.record)]);
        let place = format!("application `{}`, task ", self.application);
        assert!(self.error.starts_with(&place), "{}", self.error);
    }

    pub fn by_a_stop_at_a_timer(&self) {
        self.said(&["a timer due at ", " ms, operator `count`: the operator refuses to go on"]);
    }

    fn said(&self, parts: &[&str]) {
        assert!(parts.iter().all(|part| self.error.contains(part)), "{parts:?}: {}", self.error);
    }
}

impl Stage {
    pub fn new(log: Arc<dyn Log>, job: Counting, mut config: AppConfig) -> Self {
        job.make_topics(log.as_ref());
        // The record in question is looked for where it was.
        config.trim_interval = Duration::from_secs(3600);
        Self { log, job, config }
    }

    fn start(&self, mood: &Arc<Mood>) -> App {
        App::start(Arc::clone(&self.log), self.job.topology(mood), self.config.clone()).expect("started")
    }

    fn finish(&self, app: App) {
        self.job.wait_complete(self.log.as_ref());
        app.stop().expect("stopped");
        self.job.check_with_disk(self.log.as_ref(), &self.config);
    }

    /// The operator retries for a while, which changes nothing.
    pub fn retries_for_a_while(&self, turn: impl FnOnce(&Mood)) {
        let mood = Arc::new(Mood::default());
        turn(&mood);
        let app = self.start(&mood);
        self.job.feed_all(self.log.as_ref());
        wait_until("it retried a few times", || mood.hits.load(SeqCst) >= 4);
        assert!(app.stats().aborts >= 3);
        let (word, at) = mood.met().expect("it has");
        let out = by_word(read_all(self.log.as_ref(), &self.job.output()));
        let lines = out.get(&word).map_or(0, Vec::len) as u64;
        assert!(lines < at, "nothing of the record is out: {out:?}");
        mood.content();
        self.finish(app);
    }

    /// The application is stopped while its operator retries.
    pub fn is_stopped_while_it_retries(&self, turn: impl FnOnce(&Mood)) {
        let mood = Arc::new(Mood::default());
        turn(&mood);
        let app = self.start(&mood);
        self.job.feed_all(self.log.as_ref());
        wait_until("it retries", || mood.hits.load(SeqCst) >= 1);
        app.stop().expect("stopped");
        mood.content();
        self.finish(self.start(&mood));
    }

    /// The operator ends its application, with nothing of the commit kept, and a mended one goes on exactly.
    pub fn ends_and_goes_on_exactly(&self, turn: impl FnOnce(&Mood)) -> Ended {
        let (log, job) = (self.log.as_ref(), &self.job);
        let mood = Arc::new(Mood::default());
        turn(&mood);
        let app = self.start(&mood);
        self.job.feed_all(self.log.as_ref());
        wait_until("it ended", || app.status() == AppStatus::Stopped);
        let error = app.wait().expect_err("by its operator").to_string();
        let open = log.open_transactions().expect("the log tells");
        let is_ours = |id: &String| id.starts_with(&format!("{}-", job.application()));
        assert!(!open.iter().any(|open| is_ours(&open.transactional_id) && !open.is_decided), "{open:?}");

        let (word, at) = mood.met().unwrap_or((MOODY.to_owned(), MOODY_AT));
        let internal = read_all(log, &format!("{}-word-repartition", job.application()));
        let fatal =
            internal.iter().filter(|record| record.text() == word).nth(at as usize - 1).expect("it was written");
        let record = format!("{}@{}", fatal.at, fatal.offset);

        // Each count that is out is in the state that is committed, and the other way round.
        let out = by_word(read_all(log, &job.output()));
        let lines: usize = out.values().map(|lines| lines.iter().filter(|line| !line.contains("closed")).count()).sum();
        let counted: u64 = state_by_changelog(log, &job.application(), PARTITIONS)
            .iter()
            .flatten()
            .filter(|(key, _)| key[0] == layout::KEYED)
            .map(|(_, value)| u64::from_be_bytes(value.as_slice().try_into().expect("a count")))
            .sum();
        assert_eq!(lines as u64, counted, "half a commit is in the log");
        let met = out.get(&word).map(Vec::as_slice).unwrap_or_default();
        assert!(met.iter().all(|line| !line.contains("closed")), "{met:?}");

        mood.content();
        self.finish(self.start(&mood));
        Ended { error, application: job.application(), record }
    }
}
