//! What a task's objects amount to: a function of one listing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::checkpoint::{Listing, Manifest, Object, PassedOver, TaskObjects, judge};
use crate::log::{Offset, OffsetRange};
use crate::state::{Checksum, StoreFile};

/// The checkpoints of one task, as one look at storage and log saw them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCheckpoints {
    /// Whose they are, and what their names begin with.
    pub objects: TaskObjects,
    /// Where the task's changelog begins and ends.
    pub changelog: OffsetRange,
    /// Its checkpoints, newest first: the order in which a restore tries them.
    pub chain: Vec<ChainLink>,
    /// Files that no readable checkpoint lists. The application deletes them when they are old enough.
    pub orphans: Vec<Object>,
    /// Objects that are none of the engine's: never touched.
    pub others: Vec<Object>,
}

/// One checkpoint of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainLink {
    /// The name of its manifest.
    pub object: String,
    /// The changelog offset it is of.
    pub offset: Offset,
    /// Time since it was written.
    pub age: Duration,
    /// What its manifest says; `None`: it cannot be read.
    pub manifest: Option<Manifest>,
    /// Bytes of its files that the next older readable checkpoint lists as well: they were not uploaded for this one.
    pub shared_bytes: u64,
    /// Whether it can be restored from.
    pub standing: Standing,
}

/// Whether a checkpoint can be restored from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can.
    Valid,
    /// Nothing is wrong with it, but the changelog after it was trimmed: newer ones have taken its place.
    Superseded,
    /// It cannot, for this reason.
    Bad(PassedOver),
}

/// Sorts out a task's objects. `manifests` are the bytes of each manifest of the listing; `None`: it was gone when it
/// was read.
pub fn survey(
    task: &TaskObjects,
    partitions: u32,
    listing: &Listing,
    manifests: &BTreeMap<Offset, Option<Vec<u8>>>,
    changelog: OffsetRange,
) -> TaskCheckpoints {
    let mut chain: Vec<ChainLink> = Vec::new();
    // Oldest first, so that each finds what it shares with the one before.
    let mut before: BTreeSet<(Checksum, u64)> = BTreeSet::new();
    for (offset, object) in &listing.manifests {
        let bytes = manifests.get(offset).and_then(Option::as_deref);
        let standing = match judge(task, partitions, *offset, bytes, listing, changelog) {
            Ok(_) => Standing::Valid,
            Err(PassedOver::BehindChangelog { .. }) => Standing::Superseded,
            Err(reason) => Standing::Bad(reason),
        };
        let manifest = bytes.and_then(|bytes| Manifest::decode(bytes).ok());
        let mut shared_bytes = 0;
        if let Some(manifest) = &manifest {
            let files: BTreeSet<_> = manifest.files.iter().map(content).collect();
            shared_bytes = files.intersection(&before).map(|(_, size)| size).sum();
            before = files;
        }
        let (object, age) = (object.name.clone(), object.age);
        chain.push(ChainLink { object, offset: *offset, age, manifest, shared_bytes, standing });
    }
    chain.reverse();
    let listed: BTreeSet<_> = chain
        .iter()
        .filter_map(|link| link.manifest.as_ref())
        .flat_map(|manifest| &manifest.files)
        .map(content)
        .collect();
    let orphans = listing.files.iter().filter(|(content, _)| !listed.contains(content));
    TaskCheckpoints {
        objects: task.clone(),
        changelog,
        chain,
        orphans: orphans.map(|(_, object)| object.clone()).collect(),
        others: listing.others.clone(),
    }
}

/// What a file is known by in storage.
pub(super) fn content(file: &StoreFile) -> (Checksum, u64) {
    (file.checksum, file.size)
}

impl TaskCheckpoints {
    /// The checkpoint that a restore would take.
    pub fn newest_valid(&self) -> Option<&ChainLink> {
        self.chain.iter().find(|link| link.standing == Standing::Valid)
    }

    /// Each file that a readable checkpoint lists, once, with the newest checkpoint that does.
    pub(super) fn files(&self) -> Vec<(Offset, StoreFile)> {
        let mut seen = BTreeSet::new();
        let manifests = self.chain.iter().filter_map(|link| link.manifest.as_ref());
        let files = manifests.flat_map(|manifest| manifest.files.iter().map(|file| (manifest.changelog, file)));
        files.filter(|(_, file)| seen.insert(content(file))).map(|(offset, file)| (offset, file.clone())).collect()
    }

