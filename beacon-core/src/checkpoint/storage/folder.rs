//! A folder as object storage: of this machine, or mounted by several.
//!
//! Written with the file system's own calls, since a changelog is trimmed by what is here: bytes are on the disk before
//! a name is, a name appears by one rename, and a conditional create is a hard link, which fails when the name is taken.
//! A name that is there may not be on the disk, of a file or of a folder above it: whoever made it may have failed, or died,
//! before it was. So it is synced by whoever relies on it, too.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::checkpoint::{Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};

/// What a file is called until it is whole.
const PART: &str = ".part-";

/// Objects as files under a folder.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
    written: AtomicU64,
    /// Folders under the root whose names are on the disk, and those of all above them: two for each task written here.
    synced: Mutex<BTreeSet<PathBuf>>,
}

impl FolderStore {
    /// Objects under this folder, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path) -> Result<Self, ObjectError> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let missing: Vec<_> = root.ancestors().take_while(is_missing).collect();
        std::fs::create_dir_all(root).map_err(|error| failed(root, error))?;
        missing.into_iter().try_for_each(sync_name)?;
        Ok(Self { root: root.to_owned(), written: AtomicU64::new(0), synced: Mutex::default() })
    }

    fn path(&self, name: &str) -> Result<PathBuf, ObjectError> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !name.trim_end_matches('/').split('/').all(is_plain) {
            return Err(super::refused(format!("{name}: not a name of an object in {}", self.describe())));
        }
        Ok(self.root.join(name))
    }

    /// Makes a folder and those above it, unless they are there, and has their names on the disk.
    fn make_folder(&self, folder: &Path) -> Result<(), ObjectError> {
        let synced = || self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have removed it meanwhile.
        if synced().contains(folder) && folder.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        folder.ancestors().take_while(|above| *above != self.root).try_for_each(sync_name)?;
        synced().insert(folder.to_owned());
        Ok(())
    }

    /// A whole file beside `path`, on the disk, not yet under its name.
    fn write(&self, path: &Path, source: &mut dyn Read, size: u64) -> Result<Part, ObjectError> {
        self.make_folder(path.parent().unwrap_or(&self.root))?;
        let mut name = path.file_name().map(std::ffi::OsString::from).unwrap_or_default();
        // Of several processes and threads each writes a file of its own.
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        name.push(format!("{PART}{}-{number}", std::process::id()));
        let part = Part(path.with_file_name(name));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part.0)
            .map_err(|error| failed(&part.0, error))?;
        let mut buffer = vec![0; 256 << 10];
        let mut written = 0;
        loop {
            let read = source.read(&mut buffer).map_err(|error| local(path, error))?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read]).map_err(|error| failed(&part.0, error))?;
            written += read as u64;
        }
        if written != size {
            let message = format!("{}: {written} bytes to upload instead of {size}", path.display());
            return Err(ObjectError::new(ObjectErrorKind::Local, message));
        }
        file.sync_all().map_err(|error| failed(&part.0, error))?;
        Ok(part)
    }

    fn walk(&self, folder: &Path, found: &mut Vec<Object>) -> Result<(), ObjectError> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(folder, error)),
        };
        let now = SystemTime::now();
        for entry in entries {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            let data = match std::fs::metadata(&path) {
                Ok(data) => data,
                // Deleted meanwhile, or another process's file that has got its name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&path, error)),
            };
            if data.is_dir() {
                self.walk(&path, found)?;
            } else if let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str) {
                let modified = data.modified().map_err(|error| failed(&path, error))?;
                let age = now.duration_since(modified).unwrap_or_default();
                found.push(Object { name: name.to_owned(), size: data.len(), age });
            }
        }
        Ok(())
    }
}

/// A file without its name yet; gone when it is dropped.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "half an object is left");
            }
            _ => {}
        }
    }
}

fn failed(path: &Path, error: io::Error) -> ObjectError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ObjectErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ObjectErrorKind::Denied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ObjectErrorKind::Full,
        // A mounted folder may be away.
        io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::StaleNetworkFileHandle => {
            ObjectErrorKind::Retriable
        }
        _ => ObjectErrorKind::Fatal,
    };
    ObjectError::new(kind, format!("{}: {error}", path.display())).with_source(error)
}

fn local(path: &Path, error: io::Error) -> ObjectError {
    ObjectError::new(ObjectErrorKind::Local, format!("{}: {error}", path.display())).with_source(error)
}

/// Has the name of a file or folder on the disk: it is in the folder above it.
fn sync_name(path: &Path) -> Result<(), ObjectError> {
    let folder = path.parent().unwrap_or(path);
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(folder, error))
}

impl ObjectStore for FolderStore {
    fn describe(&self) -> String {
        format!("file://{}", self.root.display())
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        let path = self.path(name)?;
        let mut file = File::open(&path).map_err(|error| failed(&path, error))?;
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        loop {
            let read = file.read(&mut buffer).map_err(|error| failed(&path, error))?;
            if read == 0 {
                return Ok(total);
            }
            sink.write_all(&buffer[..read]).map_err(|error| local(&path, error))?;
            total += read as u64;
        }
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        let path = self.path(name)?;
        let part = self.write(&path, source, size)?;
        std::fs::rename(&part.0, &path).map_err(|error| failed(&path, error))?;
        sync_name(&path)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        let path = self.path(name)?;
        let part = self.write(&path, &mut &bytes[..], bytes.len() as u64)?;
        match std::fs::hard_link(&part.0, &path) {
            Ok(()) => sync_name(&path).map(|()| PutOutcome::Created),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_name(&path).map(|()| PutOutcome::Exists),
            Err(error) => Err(failed(&path, error)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        let mut found = Vec::new();
        self.walk(&self.path(prefix)?, &mut found)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let path = self.path(name)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&path, error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
