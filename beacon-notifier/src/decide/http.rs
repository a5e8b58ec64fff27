//! What an HTTP answer means for a webhook.

use std::time::Duration;

use crate::{attempt::Attempt, render::plain};

/// Bytes of an answer's body that go into a detail.
pub const EXCERPT_BYTES: usize = 256;

/// Judges an answer with status code `code`.
///
/// 2xx is accepted. 429 and 5xx may pass: to be tried again, not before `retry_after`. So may what is said of the receiver and
/// not of the request: a path that is not there while an ingress is rolled out, a login that is mended by a reload
/// (decision 0047). Everything else is dead: the same request would get the same answer. That includes a redirect that was not
/// followed, with a hint. `body` is the start of the answer's body, already free of secrets; its first [`EXCERPT_BYTES`] go into
/// the detail, on one line.
pub fn judge(code: u16, retry_after: Option<Duration>, body: &str) -> Attempt {
    let excerpt = plain::shorten(plain::one_line(body).trim(), EXCERPT_BYTES);
    let said = if excerpt.is_empty() { String::new() } else { format!(": {excerpt}") };
    match code {
        200..=299 => Attempt::Accepted { detail: format!("HTTP {code}") },
        // RFC 9110 §15.5: not found, proxy login, time-out, misdirected; RFC 4918: locked; RFC 8470: too early.
        404 | 407 | 408 | 421 | 423 | 425 | 429 | 500..=599 => {
            Attempt::Retry { detail: format!("HTTP {code}{said}"), after: retry_after }
        }
        301..=303 => Attempt::Dead {
            detail: format!(
                "HTTP {code}: this redirect would turn the POST into a GET and lose the alerts; put the final address \
                 into the webhook's url"
            ),
        },
        307 | 308 => Attempt::Dead {
            detail: format!(
                "HTTP {code}: redirect not followed (too many, or follow_redirects is false); put the final address into \
                 the webhook's url"
            ),
        },
        401 | 403 => {
            let detail = format!("HTTP {code}, check the webhook's http_config credentials{said}");
            Attempt::Retry { detail, after: retry_after }
        }
        _ => Attempt::Dead { detail: format!("HTTP {code}{said}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for code in 100..=999 {
            let attempt = judge(code, None, "");
            match code {
                200..=299 => assert!(matches!(attempt, Attempt::Accepted { .. }), "{code}"),
                401 | 403 | 404 | 407 | 408 | 421 | 423 | 425 | 429 | 500..=599 => {
                    assert!(matches!(attempt, Attempt::Retry { .. }), "{code}");
                }
                _ => assert!(matches!(attempt, Attempt::Dead { .. }), "{code}"),
            }
        }
    }

    #[test]
    fn the_other_side_is_quoted_on_one_line() {
        let attempt = judge(400, None, "bad\r\n<field>\x1b[2J");
        assert_eq!(attempt, Attempt::Dead { detail: "HTTP 400: bad  <field> [2J".to_owned() });
        assert!(judge(500, None, &"x".repeat(10_000)).detail().len() < EXCERPT_BYTES + 32);
    }
}
