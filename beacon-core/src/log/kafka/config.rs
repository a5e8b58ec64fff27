//! Settings of the Kafka log, and what becomes of them in each kind of client.
//!
//! Settings that the guarantees rest on are ours alone: [`KafkaConfig::check`] refuses them in `extra` instead of
//! letting one line of configuration turn exactly-once into at-most-once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::{NativeClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::raw::{Client, ClientKind, DeliverySink};
use crate::log::{LogError, LogErrorKind, SessionConfig};

/// Which protocol a group's members speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupProtocol {
    /// Classic for static members ([`SessionConfig::instance_id`](crate::log::SessionConfig::instance_id)), which
    /// come back at once after `kill -9` under it; for others KIP-848 if the broker speaks it and takes the session
    /// time-out asked for, else classic.
    #[default]
    Auto,
    /// KIP-848: the broker assigns (`range`), partitions move one by one. The session time-out is a setting of the
    /// group on the broker, with a floor of 45 s unless the broker's `group.consumer.min.session.timeout.ms` is lower,
    /// and a killed static member cannot come back before it.
    Consumer,
    /// The protocol before KIP-848 with the `range` assignor: every rebalance stops all members, but time-outs are
    /// the client's to choose from 6 s up, and a static member that comes back replaces its ghost at once.
    Classic,
}

/// How to reach a Kafka cluster, and how clients of it behave.
#[derive(Clone)]
#[non_exhaustive]
pub struct KafkaConfig {
    /// `host:port` of some brokers, separated by commas.
    pub bootstrap_servers: String,
    /// Names this process in the broker's logs and quotas.
    pub client_id: String,
    /// Further librdkafka settings: security, compression, buffer sizes. Values never appear in logs or errors.
    pub extra: BTreeMap<String, String>,
    /// Copies of each partition of topics made here; `None` leaves it to the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// How long [`super::KafkaLog::connect`] and administration wait for an answer. Longer: survives slow failovers;
    /// shorter: a wrong address is told sooner. Default 10 s.
    pub timeout: Duration,
    /// How groups are joined.
    pub group_protocol: GroupProtocol,
    /// How long a session's producer waits for more records before it sends a batch. Commits do not wait for it. Longer: fewer
    /// and larger requests, which cost client and broker less; shorter: a large commit begins to be written earlier. Default
    /// 5 ms, as of Kafka's Java producer since 4.0 (KIP-1030).
    pub linger: Duration,
    /// The same for appenders, where many small appends of different callers share a batch. Default 2 ms.
    pub append_linger: Duration,
    /// At most so many records in one [`crate::log::Event::Records`]. More: less work per record; fewer: commits and
    /// rebalances wait less for the batch. Default 2048.
    pub max_batch: usize,
}

