//! Failures of remote storage as errors that name the storage, the object, the cause and the way out.

use std::error::Error;

use opendal::ErrorKind;

use super::dal::Service;
use super::trust::Distrust;
use crate::checkpoint::{ObjectError, ObjectErrorKind};

/// How much of a server's own words goes into a message.
const WORDS: usize = 300;

/// What was tried, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Read,
    Write,
    List,
    Delete,
}

impl Attempt {
    pub(super) fn failed(self) -> &'static str {
        match self {
            Self::Read => "cannot be read",
            Self::Write => "cannot be written",
            Self::List => "cannot be listed",
            Self::Delete => "cannot be deleted",
        }
    }
}

/// The error of a call on `storage`; `name` is the object's or the prefix's.
///
/// OpenDAL's own error is not kept as the source: it shows the address asked, which for some logins is a secret.
pub(super) fn explain(
    storage: &str,
    service: Service,
    attempt: Attempt,
    name: &str,
    error: &opendal::Error,
) -> ObjectError {
    let failed = attempt.failed();
    if let Some(distrust) = Distrust::among(error) {
        return ObjectError::new(ObjectErrorKind::Configuration, format!("{storage}/{name}: {failed}: {distrust}"));
    }
    let kind = kind(attempt, error);
    let way_out = match kind {
        ObjectErrorKind::Denied => service.about_logins(),
        ObjectErrorKind::Configuration => service.about_containers(),
        ObjectErrorKind::Retriable => "; it may pass, and is tried again",
        ObjectErrorKind::Full => "; make room or raise the quota",
        _ => "",
    };
    ObjectError::new(kind, format!("{storage}/{name}: {failed}: {}{way_out}", cause(error)))
}

fn kind(attempt: Attempt, error: &opendal::Error) -> ObjectErrorKind {
    let message = error.message();
    // What the library has no kind for it keeps in the text.
    let status = |code: u16| error.to_string().contains(&format!("status: {code}"));
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match error.kind() {
        ErrorKind::NotFound if says(&["ContainerNotFound", "bucket does not exist"]) => ObjectErrorKind::Configuration,
        ErrorKind::NotFound if attempt == Attempt::Read => ObjectErrorKind::NotFound,
        // Writing and listing find nothing missing but the container itself.
        ErrorKind::NotFound => ObjectErrorKind::Configuration,
        ErrorKind::PermissionDenied => ObjectErrorKind::Denied,
        ErrorKind::ConfigInvalid => ObjectErrorKind::Configuration,
        ErrorKind::RateLimited => ObjectErrorKind::Retriable,
        _ if message.contains("credential") || message.contains("signing") || status(401) => ObjectErrorKind::Denied,
        _ if says(&["QuotaExceeded", "StorageFull", "InsufficientStorage"]) || status(507) => ObjectErrorKind::Full,
        _ if error.is_temporary() || error.is_persistent() => ObjectErrorKind::Retriable,
        // Others write or delete the same at this moment.
        ErrorKind::Conflict => ObjectErrorKind::Retriable,
        _ => ObjectErrorKind::Fatal,
    }
}

/// The server's words, or the chain of what went wrong on the way to it.
fn cause(error: &opendal::Error) -> String {
    let mut text = shortened(error.message());
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {}", shortened(&inner.to_string()));
        source = inner.source();
    }
    text
}

/// The beginning of a text, on one line.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WORDS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

impl Service {
    fn about_logins(self) -> &'static str {
        match self {
            Self::S3 => {
                "; the login (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role) is missing, \
                 wrong, or may not read, write, list and delete here"
            }
            Self::Gcs => {
                "; the login (the file that GOOGLE_APPLICATION_CREDENTIALS names, or the machine's account) is missing, \
                 wrong, or may not read, write, list and delete here"
            }
            Self::Azblob => {
                "; the login (AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or the machine's identity) is missing, \
                 wrong, or may not read, write, list and delete here"
            }
        }
    }

    fn about_containers(self) -> &'static str {
        match self {
            Self::S3 | Self::Gcs => "; is the bucket's name right? Beacon makes no buckets: make it, then it is found",
            Self::Azblob => "; is the container's name right? Beacon makes no containers: make it, then it is found",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(attempt: Attempt, error: opendal::Error) -> ObjectError {
        explain("s3://bucket", Service::S3, attempt, "a/b", &error)
    }

    #[test]
    fn kinds_say_what_to_do() {
        let new = opendal::Error::new;
        for (attempt, error, wanted) in [
            (Attempt::Read, new(ErrorKind::NotFound, "NoSuchKey"), ObjectErrorKind::NotFound),
            (Attempt::Read, new(ErrorKind::NotFound, "ContainerNotFound"), ObjectErrorKind::Configuration),
            (Attempt::Write, new(ErrorKind::NotFound, ""), ObjectErrorKind::Configuration),
            (Attempt::List, new(ErrorKind::ConfigInvalid, "NoSuchBucket"), ObjectErrorKind::Configuration),
            (Attempt::Delete, new(ErrorKind::PermissionDenied, "AccessDenied"), ObjectErrorKind::Denied),
            (Attempt::List, new(ErrorKind::Unexpected, "loading credential to sign"), ObjectErrorKind::Denied),
            (Attempt::List, new(ErrorKind::RateLimited, "SlowDown"), ObjectErrorKind::Retriable),
            (Attempt::Write, new(ErrorKind::Unexpected, "").set_persistent(), ObjectErrorKind::Retriable),
            (Attempt::Write, new(ErrorKind::Unexpected, "XMinioStorageFull"), ObjectErrorKind::Full),
            (Attempt::Write, new(ErrorKind::Unexpected, "what?"), ObjectErrorKind::Fatal),
        ] {
            let shown = error.to_string();
            assert_eq!(explained(attempt, error).kind(), wanted, "{attempt:?}: {shown}");
        }
    }

    #[test]
    fn messages_name_storage_object_cause_and_the_way_out_but_no_address() {
        let error = opendal::Error::new(ErrorKind::PermissionDenied, "AccessDenied")
            .with_context("uri", "https://host/?sig=hush");
        let text = explained(Attempt::Write, error).to_string();
        for part in ["s3://bucket/a/b", "cannot be written", "AccessDenied", "AWS_ACCESS_KEY_ID"] {
            assert!(text.contains(part), "`{part}` is missing in: {text}");
        }
        assert!(!text.contains("hush"), "{text}");
        assert!(shortened(&"word ".repeat(1000)).chars().count() <= WORDS + 1);
    }
}
