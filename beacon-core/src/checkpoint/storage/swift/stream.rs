//! A large object on its way to Swift, a piece at a time.

use std::io::Read;

use bytes::Bytes;
use futures_util::stream;
use md5::{Digest, Md5};
use reqwest::{Body, Client};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::requests::About;
use super::{SwiftStore, hexadecimal};
use crate::checkpoint::{ObjectError, ObjectErrorKind};

/// What is handed over at a time. A few of them are the memory that an upload takes.
const PIECE: usize = 1 << 20;
/// Swift's limit for one PUT (`max_file_size`).
const LARGEST: u64 = 5 << 30;

impl SwiftStore {
    /// One PUT of what cannot be read twice: it is not tried again here.
    pub(super) async fn stream(&self, about: About<'_>, source: &mut dyn Read, size: u64) -> Result<(), ObjectError> {
        if size > LARGEST {
            let cause = format!("{size} bytes, and Swift takes {LARGEST} at most in one object");
            return Err(self.requests.error(about, ObjectErrorKind::Fatal, &cause));
        }
        // So that it is not an old token or a missing container that stops it in the middle: then some servers just hang up.
        let look = |client: &Client, account: &Url| client.head(self.address(account, None));
        let answer = self.requests.send(about, look).await?;
        if !answer.status().is_success() {
            return Err(self.requests.refusal(about, answer).await);
        }
        let session = self.requests.session(about).await?;
        let (pieces, coming) = mpsc::channel::<Result<Bytes, std::io::Error>>(2);
        let body = stream::unfold(coming, |mut coming| async move { coming.recv().await.map(|piece| (piece, coming)) });
        let put = self
            .requests
            .client
            .put(self.address(&session.storage, Some(about.name)))
            .header("x-auth-token", &session.token)
            .header("content-length", size)
            .body(Body::wrap_stream(body));
        // On a thread of the storage: this one reads the source, and may block at it.
        let answer = tokio::spawn(put.send());
        let fed = self.feed(about, source, size, pieces).await;
        if let Err(error @ Fed::Source(_)) = fed {
            // Fewer bytes than announced: Swift makes no object of them.
            answer.abort();
            return Err(error.into_error());
        }
        let answer = match timeout(self.requests.patience.answer, answer).await {
            Ok(Ok(answer)) => self.requests.in_time(about, std::future::ready(answer)).await?,
            Ok(Err(stopped)) => {
                let cause = format!("the upload was stopped: {stopped}");
                return Err(self.requests.error(about, ObjectErrorKind::Retriable, &cause));
            }
            Err(_) => {
                let cause = format!("no answer in {:?}", self.requests.patience.answer);
                return Err(self.requests.error(about, ObjectErrorKind::Retriable, &cause));
            }
        };
        if !answer.status().is_success() {
            return Err(self.requests.refusal(about, answer).await);
        }
        let sum = fed.map_err(Fed::into_error)?;
        let stored = answer.headers().get("etag").and_then(|etag| etag.to_str().ok()).unwrap_or_default();
        if stored.trim_matches('"') == sum {
            return Ok(());
        }
        let cause = format!("Swift has other bytes (MD5 {stored}) than were sent ({sum})");
        self.remove(about).await?;
        Err(self.requests.error(about, ObjectErrorKind::Retriable, &cause))
    }

    /// Hands the source over; its MD5.
    async fn feed(
        &self,
        about: About<'_>,
        source: &mut dyn Read,
        size: u64,
        pieces: mpsc::Sender<Result<Bytes, std::io::Error>>,
    ) -> Result<String, Fed> {
        let mut sum = Md5::new();
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut piece = Vec::with_capacity(wanted);
            let read = source.take(wanted as u64).read_to_end(&mut piece);
            let read = read.map_err(|error| Fed::Source(self.local(about.name, error)))?;
            if read != wanted {
                return Err(Fed::Source(self.wrong_size(about.name, size)));
            }
            left -= read as u64;
            if left == 0 && source.read(&mut [0]).map_err(|error| Fed::Source(self.local(about.name, error)))? != 0 {
                return Err(Fed::Source(self.wrong_size(about.name, size)));
            }
            sum.update(&piece);
            match timeout(self.requests.patience.answer, pieces.send(Ok(piece.into()))).await {
                Ok(Ok(())) => {}
                // An answer came early, or the connection is gone: the request says which.
                Ok(Err(_)) => {
                    let cause = "the connection ended in the middle";
                    return Err(Fed::Storage(self.requests.error(about, ObjectErrorKind::Retriable, cause)));
                }
                Err(_) => {
                    let cause = format!("nothing was taken for {:?}", self.requests.patience.answer);
                    return Err(Fed::Source(self.requests.error(about, ObjectErrorKind::Retriable, &cause)));
                }
            }
        }
        Ok(hexadecimal(&sum.finalize()))
    }
}

/// Why not all was handed over.
enum Fed {
    /// Nobody needs to wait for an answer.
    Source(ObjectError),
    /// The answer may say more.
    Storage(ObjectError),
}

impl Fed {
    fn into_error(self) -> ObjectError {
        match self {
            Self::Source(error) | Self::Storage(error) => error,
        }
    }
}
