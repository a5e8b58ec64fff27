//! Object storage by URL: the edge that opens files and connections.
//!
//! `file:///srv/checkpoints` is a folder of this machine, or one that several have mounted. With the feature
//! `object-storage`, which is on by default, there are more; `docs/checkpoints.md` has the options of each:
//!
//! | URL | Storage | Logs in by |
//! |---|---|---|
//! | `s3://bucket/prefix?endpoint=…&region=…` | S3 and what speaks its protocol | `AWS_ACCESS_KEY_ID` … |
//! | `gs://bucket/prefix` | Google Cloud Storage | `GOOGLE_APPLICATION_CREDENTIALS` … |
//! | `swift://container/prefix?region=…` | OpenStack Swift | `OS_AUTH_URL` … or `ST_AUTH` … |
//! | `azblob://container/prefix?account=…` | Azure Blob Storage | `AZURE_STORAGE_ACCOUNT_KEY` … |
//!
//! Other storage is an [`ObjectStore`] of your own.
//!
//! What it deliberately does not do: it takes no secret from a URL, which ends up in process lists and logs, and it makes
//! no bucket. Opening connects to nothing: storage that is away at the start is storage that is away.

#[cfg(feature = "object-storage")]
mod bridge;
#[cfg(feature = "object-storage")]
mod dal;
#[cfg(feature = "object-storage")]
mod explain;
mod folder;
mod options;
#[cfg(feature = "object-storage")]
mod services;
#[cfg(feature = "object-storage")]
mod swift;
#[cfg(feature = "object-storage")]
mod trust;
#[cfg(feature = "object-storage")]
mod url;
#[cfg(feature = "object-storage")]
mod web;

use std::path::Path;
use std::sync::Arc;

pub use folder::FolderStore;
pub use options::{Patience, StorageOptions, Variables};

use super::{ObjectError, ObjectErrorKind, ObjectStore};

/// Opens the storage that a URL names, with a login from this process's environment.
///
/// # Errors
/// [`ObjectErrorKind::Configuration`] when the URL is not one of those, has an option that its storage does not have, or
/// carries a password, and when a login is missing that could only come from the environment; others when a folder cannot
/// be made.
pub fn open(url: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    open_with(url, &StorageOptions::default())
}

/// The same with other variables and other patience.
///
/// # Errors
/// As [`open`].
pub fn open_with(url: &str, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    match url.split_once("://") {
        Some(("file", path)) => folder(url, path),
        Some((scheme, _)) => remote(scheme, url, options),
        None => Err(refused(format!(
            "this is not a URL of object storage, which begins with {}; a folder is file:///srv/checkpoints",
            known_schemes()
        ))),
    }
}

fn folder(url: &str, path: &str) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    if !path.starts_with('/') || path.contains(['?', '#']) {
        return Err(refused(format!("{url}: expected file:// and an absolute path, such as file:///srv/checkpoints")));
    }
    Ok(Arc::new(FolderStore::open(Path::new(path))?))
}

#[cfg(feature = "object-storage")]
fn remote(scheme: &str, url: &str, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    match scheme {
        "s3" => services::s3(url::StorageUrl::parse(url)?, options),
        "gs" => services::gcs(url::StorageUrl::parse(url)?, options),
        "swift" => swift::open(url::StorageUrl::parse(url)?, options),
        "azblob" => services::azblob(url::StorageUrl::parse(url)?, options),
        _ => Err(unknown(scheme)),
    }
}

#[cfg(not(feature = "object-storage"))]
fn remote(scheme: &str, _: &str, _: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    if SCHEMES.contains(&scheme) {
        return Err(refused(format!(
            "object storage by {scheme}:// is not in this program: it was built without the feature object-storage"
        )));
    }
    Err(unknown(scheme))
}

const SCHEMES: [&str; 5] = ["file", "s3", "swift", "gs", "azblob"];

fn unknown(scheme: &str) -> ObjectError {
    refused(format!("object storage by {scheme}:// is not known; there are {}", known_schemes()))
}

fn known_schemes() -> String {
    SCHEMES.map(|scheme| format!("{scheme}://")).join(", ")
}

fn refused(message: impl Into<String>) -> ObjectError {
    ObjectError::new(ObjectErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_storage_is_refused_with_what_there_is() {
        for url in ["ftp://host/path", "srv/checkpoints", "file://relative", "file:///a?b=c"] {
            let error = open(url).expect_err("refused");
            assert_eq!(error.kind(), ObjectErrorKind::Configuration, "{url}");
            assert!(error.to_string().contains("file://"), "{error}");
        }
    }
}
