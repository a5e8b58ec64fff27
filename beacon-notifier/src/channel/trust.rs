//! Whom TLS connections to receivers trust.
//!
//! The certificates of the operating system, for webhooks and mail alike: where a company's own authority is installed, both
//! work. It is read when a [`Trust`] is made; one that is installed later counts from the next one on.

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::CryptoProvider, pki_types::CertificateDer};

/// Authorities that may vouch for a receiver.
#[derive(Clone)]
pub struct Trust {
    authorities: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Those of the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` say where, if set).
    ///
    /// A machine that has none is no error: plain HTTP works, and TLS connections say that the issuer is unknown.
    pub fn of_system() -> Self {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "cannot read a certificate authority of this machine; others are used");
        }
        if found.certs.is_empty() {
            tracing::warn!("this machine has no certificate authorities; install ca-certificates to send over TLS");
        }
        Self::of(found.certs)
    }

    /// Exactly these; what is no certificate is left out.
    pub fn of(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut readable = RootCertStore::empty();
        let authorities =
            certificates.into_iter().filter(|certificate| readable.add(certificate.clone()).is_ok()).collect();
        Self { authorities }
    }

    /// The certificates, DER encoded.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// TLS for HTTP/1.1 clients, with ring for cryptography.
    ///
    /// # Errors
    ///
    /// When ring lacks every protocol version that rustls has: a broken build, not a configuration.
    pub fn http_client_config(&self) -> Result<ClientConfig, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.authorities.iter().cloned());
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} authorities)", self.authorities.len())
    }
}

/// The process's choice if it made one, else ring.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}
