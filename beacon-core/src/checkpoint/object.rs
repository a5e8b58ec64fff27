//! The object store contract: whole objects by name.

use std::error::Error;
use std::fmt;
use std::io::{Read, Write};
use std::time::Duration;

/// What to do about an [`ObjectError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectErrorKind {
    /// There is no such object.
    NotFound,
    /// Refused: a wrong or missing login, or no permission. A person must change something; tried again all the same,
    /// slowly, since that may happen while the job runs.
    Denied,
    /// The bucket or container does not exist, or a setting is wrong: a person must change something.
    Configuration,
    /// A passing trouble: out of reach, too slow, too busy. The same call may succeed later.
    Retriable,
    /// The storage has no room left.
    Full,
    /// What the caller handed in to read from or write to failed: the cause is in `source()`.
    Local,
    /// Anything else.
    Fatal,
}

/// An error that names the object and where it is, and never a secret.
pub struct ObjectError {
    kind: ObjectErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ObjectError {
    /// An error without an inner cause.
    pub fn new(kind: ObjectErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it, which [`Error::source`] returns.
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ObjectErrorKind {
        self.kind
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)
    }
}

impl Error for ObjectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// One object, as a listing saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its full name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Time since it was last written, by the storage's clock against ours; zero when it is in our future.
    pub age: Duration,
}

/// What came of a conditional create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is ours.
    Created,
    /// There is one of that name already; it was left alone.
    Exists,
}

/// Whole objects by name, shared by all threads of a process. Calls block: never made on a stream thread.
///
/// An object appears as a whole or not at all, and is listed as soon as its put has returned.
pub trait ObjectStore: Send + Sync + fmt::Debug + 'static {
    /// What and where it is, for messages; without secrets.
    fn describe(&self) -> String;

    /// The bytes of a small object.
    ///
    /// # Errors
    /// [`ObjectErrorKind::NotFound`] and the others, with the object's name.
    fn get(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        let mut bytes = Vec::new();
        self.download(name, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes the bytes of an object to `sink`; returns how many. After an error part of them may have been written.
    ///
    /// # Errors
    /// [`ObjectErrorKind::NotFound`] and the others; [`ObjectErrorKind::Local`] when `sink` fails.
    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError>;

    /// Writes an object of any size, replacing one of that name.
    ///
    /// # Errors
    /// [`ObjectErrorKind::Local`] when `source` fails or has not `size` bytes; the others.
    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError>;

    /// Writes a small object unless there is one of that name: of several writers, one creates it.
    ///
    /// # Errors
    /// Its outcome may then be unknown; asked again, it tells.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError>;

    /// All objects whose names begin with `prefix`, which ends with `/`, in the order of their names.
    ///
    /// # Errors
    /// A listing is whole or an error. A prefix without objects is no error.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError>;

    /// Deletes an object; one that is gone already is no error.
    ///
    /// # Errors
    /// With the object's name.
    fn delete(&self, name: &str) -> Result<(), ObjectError>;
}
