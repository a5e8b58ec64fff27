//! The stores under test.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use beacon_core::checkpoint::ObjectStore;
use beacon_core::checkpoint::storage::{Patience, StorageOptions, Variables, open_with};
use scenari::azurite::Azurite;
use scenari::google::{self, Google};
use scenari::proxy::Proxy;
use scenari::s3::{BUCKET, S3};
use scenari::swift::Swift;

/// A store, with what has to live as long as it.
pub struct Stage {
    pub store: Arc<dyn ObjectStore>,
    /// In front of the server, when there is one.
    pub proxy: Option<Proxy>,
    /// What it is in, if it is this stage's own.
    _place: Option<Box<dyn Any>>,
}

/// Which storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Folder,
    S3,
    Swift,
    Azure,
    Google,
}

/// Short enough for a test, long enough for a slow machine.
pub fn patience() -> Patience {
    let mut patience = Patience::default();
    patience.connect = Duration::from_secs(60);
    patience.answer = Duration::from_secs(60);
    patience.first_wait = Duration::from_millis(20);
    patience
}

/// A name that no other test of this process has.
pub fn unique(what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub fn options(variables: &[(&str, String)], patience: Patience) -> StorageOptions {
    let mut options = StorageOptions::default();
    options.variables = Variables::only(variables.iter().cloned());
    options.patience = patience;
    options
}

impl On {
    /// Where a container of a server is that is reached through whoever listens on `port`, and the variables of its login, of which
    /// the last is the secret.
    pub fn at(self, container: &str, port: u16) -> (String, Vec<(&'static str, String)>) {
        let owned =
            |variables: [(&'static str, &str); 2]| variables.map(|(name, value)| (name, value.to_owned())).to_vec();
        match self {
            Self::S3 => {
                (format!("s3://{container}/some/where?endpoint=http://127.0.0.1:{port}"), owned(S3::variables()))
            }
            Self::Swift => (format!("swift://{container}/some/where"), Swift::variables(port).to_vec()),
            Self::Azure => (
                format!("azblob://{container}/some/where?endpoint={}", Azurite::endpoint(port)),
                owned(Azurite::variables()),
            ),
            Self::Folder | Self::Google => panic!("{self:?} has no containers with a login"),
        }
    }

    pub fn start(self) -> Stage {
        self.start_with(patience())
    }

    pub fn start_with(self, patience: Patience) -> Stage {
        match self {
            Self::Folder => {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let url = format!("file://{}/objects", directory.path().display());
                let store = open_with(&url, &options(&[], patience)).expect("opened");
                Stage { store, proxy: None, _place: Some(Box::new(directory)) }
            }
            Self::S3 => {
                let s3 = S3::start();
                let proxy = Proxy::start(s3.port());
                let (url, variables) = self.at(BUCKET, proxy.port());
                let store = open_with(&url, &options(&variables, patience)).expect("opened");
                Stage { store, proxy: Some(proxy), _place: Some(Box::new(s3)) }
            }
            Self::Swift => {
                let swift = Swift::shared();
                let container = unique("container");
                swift.make_container(&container);
                let proxy = Proxy::start(swift.port());
                let (url, variables) = self.at(&container, proxy.port());
                let store = open_with(&url, &options(&variables, patience)).expect("opened");
                Stage { store, proxy: Some(proxy), _place: None }
            }
            Self::Google => {
                let google = Google::start();
                let proxy = Proxy::start(google.port());
                let url = format!("gs://{}/some/where?endpoint=http://127.0.0.1:{}", google::BUCKET, proxy.port());
                let store = open_with(&url, &options(&google.variables(google::SUBJECT), patience)).expect("opened");
                Stage { store, proxy: Some(proxy), _place: Some(Box::new(google)) }
            }
            Self::Azure => {
                let azurite = Azurite::shared();
                let container = unique("container");
                azurite.make_container(&container);
                let proxy = Proxy::start(azurite.port());
                let (url, variables) = self.at(&container, proxy.port());
                let store = open_with(&url, &options(&variables, patience)).expect("opened");
                Stage { store, proxy: Some(proxy), _place: None }
            }
        }
    }
}

impl Stage {
    pub fn weather(&self) -> &Proxy {
        self.proxy.as_ref().expect("a server has a proxy in front of it")
    }
}

/// Makes a test of each claim for each server: `s3::claim` and so on.
macro_rules! on_servers {
    ($($claim:ident),+ $(,)?) => {
        mod s3 { $(#[test] fn $claim() { super::$claim(crate::stores::On::S3) })+ }
        mod swift { $(#[test] fn $claim() { super::$claim(crate::stores::On::Swift) })+ }
        mod azure { $(#[test] fn $claim() { super::$claim(crate::stores::On::Azure) })+ }
    };
}
pub(crate) use on_servers;
