//! OpenStack Swift, by a client of our own: no library has its conditional create and renews its login.
//!
//! An object is one PUT whatever its size, up to the five gigabytes that Swift takes; it appears when all its bytes are
//! there, and Swift checks their number. Its MD5 is checked against what was sent: by Swift for small objects, by us for
//! streamed ones, which are deleted when they differ. What is read is checked by whoever reads: files of checkpoints have
//! their SHA-256 in the manifest.
//!
//! Source: Swift's "Object Storage API" reference.

mod login;
mod requests;
mod stream;

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use md5::{Digest, Md5};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

use super::bridge::Bridge;
use super::explain::Attempt;
use super::url::StorageUrl;
use super::{StorageOptions, web};
use crate::checkpoint::{Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};
use login::Login;
use requests::{About, Requests};

/// Up to this an object is read into memory, so that it can be sent again.
const SMALL: u64 = 8 << 20;
/// Objects a listing asks for at a time; Swift has ten thousand as its own limit.
const PAGE: &str = "1000";

/// Objects in one container of Swift.
pub(super) struct SwiftStore {
    container: String,
    /// Empty, or with a slash at its end.
    prefix: String,
    requests: Requests,
    bridge: Bridge,
}

/// `swift://container/prefix?region=…&interface=…`.
pub(super) fn open(mut url: StorageUrl, options: &StorageOptions) -> Result<Arc<dyn ObjectStore>, ObjectError> {
    let storage = url.shown();
    let login = Login::new(&mut url, &options.variables)?;
    let client = web::client(&storage, &options.patience)?;
    let bridge = Bridge::new(&storage)?;
    let container = url.container.clone();
    let prefix = if url.prefix.is_empty() { String::new() } else { format!("{}/", url.prefix) };
    url.finish()?;
    let requests = Requests::new(storage, client, options.patience.clone(), login);
    Ok(Arc::new(SwiftStore { container, prefix, requests, bridge }))
}

impl SwiftStore {
    /// The address of an object, or of the container when there is no name.
    fn address(&self, account: &Url, name: Option<&str>) -> Url {
        let mut address = account.clone();
        let full = name.map(|name| format!("{}{name}", self.prefix));
        if let Ok(mut segments) = address.path_segments_mut() {
            segments.pop_if_empty().push(&self.container);
            segments.extend(full.iter().flat_map(|full| full.split('/')));
        }
        address
    }

    fn local(&self, name: &str, error: std::io::Error) -> ObjectError {
        let message = format!("{}/{name}: {error}", self.requests.storage);
        ObjectError::new(ObjectErrorKind::Local, message).with_source(error)
    }

    fn wrong_size(&self, name: &str, size: u64) -> ObjectError {
        let message =
            format!("{}/{name}: what is to be uploaded has not the {size} bytes announced", self.requests.storage);
        ObjectError::new(ObjectErrorKind::Local, message)
    }

    /// Deletes an object that is there or not.
    async fn remove(&self, about: About<'_>) -> Result<(), ObjectError> {
        let delete = |client: &Client, account: &Url| client.delete(self.address(account, Some(about.name)));
        let answer = self.requests.send(about, delete).await?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.requests.refusal(about, answer).await),
        }
    }

    /// A small object, with what else the request is to say.
    async fn put(
        &self,
        about: About<'_>,
        bytes: Vec<u8>,
        more: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<StatusCode, ObjectError> {
        let sum = hexadecimal(&Md5::digest(&bytes));
        let bytes = Bytes::from(bytes);
        let request = |client: &Client, account: &Url| {
            // Swift takes the object only if its sum is this.
            let put = client.put(self.address(account, Some(about.name))).header("etag", &sum);
            // An empty body would go without one, and be refused.
            more(put.header("content-length", bytes.len())).body(bytes.clone())
        };
        let answer = self.requests.send(about, request).await?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::PRECONDITION_FAILED => Ok(status),
            _ => Err(self.requests.refusal(about, answer).await),
        }
    }
}

impl fmt::Debug for SwiftStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.requests.storage)
    }
}

