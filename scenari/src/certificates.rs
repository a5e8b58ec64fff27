//! A certificate authority of a test, and what it signs.

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The authority; nobody trusts it who was not given it.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A fresh one.
    #[allow(clippy::new_without_default)] // each is another one
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With one name for both, OpenSSL takes the certificate for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("a key that was just made can sign"))
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a host that it signed, and the host's key.
    pub fn issue(&self, host: &str) -> (Certificate, KeyPair) {
        let key = new_key();
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("the name of a host");
        params.distinguished_name.push(DnType::CommonName, host);
        (params.signed_by(&key, &self.0).expect("an authority can sign"), key)
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("this machine has random numbers")
}
