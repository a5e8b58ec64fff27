//! The body of `POST /api/v2/silences`.

use serde::Deserialize;

use crate::error::ApiError;
use crate::time;

/// A silence as posted, complete in form; whether it makes sense is decided later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedSilence {
    /// Of the silence to change; empty makes a new one.
    pub id: String,
    /// At least one.
    pub matchers: Vec<PostedMatcher>,
    /// Milliseconds since the epoch.
    pub starts_at_ms: i64,
    /// Milliseconds since the epoch.
    pub ends_at_ms: i64,
    /// Who wants it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A matcher as posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedMatcher {
    /// The label.
    pub name: String,
    /// Text or regular expression.
    pub value: String,
    /// Which of the two.
    pub is_regex: bool,
    /// False turns it round; true when absent, as clients older than 0.22 leave it out.
    pub is_equal: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SilenceBody {
    id: Option<String>,
    matchers: Option<Vec<MatcherBody>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MatcherBody {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

/// Reads a body.
///
/// # Errors
/// 400 for what is no JSON of this shape or no time; 422 for the first field, in alphabetical order, that is not there.
pub fn read(body: &[u8]) -> Result<PostedSilence, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::required("silence"));
    }
    let body: SilenceBody = serde_json::from_slice(body).map_err(|error| ApiError::unparsable("silence", error))?;
    let time = |text: Option<String>| match text {
        Some(text) => time::parse(&text).map(Some).map_err(|reason| ApiError::unparsable("silence", reason)),
        None => Ok(None),
    };
    let (starts_at_ms, ends_at_ms) = (time(body.starts_at)?, time(body.ends_at)?);
    let required = |field: &str| ApiError::required(field);
    Ok(PostedSilence {
        id: body.id.unwrap_or_default(),
        comment: body.comment.ok_or_else(|| required("comment"))?,
        created_by: body.created_by.ok_or_else(|| required("createdBy"))?,
        ends_at_ms: ends_at_ms.ok_or_else(|| required("endsAt"))?,
        matchers: matchers(body.matchers)?,
        starts_at_ms: starts_at_ms.ok_or_else(|| required("startsAt"))?,
    })
}

fn matchers(bodies: Option<Vec<MatcherBody>>) -> Result<Vec<PostedMatcher>, ApiError> {
    let bodies = bodies.ok_or_else(|| ApiError::required("matchers"))?;
    if bodies.is_empty() {
        return Err(ApiError::at_least_one("matchers"));
    }
    let complete = |(index, body): (usize, MatcherBody)| {
        let required = |field: &str| ApiError::required(&format!("matchers.{index}.{field}"));
        Ok(PostedMatcher {
            is_equal: body.is_equal.unwrap_or(true),
            is_regex: body.is_regex.ok_or_else(|| required("isRegex"))?,
            name: body.name.ok_or_else(|| required("name"))?,
            value: body.value.ok_or_else(|| required("value"))?,
        })
    };
    bodies.into_iter().enumerate().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATCHER: &str = r#"[{"name":"a","value":"b","isRegex":false}]"#;

    fn refused(body: &str) -> String {
        match read(body.as_bytes()).expect_err("to be refused") {
            ApiError::Coded(status, code, message) => format!("{} {code} {message}", status.as_u16()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_silence_is_read() {
        let body = format!(
            r#"{{"matchers":{MATCHER},"startsAt":"1970-01-01T00:00:01Z","endsAt":"1970-01-01T00:00:02Z",
                "createdBy":"me","comment":""}}"#
        );
        let silence = read(body.as_bytes()).expect("complete");
        assert_eq!((silence.starts_at_ms, silence.ends_at_ms), (1000, 2000));
        assert!(silence.matchers[0].is_equal);
    }

    #[test]
    fn what_is_missing_is_named_in_alertmanagers_order() {
        for (body, expected) in [
            ("", "422 602 silence in body is required"),
            ("{}", "422 602 comment in body is required"),
            (r#"{"comment":""}"#, "422 602 createdBy in body is required"),
            (r#"{"comment":"","createdBy":""}"#, "422 602 endsAt in body is required"),
            (
                r#"{"comment":"","createdBy":"","endsAt":"1970-01-01T00:00:02Z","matchers":[]}"#,
                "422 612 matchers in body should have at least 1 items",
            ),
            (
                r#"{"comment":"","createdBy":"","endsAt":"1970-01-01T00:00:02Z","matchers":[{"isRegex":true}]}"#,
                "422 602 matchers.0.name in body is required",
            ),
            (
                r#"{"comment":"","createdBy":"","endsAt":"1970-01-01T00:00:02Z","matchers":[{"name":"a","isRegex":true,"value":""}]}"#,
                "422 602 startsAt in body is required",
            ),
        ] {
            assert_eq!(refused(body), expected, "{body}");
        }
        assert!(refused("{").starts_with("400 400 parsing silence body from \"\" failed, because "));
    }
}
