//! A group member with a transactional producer: how the parts around it work together at a poll and at a commit.
//!
//! Invariant: no commit carries the offset of a partition that this member does not own, and none goes out without
//! an offset, because the coordinator fences by offsets only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset as NativeOffset, TopicPartitionList};

use crate::log::{
    CommitError, CommitReceipt, Event, LogError, LogErrorKind, Offset, SendRecord, Session, SessionConfig, StartFrom,
    TopicPartition,
};

use super::admin::Cluster;
use super::config::{GroupProtocol, native};
use super::error::{from_call, kind_of, log_error};
use super::inbox::Inbox;
use super::membership::{Change, Membership, Next};
use super::partitions::{list, list_at, owned_names};
use super::protocol::{AfterFatal, Protocol, Reason, after_fatal, decide_at_first, decide_by_refusal};
use super::raw::{Client, ClientKind, NoDeliveries, Rebalance};
use super::transaction::{Ledger, Transactor};

/// While committed offsets are waited for, other partitions' records are looked for this often.
const RESOLVE_EVERY: Duration = Duration::from_millis(20);
/// One question about committed offsets may take this long even when the poll should not wait.
const RESOLVE_AT_LEAST: Duration = Duration::from_millis(100);
/// How long waking up the client may hold up its caller, for each partition.
const WAKE_PATIENCE: Duration = Duration::from_millis(1);
/// How often a static member asks whether its ghost has expired.
const GHOST_RETRY: Duration = Duration::from_millis(250);
/// How long a partition just assigned may take to be fetched.
const START_PATIENCE: Duration = Duration::from_millis(250);
/// How long closing waits for the coordinator to confirm an abort.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A session on Kafka; see [`Session`].
pub(super) struct KafkaSession {
    cluster: Arc<Cluster>,
    config: SessionConfig,
    transactor: Transactor,
    client: Arc<Client>,
    inbox: Inbox,
    membership: Membership,
    protocol: Protocol,
    rejoin_at: Option<Instant>,
    /// The caller heard of a revocation and not of what followed it.
    revoked: bool,
    closed: bool,
}

impl KafkaSession {
    /// Fences older sessions of the same transactional id, then joins the group.
    pub fn open(cluster: Arc<Cluster>, config: SessionConfig) -> Result<Self, LogError> {
        for topic in &config.topics {
            cluster.require_topic(topic)?;
        }
        // First the fence, then the group: offsets a predecessor left undecided are decided before they are read.
        let transactor = open_transactor(&cluster, &config)?;
        let (protocol, reason) = choose_protocol(&cluster, &config, &transactor)?;
        tracing::info!(group = %config.group, ?protocol, ?reason, "joining the group");
        let client = join(&cluster, &config, protocol)?;
        let inbox = Inbox::new(Arc::clone(&client), cluster.config().max_batch);
        Ok(Self {
            cluster,
            config,
            transactor,
            client,
            inbox,
            membership: Membership::default(),
            protocol,
            rejoin_at: None,
            revoked: false,
            closed: false,
        })
    }

    /// Gives up what the caller was told is asked back.
    fn answer_revocation(&mut self) -> Result<(), LogError> {
        let leaving = self.membership.take_leaving();
        if leaving.is_empty() {
            return Ok(());
        }
        for partition in &leaving {
            self.inbox.forget(partition);
        }
        self.unassign(&leaving)
    }

    /// Starts what the caller was told is given, where it wants it by now.
    fn start_announced(&mut self) -> Result<(), LogError> {
        let announced = self.membership.take_announced();
        if announced.is_empty() {
            return Ok(());
        }
        let places = announced.iter().map(|(partition, at)| (partition, at.offset));
        self.assign(&list_at(places))?;
        for (partition, at) in &announced {
            self.inbox.set_position(partition, at.offset);
        }
        let paused: Vec<_> = announced.iter().filter(|(_, at)| at.paused).map(|(partition, _)| partition).collect();
        if !paused.is_empty() {
            self.client.pause(&list(paused.into_iter())).map_err(|code| log_error(code, "pausing new partitions"))?;
        }
        Ok(())
    }