impl KafkaConfig {
    /// Defaults for these servers.
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            client_id: "beacon".to_owned(),
            extra: BTreeMap::new(),
            replication_factor: None,
            timeout: Duration::from_secs(10),
            group_protocol: GroupProtocol::Auto,
            linger: Duration::from_millis(5),
            append_linger: Duration::from_millis(2),
            max_batch: 2048,
        }
    }

    /// Refuses settings that the log decides itself.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let configuration = |text: String| LogError::new(LogErrorKind::Configuration, text);
        if self.bootstrap_servers.trim().is_empty() {
            return Err(configuration("no Kafka servers given: set host:port of at least one broker".into()));
        }
        if self.max_batch == 0 {
            return Err(configuration("max_batch is 0: no record could ever be read".into()));
        }
        if let Some(name) = self.extra.keys().find(|name| OURS.contains(&name.as_str())) {
            return Err(configuration(format!(
                "the librdkafka setting {name} cannot be set: the log's guarantees rest on its own value"
            )));
        }
        Ok(())
    }

    /// What all clients have in common.
    fn common(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap_servers.trim())
            .set("client.id", format!("{}-{role}", self.client_id))
            // A broker that comes back is found within a second, not ten.
            .set("reconnect.backoff.max.ms", "1000")
            .set("log.connection.close", "false")
            .set("topic.metadata.refresh.interval.ms", "60000");
        config
    }

    /// `extra`, then the settings that must hold.
    fn finish(&self, mut config: ClientConfig, forced: &[(&str, &str)]) -> ClientConfig {
        let reads = forced.iter().any(|(name, _)| *name == "isolation.level");
        for (name, value) in &self.extra {
            // librdkafka logs a warning for each setting of the other kind of client.
            let foreign = if reads { PRODUCER_ONLY } else { CONSUMER_ONLY };
            if !foreign.contains(&name.as_str()) && name != MAX_POLL_INTERVAL {
                config.set(name, value);
            }
        }
        for (name, value) in forced {
            config.set(*name, *value);
        }
        // Of the safe crate's clients, which go by nothing else.
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// A consumer of the given isolation level without group duties.
    pub(super) fn reading(&self, role: &str, isolation: &str) -> ClientConfig {
        let mut config = self.common(role);
        config
            // Partitions whose queue was full are asked for again after this; the default is a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50")
            // Some ten milliseconds of reading as fast as can be, which is all that has to wait here; each record costs
            // three times its bytes. 64 MiB, the default, are memory for nothing.
            .set("queued.max.messages.kbytes", "4096")
            // A partition that is given, resumed or asked for its end waits for the request that is under way.
            .set("fetch.wait.max.ms", "100")
            .set("fetch.min.bytes", "1");
        self.finish(
            config,
            &[
                ("group.id", "beacon-without-group"),
                ("isolation.level", isolation),
                ("enable.auto.commit", "false"),
                ("enable.auto.offset.store", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "error"),
                ("allow.auto.create.topics", "false"),
            ],
        )
    }

    /// A member of a group; the caller adds the group and its protocol.
    pub(super) fn member(&self, session: &SessionConfig) -> ClientConfig {
        // Whoever lists the group sees which process and thread it is.
        let mut config = self.reading(&session.transactional_id, "read_committed");
        if let Some(interval) = self.extra.get(MAX_POLL_INTERVAL) {
            config.set(MAX_POLL_INTERVAL, interval);
        }
        config
    }

    /// A producer that never loses or doubles a record it was given.
    pub(super) fn producing(&self, role: &str, linger: Duration) -> ClientConfig {
        let mut config = self.common(role);
        config
            // The coordinator finishing the last transaction answers "try again": 1 ms later it is ready (3.7 ms per
            // commit instead of 14).
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "100")
            .set("queue.buffering.max.kbytes", "131072")
            .set("linger.ms", linger.as_millis().to_string());
        self.finish(
            config,
            &[
                ("enable.idempotence", "true"),
                ("acks", "all"),
                // What Kafka's Java producer does, so that keys of either meet in one partition.
                ("partitioner", "murmur2_random"),
            ],
        )
    }

    /// The producer of a session.
    pub(super) fn transactional(&self, session: &SessionConfig) -> ClientConfig {
        let mut config = self.producing("session", self.linger);
        config
            .set("transactional.id", &session.transactional_id)
            // Of the others its own thread tells at once, see `raw::ClientKind`.
            .set("delivery.report.only.error", "true")
            .set("transaction.timeout.ms", session.transaction_timeout.as_millis().to_string());
        config
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the names of extra settings: any value may be a password, a key or a token.
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("client_id", &self.client_id)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .field("replication_factor", &self.replication_factor)
            .field("timeout", &self.timeout)
            .field("group_protocol", &self.group_protocol)
            .field("linger", &self.linger)
            .field("append_linger", &self.append_linger)
            .field("max_batch", &self.max_batch)
            .finish()
    }
}

