//! How a thread commits the work of its tasks, or drops it and does it again.

use super::fault::Fault;
use super::link::Link;
use super::stats::Stats;
use super::thread::StreamThread;
use crate::log::{CommitError, CommitReceipt, Offset, TopicPartition};
use crate::planted::{self, Planted};

impl StreamThread {
    /// Commits what all tasks of this thread have done since the last time.
    pub(super) fn commit(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.trailing_since = None;
        let wanted = |slot: &super::slot::Slot| slot.task.is_dirty() || slot.task.positions.trail();
        let dirty: Vec<_> =
            self.slots.iter().filter(|(_, slot)| slot.restore.is_none() && wanted(slot)).map(|(id, _)| *id).collect();
        if dirty.is_empty() {
            self.dirty_since = None;
            return self.drop_transaction(link);
        }
        let started = self.environment.now();
        self.committed_at = Some(started);
        let mut offsets = Vec::new();
        for id in &dirty {
            let slot = self.slots.get_mut(id).expect("listed above");
            let sealed = slot.task.seal(&mut link.sender());
            offsets.extend(sealed.map_err(|source| self.blame.task(*id, source))?);
            #[cfg(test)]
            if planted::is_in(Planted::AppliedBeforeCommit) {
                slot.task.apply_uncommitted().map_err(|source| self.blame.state(*id, source))?;
            }
        }
        link.begin().map_err(|error| self.blame.log(error))?;
        let receipt = self.decide(link, &offsets)?;
        link.open = false;
        self.dirty_since = None;
        self.gauges.committed(&offsets);
        for slot in self.slots.values_mut() {
            slot.backlog.committed();
            // Of all tasks before any store is written to, which may fail: the commit stands.
            let tally = slot.task.take_tally();
            Stats::add(&self.shared.stats.late, tally.late);
            Stats::add(&self.shared.stats.dead_letters, tally.dead_letters);
        }
        for id in dirty {
            let slot = self.slots.get_mut(&id).expect("listed above");
            // The commit stands in the log whatever the store says: opened again, it reads on from there.
            let calls = slot.task.committed(&receipt.ends).map_err(|source| {
                Fault::Rejoin(format!("task {id}: committed in the log, but not in its store: {source}"))
            })?;
            if let Some(waiting) = &mut self.calls {
                waiting.add(id, calls);
            }
        }
        let took = self.environment.now().saturating_sub(started);
        Stats::add(&self.shared.stats.commits, 1);
        Stats::add(&self.shared.stats.commit_micros, took.as_micros() as u64);
        self.shared.stats.commit_latency.observe(took);
        Ok(())
    }

    /// Asks the log for the commit until it says yes or no.
    fn decide(&self, link: &mut Link, offsets: &[(TopicPartition, Offset)]) -> Result<CommitReceipt, Fault> {
        let started = self.environment.now();
        loop {
            match link.session.commit(offsets) {
                Ok(receipt) => return Ok(receipt),
                Err(CommitError::Unknown(error)) => {
                    // Not an abort: the log may hold it. Only the log can say, so ask until it does; or leave, then
                    // the changelog's tail tells the next owner.
                    if self.stopping()
                        && self.environment.now().saturating_sub(started) >= self.config.transaction_timeout
                    {
                        let reason = format!("stopping with a commit whose outcome is unknown: {error}");
                        return Err(Fault::Rejoin(reason));
                    }
                    Stats::add(&self.shared.stats.unknown, 1);
                    tracing::warn!(%error, "outcome of a commit unknown; asking again");
                    self.environment.wait(self.config.retry_backoff);
                }
                Err(CommitError::Abortable(error)) => return Err(Fault::Abort(error.to_string())),
                Err(CommitError::Fenced(error)) => return Err(Fault::Fenced(error.to_string())),
                Err(CommitError::Fatal(error)) => return Err(Fault::Fatal(self.blame.log_error(error))),
            }
        }
    }

    /// Flushes state by bytes and age, so that the tail read after a crash stays short.
    pub(super) fn flush(&mut self) -> Result<(), Fault> {
        if !self.stores.outlive_the_process() {
            return Ok(());
        }
        let (bytes, age) = (self.config.flush_bytes, self.config.flush_interval);
        let now = self.environment.now();
        for (id, slot) in &mut self.slots {
            let unflushed = slot.task.unflushed_bytes();
            if unflushed >= bytes || (unflushed > 0 && now.saturating_sub(slot.last_flush) >= age) {
                slot.task.flush().map_err(|source| self.blame.state(*id, source))?;
                slot.last_flush = now;
            }
        }
        Ok(())
    }

    pub(super) fn revoked(&mut self, partitions: &[TopicPartition], link: &mut Link) -> Result<(), Fault> {
        let may_return = link.session.revokes_all();
        match self.commit(link) {
            Ok(()) => {
                self.give_up(partitions, may_return);
                Ok(())
            }
            Err(Fault::Abort(reason)) => {
                Stats::add(&self.shared.stats.aborts, 1);
                tracing::warn!(
                    reason,
                    "the last commit of tasks asked back was dropped; their next owner does it again"
                );
                self.give_up_uncommitted(partitions, may_return, link)
            }
            Err(other) => Err(other),
        }
    }

    pub(super) fn lost(&mut self, partitions: &[TopicPartition], link: &mut Link) -> Result<(), Fault> {
        Stats::add(&self.shared.stats.lost, 1);
        tracing::warn!(?partitions, "lost to another member; dropping what was not committed");
        self.give_up_uncommitted(partitions, false, link)
    }

    /// Everything pending of this thread is in one transaction with what goes: the rest is done again, here.
    fn give_up_uncommitted(
        &mut self,
        partitions: &[TopicPartition],
        may_return: bool,
        link: &mut Link,
    ) -> Result<(), Fault> {
        self.drop_transaction(link)?;
        // First what goes: it cannot be sought any more.
        self.give_up(partitions, may_return);
        self.rewind(link)
    }

    /// Drops the commit at hand and reads its records again.
    pub(super) fn go_back(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.drop_transaction(link)?;
        self.rewind(link)
    }

    fn drop_transaction(&self, link: &mut Link) -> Result<(), Fault> {
        link.abort().map_err(|error| self.blame.log(error).not_undone())
    }

    /// Takes every running task back to its last commit. Those that restore have done nothing yet.
    fn rewind(&mut self, link: &mut Link) -> Result<(), Fault> {
        self.dirty_since = None;
        self.trailing_since = None;
        let mut positions = Vec::new();
        for slot in self.slots.values_mut().filter(|slot| slot.restore.is_none()) {
            if planted::is_in(Planted::OverlayKept) && slot.task.positions.is_empty() {
                continue;
            }
            slot.backlog.dropped();
            positions.extend(slot.task.dropped());
        }
        for (partition, offset) in positions {
            link.session.seek(&partition, offset).map_err(|error| self.blame.log(error).not_undone())?;
        }
        Ok(())
    }
}