    fn assign(&self, partitions: &TopicPartitionList) -> Result<(), LogError> {
        if self.client.is_incremental() {
            self.client.incremental_assign(partitions).map_err(|error| from_call(&error, "taking partitions"))
        } else {
            self.client.assign(Some(partitions)).map_err(|code| log_error(code, "taking partitions"))
        }
    }

    fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        if self.client.is_incremental() {
            self.client
                .incremental_unassign(&list(partitions.iter()))
                .map_err(|error| from_call(&error, "giving partitions up"))?;
        } else {
            // The classic protocol takes all or nothing.
            self.client.assign(None).map_err(|code| log_error(code, "giving partitions up"))?;
        }
        if partitions.is_empty() {
            return Ok(());
        }
        // librdkafka keeps the pause of a partition that is given up (2.12): given again, it would never be fetched,
        // because nobody resumes what nobody has paused. Those that were not paused are left as they are.
        let resumed = self.client.resume(&list(partitions.iter()));
        resumed.map_err(|code| log_error(code, "ending the pause of partitions given up"))
    }

    /// Acts on changes of membership; an event if the caller has to hear of it.
    fn advance(&mut self, left: Duration) -> Result<Option<Event>, LogError> {
        for rebalance in self.client.take_rebalances() {
            match rebalance {
                Rebalance::Assign(given) => self.membership.note(Change::Given(owned_names(given))),
                Rebalance::Revoke { partitions, lost: false } => {
                    self.membership.note(Change::AskedBack(owned_names(partitions)));
                }
                Rebalance::Revoke { partitions, lost: true } => {
                    self.membership.note(Change::Gone(owned_names(partitions)));
                }
                Rebalance::Failed(code) => {
                    return Err(log_error(code, format_args!("group {}: rebalance", self.config.group)));
                }
            }
        }
        loop {
            match self.membership.next() {
                Next::Fetch => return Ok(None),
                Next::ConfirmNothing => {
                    self.assign(&TopicPartitionList::new())?;
                    if std::mem::take(&mut self.revoked) && self.revokes_all() {
                        return Ok(Some(Event::Assigned(Vec::new())));
                    }
                }
                Next::Resolve(partitions) => {
                    let Some(places) = self.resolve(&partitions, left)? else {
                        return Ok(None);
                    };
                    self.membership.announce(&places);
                    self.revoked = false;
                    return Ok(Some(Event::Assigned(places)));
                }
                Next::Revoke(partitions) if partitions.is_empty() => self.unassign(&[])?,
                Next::Revoke(partitions) => {
                    self.revoked = true;
                    return Ok(Some(Event::Revoked(partitions)));
                }
                Next::Lose { all, started } => {
                    for partition in &started {
                        self.inbox.forget(partition);
                    }
                    self.unassign(&started)?;
                    if !all.is_empty() {
                        return Ok(Some(Event::Lost(all)));
                    }
                }
            }
        }
    }

    /// Where to read given partitions from; `None` while that cannot be said yet: the broker is away, or a
    /// transaction of the partition's last owner is still undecided.
    fn resolve(
        &self,
        partitions: &[TopicPartition],
        left: Duration,
    ) -> Result<Option<Vec<(TopicPartition, Offset)>>, LogError> {
        let offsets = list(partitions.iter());
        match self.client.committed(&offsets, left.clamp(RESOLVE_AT_LEAST, Duration::from_secs(1))) {
            Ok(()) => {}
            Err(code) if kind_of(code) == LogErrorKind::Retriable => return Ok(None),
            Err(code) => {
                return Err(log_error(code, format_args!("committed offsets of group {}", self.config.group)));
            }
        }
        let mut places = Vec::with_capacity(partitions.len());
        for (partition, element) in partitions.iter().zip(offsets.elements()) {
            if let Err(error) = element.error() {
                let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                if kind_of(code) == LogErrorKind::Retriable {
                    return Ok(None);
                }
                return Err(log_error(code, format_args!("committed offset of {partition}")));
            }
            let offset = match element.offset() {
                NativeOffset::Offset(offset) => super::batch::offset_of(offset),
                _ => match self.start_of(partition)? {
                    Some(offset) => offset,
                    None => return Ok(None),
                },
            };
            places.push((partition.clone(), offset));
        }
        Ok(Some(places))
    }

    /// Where a partition without committed offset starts. `Latest` is the last stable offset: what is written but
    /// not yet committed becomes visible from now on.
    fn start_of(&self, partition: &TopicPartition) -> Result<Option<Offset>, LogError> {
        let native = super::partitions::native_partition(partition);
        match self.client.watermarks(&partition.topic, native, RESOLVE_AT_LEAST) {
            Ok((low, high)) => Ok(Some(super::batch::offset_of(match self.config.start {
                StartFrom::Earliest => low,
                StartFrom::Latest => high,
            }))),
            Err(code) if kind_of(code) == LogErrorKind::Retriable => Ok(None),
            Err(code) => Err(log_error(code, format_args!("start of {partition}"))),
        }
    }

    /// Handles an error that ended the consumer; `None` if the session goes on with a new one.
    fn recover(&mut self, code: Code) -> Result<Option<Event>, LogError> {
        match after_fatal(self.cluster.config().group_protocol, self.protocol, code) {
            AfterFatal::Report => {
                let text = self.client.fatal_error().map_or_else(String::new, |(_, text)| text);
                Err(LogError::new(kind_of(code), format!("group {}: the consumer is over: {text}", self.config.group)))
            }
            AfterFatal::FallBack => {
                tracing::info!(group = %self.config.group, "the broker does not speak KIP-848: joining with the classic protocol");
                self.cluster.note_lack_of_kip_848();
                self.protocol = Protocol::Classic;
                self.rejoin()
            }
            AfterFatal::WaitForGhost => {
                tracing::warn!(
                    group = %self.config.group,
                    instance = self.config.instance_id.as_deref().unwrap_or_default(),
                    "waiting for the session of an earlier process with this instance id to expire"
                );
                self.rejoin_at = Some(Instant::now() + GHOST_RETRY);
                Ok(None)
            }
        }
    }

    fn rejoin(&mut self) -> Result<Option<Event>, LogError> {
        self.rejoin_at = None;
        self.client = join(&self.cluster, &self.config, self.protocol)?;
        self.inbox = Inbox::new(Arc::clone(&self.client), self.cluster.config().max_batch);
        let lost = self.membership.reset();
        Ok((!lost.is_empty()).then_some(Event::Lost(lost)))
    }

    /// Has a partition fetched at once that was resumed just now.
    ///
    /// librdkafka's thread of the broker does not hear of the end of a pause (2.12): with nothing else to fetch it sleeps
    /// on, for up to a second. It wakes up for a seek, if only to where the partition is, and for a request. Whatever goes
    /// wrong with it costs that second and nothing else: the partition is resumed.
    fn wake(&self, partition: &TopicPartition) {
        let woken = match self.inbox.position(partition) {
            Some(offset) if offset > 0 => {
                let target = list_at([(partition, offset)].into_iter());
                self.client.seek(&target, WAKE_PATIENCE).map_err(|error| from_call(&error, "a seek to wake it"))
            }
            // A seek to the very beginning wakes nobody. The question is asked to be heard; nobody waits for the answer.
            _ => {
                let native = super::partitions::native_partition(partition);
                let asked = self.client.watermarks(&partition.topic, native, WAKE_PATIENCE);
                asked.map(drop).map_err(|code| log_error(code, "a question to wake it"))
            }
        };
        if let Err(error) = woken {
            tracing::trace!(%partition, %error, "a resumed partition may be fetched later");
        }
    }

    /// Moves started partitions; needs librdkafka to have begun fetching them, which takes a moment after a start.
    fn seek_started(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        let deadline = Instant::now() + self.cluster.config().timeout;
        let patience = Instant::now() + START_PATIENCE;
        loop {
            let target = list_at([(partition, offset)].into_iter());
            self.client
                .seek(&target, self.cluster.config().timeout)
                .map_err(|error| from_call(&error, format_args!("seeking {partition} to {offset}")))?;
            let code = target
                .elements()
                .first()
                .and_then(|element| element.error().err())
                .and_then(|error| error.rdkafka_error_code());
            match code {
                None => break,
                Some(Code::State | Code::PreviousInProgress | Code::InProgress) if Instant::now() < deadline => {
                    // Mostly the start is a moment away. If not, an error has stopped the partition.
                    if Instant::now() >= patience {
                        return self.restart(partition, offset);
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(code) => {
                    return Err(log_error(code, format_args!("seeking {partition} to {offset}")));
                }
            }
        }
        self.inbox.set_position(partition, offset);
        Ok(())
    }
}

impl KafkaSession {
    /// Assigns a partition anew at an offset: the way out when librdkafka stopped fetching it after an error.
    fn restart(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.inbox.set_position(partition, offset);
        if self.client.is_incremental() {
            self.unassign(std::slice::from_ref(partition))?;
            self.assign(&list_at([(partition, offset)].into_iter()))?;
        } else {
            self.assign(&list_at(self.inbox.positions()))?;
        }
        let paused: Vec<_> = self.membership.paused().cloned().collect();
        if paused.is_empty() {
            return Ok(());
        }
        self.client.pause(&list(paused.iter())).map_err(|code| log_error(code, "pausing partitions"))
    }

    /// Offsets to commit as librdkafka wants them, all of them of owned partitions.
    fn offsets_to_commit(&self, offsets: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, CommitError> {
        if offsets.is_empty() {
            return Err(CommitError::Fatal(LogError::new(
                LogErrorKind::Fatal,
                format!(
                    "group {}: a commit without offsets is refused: the group's coordinator fences by offsets only, \
                     add the position of an owned partition",
                    self.config.group
                ),
            )));
        }
        if let Some((partition, _)) = offsets.iter().find(|(partition, _)| !self.membership.owns(partition)) {
            return Err(CommitError::Abortable(LogError::new(
                LogErrorKind::Abortable,
                format!("{partition} is not owned by this member of group {} any more", self.config.group),
            )));
        }
        Ok(list_at(offsets.iter().map(|(partition, offset)| (partition, *offset))))
    }

    fn require_owned(&self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        match partitions.iter().find(|partition| !self.membership.owns(partition)) {
            None => Ok(()),
            Some(partition) => Err(LogError::new(
                LogErrorKind::Fatal,
                format!("{partition} is not owned by this member of group {}", self.config.group),
            )),
        }
    }

    fn shut_down(&mut self) -> Result<(), LogError> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        // Abort before leaving: whoever takes over would else wait for the transaction to time out.
        let aborted = if self.transactor.is_open() { self.transactor.abort(CLOSE_TIMEOUT) } else { Ok(()) };
        self.inbox.clear();
        let left = self
            .client
            .close_consumer()
            .map_err(|code| log_error(code, format_args!("leaving group {}", self.config.group)));
        aborted.and(left)
    }
}

impl Session for KafkaSession {
    fn poll(&mut self, timeout: Duration) -> Result<Event, LogError> {
        let deadline = Instant::now() + timeout;
        self.answer_revocation()?;
        self.start_announced()?;
        let mut fetched_last = false;
        loop {
            if let Some(event) = self.inbox.next() {
                if event.is_err()
                    && let Some(code) = self.inbox.fatal()
                {
                    match self.recover(code)? {
                        Some(event) => return Ok(event),
                        None => continue,
                    }
                }
                return event;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.rejoin_at.is_some_and(|at| Instant::now() >= at) {
                if let Some(event) = self.rejoin()? {
                    return Ok(event);
                }
            } else if let Some(event) = self.advance(left)? {
                return Ok(event);
            }
            if fetched_last {
                return Ok(Event::Idle);
            }
            fetched_last = left.is_zero();
            let wait = if self.membership.is_resolving() {
                left.min(RESOLVE_EVERY)
            } else if let Some(at) = self.rejoin_at {
                left.min(at.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
            } else {
                left
            };
            self.inbox.fetch(wait);
        }
    }

    fn revokes_all(&self) -> bool {
        self.protocol == Protocol::Classic
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.require_owned(partitions)?;
        let mut started = Vec::new();
        for partition in partitions {
            if let Some(announced) = self.membership.announced_mut(partition) {
                announced.paused = true;
            } else if let Some(paused) = self.membership.paused_mut(partition) {
                *paused = true;
                started.push(partition);
            }
        }
        if started.is_empty() {
            return Ok(());
        }
        self.client.pause(&list(started.iter().copied())).map_err(|code| log_error(code, "pausing partitions"))?;
        for partition in started {
            if let Some(position) = self.inbox.withdraw(partition) {
                self.seek_started(partition, position)?;
            }
        }
        Ok(())
    }

    fn resume(&mut self, partitions: &[TopicPartition]) -> Result<(), LogError> {
        self.require_owned(partitions)?;
        let mut started = Vec::new();
        for partition in partitions {
            if let Some(announced) = self.membership.announced_mut(partition) {
                announced.paused = false;
            } else if let Some(paused) = self.membership.paused_mut(partition) {
                *paused = false;
                started.push(partition);
            }
        }
        if started.is_empty() {
            return Ok(());
        }
        let resumed = self.client.resume(&list(started.iter().copied()));
        resumed.map_err(|code| log_error(code, "resuming partitions"))?;
        started.into_iter().for_each(|partition| self.wake(partition));
        Ok(())
    }

    fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        self.require_owned(std::slice::from_ref(partition))?;
        if let Some(announced) = self.membership.announced_mut(partition) {
            announced.offset = offset;
            return Ok(());
        }
        self.inbox.withdraw(partition);
        self.seek_started(partition, offset)
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.transactor.begin()
    }

    fn send(&mut self, record: SendRecord<'_>) -> Result<(), LogError> {
        let cluster = &self.cluster;
        self.transactor.send(&record, |topic| cluster.require_topic(topic).map(drop))
    }

    fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, CommitError> {
        let native = self.offsets_to_commit(offsets)?;
        let client = &self.client;
        // Asked for freshly each time: a rebalance in between must show, or the fence has a hole.
        let outcome =
            self.transactor.commit(&native, || (!client.assignment_lost()).then(|| client.membership()).flatten());
        if let Err(CommitError::Fenced(_)) = &outcome {
            self.transactor.abandon(CLOSE_TIMEOUT);
        }
        outcome
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.transactor.abort(self.cluster.config().timeout)
    }

    fn close(mut self: Box<Self>) -> Result<(), LogError> {
        self.shut_down()
    }
}

impl Drop for KafkaSession {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(group = %self.config.group, %error, "closing a dropped session");
        }
    }
}

