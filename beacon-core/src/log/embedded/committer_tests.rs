//! What a write has done that was reported as failed.

use super::*;
use crate::log::embedded::directory::Directory;
use crate::log::embedded::options::EmbeddedOptions;
use crate::log::embedded::topic::Topic;
use crate::log::embedded::{admin, loading};
use crate::log::{CleanupPolicy, TopicSpec};

/// A committer at rest, and the directory that it works in.
struct Subject {
    committer: Committer,
    _directory: tempfile::TempDir,
}

impl Subject {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let directory = Directory::claim(root.path()).expect("nobody else has it");
        let store = Arc::new(Store::open(directory, EmbeddedOptions::default()).expect("opened"));
        let topics = Arc::new(loading::load_topics(&store).expect("read"));
        Self { committer: Committer::new(store, topics).expect("read"), _directory: root }
    }

    /// Makes a change of which the disk says that it failed, although it is there.
    fn land_in_doubt(&mut self, decide: impl FnOnce(&Arc<Store>, &Arc<Topics>, &mut WriteBatch)) {
        let committer = &mut self.committer;
        let number = committer.last_write + 1;
        let mut batch = WriteBatch::default();
        decide(&committer.store, &committer.topics, &mut batch);
        batch.put(keys::LAST_WRITE, number.to_be_bytes());
        committer.store.write(batch).expect("written");
        let (kind, message) = (LogErrorKind::Fatal, "the sync failed".to_owned());
        committer.store.set_doubt(Some((kind, message.clone())));
        committer.doubt = Some(Doubt { number, outcome: Arc::default(), kind, message });
    }

    fn make(&mut self, name: &str) -> Arc<Topic> {
        let (topics, store) = (Arc::clone(&self.committer.topics), Arc::clone(&self.committer.store));
        let specs = [spec(name)];
        self.committer.change(Box::new(move |batch| admin::put_missing(&store, topics, &specs, batch))).expect("made");
        self.committer.topics.get(name).expect("it was made")
    }

    fn names(&self) -> Vec<String> {
        self.committer.topics.all().iter().map(|topic| topic.name.to_string()).collect()
    }
}

fn spec(name: &str) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions: 2, cleanup: CleanupPolicy::Delete { retention: None } }
}

#[test]
fn a_topic_whose_making_was_reported_as_failed_is_there_if_it_got_to_the_disk() {
    let mut subject = Subject::new();
    let kept = subject.make("kept");
    subject.land_in_doubt(|store, topics, batch| {
        drop(admin::put_missing(store, Arc::clone(topics), &[spec("made")], batch).expect("decided"));
    });
    assert_eq!(subject.names(), ["kept"]);
    subject.committer.recover().expect("the disk is well");
    assert_eq!(subject.names(), ["kept", "made"]);
    assert!(!kept.is_gone());
    let next = subject.make("next");
    let made = subject.committer.topics.get("made").expect("it is there");
    assert_eq!((made.count(), made.is_gone()), (2, false));
    assert!(next.id > made.id, "an id is given out once");
}

#[test]
fn a_topic_whose_deletion_was_reported_as_failed_is_gone_if_it_got_to_the_disk() {
    let mut subject = Subject::new();
    let (kept, doomed) = (subject.make("kept"), subject.make("doomed"));
    subject.land_in_doubt(|store, topics, batch| {
        admin::put_deletion(store, topics, &["doomed".to_owned()], batch).expect("decided");
    });
    assert_eq!(subject.names(), ["doomed", "kept"]);
    subject.committer.recover().expect("the disk is well");
    assert_eq!(subject.names(), ["kept"]);
    assert_eq!((kept.is_gone(), doomed.is_gone()), (false, true), "writes that come late for it are refused");
    assert!(subject.make("doomed").id > doomed.id, "an id is given out once");
}