    /// Its bytes are not what was uploaded: no checkpoint that lists it can be restored from.
    pub(super) fn condemn(&mut self, file: &StoreFile, found: &str) {
        let object = self.objects.file(file);
        for link in &mut self.chain {
            let lists = |manifest: &Manifest| manifest.files.iter().any(|listed| content(listed) == content(file));
            if link.standing == Standing::Valid && link.manifest.as_ref().is_some_and(lists) {
                link.standing = Standing::Bad(PassedOver::FileDamaged {
                    manifest: link.object.clone(),
                    object: object.clone(),
                    name: file.name.clone(),
                    found: found.to_owned(),
                });
            }
        }
    }

    /// What is wrong, each with the name of the object or task.
    pub fn problems(&self) -> Vec<String> {
        let bad = |link: &ChainLink| match &link.standing {
            Standing::Bad(reason) => Some(reason.to_string()),
            Standing::Valid | Standing::Superseded => None,
        };
        let mut problems: Vec<String> = self.chain.iter().filter_map(bad).collect();
        if self.changelog.start > 0 && self.newest_valid().is_none() {
            problems.push(format!(
                "{}: no checkpoint can be restored from, and the changelog begins at offset {}: a lost disk of task {} would be \
                 lost for good; leave its process running until it has made a new one",
                self.objects.prefix(),
                self.changelog.start,
                self.objects.task
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> TaskObjects {
        TaskObjects { application: "a".to_owned(), task: 1, history: Some("h".to_owned()) }
    }

    fn file(text: &str) -> StoreFile {
        StoreFile { name: format!("{text}.sst"), size: text.len() as u64, checksum: Checksum::of(text.as_bytes()) }
    }

    fn manifest(offset: Offset, files: &[&str]) -> Manifest {
        Manifest {
            application: "a".to_owned(),
            task: 1,
            partitions: 2,
            changelog: offset,
            sources: Vec::new(),
            generation: 1,
            files: files.iter().map(|text| file(text)).collect(),
            states: Vec::new(),
        }
    }

    /// A survey of these manifests and of files with these contents.
    fn surveyed(manifests: &[Manifest], files: &[&str], changelog: OffsetRange) -> TaskCheckpoints {
        let object = |name: String, size| Object { name, size, age: Duration::from_secs(1) };
        let mut objects: Vec<Object> =
            files.iter().map(|text| object(task().file(&file(text)), text.len() as u64)).collect();
        objects.extend(manifests.iter().map(|manifest| object(task().manifest(manifest.changelog), 1)));
        let bytes = manifests.iter().map(|manifest| (manifest.changelog, Some(manifest.encode()))).collect();
        survey(&task(), 2, &Listing::new(&task(), objects), &bytes, changelog)
    }

    const RANGE: OffsetRange = OffsetRange { start: 10, end: 40 };

    #[test]
    fn a_chain_is_told_newest_first_with_what_each_shares_with_the_one_before() {
        let chain = [manifest(5, &["one"]), manifest(20, &["one", "two!"]), manifest(30, &["one", "two!", "three"])];
        let found = surveyed(&chain, &["one", "two!", "three", "nobody's"], RANGE);
        let told: Vec<_> = found.chain.iter().map(|link| (link.offset, link.shared_bytes, &link.standing)).collect();
        assert_eq!(told, [(30, 7, &Standing::Valid), (20, 3, &Standing::Valid), (5, 0, &Standing::Superseded)]);
        assert_eq!(found.newest_valid().map(|link| link.offset), Some(30));
        assert_eq!(found.orphans.len(), 1);
        assert_eq!(found.problems(), [""; 0], "one that is merely old is no problem");
        assert_eq!(found.files().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [30, 30, 30], "each once");
    }

    #[test]
    fn a_missing_file_and_damage_name_the_object_and_leave_the_older_one() {
        let chain = [manifest(20, &["one"]), manifest(30, &["one", "gone"])];
        let mut found = surveyed(&chain, &["one"], RANGE);
        assert_eq!(found.newest_valid().map(|link| link.offset), Some(20));
        assert!(found.problems().iter().any(|problem| problem.contains("gone.sst")), "{:?}", found.problems());
        found.condemn(&file("one"), "other");
        assert_eq!(found.newest_valid(), None);
        let problems = found.problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[1].contains(&task().file(&file("one"))), "{problems:?}");
        assert!(problems[2].contains("task 1 would be lost"), "{problems:?}");
    }

    #[test]
    fn without_checkpoints_a_whole_changelog_is_enough_and_a_trimmed_one_is_not() {
        assert_eq!(surveyed(&[], &[], OffsetRange { start: 0, end: 40 }).problems(), [""; 0]);
        assert_eq!(surveyed(&[], &[], RANGE).problems().len(), 1);
    }
}
