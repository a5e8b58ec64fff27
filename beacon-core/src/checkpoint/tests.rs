//! The decisions together: several owners, crashes at any point, damage and clean-ups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::log::{Offset, OffsetRange};
use crate::state::{Checksum, StoreFile};

const KEEP: usize = 2;
const MINIMUM_AGE: Duration = Duration::from_secs(100);
const ALL: OffsetRange = OffsetRange { start: 0, end: Offset::MAX };

fn task() -> TaskObjects {
    TaskObjects { application: "app".into(), task: 3, history: None }
}

/// The bytes of a file, by number. Numbers that differ by 100 have one name and other bytes.
fn bytes(number: u32) -> Vec<u8> {
    format!("bytes of {number}").into_bytes()
}

fn file(number: u32) -> StoreFile {
    let bytes = bytes(number);
    StoreFile { name: format!("{:06}.sst", number % 100), size: bytes.len() as u64, checksum: Checksum::of(&bytes) }
}

fn manifest(offset: Offset, generation: u64, files: &[u32]) -> Manifest {
    Manifest {
        application: "app".into(),
        task: 3,
        partitions: 8,
        changelog: offset,
        sources: Vec::new(),
        generation,
        files: files.iter().copied().map(file).collect(),
        states: Vec::new(),
    }
}

/// What a process sees and does, over the real decisions.
struct Storage {
    objects: MemoryObjectStore,
    now: Duration,
}

type Manifests = BTreeMap<Offset, Result<Manifest, ManifestError>>;

impl Storage {
    fn new() -> Self {
        Self { objects: MemoryObjectStore::new(), now: Duration::ZERO }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.objects.set_time(self.now);
    }

    fn listing(&self) -> Listing {
        Listing::new(&task(), self.objects.list(&task().prefix()).expect("no faults"))
    }

    fn manifests(&self, listing: &Listing) -> Manifests {
        let read = |offset: Offset| Manifest::decode(&self.objects.get(&task().manifest(offset)).expect("no faults"));
        listing.newest_first().map(|offset| (offset, read(offset))).collect()
    }

    fn newest(&self, listing: &Listing) -> Option<Manifest> {
        listing.newest_first().find_map(|offset| self.judge(offset, listing, ALL).ok())
    }

    fn judge(&self, offset: Offset, listing: &Listing, changelog: OffsetRange) -> Result<Manifest, PassedOver> {
        let bytes = self.objects.get(&task().manifest(offset)).ok();
        judge(&task(), 8, offset, bytes.as_deref(), listing, changelog)
    }

    /// Uploads, and dies before the manifest when `dies_after` uploads are done.
    fn checkpoint(&self, offset: Offset, files: &[u32], dies_after: Option<usize>) {
        let listing = self.listing();
        let newest = self.newest(&listing);
        let all: Vec<_> = files.iter().copied().map(file).collect();
        let plan = plan_upload(&all, &listing, newest.as_ref(), MINIMUM_AGE / 2);
        for (index, (file, _)) in plan.send.iter().enumerate() {
            if dies_after == Some(index) {
                return;
            }
            let number = files.iter().find(|number| self::file(**number).checksum == file.checksum);
            let bytes = bytes(*number.expect("one of them"));
            self.objects.upload(&task().file(file), &mut &bytes[..], file.size).expect("no faults");
        }
        let generation = newest.map_or(1, |newest| newest.generation + 1);
        let manifest = manifest(offset, generation, files).encode();
        self.objects.put_if_absent(&task().manifest(offset), &manifest).expect("no faults");
    }

    fn plan_cleanup(&self) -> Cleanup {
        let listing = self.listing();
        plan_cleanup(&listing, &self.manifests(&listing), KEEP, MINIMUM_AGE)
    }

    /// All bytes of a manifest's files are there and right.
    fn restores(&self, manifest: &Manifest) -> bool {
        manifest
            .files
            .iter()
            .all(|file| self.objects.get(&task().file(file)).is_ok_and(|bytes| Checksum::of(&bytes) == file.checksum))
    }
}

