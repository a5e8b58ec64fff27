//! Which of the posted alerts are taken, and what is wrong with the others: Alertmanager's `postAlerts`, decided purely.

use std::borrow::Cow;

use super::event::Event;
use super::posted::{PostedAlert, Text};
use crate::error::ApiError;
use crate::time;

/// What to do with one request.
#[derive(Debug, Default)]
pub struct Intake<'a> {
    /// To be appended, in the order posted.
    pub events: Vec<Event<'a>>,
    /// One sentence for each alert that is not taken, in the order posted.
    pub problems: Vec<String>,
    /// How many of the posted alerts, bad ones too, have not ended yet.
    pub firing: u64,
    /// How many of the posted alerts, bad ones too, have ended.
    pub resolved: u64,
}

/// What the answer depends on besides the request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Whose alerts they are.
    pub tenant: &'a str,
    /// When the request came, milliseconds since the epoch.
    pub now_ms: i64,
    /// An alert without an end ends this long from now.
    pub resolve_timeout_ms: i64,
}

/// Takes what is valid.
///
/// # Errors
/// As Alertmanager does, a time that is none (400), missing labels or a bad URL (422) refuse the whole request.
pub fn decide<'a>(alerts: Vec<PostedAlert<'a>>, now: Circumstances<'a>) -> Result<Intake<'a>, ApiError> {
    let times = alerts.iter().map(read_times).collect::<Result<Vec<_>, _>>()?;
    alerts.iter().enumerate().try_for_each(|(index, alert)| check_form(index, alert))?;
    let mut intake = Intake { events: Vec::with_capacity(alerts.len()), ..Intake::default() };
    for (alert, times) in alerts.into_iter().zip(times) {
        let times = times.completed(now);
        if times.ends_at_ms > now.now_ms {
            intake.firing += 1;
        } else {
            intake.resolved += 1;
        }
        match accept(alert, times, now) {
            Ok(event) => intake.events.push(event),
            Err(problem) => intake.problems.push(problem),
        }
    }
    Ok(intake)
}

#[derive(Clone, Copy)]
struct PostedTimes {
    starts_at_ms: Option<i64>,
    ends_at_ms: Option<i64>,
}

#[derive(Clone, Copy)]
struct Times {
    posted: PostedTimes,
    starts_at_ms: i64,
    ends_at_ms: i64,
}

impl PostedTimes {
    fn completed(self, now: Circumstances<'_>) -> Times {
        Times {
            posted: self,
            starts_at_ms: self.starts_at_ms.or(self.ends_at_ms).unwrap_or(now.now_ms),
            ends_at_ms: self.ends_at_ms.unwrap_or(now.now_ms.saturating_add(now.resolve_timeout_ms)),
        }
    }
}

fn read_times(alert: &PostedAlert<'_>) -> Result<PostedTimes, ApiError> {
    let read = |text: &Option<Text<'_>>| match text {
        Some(text) => time::parse(&text.0)
            .map(|ms| (ms != time::GO_ZERO_MS).then_some(ms))
            .map_err(|reason| ApiError::unparsable("alerts", reason)),
        None => Ok(None),
    };
    Ok(PostedTimes { starts_at_ms: read(&alert.starts_at)?, ends_at_ms: read(&alert.ends_at)? })
}

/// What Alertmanager's generated layer checks before its handler sees anything.
fn check_form(index: usize, alert: &PostedAlert<'_>) -> Result<(), ApiError> {
    if alert.labels.is_none() {
        return Err(ApiError::required(&format!("{index}.labels")));
    }
    match &alert.generator_url {
        Some(Text(url)) if !is_uri(url) => {
            Err(ApiError::wrong_format(&format!("{index}.generatorURL"), "body", "uri", url))
        }
        _ => Ok(()),
    }
}

/// Empty, an absolute path, or something with a scheme (RFC 3986 section 3.1): what Go's `url.ParseRequestURI` lets
/// through, short of its look at the host.
fn is_uri(url: &str) -> bool {
    let has_scheme = || {
        url.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
    };
    url.is_empty() || (!url.bytes().any(|byte| byte.is_ascii_control()) && (url.starts_with('/') || has_scheme()))
}

