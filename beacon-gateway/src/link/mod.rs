//! The gateway's ties to the log: what appends, the views, and how far this gateway's own writes have come.
//!
//! HTTP answers before any of it is there; a request waits for what it needs, boundedly, and is then told to try again.

mod bring_up;
mod pictures;
mod writer;
mod written;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use bring_up::{StopFlag, bring_up};
pub use pictures::{OwnWrites, Pictures, TopicNames};
pub use writer::Writer;
pub use written::Written;

use crate::error::ApiError;

/// What is there of the log, from nothing at start to everything.
#[derive(Debug)]
pub struct Link {
    writer: watch::Sender<Option<Arc<Writer>>>,
    pictures: watch::Sender<Option<Arc<Pictures>>>,
    /// Why it is not there yet, for answers and for people.
    trouble: Mutex<String>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            writer: watch::Sender::new(None),
            pictures: watch::Sender::new(None),
            trouble: Mutex::new("it is being connected to".to_owned()),
        }
    }
}

impl Link {
    /// What appends, if it is there already.
    pub fn writer_now(&self) -> Option<Arc<Writer>> {
        self.writer.borrow().clone()
    }

    /// What appends.
    ///
    /// # Errors
    /// 503 when it is not there within `wait`, with the reason.
    pub async fn writer(&self, wait: Duration) -> Result<Arc<Writer>, ApiError> {
        self.later(&self.writer, wait).await
    }

    /// The views, if they are there already.
    pub fn pictures_now(&self) -> Option<Arc<Pictures>> {
        self.pictures.borrow().clone()
    }

    /// The views; they may still be reading what was there before.
    ///
    /// # Errors
    /// 503 when they are not there within `wait`, with the reason.
    pub async fn pictures(&self, wait: Duration) -> Result<Arc<Pictures>, ApiError> {
        self.later(&self.pictures, wait).await
    }

    async fn later<T>(&self, cell: &watch::Sender<Option<Arc<T>>>, wait: Duration) -> Result<Arc<T>, ApiError> {
        if let Some(value) = &*cell.borrow() {
            return Ok(Arc::clone(value));
        }
        let mut receiver = cell.subscribe();
        let found = tokio::time::timeout(wait, receiver.wait_for(Option::is_some)).await;
        match found {
            Ok(Ok(value)) => Ok(Arc::clone(value.as_ref().expect("waited for"))),
            _ => Err(ApiError::unavailable(format!(
                "the log is not reachable yet, try again: {}",
                self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
            ))),
        }
    }

    /// Lets go of the log: views stop their threads, which blocks for a tenth of a second, and what comes now is told so.
    pub fn close(&self) {
        self.set_trouble("the gateway is stopping".to_owned());
        self.writer.send_replace(None);
        self.pictures.send_replace(None);
    }

    fn set_trouble(&self, trouble: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn set_writer(&self, writer: Writer) {
        self.writer.send_replace(Some(Arc::new(writer)));
    }

    fn set_pictures(&self, pictures: Pictures) {
        self.pictures.send_replace(Some(Arc::new(pictures)));
    }
}
