//! A webhook receiver that writes down every request, and can be away, broken or slow.
//!
//! What it deliberately does not do: it never deduplicates; what came twice is written down twice.

mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::ports::free_port;
use crate::wait::{holds_for, wait_until};

/// How the receiver answers while its port is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// With this status, at once; what came is recorded.
    Answer(u16),
    /// Not at all: what came is recorded, and the connection stays open without a byte.
    Hang,
    /// Later: what came is recorded, and answered as the next [`Mood::Answer`] says, unless its sender is gone by then.
    Hold,
}

/// Alertmanager's webhook payload, version 4, as far as tests look at it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// `"4"`.
    pub version: String,
    /// Which group it is, as Alertmanager writes it.
    pub group_key: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// The receiver's name.
    pub receiver: String,
    /// Labels the group is made by.
    pub group_labels: BTreeMap<String, String>,
    /// Labels that all alerts share.
    pub common_labels: BTreeMap<String, String>,
    /// Annotations that all alerts share.
    pub common_annotations: BTreeMap<String, String>,
    /// Backlink to the server.
    #[serde(rename = "externalURL")]
    pub external_url: String,
    /// Alerts left out.
    #[serde(default)]
    pub truncated_alerts: u64,
    /// The alerts.
    pub alerts: Vec<PayloadAlert>,
}

/// One alert of a [`Payload`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayloadAlert {
    /// `firing` or `resolved`.
    pub status: String,
    /// All its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339; the zero time while firing.
    pub ends_at: String,
    /// Backlink to the source.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
    /// 16 hex digits.
    pub fingerprint: String,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Page {
    /// When its body had been read.
    pub at: SystemTime,
    /// The header `Idempotency-Key`, if any.
    pub idempotency_key: Option<String>,
    /// The path and query it was posted to.
    pub path: String,
    /// The status it was answered with; `None` while it is held, and for good when it was left hanging.
    pub answered: Option<u16>,
    /// The body as it came.
    pub body: String,
}

impl Page {
    /// The body as Alertmanager's payload.
    ///
    /// # Panics
    /// When it is none; the message shows it.
    #[track_caller]
    pub fn payload(&self) -> Payload {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no payload ({error}): {}", self.body))
    }

    /// Whether the receiver took it (answered 2xx).
    pub fn taken(&self) -> bool {
        self.answered.is_some_and(|status| (200..300).contains(&status))
    }
}

/// The receiver; gone when dropped.
pub struct Webhook {
    port: u16,
    book: Arc<Mutex<Book>>,
    runtime: Option<Runtime>,
}

struct Book {
    mood: watch::Sender<Mood>,
    pages: Vec<Page>,
}

impl Webhook {
    /// A receiver on a free port of 127.0.0.1 that answers 200.
    pub fn start() -> Self {
        let book = Arc::new(Mutex::new(Book { mood: watch::Sender::new(Mood::Answer(200)), pages: Vec::new() }));
        let mut webhook = Self { port: free_port(), book, runtime: None };
        webhook.open();
        webhook
    }

    /// Where to post to; any path is taken.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// `host:port`, for clients that are not given a URL.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes how it answers from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.book().mood.send_replace(mood);
    }

    /// Goes away: the port is closed, open connections are cut. What was written down stays.
    pub fn close(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Comes back on the same port. Does nothing when it is open.
    ///
    /// # Panics
    /// When somebody else took the port.
    pub fn open(&mut self) {
        if self.runtime.is_none() {
            self.runtime = Some(server::serve(self.port, Arc::clone(&self.book)));
        }
    }

    /// All requests so far, in the order they came.
    pub fn pages(&self) -> Vec<Page> {
        self.book().pages.clone()
    }

    /// The requests after the first `seen`, in the order they came.
    pub fn pages_after(&self, seen: usize) -> Vec<Page> {
        self.book().pages.iter().skip(seen).cloned().collect()
    }

    /// Checks that no request comes for this long.
    ///
    /// # Panics
    /// When one comes; the message shows it.
    #[track_caller]
    pub fn assert_quiet_for(&self, duration: Duration) {
        let seen = self.book().pages.len();
        holds_for("nobody is told anything more", duration, || match self.pages_after(seen).pop() {
            None => Ok(()),
            Some(page) => Err(format!("a page came: {page:?}")),
        });
    }

    /// Requests that were answered 2xx.
    pub fn taken(&self) -> Vec<Page> {
        self.pages().into_iter().filter(Page::taken).collect()
    }

    /// Waits until at least `count` requests were taken and returns those taken by then.
    ///
    /// # Panics
    /// After `timeout`, with the number that came.
    #[track_caller]
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Vec<Page> {
        wait_until(&format!("{count} pages at the webhook"), timeout, || {
            let taken = self.taken();
            if taken.len() >= count { Ok(taken) } else { Err(format!("{} pages", taken.len())) }
        })
    }

    /// Waits until a taken request fulfils the condition and returns it.
    ///
    /// # Panics
    /// After `timeout`, with what came instead.
    #[track_caller]
    pub fn wait_for_page(&self, what: &str, timeout: Duration, condition: impl Fn(&Payload) -> bool) -> Page {
        wait_until(what, timeout, || {
            let taken = self.taken();
            taken.iter().find(|page| condition(&page.payload())).cloned().ok_or_else(|| {
                let statuses = taken.iter().map(|page| page.payload()).map(|p| format!("{} {}", p.status, p.group_key));
                format!("{} pages: {:?}", taken.len(), statuses.collect::<Vec<_>>())
            })
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.close();
    }
}
