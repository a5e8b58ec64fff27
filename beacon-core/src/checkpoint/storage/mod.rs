//! Object storage by URL: the edge that opens files and connections.
//!
//! `file:///srv/checkpoints` is a folder of this machine, or one that several have mounted. Other storage is an
//! [`ObjectStore`] of your own.

mod folder;

use std::path::Path;
use std::sync::Arc;

pub use folder::FolderStore;

use super::{ObjectError, ObjectErrorKind, ObjectStore};

/// Opens the storage that a URL names.
///
/// # Errors
/// [`ObjectErrorKind::Configuration`] when the URL is not one of those; others when the folder cannot be made.
pub fn open(url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let Some(path) = url.strip_prefix("file://") else {
        let scheme = url.split_once("://").map_or("no scheme", |(scheme, _)| scheme);
        return Err(refused(format!(
            "object storage by {scheme}: only file:// is known, such as file:///srv/checkpoints"
        )));
    };
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(refused(format!("{url}: expected file:// and an absolute path, such as file:///srv/checkpoints")));
    }
    Ok(Arc::new(FolderStore::open(Path::new(path))?))
}

fn refused(message: impl Into<String>) -> ObjectError {
    ObjectError::new(ObjectErrorKind::Configuration, message)
}
