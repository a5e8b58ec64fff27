//! S3, Google Cloud Storage and Azure Blob Storage through OpenDAL.
//!
//! Large objects go up in parts of eight mebibytes, one at a time: memory is bounded by one part for each upload under way.
//! A part is tried again by itself. An object appears when its last part is there and it was completed; parts of an upload
//! that a crash cut short stay with the storage until a rule of the bucket removes them (`docs/checkpoints.md`).

use std::fmt;
use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt;
use opendal::layers::{RetryEvent, RetryInterceptor, RetryLayer, TimeoutLayer};
use opendal::{Buffer, ErrorKind, HttpTransporter, OperationContext, Operator};

use super::bridge::Bridge;
use super::explain::{Attempt, explain, shortened};
use super::trust::Distrust;
use super::{Patience, web};
use crate::checkpoint::{Object, ObjectError, ObjectErrorKind, ObjectStore, PutOutcome};

/// What one request carries at most. S3 takes ten thousand parts: objects up to 80 GB.
const PART: usize = 8 << 20;

/// Which storage it is, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    Gcs,
    Azblob,
}

/// Objects in storage that OpenDAL speaks to.
pub(super) struct DalStore {
    storage: String,
    service: Service,
    operator: Operator,
    bridge: Bridge,
}

/// Tells of requests that are made again.
struct Told(String);

impl RetryInterceptor for Told {
    fn intercept(&self, event: RetryEvent<'_>) {
        tracing::debug!(
            storage = self.0,
            operation = ?event.op,
            attempt = event.attempt,
            wait = ?event.retry_after,
            error = shortened(event.err.message()),
            "asking object storage again"
        );
    }
}

impl DalStore {
    /// # Errors
    /// When there can be no HTTP client or no threads.
    pub(super) fn new(
        storage: String,
        service: Service,
        operator: Operator,
        patience: &Patience,
    ) -> Result<Self, ObjectError> {
        let transport = HttpTransporter::new(web::Transport::new(web::client(&storage, patience)?));
        let retry = RetryLayer::new()
            .with_max_times(patience.tries.saturating_sub(1))
            .with_min_delay(patience.first_wait)
            .with_max_delay(patience.first_wait * 16)
            .with_jitter()
            .with_notify(Told(storage.clone()));
        let operator = operator
            .with_context(OperationContext::default().with_http_transport(transport))
            // The retries are outside: each try has the time.
            .layer(TimeoutLayer::new().with_timeout(patience.answer).with_io_timeout(patience.answer))
            .layer(retry);
        Ok(Self { bridge: Bridge::new(&storage)?, storage, service, operator })
    }

    fn failed(&self, attempt: Attempt, name: &str) -> impl Fn(opendal::Error) -> ObjectError {
        move |error| explain(&self.storage, self.service, attempt, name, &error)
    }

    fn local(&self, name: &str, error: std::io::Error) -> ObjectError {
        ObjectError::new(ObjectErrorKind::Local, format!("{}/{name}: {error}", self.storage)).with_source(error)
    }

    /// The next part of a source: full but for the last one.
    fn part(&self, name: &str, source: &mut dyn Read, left: u64) -> Result<Vec<u8>, ObjectError> {
        let size = usize::try_from(left).unwrap_or(PART).min(PART);
        let mut part = Vec::with_capacity(size);
        let read = source.take(size as u64).read_to_end(&mut part).map_err(|error| self.local(name, error))?;
        if read != size {
            return Err(self.wrong_size(name, format!("{} bytes less than it was to be", left - read as u64)));
        }
        Ok(part)
    }

    fn ended(&self, name: &str, source: &mut dyn Read) -> Result<(), ObjectError> {
        match source.read(&mut [0]).map_err(|error| self.local(name, error))? {
            0 => Ok(()),
            _ => Err(self.wrong_size(name, "more bytes than it was to be".to_owned())),
        }
    }

    fn wrong_size(&self, name: &str, how: String) -> ObjectError {
        ObjectError::new(ObjectErrorKind::Local, format!("{}/{name}: what is to be uploaded has {how}", self.storage))
    }

