//! Storage by TLS, with an authority of one's own and through a proxy. Both are said by variables of the process: each client is
//! a process of its own, this test program again.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use beacon_core::checkpoint::storage::{StorageOptions, open_with};
use beacon_core::checkpoint::{ObjectError, ObjectStore, PutOutcome};
use scenari::certificates::Authority;
use scenari::process::Launch;
use scenari::s3::{BUCKET, S3};
use scenari::swift::{Keystone, Swift};
use scenari::tls::TlsFront;
use scenari::tunnel::Tunnel;
use tempfile::TempDir;

use crate::contract::noise;
use crate::stores::{patience, unique};

const URL: &str = "STORAGE_URL";
const WORKED: &str = "all of it worked";

/// Variables of whoever runs the tests that a client is not to see.
const NOT_OURS: [&str; 14] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
];

/// An authority, and a process that is to use storage.
struct Client {
    authority: Authority,
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Client {
    /// One that knows the authorities of the machine only.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { authority: Authority::new(), directory, variables: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn set_all<V: Into<String>>(self, variables: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        variables.into_iter().fold(self, |client, (name, value)| client.set(name, value))
    }

    fn trusting(self) -> Self {
        let file = self.file("authority.pem", &self.authority.pem());
        self.set("SSL_CERT_FILE", file.display().to_string())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("it can be written");
        path
    }

    /// What it says in the end.
    fn use_storage(&self, url: &str) -> String {
        let program = env::current_exe().expect("this test program");
        let mut launch = Launch::new("client", program, self.directory.path()).args([
            "--exact",
            "encrypted::uses_storage",
            "--ignored",
            "--nocapture",
        ]);
        for name in NOT_OURS {
            launch = launch.env_remove(name);
        }
        // Profiles of whoever runs the tests are none of ours, either.
        launch = launch.env("HOME", self.directory.path()).env(URL, url);
        for (name, value) in &self.variables {
            launch = launch.env(name, value);
        }
        let mut process = launch.start().expect("this test program starts");
        process.wait_end(Duration::from_secs(180));
        let output = process.output();
        assert!(!output.contains("hush"), "a secret was told: {output}");
        output
    }

    #[track_caller]
    fn works(&self, url: &str) {
        let output = self.use_storage(url);
        assert!(output.contains(WORKED), "{output}");
    }

    #[track_caller]
    fn is_told(&self, url: &str, says: &[&str]) {
        let output = self.use_storage(url);
        let line = output.lines().find(|line| line.starts_with("Configuration")).unwrap_or_else(|| panic!("{output}"));
        for part in says {
            assert!(line.contains(part), "`{part}` is missing in: {line}");
        }
    }
}

#[test]
#[ignore = "started by other tests as a process of its own"]
fn uses_storage() {
    let Ok(url) = env::var(URL) else { return };
    let mut options = StorageOptions::default();
    options.patience = patience();
    let store = open_with(&url, &options).expect("opened");
    match work(&*store) {
        Ok(()) => println!("\n{WORKED}"),
        Err(error) => println!("\n{:?}: {error}", error.kind()),
    }
    let errors = [store.get("a/one").err(), store.list("a/").err(), store.delete("a/one").err()];
    for error in errors.iter().flatten() {
        println!("{:?}: {error}", error.kind());
    }
}

fn work(store: &dyn ObjectStore) -> Result<(), ObjectError> {
    for (name, size) in [("a/small", 1000_usize), ("a/large", 9 << 20)] {
        let bytes = noise(size, 17);
        store.upload(name, &mut &bytes[..], size as u64)?;
        let mut read = Vec::new();
        store.download(name, &mut read)?;
        assert!(read == bytes, "{name} differs");
    }
    assert_eq!(store.put_if_absent("a/once", b"first")?, PutOutcome::Created);
    assert_eq!(store.put_if_absent("a/once", b"second")?, PutOutcome::Exists);
    assert_eq!(store.get("a/once")?, b"first");
    let listed: Vec<_> = store.list("a/")?.into_iter().map(|object| object.name).collect();
    assert_eq!(listed, ["a/large", "a/once", "a/small"]);
    store.delete("a/once")
}

