//! A broker that asks who is there and encrypts what it says: SASL/SCRAM over TLS, beside the plain listener of the harness.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Broker, Kafka, jars, lock, node::Node};
use crate::certificates::Authority;

/// The one user there is.
pub const USER: &str = "beacon";
/// The user's password.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// A [`Kafka`] of the caller's own with a listener that wants TLS and SCRAM-SHA-512.
pub struct SecuredKafka {
    kafka: Kafka,
    bootstrap: String,
    authority: PathBuf,
}

impl SecuredKafka {
    /// Starts one from Kafka's jars.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    #[track_caller]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_start() -> Result<Self> {
        let jars = jars::locate()
            .map_err(|reason| anyhow::anyhow!("no broker with TLS: {reason}; run scripts/setup.sh test"))?;
        let node = Node::start_secured(&jars)?;
        let (bootstrap, authority) = node.secured().context("it was started with a secured listener")?;
        let kafka = Kafka::ready(node.bootstrap(), Broker::Node(std::sync::Mutex::new(node)))?;
        Ok(Self { kafka, bootstrap, authority })
    }

    /// `host:port` of the secured listener.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The certificate authority that its certificate is of, as PEM.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// What it has said last.
    pub fn tail(&self) -> String {
        match &self.kafka.broker {
            Broker::Node(node) => lock(node).tail(),
            Broker::Container(_) | Broker::Outside => String::new(),
        }
    }
}

/// Key and certificate for `localhost` in one file, as Kafka's PEM key stores are (KIP-651), and the authority in another.
pub(super) fn write_identity(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost");
    let (store, trusted) = (directory.join("broker.pem"), directory.join("authority.pem"));
    fs::write(&store, format!("{}{}{}", key.serialize_pem(), certificate.pem(), authority.pem()))
        .with_context(|| format!("cannot write {}", store.display()))?;
    fs::write(&trusted, authority.pem()).with_context(|| format!("cannot write {}", trusted.display()))?;
    Ok((store, trusted))
}

/// The broker's settings for the listener.
pub(super) fn settings(store: &Path) -> String {
    format!(
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={}
",
        store.display()
    )
}

/// What `StorageTool format` is told, so that the user is there from the start.
pub(super) fn credential() -> String {
    format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
}