    async fn upload_in_parts(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        let failed = self.failed(Attempt::Write, name);
        let mut writer = self.operator.writer_with(name).chunk(PART).concurrent(1).await.map_err(&failed)?;
        let sent = async {
            let mut left = size;
            while left > 0 {
                let part = self.part(name, source, left)?;
                left -= part.len() as u64;
                if left == 0 {
                    self.ended(name, source)?;
                }
                writer.write(Buffer::from(part)).await.map_err(&failed)?;
            }
            writer.close().await.map(drop).map_err(&failed)
        }
        .await;
        if sent.is_err()
            && let Err(error) = writer.abort().await
        {
            let error = shortened(error.message());
            tracing::warn!(storage = self.storage, name, error, "parts of an upload are left with the storage");
        }
        sent
    }
}

impl fmt::Debug for DalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.storage)
    }
}

impl ObjectStore for DalStore {
    fn describe(&self) -> String {
        self.storage.clone()
    }

    fn download(&self, name: &str, sink: &mut dyn Write) -> Result<u64, ObjectError> {
        let failed = self.failed(Attempt::Read, name);
        self.bridge.wait(async {
            let reader = self.operator.reader(name).await.map_err(&failed)?;
            // A stream that breaks goes on, a few times, at the byte where it broke.
            let mut stream = reader.into_bytes_stream(..).await.map_err(&failed)?;
            let mut total = 0;
            loop {
                let bytes = stream.try_next().await.map_err(|error| match opendal_cause(&error) {
                    Some(error) => failed(error),
                    None => ObjectError::new(ObjectErrorKind::Retriable, format!("{}/{name}: {error}", self.storage)),
                })?;
                let Some(bytes) = bytes else { return Ok(total) };
                sink.write_all(&bytes).map_err(|error| self.local(name, error))?;
                total += bytes.len() as u64;
            }
        })
    }

    fn upload(&self, name: &str, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        self.bridge.wait(async {
            if size > PART as u64 {
                return self.upload_in_parts(name, source, size).await;
            }
            let whole = self.part(name, source, size)?;
            self.ended(name, source)?;
            self.operator.write(name, whole).await.map(drop).map_err(self.failed(Attempt::Write, name))
        })
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<PutOutcome, ObjectError> {
        let put = self.operator.write_with(name, bytes.to_vec()).if_not_exists(true);
        match self.bridge.wait(async { put.await }) {
            Ok(_) => Ok(PutOutcome::Created),
            Err(error) if matches!(error.kind(), ErrorKind::ConditionNotMatch | ErrorKind::AlreadyExists) => {
                Ok(PutOutcome::Exists)
            }
            Err(error) => Err(self.failed(Attempt::Write, name)(error)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, ObjectError> {
        let failed = self.failed(Attempt::List, prefix);
        let now = SystemTime::now();
        self.bridge.wait(async {
            let mut lister = self.operator.lister_with(prefix).recursive(true).await.map_err(&failed)?;
            let mut found = Vec::new();
            while let Some(entry) = lister.try_next().await.map_err(&failed)? {
                let data = entry.metadata();
                if data.is_file() {
                    let written = data.last_modified().map(SystemTime::from);
                    let age = written.and_then(|written| now.duration_since(written).ok());
                    // Of unknown age: young, which nobody deletes.
                    let age = age.unwrap_or(Duration::ZERO);
                    found.push(Object { name: entry.path().to_owned(), size: data.content_length(), age });
                }
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.bridge.wait(async { self.operator.delete(name).await }).map_err(self.failed(Attempt::Delete, name))
    }
}

/// What OpenDAL says inside of an error of a stream.
fn opendal_cause(error: &std::io::Error) -> Option<opendal::Error> {
    // It hands over the same words; its own type cannot be taken out by reference.
    let inner = error.get_ref()?.downcast_ref::<opendal::Error>()?;
    let copy = opendal::Error::new(inner.kind(), inner.message());
    let copy = copy.with_temporary(inner.is_temporary()).with_persistent(inner.is_persistent());
    Some(match Distrust::among(inner) {
        Some(distrust) => copy.set_source(distrust.clone()),
        None => copy,
    })
}