fn open_transactor(cluster: &Cluster, config: &SessionConfig) -> Result<Transactor, LogError> {
    let settings = cluster.config();
    let producer = settings.transactional(config);
    let ledger = Arc::new(Ledger::default());
    let label = format!("producer of {}", config.transactional_id);
    let sink: Arc<Ledger> = Arc::clone(&ledger);
    let client = Client::new(ClientKind::Producer, native(&producer)?, label, sink)
        .map_err(|text| LogError::new(LogErrorKind::Configuration, text))?;
    // A predecessor's open transaction is aborted first, which may take as long as its own time-out.
    let patience = settings.timeout.max(config.transaction_timeout);
    Transactor::open(client, ledger, &config.transactional_id, patience)
}

/// Asks the broker only if the answer matters; see [`Reason`].
///
/// # Errors
/// When the broker gives no answer in time on which the protocol depends.
fn choose_protocol(
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

fn join(cluster: &Cluster, config: &SessionConfig, protocol: Protocol) -> Result<Arc<Client>, LogError> {
    let mut consumer = cluster.config().member();
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
    let client = Client::new(ClientKind::Consumer, native(&consumer)?, label, Arc::new(NoDeliveries))
        .map_err(|text| LogError::new(LogErrorKind::Configuration, text))?;
    let mut topics = TopicPartitionList::with_capacity(config.topics.len());
    for topic in &config.topics {
        topics.add_topic_unassigned(topic);
    }
    client.subscribe(&topics).map_err(|code| log_error(code, format_args!("group {}: subscribing", config.group)))?;
    Ok(Arc::new(client))
}
