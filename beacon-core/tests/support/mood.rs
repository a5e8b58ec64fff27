//! What an operator does wrong, and at which record.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};

use beacon_core::operator::{OpError, OpResult};

/// The word that meets the mood, at its seventh record, unless another record is chosen.
pub const MOODY: &str = "w5";
pub const MOODY_AT: u64 = 7;

/// Whether a word at this count is the one.
type Choice = Box<dyn FnMut(&str, u64) -> bool + Send>;

/// See the module.
#[derive(Default)]
pub struct Mood {
    mode: AtomicU8,
    /// How often something went wrong.
    pub hits: AtomicU32,
    choice: Mutex<Option<Choice>>,
    met: Mutex<Option<(String, u64)>>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Mood {
    pub fn content(&self) {
        self.mode.store(0, SeqCst);
        *self.held.lock().expect("no panic under it") = false;
        self.released.notify_all();
    }

    pub fn retries(&self) {
        self.mode.store(1, SeqCst);
    }

    pub fn panics(&self) {
        self.mode.store(2, SeqCst);
    }

    /// Refuses to go on.
    pub fn stops(&self) {
        self.mode.store(4, SeqCst);
    }

    /// Refuses to go on when the word's timer fires.
    pub fn stops_at_the_timer(&self) {
        self.mode.store(5, SeqCst);
    }

    /// Blocks the thread until content again.
    pub fn blocks(&self) {
        *self.held.lock().expect("no panic under it") = true;
        self.mode.store(3, SeqCst);
    }

    /// Chooses the record that meets the mood: the first for which this holds, and that one each time it comes.
    pub fn chooses(&self, choice: impl FnMut(&str, u64) -> bool + Send + 'static) {
        *self.choice.lock().expect("no panic under it") = Some(Box::new(choice));
    }

    /// The record that met the mood: its word, and which of the word's it is.
    pub fn met(&self) -> Option<(String, u64)> {
        self.met.lock().expect("no panic under it").clone()
    }

    fn meets(&self, word: &str, count: u64) -> bool {
        let mut met = self.met.lock().expect("no panic under it");
        if met.is_none() {
            let is_chosen = match self.choice.lock().expect("no panic under it").as_mut() {
                Some(choice) => choice(word, count),
                None => word == MOODY && count == MOODY_AT,
            };
            *met = is_chosen.then(|| (word.to_owned(), count));
        }
        met.as_ref().is_some_and(|(met, at)| met == word && *at == count)
    }

    /// What becomes of a record.
    pub fn meet(&self, word: &str, count: u64) -> OpResult {
        if [0, 5].contains(&self.mode.load(SeqCst)) || !self.meets(word, count) {
            return Ok(());
        }
        self.hits.fetch_add(1, SeqCst);
        match self.mode.load(SeqCst) {
            1 => Err(OpError::Retry("not now".into())),
            2 => panic!("the operator lost its mind"),
            3 => {
                let held = self.held.lock().expect("no panic under it");
                drop(self.released.wait_while(held, |held| *held).expect("no panic under it"));
                Ok(())
            }
            4 => Err(OpError::Stop("the operator refuses to go on".into())),
            _ => Ok(()),
        }
    }

    /// What becomes of a timer.
    pub fn meet_timer(&self, word: &str) -> OpResult {
        if word != MOODY || self.mode.load(SeqCst) != 5 {
            return Ok(());
        }
        self.hits.fetch_add(1, SeqCst);
        Err(OpError::Stop("the operator refuses to go on".into()))
    }
}
