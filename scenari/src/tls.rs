//! TLS in front of a server that has none.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Authority;
use crate::runtime;

/// What ends the TLS; gone when dropped.
pub struct TlsFront {
    host: String,
    port: u16,
    protocols: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl TlsFront {
    /// Starts it in front of the server on port `target` of 127.0.0.1, with a certificate for `host`.
    pub fn start(authority: &Authority, host: &str, target: u16) -> Self {
        let (runtime, port, listener) = runtime::serving("tls");
        let acceptor = TlsAcceptor::from(Arc::new(configuration(authority, host)));
        let protocols = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&protocols);
        runtime.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                // A client that does not trust us goes away, which is its concern.
                tokio::spawn(pass(acceptor.clone(), client, target, Arc::clone(&shared)));
            }
        });
        Self { host: host.to_owned(), port, protocols, _runtime: runtime }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, as one writes it.
    pub fn address(&self) -> String {
        format!("https://{}:{}", self.host, self.port)
    }

    /// What each connection was agreed to speak (ALPN), in their order; empty where nothing was.
    pub fn protocols(&self) -> Vec<String> {
        self.protocols.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn configuration(authority: &Authority, host: &str) -> ServerConfig {
    let (certificate, key) = authority.issue(host);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("the key is the certificate's");
    // As public servers do: the better one to those that can.
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    configuration
}

async fn pass(
    acceptor: TlsAcceptor,
    client: TcpStream,
    target: u16,
    protocols: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let protocol = client.get_ref().1.alpn_protocol().unwrap_or_default();
    let protocol = String::from_utf8_lossy(protocol).into_owned();
    protocols.lock().unwrap_or_else(PoisonError::into_inner).push(protocol);
    let mut server = TcpStream::connect(("127.0.0.1", target)).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
