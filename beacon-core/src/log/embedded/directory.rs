//! The directory of an embedded log: one owner, and a format that is known before anything in it is opened.
//!
//! ```text
//! LOCK      held by the owning process for as long as it lives; holds its process id for messages
//! FORMAT    one line, written when the rest is in place
//! db/       RocksDB
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::errors;
use crate::log::{LogError, LogErrorKind};

/// The format this code writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;
const FORMAT_PREFIX: &str = "beacon embedded log format ";

/// A directory this process owns until the value is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    formatted: bool,
    lock: File,
}

impl Directory {
    /// Makes the directory if need be, takes its lock and reads its format.
    pub(super) fn claim(path: &Path) -> Result<Self, LogError> {
        fs::create_dir_all(path).map_err(|error| errors::file(path, "cannot make the log's directory", error))?;
        let path = path.canonicalize().map_err(|error| errors::file(path, "cannot resolve", error))?;
        let lock = take_lock(&path)?;
        let format = read_format(&path)?;
        let has_database = path.join("db").join("CURRENT").exists();
        match format {
            Some(found) if found > FORMAT => Err(LogError::new(
                LogErrorKind::Configuration,
                format!(
                    "the embedded log in {} has format {found}, this program reads up to {FORMAT}; run the newer \
                     version that made it",
                    path.display()
                ),
            )),
            Some(_) if !has_database => Err(LogError::new(
                LogErrorKind::Damaged,
                format!(
                    "{} is missing: the embedded log in {} was there once; restore the directory from a backup, or \
                     remove {} to start with an empty log",
                    path.join("db").join("CURRENT").display(),
                    path.display(),
                    path.join("FORMAT").display(),
                ),
            )),
            _ => Ok(Self { path, formatted: format.is_some(), lock }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// Whether its format file is written. Without it only an empty database may be opened.
    pub(super) fn is_formatted(&self) -> bool {
        self.formatted
    }

    /// Writes the format file, once the database is in place.
    pub(super) fn format(&mut self) -> Result<(), LogError> {
        let (new, path) = (self.path.join("FORMAT.new"), self.path.join("FORMAT"));
        write_durably(&new, &path).map_err(|error| errors::file(&path, "cannot write", error))?;
        self.formatted = true;
        Ok(())
    }

    /// Bytes an unprivileged process may still write on the device.
    pub(super) fn free_bytes(&self) -> Result<u64, LogError> {
        let stat = rustix::fs::statvfs(&self.path)
            .map_err(|error| errors::file(&self.path, "cannot ask for free space", error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Drop for Directory {
    /// Closing the file is not enough: a child process that was just forked holds a copy of it until it runs its own
    /// program, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(error = %error, directory = %self.path.display(), "the lock could not be released");
        }
    }
}

fn write_durably(new: &Path, path: &Path) -> std::io::Result<()> {
    let mut file = File::create(new)?;
    writeln!(file, "{FORMAT_PREFIX}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(new, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn take_lock(directory: &Path) -> Result<File, LogError> {
    let path = directory.join("LOCK");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| errors::file(&path, "cannot open", error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only for the message: an unreadable process id is no reason for another error.
            let known = file.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
            let owner = if known { format!("process {}", owner.trim()) } else { "another process".to_owned() };
            return Err(LogError::new(
                LogErrorKind::Locked,
                format!(
                    "the embedded log in {} is owned by {owner}; stop it, choose another directory, or use Kafka to \
                     share a log between processes",
                    directory.display()
                ),
            ));
        }
        Err(TryLockError::Error(error)) => return Err(errors::file(&path, "cannot lock", error)),
    }
    let note_owner = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    note_owner(&mut file).map_err(|error| errors::file(&path, "cannot write", error))?;
    Ok(file)
}

fn read_format(directory: &Path) -> Result<Option<u32>, LogError> {
    let path = directory.join("FORMAT");
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(errors::file(&path, "cannot read", error)),
    };
    let number = text.strip_prefix(FORMAT_PREFIX).and_then(|rest| rest.trim_end().parse().ok());
    number.map(Some).ok_or_else(|| {
        LogError::new(
            LogErrorKind::Damaged,
            format!("{} does not hold the format of an embedded log but {text:?}", path.display()),
        )
    })
}