#[derive(Clone, Debug)]
enum Act {
    Checkpoint {
        files: BTreeSet<u32>,
        dies_after: Option<usize>,
    },
    /// An owner that was replaced long ago writes what it had in hand.
    Zombie {
        back: u8,
        files: BTreeSet<u32>,
    },
    Pass(u8),
    Cleanup {
        at_most: usize,
    },
    DamageManifest(u8),
    TruncateFile(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let files = || prop::collection::btree_set(prop_oneof![0..12u32, 100..104u32], 1..6);
    prop_oneof![
        4 => (files(), prop::option::weighted(0.3, 0..4usize))
            .prop_map(|(files, dies_after)| Act::Checkpoint { files, dies_after }),
        1 => (1..5u8, files()).prop_map(|(back, files)| Act::Zombie { back, files }),
        3 => (1..120u8).prop_map(Act::Pass),
        3 => (0..9usize).prop_map(|at_most| Act::Cleanup { at_most }),
        1 => any::<u8>().prop_map(Act::DamageManifest),
        1 => any::<u8>().prop_map(Act::TruncateFile),
    ]
}

proptest! {
    /// Whatever happened: clean-up takes nothing that a kept manifest lists and nothing young, oldest first; every
    /// manifest that is judged good restores; and what the changelog was trimmed to can still be bridged.
    #[test]
    fn what_is_judged_good_restores_through_crashes_zombies_damage_and_clean_ups(acts in prop::collection::vec(act(), 1..40)) {
        let mut storage = Storage::new();
        let mut offset = 0;
        let mut trimmed = 0;
        for act in acts {
            match act {
                Act::Checkpoint { files, dies_after } => {
                    offset += 10;
                    storage.checkpoint(offset, &files.into_iter().collect::<Vec<_>>(), dies_after);
                }
                Act::Zombie { back, files } => {
                    let old = (offset + 5).saturating_sub(10 * Offset::from(back)).max(1);
                    storage.checkpoint(old, &files.into_iter().collect::<Vec<_>>(), None);
                }
                Act::Pass(seconds) => storage.pass(Duration::from_secs(seconds.into())),
                Act::Cleanup { at_most } => {
                    let listing = storage.listing();
                    let manifests = storage.manifests(&listing);
                    let plan = storage.plan_cleanup();
                    let ages: BTreeMap<_, _> = listing.manifests.values().chain(listing.files.values())
                        .map(|object| (object.name.clone(), object.age)).collect();
                    prop_assert_eq!(plan.delete.len() + plan.keep.len(), ages.len(), "each object once");
                    for name in &plan.delete {
                        prop_assert!(ages[name] >= MINIMUM_AGE, "{} is young", name);
                    }
                    for kind in ["/manifests/", "/files/"] {
                        let order: Vec<_> = plan.delete.iter().filter(|name| name.contains(kind)).map(|name| ages[name]).collect();
                        prop_assert!(order.is_sorted_by(|a, b| a >= b), "oldest first: {order:?}");
                    }
                    let deleted: BTreeSet<_> = plan.delete.iter().cloned().collect();
                    for manifest in manifests.values().flatten() {
                        for file in &manifest.files {
                            prop_assert!(!deleted.contains(&task().file(file)), "a listed file goes");
                        }
                    }
                    // It may die in the middle.
                    for name in plan.delete.iter().take(at_most) {
                        storage.objects.delete(name).expect("no faults");
                    }
                    if let Some(to) = plan.trim_to {
                        trimmed = trimmed.max(to);
                        let listing = storage.listing();
                        let left = listing.newest_first().filter(|at| *at >= to)
                            .filter(|at| storage.judge(*at, &listing, ALL).is_ok()).count();
                        prop_assert!(left >= KEEP, "trimmed to {to} with {left} manifests to restore from");
                    }
                }
                Act::DamageManifest(which) => {
                    let listing = storage.listing();
                    let objects: Vec<_> = listing.manifests.values().collect();
                    if let Some(object) = objects.get(usize::from(which) % objects.len().max(1)) {
                        storage.objects.damage(&object.name, |bytes| bytes[9] ^= 1);
                    }
                }
                Act::TruncateFile(which) => {
                    let listing = storage.listing();
                    let objects: Vec<_> = listing.files.values().collect();
                    if let Some(object) = objects.get(usize::from(which) % objects.len().max(1)) {
                        storage.objects.damage(&object.name, |bytes| bytes.truncate(3));
                    }
                }
            }
            let listing = storage.listing();
            for at in listing.newest_first() {
                if let Ok(manifest) = storage.judge(at, &listing, ALL) {
                    prop_assert!(storage.restores(&manifest), "judged good and is not: {manifest:?}");
                }
            }
        }
    }
}

#[test]
fn a_second_checkpoint_sends_only_what_is_new() {
    let storage = Storage::new();
    storage.checkpoint(10, &[1, 2, 3], None);
    let listing = storage.listing();
    let plan = plan_upload(&[file(2), file(3), file(4)], &listing, storage.newest(&listing).as_ref(), MINIMUM_AGE);
    assert_eq!(plan.send, [(file(4), SendReason::New)]);
    assert_eq!(plan.share, [file(2), file(3)]);
}

#[test]
fn a_file_of_the_same_name_and_other_bytes_is_sent() {
    let storage = Storage::new();
    storage.checkpoint(10, &[1], None);
    let listing = storage.listing();
    assert_eq!(file(1).name, file(101).name);
    let plan = plan_upload(&[file(101)], &listing, storage.newest(&listing).as_ref(), MINIMUM_AGE);
    assert_eq!(plan.send, [(file(101), SendReason::New)]);
}

#[test]
fn an_old_orphan_is_sent_again_before_it_is_shared() {
    let mut storage = Storage::new();
    storage.checkpoint(10, &[1, 2], Some(1));
    storage.pass(MINIMUM_AGE);
    let plan = plan_upload(&[file(1)], &storage.listing(), None, MINIMUM_AGE / 2);
    assert_eq!(plan.send, [(file(1), SendReason::Unprotected)]);
}

#[test]
fn a_half_written_file_is_sent_again() {
    let storage = Storage::new();
    let name = task().file(&file(1));
    storage.objects.upload(&name, &mut &b"by"[..], 2).expect("no faults");
    let plan = plan_upload(&[file(1)], &storage.listing(), None, MINIMUM_AGE);
    assert_eq!(plan.send, [(file(1), SendReason::WrongSize { found: 2 })]);
}

#[test]
fn each_manifest_that_is_passed_over_has_its_reason() {
    let storage = Storage::new();
    for (offset, number) in [(10, 1), (20, 2), (30, 3), (40, 4), (50, 5), (60, 6)] {
        storage.checkpoint(offset, &[number], None);
    }
    storage.objects.damage(&task().manifest(50), |bytes| bytes.truncate(20));
    storage.objects.delete(&task().file(&file(4))).expect("deleted");
    storage.objects.damage(&task().file(&file(3)), |bytes| bytes.truncate(2));
    let listing = storage.listing();
    let changelog = OffsetRange { start: 15, end: 55 };
    let reasons: Vec<_> = listing
        .newest_first()
        .map(|offset| storage.judge(offset, &listing, changelog).map(|good| good.changelog).map_err(|e| e.to_string()))
        .collect();
    let (third, fourth) = (task().file(&file(3)), task().file(&file(4)));
    let at = |offset: u32| format!("app/task-3/manifests/{offset:020}");
    assert_eq!(
        reasons,
        [
            Err(format!("{} is ahead of the changelog, which ends at 55: it belongs to another log", at(60))),
            Err(format!("{}: it is damaged: it is cut short", at(50))),
            Err(format!("{} lists {fourth} (000004.sst), which is missing", at(40))),
            Err(format!("{} lists {third} (000003.sst), which has 2 bytes instead of {}", at(30), file(3).size)),
            Ok(20),
            Err(format!("{} is behind the changelog, which begins at 15", at(10))),
        ]
    );
}

#[test]
fn another_tasks_manifest_is_refused() {
    let storage = Storage::new();
    let mut other = manifest(10, 1, &[]);
    other.task = 4;
    storage.objects.put_if_absent(&task().manifest(10), &other.encode()).expect("no faults");
    let verdict = storage.judge(10, &storage.listing(), ALL);
    assert!(matches!(verdict, Err(PassedOver::NotOurs { .. })), "{verdict:?}");
}

#[test]
fn the_changelog_is_trimmed_only_when_as_many_as_are_kept_are_valid() {
    let storage = Storage::new();
    storage.checkpoint(10, &[1], None);
    assert_eq!(storage.plan_cleanup().trim_to, None, "nothing to fall back on");
    storage.checkpoint(20, &[2], None);
    assert_eq!(storage.plan_cleanup().trim_to, Some(10));
    storage.checkpoint(30, &[3], None);
    assert_eq!(storage.plan_cleanup().trim_to, Some(20));
    storage.objects.damage(&task().manifest(30), |bytes| bytes.truncate(7));
    assert_eq!(storage.plan_cleanup().trim_to, Some(10), "a damaged one does not count");
    storage.objects.delete(&task().file(&file(1))).expect("deleted");
    assert_eq!(storage.plan_cleanup().trim_to, None, "nor does one that misses a file");
}

#[test]
fn nothing_goes_while_a_newer_program_may_have_listed_it() {
    let mut storage = Storage::new();
    storage.checkpoint(10, &[1], Some(0));
    storage.objects.upload(&task().file(&file(7)), &mut &bytes(7)[..], file(7).size).expect("no faults");
    let mut newer = manifest(20, 1, &[]).encode();
    newer.truncate(newer.len() - 32);
    newer[4] = 2;
    let sum = Checksum::of(&newer);
    newer.extend_from_slice(sum.as_bytes());
    storage.objects.put_if_absent(&task().manifest(20), &newer).expect("no faults");
    storage.pass(MINIMUM_AGE * 2);
    let plan = storage.plan_cleanup();
    assert!(plan.delete.is_empty(), "{plan:?}");
}

#[test]
fn objects_of_others_are_left_alone() {
    let mut storage = Storage::new();
    for name in ["app/task-3/readme.txt", "app/task-3/manifests/+5", "app/task-3/files/xyz-1", "app/task-3/manifests/5"]
    {
        storage.objects.put_if_absent(name, b"not ours").expect("no faults");
    }
    storage.pass(MINIMUM_AGE * 2);
    let plan = storage.plan_cleanup();
    assert!(plan.delete.is_empty());
    assert!(plan.keep.iter().all(|(_, reason)| *reason == KeepReason::NotOurs) && plan.keep.len() == 4, "{plan:?}");
}