fn accept<'a>(alert: PostedAlert<'a>, times: Times, now: Circumstances<'a>) -> Result<Event<'a>, String> {
    if times.ends_at_ms < times.starts_at_ms {
        return Err("start time must be before end time".to_owned());
    }
    let mut labels = alert.labels.unwrap_or_default().0;
    // An empty value is the same as no label, to Prometheus and so to the fingerprint.
    labels.retain(|(_, value)| !value.0.is_empty());
    check_names(&labels).map_err(|problem| format!("invalid label set: {problem}"))?;
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    let annotations = alert.annotations.unwrap_or_default().0;
    check_names(&annotations).map_err(|problem| format!("invalid annotations: {problem}"))?;
    Ok(Event {
        tenant: now.tenant,
        labels,
        annotations,
        // An end without a start began when it ended, which the worker could not know from "unset".
        starts_at_ms: times.posted.starts_at_ms.or(times.posted.ends_at_ms),
        ends_at_ms: times.posted.ends_at_ms,
        generator_url: alert.generator_url.unwrap_or(Text(Cow::Borrowed(""))),
        received_at_ms: now.now_ms,
    })
}

/// Any UTF-8 but nothing at all, as Prometheus 3 and Alertmanager since 0.27 have it.
fn check_names(pairs: &[(Text<'_>, Text<'_>)]) -> Result<(), String> {
    match pairs.first() {
        // Sorted: an empty name would be the first.
        Some((name, _)) if name.0.is_empty() => Err("invalid name \"\"".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::posted;

    const NOW: Circumstances<'_> = Circumstances { tenant: "", now_ms: 1_600_000_000_000, resolve_timeout_ms: 300_000 };

    fn problems(body: &str) -> Vec<String> {
        decide(posted::read(body.as_bytes()).expect("right shape"), NOW).expect("right form").problems
    }

    fn refused(body: &str) -> String {
        match decide(posted::read(body.as_bytes()).expect("right shape"), NOW).expect_err("to be refused") {
            ApiError::Coded(status, code, message) => format!("{} {code} {message}", status.as_u16()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn good_alerts_are_taken_beside_bad_ones() {
        let body = br#"[{"labels":{"":"x"}},{"labels":{"ok":"1","gone":""}},{"labels":{"a":""}},
            {"labels":{"b":"1"},"startsAt":"2030-01-01T00:00:00Z","endsAt":"2020-01-01T00:00:00Z"},
            {"labels":{"c":"1"},"annotations":{"":"x"}}]"#;
        let intake = decide(posted::read(body).expect("right shape"), NOW).expect("right form");
        assert_eq!(intake.events.len(), 1);
        assert_eq!(intake.events[0].labels.len(), 1);
        assert_eq!(
            intake.problems,
            [
                "invalid label set: invalid name \"\"",
                "at least one label pair required",
                "start time must be before end time",
                "invalid annotations: invalid name \"\"",
            ]
        );
        assert_eq!((intake.firing, intake.resolved), (4, 1));
    }

    #[test]
    fn the_whole_request_is_refused_for_its_form() {
        assert_eq!(refused(r#"[{"labels":{"a":"1"}},{}]"#), "422 602 1.labels in body is required");
        assert_eq!(
            refused(r#"[{"labels":{"a":"1"},"generatorURL":"not a url"}]"#),
            "422 601 0.generatorURL in body must be of type uri: \"not a url\""
        );
        let bad_time = refused(r#"[{"labels":{"a":"1"},"startsAt":"foo"}]"#);
        assert!(bad_time.starts_with("400 400 parsing alerts body from \"\" failed, because parsing time \"foo\""));
    }

    #[test]
    fn an_end_without_a_start_began_then_and_no_times_are_left_to_the_pipeline() {
        let body = br#"[{"labels":{"a":"1"},"endsAt":"2020-01-01T00:00:00Z"},{"labels":{"a":"1"}}]"#;
        let events = decide(posted::read(body).expect("right shape"), NOW).expect("right form").events;
        assert_eq!(events[0].starts_at_ms, events[0].ends_at_ms);
        assert_eq!((events[1].starts_at_ms, events[1].ends_at_ms), (None, None));
    }

    #[test]
    fn a_start_beyond_the_resolve_timeout_would_end_before_it_starts() {
        assert_eq!(problems(r#"[{"labels":{"a":"1"},"startsAt":"2030-01-01T00:00:00Z"}]"#).len(), 1);
    }

    #[test]
    fn uris_are_absolute_or_have_a_path() {
        for (url, expected) in [
            ("", true),
            ("http://x/y?z", true),
            ("/graph", true),
            ("mailto:a@b", true),
            ("not a url", false),
            ("1http://x", false),
            ("http://x\n", false),
        ] {
            assert_eq!(is_uri(url), expected, "{url:?}");
        }
    }
}