#[test]
fn s3_is_spoken_to_by_tls_with_an_authority_of_ones_own() {
    let client = Client::new().set_all(S3::variables()).trusting();
    let s3 = S3::start();
    let front = TlsFront::start(&client.authority, "localhost", s3.port());
    client.works(&format!("s3://{BUCKET}/some/where?endpoint={}", front.address()));
    let protocols = front.protocols();
    assert!(!protocols.is_empty() && protocols.iter().all(|protocol| protocol == "http/1.1"), "{protocols:?}");
}

#[test]
fn swift_and_keystone_are_spoken_to_by_tls_with_an_authority_of_ones_own() {
    let client = Client::new().trusting();
    let (swift, container) = (Swift::shared(), unique("encrypted"));
    swift.make_container(&container);
    let storage = TlsFront::start(&client.authority, "localhost", swift.port());
    let keystone = Keystone::announcing(swift.port(), storage.address());
    let login = TlsFront::start(&client.authority, "localhost", keystone.port());
    let client = client.set_all(keystone.password_variables()).set("OS_AUTH_URL", login.address());
    client.works(&format!("swift://{container}/some/where"));
    for protocols in [login.protocols(), storage.protocols()] {
        assert!(!protocols.is_empty() && protocols.iter().all(|protocol| protocol == "http/1.1"), "{protocols:?}");
    }
}

#[test]
fn s3_says_whose_certificate_is_not_trusted_and_what_to_do() {
    let client = Client::new().set_all(S3::variables());
    let s3 = S3::start();
    let front = TlsFront::start(&client.authority, "localhost", s3.port());
    let url = format!("s3://{BUCKET}?endpoint={}", front.address());
    let whose = format!("the certificate of localhost:{} is not trusted", front.port());
    let output = client.use_storage(&url);
    for what in ["small: cannot be written", "one: cannot be read", ": cannot be listed", "one: cannot be deleted"] {
        let line = output.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{output}"));
        assert!(line.starts_with("Configuration: s3://checkpoints/a/"), "{line}");
        assert!(line.contains(&whose) && line.contains("SSL_CERT_FILE") && !line.contains("bucket's name"), "{line}");
    }
    assert_eq!(fs::read_dir(s3.folder()).expect("the bucket").count(), 0, "nothing was said to a stranger");
    // Trusted, and of somebody else.
    let front = TlsFront::start(&client.authority, "elsewhere.example.org", s3.port());
    let url = format!("s3://{BUCKET}?endpoint=https://localhost:{}", front.port());
    client.trusting().is_told(&url, &[&format!("localhost:{} is not trusted", front.port()), "another name"]);
}

#[test]
fn swift_says_whose_certificate_is_not_trusted_and_what_to_do() {
    let client = Client::new();
    let swift = Swift::shared();
    let storage = TlsFront::start(&client.authority, "localhost", swift.port());
    let keystone = Keystone::announcing(swift.port(), storage.address());
    let login = TlsFront::start(&client.authority, "localhost", keystone.port());
    let client = client.set_all(keystone.password_variables());
    // Of Swift itself, whose address is in the catalogue.
    client.is_told("swift://container", &[&format!("localhost:{} is not trusted", storage.port()), "SSL_CERT_FILE"]);
    // Of Keystone.
    let client = client.set("OS_AUTH_URL", login.address());
    client.is_told(
        "swift://container",
        &[
            "swift://container/a/small: cannot be written",
            "no login by Keystone",
            &format!("localhost:{} is not trusted", login.port()),
            "SSL_CERT_FILE",
        ],
    );
}

#[test]
fn a_proxy_of_the_environment_is_gone_through() {
    const NAME: &str = "storage.example.org:443";
    let client = Client::new().set_all(S3::variables()).trusting();
    let s3 = S3::start();
    let front = TlsFront::start(&client.authority, "storage.example.org", s3.port());
    let tunnel = Tunnel::start([(NAME.to_owned(), front.port())]);
    let client = client.set("HTTPS_PROXY", tunnel.address());
    client.works(&format!("s3://{BUCKET}/some/where?endpoint=https://storage.example.org"));
    let asked = tunnel.asked();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == NAME), "{asked:?}");
}
