//! The files of a store at one moment, as hard links in a directory beside it.
//!
//! What it deliberately does not do: it copies nothing, and lets no file be read to its end whose bytes are not those of the
//! checksum that is remembered.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::rocks::note_damage;
use super::store::file_error;
use super::{Checksum, FileSums, Snapshot, StateError, StoreFile, Summing};

/// What a snapshot's directory is called, after the store's.
const SNAPSHOT: &str = ".checkpoint-";
/// Counted for the process: a store that was given up and opened again may still be uploading its last one.
static LAST_SNAPSHOT: AtomicU64 = AtomicU64::new(0);

/// Hard links to the files of one moment.
pub(super) struct RocksSnapshot {
    directory: PathBuf,
    /// The directory of the store itself.
    store: PathBuf,
    sums: FileSums,
    /// What its files are known by.
    files: HashMap<String, Checksum>,
}

impl RocksSnapshot {
    /// Of the store in this directory; its files have yet to be linked.
    pub(super) fn of(store: &Path, sums: FileSums) -> Result<Self, StateError> {
        let number = LAST_SNAPSHOT.fetch_add(1, Ordering::Relaxed) + 1;
        let directory = beside(store, &format!("{SNAPSHOT}{number}"));
        remove_directory(&directory)?;
        Ok(Self { directory, store: store.to_owned(), sums, files: HashMap::new() })
    }

    /// Where its links belong. It is not there yet.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Snapshot for RocksSnapshot {
    fn files(&mut self) -> Result<Vec<StoreFile>, StateError> {
        let path = |name: &str| self.directory.join(name);
        let failed = |name: &str, error: std::io::Error| file_error(&path(name), &error);
        let entries = std::fs::read_dir(&self.directory).map_err(|error| failed("", error))?;
        let open = entries.map(|entry| {
            let name = entry.map_err(|error| failed("", error))?.file_name().to_string_lossy().into_owned();
            let file = File::open(path(&name)).map_err(|error| failed(&name, error))?;
            Ok((name, file))
        });
        let sums = self.sums.of_all(open, failed)?;
        self.files = sums.iter().map(|(name, _, checksum)| (name.clone(), *checksum)).collect();
        let mut files: Vec<_> =
            sums.into_iter().map(|(name, size, checksum)| StoreFile { name, size, checksum }).collect();
        files.sort();
        Ok(files)
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, StateError> {
        let path = self.directory.join(name);
        let file = File::open(&path).map_err(|error| file_error(&path, &error))?;
        let Some(wanted) = self.files.get(name).copied() else { return Ok(Box::new(file)) };
        let (file, hash, store) = (Some(file), Summing::new(std::io::sink()), self.store.clone());
        Ok(Box::new(Proved { file, hash, wanted, path, store }))
    }
}

impl Drop for RocksSnapshot {
    fn drop(&mut self) {
        if let Err(error) = remove_directory(&self.directory) {
            tracing::warn!(%error, "a checkpoint's links are left; the next checkpoint removes them");
        }
    }
}

/// Reads a file whose checksum is known, which may be remembered from long ago. Its end is an error if it is another one.
struct Proved {
    file: Option<File>,
    hash: Summing<std::io::Sink>,
    wanted: Checksum,
    path: PathBuf,
    store: PathBuf,
}

impl Read for Proved {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let read = file.read(buffer)?;
        self.hash.write_all(&buffer[..read])?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        self.file = None;
        let (_, found) = std::mem::replace(&mut self.hash, Summing::new(std::io::sink())).sum();
        if found == self.wanted {
            return Ok(0);
        }
        let reason = format!("{}: its bytes are not those that were written", self.path.display());
        note_damage(&self.store, &reason);
        Err(std::io::Error::other(format!("{reason}; its store is restored when it is opened again")))
    }
}

/// Removes links that a killed process has left: they hold on to files that the store has long given up.
pub(super) fn remove_old_snapshots(path: &Path) -> Result<(), StateError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let prefix = format!("{}{SNAPSHOT}", name.to_string_lossy());
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    for entry in std::fs::read_dir(parent).map_err(|error| file_error(parent, &error))? {
        let entry = entry.map_err(|error| file_error(parent, &error))?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            remove_directory(&entry.path())?;
        }
    }
    Ok(())
}

/// A neighbour of the store's directory: on the same file system, so that files are linked and not copied.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

fn remove_directory(directory: &Path) -> Result<(), StateError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(directory, &error)),
        _ => Ok(()),
    }
}