/// An entry of a listing.
#[derive(Deserialize)]
struct Entry {
    name: String,
    bytes: u64,
    last_modified: String,
}

impl Entry {
    /// Swift's times are UTC, and do not say so.
    fn age(&self, now: SystemTime) -> Option<Duration> {
        let written: DateTime = self.last_modified.parse().ok()?;
        let written = SystemTime::from(written.to_zoned(TimeZone::UTC).ok()?.timestamp());
        now.duration_since(written).ok()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ObjectStore for SwiftStore {
    fn describe(&self) -> String {
        self.requests.storage.clone()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        let about = About { attempt: Attempt::Read, name };
        self.bridge.wait(async {
            let get = |client: &Client, account: &Url| client.get(self.address(account, Some(name)));
            let mut answer = self.requests.send(about, get).await?;
            if answer.status() != StatusCode::OK {
                return Err(self.requests.refusal(about, answer).await);
            }
            let mut total = 0;
            // One that breaks off is an error, and is read again by the caller, who has written what came.
            while let Some(bytes) = self.requests.in_time(about, answer.chunk()).await? {
                sink.write_all(&bytes).map_err(|error| self.local(name, error))?;
                total += bytes.len() as u64;
            }
            Ok(total)
        })
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        let about = About { attempt: Attempt::Write, name };
        self.bridge.wait(async {
            if size > SMALL {
                return self.stream(about, source, size).await;
            }
            let mut bytes = Vec::new();
            source.take(size + 1).read_to_end(&mut bytes).map_err(|error| self.local(name, error))?;
            if bytes.len() as u64 != size {
                return Err(self.wrong_size(name, size));
            }
            self.put(about, bytes, |put| put).await.map(drop)
        })
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        let about = About { attempt: Attempt::Write, name };
        let put = self.put(about, bytes.to_vec(), |put| put.header("if-none-match", "*"));
        match self.bridge.wait(put)? {
            StatusCode::PRECONDITION_FAILED => Ok(PutOutcome::Exists),
            _ => Ok(PutOutcome::Created),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        let about = About { attempt: Attempt::List, name: prefix };
        let full = format!("{}{prefix}", self.prefix);
        let now = SystemTime::now();
        self.bridge.wait(async {
            let mut found = Vec::new();
            let mut marker = String::new();
            loop {
                let get = |client: &Client, account: &Url| {
                    let mut address = self.address(account, None);
                    let pairs = [("format", "json"), ("limit", PAGE), ("prefix", &full), ("marker", &marker)];
                    address.query_pairs_mut().extend_pairs(pairs);
                    client.get(address)
                };
                let answer = self.requests.send(about, get).await?;
                if !answer.status().is_success() {
                    return Err(self.requests.refusal(about, answer).await);
                }
                let page = self.requests.in_time(about, answer.bytes()).await?;
                let page: Vec<Entry> = if page.is_empty() {
                    Vec::new()
                } else {
                    serde_json::from_slice(&page).map_err(|error| {
                        self.requests.error(about, ObjectErrorKind::Fatal, &format!("no listing of Swift: {error}"))
                    })?
                };
                // Swift may hand over fewer than asked for: only an empty page is the end.
                let Some(last) = page.last() else { break };
                marker.clone_from(&last.name);
                for entry in page {
                    // Of unknown age: young, which nobody deletes.
                    let age = entry.age(now).unwrap_or(Duration::ZERO);
                    if let Some(name) = entry.name.strip_prefix(&self.prefix) {
                        found.push(Object { name: name.to_owned(), size: entry.bytes, age });
                    }
                }
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.bridge.wait(self.remove(About { attempt: Attempt::Delete, name }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_by_times_in_utc() {
        let entry =
            |last_modified: &str| Entry { name: String::new(), bytes: 0, last_modified: last_modified.to_owned() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(90);
        assert_eq!(entry("1970-01-01T00:01:00.000000").age(now), Some(Duration::from_secs(30)));
        assert_eq!(entry("1970-01-01T00:02:00.000000").age(now), None, "in our future");
        assert_eq!(entry("yesterday").age(now), None);
    }
}
