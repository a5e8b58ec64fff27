//! One file of a checkpoint: from object storage to the disk, counted and proved on the way.

use std::io;
use std::sync::atomic::Ordering;

use super::{Shared, Stage};
use crate::checkpoint::{Manifest, ObjectError, ObjectErrorKind, PassedOver};
use crate::state::{StateError, StoreFile, Summing};
use crate::task::TaskError;

/// What one file came to.
pub(super) enum Came {
    Whole,
    /// Other bytes than were uploaded.
    Damaged(PassedOver),
    Later(String),
    Failed(TaskError),
}

impl Shared {
    /// Brings a file unless it is here already.
    pub(super) fn bring(&self, manifest: &Manifest, file: &StoreFile) -> Came {
        match self.intake.has(file) {
            Ok(true) => {
                self.progress.add_found(file.size);
                return Came::Whole;
            }
            Ok(false) => {}
            Err(error) => return Came::Failed(error.into()),
        }
        let object = self.objects.file(file);
        let mut arrival = match self.intake.begin(file) {
            Ok(arrival) => arrival,
            Err(error) => return Came::Failed(error.into()),
        };
        let mut counted = Summing::new(Counted { inner: &mut *arrival, shared: self });
        let brought = self.config.store.download(&object, &mut counted);
        let (size, checksum) = counted.sum();
        let offset = manifest.changelog;
        let (manifest, name) = (self.objects.manifest(offset), file.name.clone());
        match brought {
            Ok(_) if (size, checksum) == (file.size, file.checksum) => {
                // Under the lock: once another checkpoint was chosen, a file of this one must not take the place of
                // one that has the same name there and other bytes.
                let state = self.lock();
                match &state.stage {
                    Stage::Loading { manifest: wanted, .. } if wanted.changelog == offset => match arrival.keep() {
                        Ok(()) => Came::Whole,
                        Err(error) => Came::Failed(error.into()),
                    },
                    _ => Came::Later("another checkpoint was chosen".to_owned()),
                }
            }
            result => {
                self.progress.take_back(size);
                match result {
                    Ok(_) => {
                        Came::Damaged(PassedOver::FileDamaged { manifest, object, name, found: checksum.to_string() })
                    }
                    Err(error) if error.kind() == ObjectErrorKind::NotFound => {
                        Came::Damaged(PassedOver::FileMissing { manifest, object, name })
                    }
                    Err(error) if error.kind() == ObjectErrorKind::Local => Came::Failed(local(&error)),
                    Err(error) => Came::Later(error.to_string()),
                }
            }
        }
    }
}

/// A failure of the disk that files arrive on.
fn local(error: &ObjectError) -> TaskError {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    let full = source.is_some_and(|source| source.kind() == io::ErrorKind::StorageFull);
    let text = error.to_string();
    if full { StateError::Full(text).into() } else { StateError::Store(text).into() }
}

/// Counts on the way to the disk; ends early when nobody wants the file any more.
struct Counted<'a> {
    inner: &'a mut dyn io::Write,
    shared: &'a Shared,
}

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shared.abandoned.load(Ordering::Acquire) {
            return Err(io::Error::other("the restore was given up"));
        }
        let written = self.inner.write(bytes)?;
        self.shared.progress.add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