/// The native form, with errors that name the setting and never its value.
pub(super) fn native(config: &ClientConfig) -> Result<NativeClientConfig, LogError> {
    config.create_native_config().map_err(|error| {
        let text = match error {
            KafkaError::ClientConfig(_, reason, name, _) if reason.starts_with("No such configuration") => {
                format!("Kafka setting {name}: librdkafka knows no setting of this name (or was built without it)")
            }
            KafkaError::ClientConfig(_, _, name, _) => {
                format!("Kafka setting {name}: librdkafka refuses the value (not shown, it may be a secret)")
            }
            other => format!("Kafka settings: {other}"),
        };
        LogError::new(LogErrorKind::Configuration, text)
    })
}

/// A client with these settings.
pub(super) fn start(
    kind: ClientKind,
    config: &ClientConfig,
    label: String,
    deliveries: Arc<dyn DeliverySink>,
) -> Result<Client, LogError> {
    Client::new(kind, native(config)?, label, deliveries)
        .map_err(|text| LogError::new(LogErrorKind::Configuration, format!("Kafka settings: {text}")))
}

/// Settings that are the log's own.
const OURS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "delivery.report.only.error",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    // Lines would wait there for somebody to read them.
    "log.queue",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "session.timeout.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// Only members of groups have to poll in time, and librdkafka compares it with the session time-out of the others.
const MAX_POLL_INTERVAL: &str = "max.poll.interval.ms";

const PRODUCER_ONLY: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "delivery.timeout.ms",
    "linger.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.send.max.retries",
    "message.timeout.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

const CONSUMER_ONLY: &[&str] = &[
    "check.crcs",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "max.partition.fetch.bytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new("127.0.0.1:1");
        config.extra.insert(name.into(), value.into());
        config
    }

    #[test]
    fn values_of_extra_settings_are_never_shown() {
        let shown = format!("{:?}", with("sasl.password", "hunter2"));
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_refused_value_is_not_repeated() {
        let config = with("security.protocol", "hunter2");
        let error = native(&config.reading("test", "read_committed")).err().expect("an invalid value");
        assert_eq!(error.kind(), LogErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains("security.protocol") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn settings_that_guarantees_rest_on_are_refused() {
        for name in ["isolation.level", "enable.auto.commit", "transactional.id", "partitioner", "log.queue"] {
            let error = with(name, "x").check().expect_err("ours");
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn settings_of_producers_do_not_reach_consumers() {
        let config = with("compression.type", "lz4");
        assert_eq!(config.reading("test", "read_committed").get("compression.type"), None);
        let producing = config.producing("test", Duration::ZERO);
        assert_eq!(producing.get("compression.type"), Some("lz4"));
    }

    /// Each of these was once another value, and each of those lost something: time, or records.
    #[test]
    fn clients_are_made_with_what_was_learnt() {
        let config = KafkaConfig::new("127.0.0.1:1");
        let holds = |made: &ClientConfig, wanted: &[(&str, &str)]| {
            for (name, value) in wanted {
                assert_eq!(made.get(name), Some(*value), "{name}");
            }
            native(made).map(drop).expect("librdkafka takes it");
        };
        // The defaults, 1 s and 500 ms, are what a partition waits whose queue was full for a moment, and one that is new
        // among those that are read.
        let reading = [
            ("fetch.queue.backoff.ms", "5"),
            ("fetch.wait.max.ms", "100"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
        ];
        let member = SessionConfig::new("group", "member", Vec::new());
        holds(&config.member(&member), &reading);
        holds(&config.reading("test", "read_uncommitted"), &reading);
        holds(&config.member(&member), &[("isolation.level", "read_committed")]);

        let mut session = SessionConfig::new("group", "id-1", vec!["topic".to_owned()]);
        session.transaction_timeout = Duration::from_millis(12_345);
        let written = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("partitioner", "murmur2_random"),
            ("retry.backoff.ms", "1"),
            // A run of records is else a request for its first ones and one for the rest.
            ("linger.ms", "5"),
        ];
        holds(&config.transactional(&session), &written);
        // A minute, the default, is how long a partition stays shut behind a process that froze.
        holds(&config.transactional(&session), &[("transactional.id", "id-1"), ("transaction.timeout.ms", "12345")]);
        holds(&config.producing("test", config.append_linger), &written[..4]);
    }
}
