//! Alerts as a client of the API posts them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use crate::http::{self, Answer};

/// One alert of `POST /api/v2/alerts` (Alertmanager's OpenAPI, `postableAlert`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    generator_url: String,
}

impl Alert {
    /// An alert with this `alertname`, firing from now on as far as the server knows.
    pub fn named(name: &str) -> Self {
        Self {
            labels: BTreeMap::from([("alertname".to_owned(), name.to_owned())]),
            annotations: BTreeMap::new(),
            starts_at: None,
            ends_at: None,
            generator_url: String::new(),
        }
    }

    /// Adds a label.
    pub fn label(mut self, name: &str, value: impl Into<String>) -> Self {
        self.labels.insert(name.to_owned(), value.into());
        self
    }

    /// Adds an annotation.
    pub fn annotation(mut self, name: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }

    /// Says when it began.
    pub fn starts_at(mut self, at: SystemTime) -> Self {
        self.starts_at = Some(rfc3339(at));
        self
    }

    /// Says when it ends or ended.
    pub fn ends_at(mut self, at: SystemTime) -> Self {
        self.ends_at = Some(rfc3339(at));
        self
    }

    /// Its labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }
}

/// Posts alerts in one request to the API at `base` (`http://host:port`).
///
/// # Errors
/// No answer came.
pub fn post(base: &str, alerts: &[Alert]) -> Result<Answer, String> {
    http::post(&format!("{base}/api/v2/alerts"), alerts)
}

/// UTC with milliseconds, as RFC 3339 writes it.
///
/// # Panics
/// For moments beyond the year 9999.
pub fn rfc3339(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).expect("a moment of our time");
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn moments_are_written_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(1_709_210_096_007)), "2024-02-29T12:34:56.007Z");
    }

    #[test]
    fn what_was_not_said_is_left_out() {
        let json = serde_json::to_string(&Alert::named("Down").label("host", "a")).expect("plain strings");
        assert_eq!(json, r#"{"labels":{"alertname":"Down","host":"a"},"annotations":{}}"#);
    }
}
