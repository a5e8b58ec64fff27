//! A real Kafka, found in this order: `KAFKA_BOOTSTRAP_SERVERS`; a container when a Docker engine answers; Apache
//! Kafka's own jars under Java.
//!
//! What it deliberately does not do: it never replaces Kafka by a mock, and never lets a test pass without one.
//! librdkafka's built-in mock cluster shows aborted records to committed readers and fences nobody.
//!
//! Invariant: a broker started here keeps its address and its data over [`Kafka::kill9`] and [`Kafka::restart`], and is
//! gone, data included, when it is dropped or this process ends.

mod container;
mod docker;
mod jars;
mod node;
mod secured;

use std::env;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::wait::try_until;
pub use secured::{PASSWORD, SecuredKafka, USER};

use container::Container;
use node::Node;

/// Longest start we wait for: a cold disk, two cores, other tests compiling.
const START: Duration = Duration::from_secs(90);

/// A broker, or the addresses of somebody else's.
pub struct Kafka {
    bootstrap: String,
    broker: Broker,
}

#[allow(clippy::large_enum_variant)] // One per process: the size does not matter.
enum Broker {
    Outside,
    Container(Container),
    Node(Mutex<Node>),
}

impl Kafka {
    /// The broker that all scenarios of this process share; started at the first call.
    ///
    /// Use topic prefixes of your own on it, and leave it alone: who kills brokers takes [`Kafka::own`].
    ///
    /// # Panics
    /// When no Kafka can be had; the message says what to install.
    #[track_caller]
    pub fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        match SHARED.get_or_init(|| Kafka::find().map_err(|error| format!("{error:#}"))) {
            Ok(kafka) => kafka,
            Err(message) => panic!("{message}"),
        }
    }

    /// A fresh broker that belongs to the caller alone, to be killed, frozen and restarted at will. Never the one of
    /// `KAFKA_BOOTSTRAP_SERVERS`.
    ///
    /// # Panics
    /// When none can be started; the message says what to install.
    #[track_caller]
    pub fn own() -> Kafka {
        Kafka::own_with(&[])
    }

    /// The same with these settings of the broker besides, each a name and a value: a broker that is older, or stricter.
    ///
    /// # Panics
    /// As [`Kafka::own`].
    #[track_caller]
    pub fn own_with(settings: &[(&str, &str)]) -> Kafka {
        Kafka::start_with(settings).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// `KAFKA_BOOTSTRAP_SERVERS` if set, else a broker started now.
    ///
    /// # Errors
    /// The given one does not answer, or none can be started; the text says what to do.
    pub fn find() -> Result<Kafka> {
        match env::var("KAFKA_BOOTSTRAP_SERVERS") {
            Ok(bootstrap) if !bootstrap.is_empty() => {
                wait_for_metadata(&bootstrap, Duration::from_secs(20)).map_err(|message| {
                    anyhow!("{message}; KAFKA_BOOTSTRAP_SERVERS={bootstrap}: start that Kafka, or unset the variable")
                })?;
                Ok(Kafka { bootstrap, broker: Broker::Outside })
            }
            _ => Kafka::start(),
        }
    }

    /// A broker in a container when a Docker engine answers, else from Kafka's jars.
    ///
    /// # Errors
    /// There is neither; the text names both ways to get one.
    pub fn start() -> Result<Kafka> {
        Kafka::start_with(&[])
    }

    fn start_with(settings: &[(&str, &str)]) -> Result<Kafka> {
        let no_docker = match docker::answers() {
            Ok(()) => {
                let container = Container::start(settings)?;
                return Kafka::ready(container.bootstrap(), Broker::Container(container));
            }
            Err(reason) => reason,
        };
        match jars::locate() {
            Ok(jars) => {
                let node = Node::start(&jars, settings)?;
                Kafka::ready(node.bootstrap(), Broker::Node(Mutex::new(node)))
            }
            Err(no_jars) => bail!(
                "this test needs a real Kafka and there is none: KAFKA_BOOTSTRAP_SERVERS is not set; no Docker engine \
                 answers ({no_docker}); and {no_jars}. Run scripts/setup.sh test, which installs Java and Kafka's jars"
            ),
        }
    }

    fn ready(bootstrap: String, broker: Broker) -> Result<Kafka> {
        let kafka = Kafka { bootstrap, broker };
        kafka.wait_ready()?;
        Ok(kafka)
    }

    fn wait_ready(&self) -> Result<()> {
        wait_for_metadata(&self.bootstrap, START).map_err(|message| match &self.broker {
            Broker::Node(node) => anyhow!("{message}\n{}", lock(node).tail()),
            Broker::Container(_) | Broker::Outside => anyhow!(message),
        })
    }

    /// `host:port` for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Where a broker from jars keeps its data and what each start of it wrote.
    pub fn directory(&self) -> Option<PathBuf> {
        match &self.broker {
            Broker::Node(node) => Some(lock(node).directory().to_owned()),
            Broker::Container(_) | Broker::Outside => None,
        }
    }

    /// Kills the broker as a power cut would, and leaves it dead. Its clients see connections refused.
    ///
    /// # Panics
    /// As all of these do, for a broker that was not started here.
    #[track_caller]
    pub fn kill9(&self) {
        match self.ours() {
            Ours::Node(node) => lock(node).kill9(),
            Ours::Container(container) => container.kill(),
        }
    }

    /// Freezes the broker: connections stay open and nothing answers.
    #[track_caller]
    pub fn pause(&self) {
        match self.ours() {
            Ours::Node(node) => lock(node).pause(),
            Ours::Container(container) => container.pause(),
        }
    }

    /// Lets it run on after [`Kafka::pause`].
    #[track_caller]
    pub fn resume(&self) {
        match self.ours() {
            Ours::Node(node) => lock(node).resume(),
            Ours::Container(container) => container.resume(),
        }
    }

    /// Starts it again at the same address with the same data, killing it first if it runs; returns when it answers.
    #[track_caller]
    pub fn restart(&self) {
        let started = match self.ours() {
            Ours::Node(node) => lock(node).restart(),
            Ours::Container(container) => container.restart(),
        };
        if let Err(error) = started.and_then(|()| self.wait_ready()) {
            panic!("the broker did not come back: {error:#}");
        }
    }

    #[track_caller]
    fn ours(&self) -> Ours<'_> {
        match &self.broker {
            Broker::Node(node) => Ours::Node(node),
            Broker::Container(container) => Ours::Container(container),
            Broker::Outside => panic!("{} was not started by this test: take Kafka::own()", self.bootstrap),
        }
    }
}

enum Ours<'a> {
    Node(&'a Mutex<Node>),
    Container(&'a Container),
}

fn lock(node: &Mutex<Node>) -> std::sync::MutexGuard<'_, Node> {
    // A test that panicked while it held the lock must not take the others with it.
    node.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns when a broker at `bootstrap` answers a metadata request, which an open port alone does not prove.
fn wait_for_metadata(bootstrap: &str, timeout: Duration) -> Result<(), String> {
    try_until(&format!("Kafka at {bootstrap} to answer"), timeout, || {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("reconnect.backoff.max.ms", "200")
            .create()
            .map_err(|error| error.to_string())?;
        let metadata = client.fetch_metadata(None, Duration::from_secs(2)).map_err(|error| error.to_string())?;
        if metadata.brokers().is_empty() { Err("no broker registered".to_owned()) } else { Ok(()) }
    })
}
