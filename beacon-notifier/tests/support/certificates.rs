//! A certificate authority for one test.

use std::path::{Path, PathBuf};

use beacon_notifier::channel::trust::Trust;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority, and files with a certificate for `localhost` that it signed.
pub struct Certificates {
    directory: TempDir,
    trust: Trust,
}

impl Certificates {
    /// Makes fresh ones.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("certificate.pem"), certificate.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { trust: Trust::of([authority.der().clone()]), directory }
    }

    /// Trusts this authority only.
    pub fn trust(&self) -> Trust {
        self.trust.clone()
    }

    pub fn certificate(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}
