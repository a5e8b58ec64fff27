//! The store contract: an ordered map of bytes, written for one or many commits at a time.

use std::io;
use std::path::Path;

use super::Snapshot;

/// One write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Key, value.
    Put(&'a [u8], &'a [u8]),
    /// Key.
    Delete(&'a [u8]),
}

/// Why state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The disk or the store's files failed; the message names the path.
    #[error("state store: {0}")]
    Store(String),
    /// Files of the store are missing or hold other bytes than were written, so nothing in it can be trusted. The message
    /// names the path. The state is in the changelog and its checkpoints: with the directory removed, it is restored.
    #[error("state store is damaged: {0}")]
    Damaged(String),
    /// No room left on the device; free space and the task goes on from the log.
    #[error("state store: no space left on device: {0}")]
    Full(String),
    /// Another process has the task's directory open.
    #[error("state directory is in use: {0}")]
    Locked(String),
    /// An earlier restore of the task, given up in the middle of a call of the object storage, has not let go of its files
    /// yet; it soon will.
    #[error("restored files are in use: {0}")]
    Restoring(String),
    /// Stored bytes are not of the type the program reads now.
    #[error("state `{store}`: {source}")]
    Codec {
        /// The state's name.
        store: String,
        /// What is wrong with the bytes.
        #[source]
        source: crate::codec::CodecError,
    },
}

/// What went wrong with a file or directory of a store.
pub(crate) fn file_error(path: &Path, error: &io::Error) -> StateError {
    let text = format!("{}: {error}", path.display());
    if error.kind() == io::ErrorKind::StorageFull { StateError::Full(text) } else { StateError::Store(text) }
}

/// A key and its value, as bytes.
pub type Entry = (Vec<u8>, Vec<u8>);

/// An ordered map of bytes holding the committed state of one task.
///
/// `write` is atomic and ordered: after a crash the store holds the state after some prefix of the writes, which
/// [`Store::flush`] makes a long one.
pub trait Store {
    /// The value at `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// Visits entries from `from` (inclusive) to `to` (exclusive; `None`: to the end) in key order until the visitor
    /// answers `false`.
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError>;

    /// The last entry from `from` (inclusive) to `to` (exclusive; `None`: to the end).
    ///
    /// Walks over all of them unless the store knows better.
    fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        let mut last = None;
        self.scan(from, to, &mut |key, value| {
            last = Some((key.to_vec(), value.to_vec()));
            true
        })?;
        Ok(last)
    }

    /// Applies all changes as one.
    fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError>;

    /// Makes what was written so far survive a crash of the machine; without it, a prefix may.
    fn flush(&mut self) -> Result<(), StateError>;

    /// From now on the store may use threads of its own for what makes later reads cheaper, as merging files. One that was
    /// opened for a task waits for this, so that a process that starts has the processor for restoring and for its
    /// first answers. Whether it was waiting: said again, nothing happens.
    ///
    /// # Errors
    /// The store's. It goes on as it is.
    fn begin_upkeep(&mut self) -> Result<bool, StateError> {
        Ok(false)
    }

    /// Flushes, and holds on to the files of this moment. Takes milliseconds; what is written afterwards is not in it.
    ///
    /// # Errors
    /// As [`Store::flush`], and when files cannot be linked.
    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError>;
}
