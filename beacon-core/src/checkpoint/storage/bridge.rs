//! From calls that block to clients that are async.
//!
//! Connections live on two threads of their own, so that a stalled caller stalls no other call. The caller's thread polls
//! its own future: it may borrow, and read or write a file in the middle. That works on a thread of somebody else's async
//! runtime, too, where tokio's own `block_on` panics; it blocks that thread, as the contract says.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::{Builder, Runtime};

use crate::checkpoint::{ObjectError, ObjectErrorKind};

/// The threads of one storage.
pub(super) struct Bridge {
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
}

/// Wakes a thread that waits for a future.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Bridge {
    /// # Errors
    /// When the machine has no threads left.
    pub(super) fn new(storage: &str) -> Result<Self, ObjectError> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("beacon-storage").enable_all().build();
        let runtime = runtime.map_err(|error| {
            ObjectError::new(ObjectErrorKind::Fatal, format!("{storage}: no threads for its connections: {error}"))
                .with_source(error)
        })?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Waits for a future on this thread.
    pub(super) fn wait<F: Future>(&self, future: F) -> F::Output {
        let _guard = self.runtime.as_ref().expect("there until dropped").enter();
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            // A wake-up that came since the poll is not lost: then this returns at once.
            thread::park();
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing of ours is under way, and waiting is not allowed where this may be dropped.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn work() -> u32 {
        let spawned = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            40
        });
        tokio::time::timeout(Duration::from_secs(60), spawned).await.expect("in time").expect("no panic") + 2
    }

    #[test]
    fn a_thread_waits_for_spawned_work_and_timers() {
        assert_eq!(Bridge::new("test").expect("threads").wait(work()), 42);
    }

    #[test]
    fn so_does_one_of_another_runtime() {
        let other = Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(other.block_on(async { Bridge::new("test").expect("threads").wait(work()) }), 42);
    }
}
