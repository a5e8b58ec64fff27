//! A folder on a disk that takes files and does not say that their names are there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::*;

/// Runs `work` on a thread that permissions of files apply to, whoever runs the tests.
fn without_privileges<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let work = || {
        let mut sets = capabilities(None).expect("told");
        sets.effective = CapabilitySet::empty();
        set_capabilities(None, sets).expect("anybody may give up what they have");
        work()
    };
    std::thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}

/// While `work` runs, the folder takes new names and cannot be opened, which has to be done to sync it.
fn while_it_cannot_be_synced<T: Send>(folder: &Path, work: impl FnOnce() -> T + Send) -> T {
    let allow = |mode| std::fs::set_permissions(folder, Permissions::from_mode(mode)).expect("it is ours");
    allow(0o300);
    let done = without_privileges(work);
    allow(0o700);
    done
}

#[test]
fn a_name_that_may_not_be_on_the_disk_is_not_said_to_be_there() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = FolderStore::open(directory.path()).expect("opened");
    assert_eq!(store.put_if_absent("task/manifests/1", b"one").expect("put"), PutOutcome::Created);
    while_it_cannot_be_synced(&directory.path().join("task/manifests"), || {
        for _ in 0..2 {
            let error = store.put_if_absent("task/manifests/2", b"two").expect_err("its name may go");
            assert_eq!(error.kind(), ObjectErrorKind::Denied, "{error}");
            assert!(error.to_string().contains("task/manifests"), "{error}");
            assert_eq!(store.get("task/manifests/2").expect("asked again, it is there"), b"two");
        }
    });
    assert_eq!(store.put_if_absent("task/manifests/2", b"other").expect("put"), PutOutcome::Exists);
    assert_eq!(store.get("task/manifests/2").expect("left alone"), b"two");
}

#[test]
fn names_of_new_folders_are_on_the_disk_before_what_is_in_them_counts() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("checkpoints");
    let error = while_it_cannot_be_synced(directory.path(), || FolderStore::open(&root).expect_err("a new root"));
    assert_eq!(error.kind(), ObjectErrorKind::Denied, "{error}");
    std::fs::remove_dir(&root).expect("it was made");
    let store = FolderStore::open(&root).expect("opened");
    for (parent, name) in [("", "app/task-1/files/a"), ("app", "app/task-2/files/a"), ("app/task-2", "app/task-2/b/c")]
    {
        while_it_cannot_be_synced(&root.join(parent), || {
            // The second time it has been made already.
            for _ in 0..2 {
                let error = store.upload(name, &mut &b"bytes"[..], 5).expect_err("its folder may go");
                assert_eq!(error.kind(), ObjectErrorKind::Denied, "{name}: {error}");
                store.put_if_absent(name, b"bytes").expect_err("its folder may go");
            }
        });
        store.upload(name, &mut &b"bytes"[..], 5).expect("uploaded");
        while_it_cannot_be_synced(&root.join(parent), || {
            store.upload(name, &mut &b"again"[..], 5).expect("known to be on the disk");
        });
    }
    // Somebody has removed it meanwhile: it is new again.
    std::fs::remove_dir_all(root.join("app/task-2")).expect("removed");
    while_it_cannot_be_synced(&root.join("app"), || {
        store.upload("app/task-2/files/a", &mut &b"bytes"[..], 5).expect_err("its folder may go");
    });
}
