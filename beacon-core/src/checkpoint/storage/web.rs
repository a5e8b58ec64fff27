//! The HTTP client of all remote storage.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};

use super::{Patience, refused};
use crate::checkpoint::ObjectError;

/// A client that trusts this machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` say where, if set), and takes a
/// proxy from the environment.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn client(storage: &str, patience: &Patience) -> Result<reqwest::Client, ObjectError> {
    let failed = |error: &dyn std::fmt::Display| refused(format!("{storage}: no HTTP client: {error}"));
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(storage, %error, "cannot read a certificate authority of this machine; others are used");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    // The process's choice if it made one. None at all is no error: storage may be spoken to without TLS.
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(patience.connect)
        .user_agent(concat!("beacon/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(&error))
}
