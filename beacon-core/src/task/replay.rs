//! State that comes back: the changelog record by record, and whose changelog that is.

use super::{ChangelogError, Task, TaskError, decode_chunk};
use crate::codec::Codec;
use crate::log::Offset;
use crate::state::layout::{EXPIRING, META, TIMERS, is_logged};
use crate::state::{Change, StateError, replay_expiry};

/// Beside the changelog offset, which making of its topic that offset is of.
const HISTORY: [u8; 2] = [META, 1];

impl Task {
    /// Whether its store holds nothing but, at most, which changelog it is for.
    ///
    /// # Errors
    /// The store's.
    pub fn is_blank(&self) -> Result<bool, StateError> {
        let mut blank = true;
        self.step.state.scan(&[], None, &mut |key, _| {
            blank = key == HISTORY;
            blank
        })?;
        Ok(blank)
    }

    /// Whether there is any state that its changelog knows of.
    ///
    /// # Errors
    /// The store's.
    pub fn holds_state(&self) -> Result<bool, StateError> {
        let mut holds = false;
        self.step.state.scan(&[], None, &mut |key, _| {
            holds = is_logged(key);
            !holds
        })?;
        Ok(holds)
    }

    /// Which making of the changelog's topic its store belongs to; `None`: it was never noted.
    ///
    /// # Errors
    /// The store's.
    pub fn history(&self) -> Result<Option<String>, StateError> {
        let noted = self.step.state.get(&HISTORY)?;
        Ok(noted.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Notes which making of the changelog's topic its store belongs to. Only before anything is pending.
    ///
    /// # Errors
    /// The store's.
    pub fn note_history(&mut self, topic_id: &str) -> Result<(), StateError> {
        self.step.state.put(&HISTORY, topic_id.as_bytes());
        self.step.state.apply()
    }

    /// Applies one record of the changelog to the store: restore.
    ///
    /// # Errors
    /// [`TaskError::Changelog`] when the bytes are no changelog record; the store's.
    pub fn replay(&mut self, offset: Offset, value: &[u8]) -> Result<(), TaskError> {
        for change in decode_chunk(value)? {
            let (Change::Put(key, _) | Change::Delete(key)) = change;
            if key.first() == Some(&TIMERS) {
                let deadline = match change {
                    Change::Put(_, value) => Some(i64::decode(value).map_err(|e| ChangelogError(e.to_string()))?),
                    Change::Delete(_) => None,
                };
                self.step.replay_timer(key, deadline)?;
            }
            let state = &mut self.step.state;
            if key.first() == Some(&EXPIRING) {
                replay_expiry(state, key, if let Change::Put(_, value) = change { Some(value) } else { None })?;
            }
            match change {
                Change::Put(key, value) => state.put(key, value),
                Change::Delete(key) => state.delete(key),
            }
        }
        self.step.state.keep_step();
        self.changelog_end = Some(offset + 1);
        if self.step.state.pending_bytes() >= 1 << 20 {
            self.apply_replayed()?;
        }
        Ok(())
    }

    /// Ends a restore, which read everything before `end`: what was replayed is committed, timers are known.
    ///
    /// # Errors
    /// The store's.
    pub fn finish_replay(&mut self, end: Offset) -> Result<(), TaskError> {
        self.changelog_end = Some(end.max(self.changelog_end.unwrap_or(0)));
        self.apply_replayed()?;
        Ok(self.step.reload()?)
    }

    fn apply_replayed(&mut self) -> Result<(), StateError> {
        self.unflushed += self.step.state.pending_bytes();
        match self.changelog_end {
            Some(end) => self.step.apply_replayed(end),
            None => self.step.state.apply(),
        }
    }
}
