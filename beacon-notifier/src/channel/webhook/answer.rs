//! What a webhook's other side answered, or that it didn't.

use std::{error::Error, time::Duration};

use reqwest::Response;

use crate::{attempt::Attempt, redact::Redactor, render::plain};

/// Bytes of a body that are read. More than is quoted: reading a short body to its end lets the connection be used again.
const BODY_BYTES: usize = 4 * 1024;

/// How long to wait for the body. The status has been said by then, and it is all that counts.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// The start of the body as text; empty if it cannot be had.
pub async fn start_of_body(mut response: Response) -> String {
    let mut body = Vec::new();
    let reading = async {
        while body.len() < BODY_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                // The body explains, it doesn't decide: what could be read of it is what is quoted.
                Ok(None) | Err(_) => break,
            }
        }
    };
    // As above: a body that doesn't come in time is quoted as far as it came.
    let _ = tokio::time::timeout(BODY_PATIENCE, reading).await;
    body.truncate(BODY_BYTES);
    String::from_utf8_lossy(&body).into_owned()
}

/// Judges a request that got no answer: whatever went wrong on the way may pass.
///
/// Only a request that could not even be built is dead.
pub fn none(error: reqwest::Error, redactor: &Redactor) -> Attempt {
    let hopeless = error.is_builder();
    // reqwest's errors print the address, which may be the secret itself.
    let detail = plain::one_line(&redactor.strike_out(&chain(&error.without_url())));
    if hopeless { Attempt::Dead { detail } } else { Attempt::Retry { detail, after: None } }
}

/// The error and its causes, outermost first: `error sending request: client error (Connect): …: Connection refused`.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said.push_str(": ");
        said.push_str(&error.to_string());
        cause = error.source();
    }
    said
}
