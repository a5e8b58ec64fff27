//! A session and whether a transaction is open on it.

use crate::log::{LogError, SendRecord, Session};
use crate::operator::Outgoing;
use crate::task::TaskError;

pub(super) struct Link {
    pub(super) session: Box<dyn Session>,
    pub(super) open: bool,
    /// Whether the open transaction has had its head start.
    ahead: bool,
}

impl Link {
    pub(super) fn new(session: Box<dyn Session>) -> Self {
        Self { session, open: false, ahead: false }
    }

    /// Opens a transaction unless one is open.
    pub(super) fn begin(&mut self) -> Result<(), LogError> {
        if !self.open {
            self.session.begin()?;
            (self.open, self.ahead) = (true, false);
        }
        Ok(())
    }

    pub(super) fn send(&mut self, record: &Outgoing) -> Result<(), LogError> {
        self.begin()?;
        self.session.send(SendRecord {
            topic: &record.topic,
            partition: record.partition,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &record.headers,
            timestamp_ms: Some(record.timestamp.as_millis()),
        })
    }

    /// Whether the commit at hand is one that a head start makes shorter.
    pub(super) fn may_send_ahead(&self) -> bool {
        !(self.open && self.ahead) && self.session.holds_back()
    }

    /// Sends on what waits for the commit, once a transaction.
    pub(super) fn send_ahead(&mut self) -> Result<(), LogError> {
        self.begin()?;
        self.ahead = true;
        self.session.send_ahead()
    }

    /// Sends what a task wants sent.
    pub(super) fn sender(&mut self) -> impl FnMut(Outgoing) -> Result<(), TaskError> + '_ {
        |record| Ok(self.send(&record)?)
    }

    /// Drops the open transaction, if there is one.
    pub(super) fn abort(&mut self) -> Result<(), LogError> {
        if std::mem::take(&mut self.open) { self.session.abort() } else { Ok(()) }
    }
}
