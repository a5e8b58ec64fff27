//! The HTTP client of all remote storage.

use std::sync::Arc;

use http::{Request, Response};
use opendal::{Buffer, Error, ErrorKind, HttpBody, HttpTransport, Result as Transported};
use opendal_http_transport_reqwest::ReqwestTransport;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};

use super::trust::Distrust;
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
        tracing::warn!(storage, %error, "cannot read a certificate authority; it is not trusted");
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

/// The client as OpenDAL takes one. A certificate that is not trusted is no passing trouble: it is not asked for again.
pub(super) struct Transport(ReqwestTransport);

impl Transport {
    pub(super) fn new(client: reqwest::Client) -> Self {
        Self(ReqwestTransport::new(client))
    }
}

impl HttpTransport for Transport {
    async fn fetch(&self, request: Request<Buffer>) -> Transported<Response<HttpBody>> {
        let server = request.uri().authority().cloned();
        self.0.fetch(request).await.map_err(|error| {
            match Distrust::find(server.as_ref().map(|it| it.as_str()), &error) {
                Some(distrust) => Error::new(ErrorKind::ConfigInvalid, "no connection").set_source(distrust),
                None => error,
            }
        })
    }
}
