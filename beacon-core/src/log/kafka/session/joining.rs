//! How a session begins: its producer, the choice of a protocol, and the consumer that joins the group.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::topic_partition_list::TopicPartitionList;

use super::super::admin::Cluster;
use super::super::config::{GroupProtocol, start};
use super::super::error::log_error;
use super::super::ledger::Ledger;
use super::super::protocol::{Protocol, Reason, decide_at_first, decide_by_refusal};
use super::super::raw::{Client, ClientKind, NoDeliveries};
use super::super::transaction::Transactor;
use crate::log::{LogError, SessionConfig};

/// A producer that has fenced older ones of the same transactional id.
pub(super) fn open_transactor(cluster: &Cluster, config: &SessionConfig) -> Result<Transactor, LogError> {
    let settings = cluster.config();
    let producer = settings.transactional(config);
    let ledger = Arc::new(Ledger::default());
    let label = format!("producer of {}", config.transactional_id);
    let sink: Arc<Ledger> = Arc::clone(&ledger);
    let client = start(ClientKind::TransactionalProducer, &producer, label, sink)?;
    // A predecessor's open transaction is aborted first, which may take as long as its own time-out.
    let patience = settings.timeout.max(config.transaction_timeout);
    Transactor::open(client, ledger, &config.transactional_id, patience)
}

/// Asks the broker only if the answer matters; see [`Reason`].
///
/// # Errors
/// When the broker gives no answer in time on which the protocol depends.
pub(super) fn choose_protocol(
    cluster: &Cluster,
    config: &SessionConfig,
    transactor: &Transactor,
) -> Result<(Protocol, Reason), LogError> {
    if cluster.config().group_protocol != GroupProtocol::Classic && cluster.lacks_kip_848() {
        return Ok((Protocol::Classic, Reason::Unsupported));
    }
    let wanted = cluster.config().group_protocol;
    let decided = decide_at_first(wanted, config.instance_id.is_some());
    if let Some((Protocol::Classic, reason)) = decided {
        return Ok((Protocol::Classic, reason));
    }
    let settings = [
        ("consumer.session.timeout.ms", config.session_timeout.as_millis().to_string()),
        ("consumer.heartbeat.interval.ms", heartbeat_interval(config.session_timeout).as_millis().to_string()),
    ];
    let altered = transactor.client().alter_group(&config.group, &settings, cluster.config().timeout);
    let Err((code, text)) = altered else {
        return Ok(decided.unwrap_or((Protocol::Consumer, Reason::TimeoutAccepted)));
    };
    let context = format!("setting the session time-out of group {} to {:?}", config.group, config.session_timeout);
    let error = log_error(code, format_args!("{context}: {text}"));
    match decided.or_else(|| decide_by_refusal(error.kind())) {
        Some(decided) => {
            tracing::warn!(group = %config.group, %error, "the broker does not take the session time-out");
            Ok(decided)
        }
        None => Err(error),
    }
}

/// A tenth of the session time-out, so that a lost heartbeat or two cost no membership. It is also how soon a member
/// hears of a rebalance, hence the upper bound.
fn heartbeat_interval(session_timeout: Duration) -> Duration {
    (session_timeout / 10).clamp(Duration::from_millis(100), Duration::from_millis(500))
}

/// A consumer on its way into the group.
pub(super) fn join(cluster: &Cluster, config: &SessionConfig, protocol: Protocol) -> Result<Arc<Client>, LogError> {
    let mut consumer = cluster.config().member(config);
    consumer.set("group.id", &config.group);
    if let Some(instance) = &config.instance_id {
        consumer.set("group.instance.id", instance);
    }
    match protocol {
        Protocol::Consumer => {
            consumer.set("group.protocol", "consumer").set("group.remote.assignor", "range");
        }
        Protocol::Classic => {
            let heartbeat = heartbeat_interval(config.session_timeout);
            consumer
                .set("group.protocol", "classic")
                // Not cooperative-sticky: it would put the same partition of two topics on different members.
                .set("partition.assignment.strategy", "range")
                .set("session.timeout.ms", config.session_timeout.as_millis().to_string())
                .set("heartbeat.interval.ms", heartbeat.as_millis().to_string());
        }
    }
    let label = format!("member of {}", config.group);
    let client = start(ClientKind::Consumer, &consumer, label, Arc::new(NoDeliveries))?;
    let mut topics = TopicPartitionList::with_capacity(config.topics.len());
    for topic in &config.topics {
        topics.add_topic_unassigned(topic);
    }
    client.subscribe(&topics).map_err(|code| log_error(code, format_args!("group {}: subscribing", config.group)))?;
    Ok(Arc::new(client))
}
