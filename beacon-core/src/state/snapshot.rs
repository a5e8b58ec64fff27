//! A store as files: what a checkpoint takes away, and what a restore brings.

use std::io::{Read, Write};

use super::{Checksum, StateError, Store};

/// One file of a store. Two files are the same when all three are: a name alone says nothing, since stores restored
/// from one checkpoint on two machines give the same names to different files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoreFile {
    /// Its name in the store's directory.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Checksum of its bytes.
    pub checksum: Checksum,
}

/// The committed state of one moment as files that do not change any more. Dropping it lets go of them.
pub trait Snapshot: Send {
    /// All files, in the order of their names. May read each of them whole: not for a stream thread.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn files(&mut self) -> Result<Vec<StoreFile>, StateError>;

    /// The bytes of the file with this name.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn open(&self, name: &str) -> Result<Box<dyn Read + Send>, StateError>;
}

/// Where the files of a checkpoint arrive before they become a store. Owned by one restore at a time; what has arrived
/// outlives it, so that the next one goes on from there.
pub trait Intake: Send + Sync {
    /// Whether this very file is here already, by its checksum. Reads it.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn has(&self, file: &StoreFile) -> Result<bool, StateError>;

    /// Begins a file: whatever an earlier try left under its name is gone.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn begin(&self, file: &StoreFile) -> Result<Box<dyn Arrival + '_>, StateError>;

    /// Removes everything that is none of these files.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn keep_only(&self, files: &[StoreFile]) -> Result<(), StateError>;

    /// Makes of what has arrived the task's store, in one step, and opens it. What the task had before is gone.
    ///
    /// # Errors
    /// [`StateError`] with the path. What has arrived is still there, unless the store is in its place already.
    fn settle(&self) -> Result<Box<dyn Store>, StateError>;
}

/// A file on its way in. It is not there before [`Arrival::keep`], and goes with it when it is dropped.
pub trait Arrival: Write {
    /// The file is whole and survives a crash of the machine.
    ///
    /// # Errors
    /// [`StateError`] with the path.
    fn keep(self: Box<Self>) -> Result<(), StateError>;
}
