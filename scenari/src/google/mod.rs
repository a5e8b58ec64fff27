//! A stand-in for Google Cloud Storage, for want of an emulator that knows preconditions and is to be had from a registry.
//!
//! It answers what Beacon asks, as Google's reference of the JSON API (uploads, downloads, listings, deletions) and of the
//! XML API (uploads in parts) says, and a token to the one who shows the right subject token (workload identity federation). It
//! cannot show that Google takes our requests: only that they are those of the reference.

mod objects;
mod requests;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::runtime;
use objects::Objects;

/// The bucket there is.
pub const BUCKET: &str = "checkpoints";
/// What it takes for a login.
pub const SUBJECT: &str = "google-subject-hush";

/// The stand-in; gone when dropped, with all objects.
pub struct Google {
    port: u16,
    shared: Arc<Mutex<Objects>>,
    directory: TempDir,
    _runtime: Runtime,
}

impl Google {
    /// Starts it on a free port of 127.0.0.1, with one empty bucket.
    pub fn start() -> Self {
        let (runtime, port, listener) = runtime::serving("google");
        let shared = Arc::new(Mutex::new(Objects::default()));
        let service = requests::service(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, service).await });
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { port, shared, directory, _runtime: runtime }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables of a login with this subject token, which is right if it is [`SUBJECT`].
    pub fn variables(&self, subject: &str) -> [(&'static str, String); 1] {
        let token = self.file("subject", subject);
        let file = json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/tests/providers/tests",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("http://127.0.0.1:{}/v1/token", self.port),
            "credential_source": { "file": token, "format": { "type": "text" } },
        });
        let file = self.file("credentials.json", &file.to_string());
        [("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string())]
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path
    }

    /// The uploads that were begun, in their order: the object, and the generation (0: none) it was to have.
    pub fn uploads(&self) -> Vec<(String, Option<u64>)> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).begun.clone()
    }
}
