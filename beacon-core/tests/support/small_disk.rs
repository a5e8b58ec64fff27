//! A disk that is full when a test wants it to be.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static FILLERS: AtomicU32 = AtomicU32::new(0);

/// A file system of 40 MiB.
pub struct SmallDisk {
    pub path: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl SmallDisk {
    pub fn mount() -> Self {
        if let Some(path) = std::env::var_os("BEACON_TEST_SMALL_DISK") {
            let directory = tempfile::tempdir_in(&path).expect("a directory on the small disk");
            return Self { path: directory.path().to_owned(), _directory: Some(directory) };
        }
        let path = tempfile::tempdir().expect("a directory").keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=40m", "beacon-test"])
            .arg(&path)
            .status()
            .is_ok_and(|status| status.success());
        assert!(
            mounted,
            "this test needs a small file system of its own: run it as root, so that it can mount a tmpfs, or have one \
             mounted (mount -t tmpfs -o size=40m beacon-test DIRECTORY), name it in BEACON_TEST_SMALL_DISK and run \
             with --test-threads=1"
        );
        Self { path, _directory: None }
    }

    /// Fills the disk up to this many bytes.
    pub fn fill_but(&self, spare: usize) -> PathBuf {
        let path = self.path.join(format!("filler-{}", FILLERS.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&path).expect("created");
        let block = [7; 64 << 10];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..512]).is_ok() {}
        let length = file.metadata().expect("there").len();
        file.set_len(length.saturating_sub(spare as u64)).expect("cut");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self._directory.is_none() {
            // Nothing to do about a failure; the file system dies with the machine's memory.
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
            let _ = fs::remove_dir(&self.path);
        }
    }
}
