//! A real S3 protocol server (s3s) over a folder, in this process.

use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::runtime;

/// The bucket there is.
pub const BUCKET: &str = "checkpoints";
/// The login that it takes.
pub const KEY: &str = "beacon-key";
/// Its secret.
pub const SECRET: &str = "beacon-secret-hush";

/// The server; gone when dropped, with all objects.
pub struct S3 {
    port: u16,
    _runtime: Runtime,
    directory: TempDir,
}

impl S3 {
    /// Starts it on a free port of 127.0.0.1, with one empty bucket.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(directory.path().join(BUCKET)).expect("an empty directory");
        let files = s3s_fs::FileSystem::new(directory.path()).expect("the directory is there");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let (runtime, port, listener) = runtime::serving("s3");
        runtime.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                let service = service.clone();
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A connection that a test spoils ends with an error, which is what the test wants.
                    let _ = server.serve_connection(TokioIo::new(client), service).await;
                });
            }
        });
        Self { port, _runtime: runtime, directory }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the bucket's objects are, as files of their names.
    pub fn folder(&self) -> PathBuf {
        self.directory.path().join(BUCKET)
    }

    /// The variables of the login that it takes.
    pub fn variables() -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]
    }
}
