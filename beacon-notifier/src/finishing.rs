//! Finishing what is under way before a process stops, so that a restart repeats no page that a receiver is just taking.
//!
//! An attempt is finished when the journal has heard of its answer, which is a record like any other: what it has heard is
//! in the last commit. Attempts that the journal asks for meanwhile are not begun; they are open calls in its state, and
//! made by whoever has the task next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long a stop waits for attempts under way; what takes longer is made again. Shorter than the ten seconds after which
/// Docker kills a container that was asked to stop.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// How long the journal may take to hear of an answer. Later it is not expected to: its task is another process's by now.
const HEARING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// Attempts that this process has begun.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    closing: bool,
    /// By notification and number: since when it is answered, if it is, of each attempt. There are several when a task went
    /// away and came back, as its open calls are made again.
    open: BTreeMap<(String, u32), Vec<Option<Instant>>>,
}

impl Attempts {
    /// Whether an attempt may begin: not when the process is about to stop.
    pub fn begin(&self, id: &str, number: u32) -> bool {
        let mut book = self.book();
        if !book.closing {
            book.open.entry((id.to_owned(), number)).or_default().push(None);
        }
        !book.closing
    }

    /// The receiver has answered, or will not.
    pub fn answered(&self, id: &str, number: u32) {
        let mut book = self.book();
        let now = Instant::now();
        // Of tasks that went away meanwhile nobody hears here.
        book.open.retain(|_, attempts| {
            attempts.retain(|answered| is_open(*answered, now));
            !attempts.is_empty()
        });
        let attempts = book.open.get_mut(&(id.to_owned(), number));
        if let Some(answered) = attempts.and_then(|attempts| attempts.iter_mut().find(|answered| answered.is_none())) {
            *answered = Some(now);
        }
    }

    /// The journal has heard of an answer.
    pub fn heard(&self, id: &str, number: u32) {
        let mut book = self.book();
        let key = (id.to_owned(), number);
        let Some(attempts) = book.open.get_mut(&key) else { return };
        // Of several, which are alike, one that has an answer.
        if let Some(answered) = attempts.iter().position(Option::is_some) {
            attempts.swap_remove(answered);
        }
        if attempts.is_empty() {
            book.open.remove(&key);
        }
    }

    /// True once a stop is asked for, also by a sender that is gone, and what is under way is finished or has taken longer
    /// than [`PATIENCE`].
    pub fn finished_after(self: Arc<Self>, mut asked: watch::Receiver<bool>) -> watch::Receiver<bool> {
        let (finished, seen) = watch::channel(false);
        tokio::spawn(async move {
            // An error is a sender that is gone.
            let _ = asked.wait_for(|asked| *asked).await;
            self.finish().await;
            finished.send_replace(true);
        });
        seen
    }

    async fn finish(&self) {
        self.book().closing = true;
        let begun = Instant::now();
        let under_way = self.under_way();
        if under_way > 0 {
            tracing::info!(under_way, "finishing what is under way before the stop");
        }
        loop {
            let under_way = self.under_way();
            if under_way == 0 {
                return;
            }
            if begun.elapsed() >= PATIENCE {
                tracing::warn!(
                    under_way,
                    "deliveries were not finished before the stop; they are made again, under the same keys"
                );
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn under_way(&self) -> usize {
        let now = Instant::now();
        self.book().open.values().flatten().filter(|answered| is_open(**answered, now)).count()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a stop waits for an attempt that is answered since then, or not yet.
fn is_open(answered: Option<Instant>, now: Instant) -> bool {
    answered.is_none_or(|at| now.duration_since(at) < HEARING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_waits_for_what_is_under_way_and_nothing_begins_any_more() {
        let attempts = Arc::<Attempts>::default();
        assert!(attempts.begin("a", 1) && attempts.begin("b", 3));
        let (stop, asked) = watch::channel(false);
        let mut finished = Arc::clone(&attempts).finished_after(asked);
        stop.send_replace(true);
        while attempts.begin("c", 1) {
            attempts.answered("c", 1);
            attempts.heard("c", 1);
            tokio::task::yield_now().await;
        }
        attempts.answered("a", 1);
        attempts.heard("a", 1);
        attempts.answered("b", 3);
        assert_eq!((attempts.under_way(), *finished.borrow()), (1, false), "its answer is not in the journal yet");
        attempts.heard("b", 3);
        finished.wait_for(|finished| *finished).await.unwrap();
    }

    /// As when its task went away and came back meanwhile: the open call is made again.
    #[test]
    fn a_stop_waits_for_each_of_several_attempts_under_one_key() {
        let attempts = Attempts::default();
        assert!(attempts.begin("a", 1) && attempts.begin("a", 1));
        assert_eq!(attempts.under_way(), 2);
        attempts.answered("a", 1);
        attempts.heard("a", 1);
        assert_eq!(attempts.under_way(), 1, "the second has no answer yet");
        // Such as that of a record that is read once more.
        attempts.heard("a", 1);
        assert_eq!(attempts.under_way(), 1, "nor was one heard");
        attempts.answered("a", 1);
        attempts.heard("a", 1);
        assert_eq!(attempts.under_way(), 0);
    }
}
