//! Changes of topics that meet each other on their way to the committer.

use super::*;
use crate::log::CleanupPolicy;
use crate::log::embedded::committer::Committer;
use crate::log::embedded::directory::Directory;
use crate::log::embedded::loading::load_topics;
use crate::log::embedded::options::EmbeddedOptions;

#[test]
fn of_two_deletions_the_later_one_deletes_what_was_made_in_between_and_its_id_stays_used() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = Directory::claim(directory.path()).expect("nobody else has it");
    let store = Arc::new(Store::open(directory, EmbeddedOptions::default()).expect("opened"));
    let topics = Arc::new(load_topics(&store).expect("read"));
    let committer = Committer::new(Arc::clone(&store), Arc::clone(&topics)).expect("read");
    // What is posted waits here until it is passed on.
    let (queue, posted, queued_bytes) = Queue::new();
    let (pass_on, jobs) = mpsc::channel();
    let (store, topics, queue) = (&store, &topics, &queue);
    std::thread::scope(|scope| {
        scope.spawn(move || committer.run(jobs, queued_bytes));
        let next = || posted.recv().expect("a change was posted");
        let pass = |job| pass_on.send(job).expect("the committer is at work");
        let delete = || scope.spawn(|| delete_topics(store, topics, queue, &["twice"]).expect("deleted"));
        let make = |name: &str| {
            let cleanup = CleanupPolicy::Delete { retention: None };
            let spec = TopicSpec { name: name.to_owned(), partitions: 1, cleanup };
            let making = scope.spawn(move || create_topics(store, topics, queue, &[spec]).expect("made"));
            pass(next());
            making.join().expect("made");
            topics.get(name).expect("it was made").id
        };
        let first = make("twice");
        let (earlier, its_job) = (delete(), next());
        let (later, late_job) = (delete(), next());
        pass(its_job);
        earlier.join().expect("deleted");
        let second = make("twice");
        pass(late_job);
        later.join().expect("deleted");
        assert!(topics.get("twice").is_none());
        let other = make("other");
        assert!(first < second && second < other, "{first}, {second}, {other}: an id is given out once");
        let on_disk = store.topics().expect("read");
        assert_eq!(on_disk.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["other"]);
        drop(pass_on);
    });
}
