//! How a thread comes into its group, and how it leaves it or falls out of it.
//!
//! Tasks go before their session does, so that whoever is given them next finds their directories free.

use std::sync::atomic::Ordering;

use super::Membership;
use super::app::AppError;
use super::calls::Calls;
use super::fault::{Fault, is_passing};
use super::link::Link;
use super::rivalry::Fenced;
use super::standby::flush_at_end;
use super::stats::Stats;
use super::thread::{Next, StreamThread};
use crate::log::{LogError, Session, SessionConfig};

impl StreamThread {
    /// Joins, or says when to try again.
    pub(super) fn step_apart(&mut self) -> Result<Next, AppError> {
        match self.join() {
            Ok(session) => {
                self.link = Some(Link::new(session));
                self.standbys.joined(self.environment.now());
            }
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, application = self.blame.application, "cannot join; trying again");
                return Ok(Next::StepAfter(self.config.retry_backoff));
            }
            Err(error) => return Err(self.blame.log_error(error)),
        }
        if !std::mem::replace(&mut self.joined_before, true) {
            self.shared.joined.fetch_add(1, Ordering::AcqRel);
        }
        Ok(Next::Step)
    }

    fn join(&mut self) -> Result<Box<dyn Session>, LogError> {
        let application = self.topology.application();
        let topics: Vec<String> = self.topology.inputs().map(|topic| topic.to_string()).collect();
        for topic in &topics {
            if !self.partitions.contains_key(topic.as_str()) {
                let count = self.log.describe_topic(topic)?.map_or(self.config.partitions, |topic| topic.partitions);
                self.partitions.insert(topic.as_str().into(), count);
            }
        }
        if self.calls.is_none() {
            let appender = self.log.appender()?.into();
            self.calls = Some(Calls::new(appender, self.config.calls_in_flight, self.config.retry_backoff));
        }
        let member = format!("{application}-{}-{}", self.config.instance, self.number);
        let mut config = SessionConfig::new(application, member.clone(), topics);
        config.instance_id = (self.config.membership == Membership::Static).then_some(member);
        config.session_timeout = self.config.session_timeout;
        config.transaction_timeout = self.config.transaction_timeout;
        self.log.session(config)
    }

    /// The session is over; whether another one helps is up to the fault.
    pub(super) fn fall_out(&mut self, mut link: Link, fault: Fault) -> Result<Next, AppError> {
        // Before the session goes: whoever is given these tasks next finds their directories free.
        self.forget_all();
        let application = &self.blame.application;
        match fault {
            Fault::Fenced(reason) => {
                Stats::add(&self.shared.stats.fenced, 1);
                match self.fences.note(self.environment.now()) {
                    Fenced::Once => tracing::warn!(reason, application, "fenced by a newer owner; joining again"),
                    Fenced::Again { say, wait } => {
                        if say {
                            tracing::error!(
                                reason,
                                application,
                                instance = self.config.instance,
                                "fenced again and again: another live process uses this instance name, and neither can \
                                 work; give each process a name of its own"
                            );
                        }
                        return Ok(Next::StepAfter(wait));
                    }
                }
            }
            Fault::Abort(reason) | Fault::Rejoin(reason) => {
                Stats::add(&self.shared.stats.rejoined, 1);
                tracing::error!(reason, application, "cannot go on as it is; joining again");
            }
            Fault::Fatal(error) => {
                if let Err(error) = link.abort() {
                    tracing::warn!(%error, application, "the open transaction is left to its time-out");
                }
                return Err(error);
            }
        }
        Ok(Next::StepAfter(self.config.retry_backoff))
    }

    pub(super) fn leave(&mut self, link: Link) {
        self.forget_all();
        if let Err(error) = link.session.close() {
            tracing::warn!(%error, "could not leave the group; the others wait until the session expires");
        }
    }

    /// Nothing pending may be kept. What is committed is as good on the disk as in the changelog, and quicker to have.
    fn forget_all(&mut self) {
        for (id, mut slot) in std::mem::take(&mut self.slots) {
            if self.stores.outlive_the_process() {
                flush_at_end(id, &mut slot.task);
            }
        }
        self.standbys.close();
        self.waiting.clear();
        self.upstream = None;
        self.dirty_since = None;
        self.trailing_since = None;
        self.calls = None;
        self.gauges.forget_all();
        if let Some(checkpointing) = &mut self.checkpointing {
            checkpointing.forget_all();
        }
    }
}
