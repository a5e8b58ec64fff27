//! A real SMTP server (aiosmtpd) that keeps the mails it gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use crate::binaries;
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::wait::wait_until;

const SINK: &str = include_str!("sink.py");
/// Debian's packages are seen by Debian's Python only, not by another one that may come first on `PATH`.
const PYTHON: &str = "/usr/bin/python3";

/// A mail as the server took it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Mail {
    /// Seconds since the epoch.
    pub at: f64,
    /// Envelope sender.
    pub sender: String,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Headers by lower-case name, decoded.
    pub headers: BTreeMap<String, String>,
    /// The text/plain part, decoded; empty when there is none.
    pub text: String,
    /// The text/html part, decoded; empty when there is none.
    pub html: String,
}

impl Mail {
    /// A header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(&name.to_lowercase()).map_or("", String::as_str)
    }

    /// Both parts, one after the other: where a test looks for words.
    pub fn body(&self) -> String {
        format!("{}\n{}", self.text, self.html)
    }
}

/// The server; gone when dropped, its mails too.
pub struct Smtp {
    port: u16,
    process: Process,
    mails: PathBuf,
    _directory: TempDir,
}

impl Smtp {
    /// Starts it on a free port of 127.0.0.1 and waits until it accepts mail.
    ///
    /// # Panics
    /// When Python or aiosmtpd is missing; the message says how to install it.
    #[track_caller]
    pub fn start() -> Self {
        let port = free_port();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mails = directory.path().join("mails.jsonl");
        fs::write(&mails, "").expect("the directory can be written");
        let process = Launch::new("smtp", PYTHON, directory.path())
            .args(["-c", SINK])
            .arg(port.to_string())
            .arg(&mails)
            .start()
            .unwrap_or_else(|error| panic!("{error:#}; {}", binaries::install("python3-aiosmtpd")));
        let mut smtp = Self { port, process, mails, _directory: directory };
        smtp.wait_ready();
        smtp
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        wait_until("the mail server to say that it listens", Duration::from_secs(20), || {
            if let Some(status) = self.process.ended() {
                panic!("it ended: {status}; {}\n{}", binaries::install("python3-aiosmtpd"), self.process.tail());
            }
            if self.process.output().contains("listening") { Ok(()) } else { Err(self.process.output()) }
        });
    }

    /// `host:port`, as `smtp_smarthost` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All mails so far, in the order they came.
    ///
    /// # Panics
    /// When the server wrote something else than mails.
    pub fn mails(&self) -> Vec<Mail> {
        let text = fs::read_to_string(&self.mails).expect("the server's file is ours");
        // A line without its end is being written at this moment.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("no mail ({error}): {line}")))
            .collect()
    }

    /// Waits until at least `count` mails came and returns them.
    ///
    /// # Panics
    /// After `timeout`, with the subjects of those that came.
    #[track_caller]
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Vec<Mail> {
        wait_until(&format!("{count} mails"), timeout, || {
            let mails = self.mails();
            let subjects = || format!("{:?}", mails.iter().map(|mail| mail.header("subject")).collect::<Vec<_>>());
            if mails.len() >= count { Ok(()) } else { Err(subjects()) }.map(|()| mails.clone())
        })
    }
}
