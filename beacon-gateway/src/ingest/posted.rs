//! The body of `POST /api/v2/alerts`, borrowed from the bytes of the request.
//!
//! Labels are kept as a sorted list of pairs: that is the order the fingerprint and the wire need, without a tree and
//! without a string of their own for each name and value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::ApiError;

/// A JSON string; borrowed when it has no escapes.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A JSON object of strings, sorted by name; of equal names the last counts, as in Go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Vec<(Text<'de>, Text<'de>)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        let mut pairs = deserializer.deserialize_map(Visit)?;
        sort_last_wins(&mut pairs);
        Ok(Self(pairs))
    }
}

fn sort_last_wins(pairs: &mut Vec<(Text<'_>, Text<'_>)>) {
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: of equal names the last posted stays last
    pairs.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            std::mem::swap(&mut later.1, &mut kept.1);
        }
        same
    });
}

/// One alert as posted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PostedAlert<'a> {
    /// Required; without it nothing of the request is taken.
    #[serde(borrow, default)]
    pub labels: Option<Pairs<'a>>,
    /// What to tell people.
    #[serde(borrow, default)]
    pub annotations: Option<Pairs<'a>>,
    /// RFC 3339.
    #[serde(borrow, default)]
    pub starts_at: Option<Text<'a>>,
    /// RFC 3339.
    #[serde(borrow, default)]
    pub ends_at: Option<Text<'a>>,
    /// Where the alert comes from.
    #[serde(borrow, default, rename = "generatorURL")]
    pub generator_url: Option<Text<'a>>,
}

/// Reads a body. `null` is an empty list, as in Alertmanager.
///
/// # Errors
/// 422 for no body at all, 400 for anything that is not an array of alerts.
pub fn read(body: &[u8]) -> Result<Vec<PostedAlert<'_>>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::required("alerts"));
    }
    serde_json::from_slice::<Option<Vec<Option<PostedAlert<'_>>>>>(body)
        .map_err(|error| ApiError::unparsable("alerts", error))?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(|(index, alert)| alert.ok_or_else(|| ApiError::required(&index.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_without_escapes_are_borrowed() {
        let body = br#"[{"labels":{"b":"2","a":"1","c":"x\ny"},"unknown":[1]}]"#;
        let alerts = read(body).expect("right shape");
        let labels = &alerts[0].labels.as_ref().expect("labels").0;
        let names: Vec<&str> = labels.iter().map(|(name, _)| name.0.as_ref()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(matches!(labels[0].1.0, Cow::Borrowed("1")));
        assert!(matches!(&labels[2].1.0, Cow::Owned(value) if value == "x\ny"));
    }

    #[test]
    fn of_equal_names_the_last_counts() {
        let alerts = read(br#"[{"labels":{"a":"1","b":"0","a":"2","a":"3"}}]"#).expect("right shape");
        let labels = &alerts[0].labels.as_ref().expect("labels").0;
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.0.as_ref(), v.0.as_ref())).collect();
        assert_eq!(pairs, [("a", "3"), ("b", "0")]);
    }

    #[test]
    fn shapes_are_refused_with_alertmanagers_status() {
        let status = |body: &str| read(body.as_bytes()).err().map(|error| error.status().as_u16());
        for (body, expected) in [
            ("[]", None),
            ("null", None),
            ("[{}]", None), // whether labels are there is asked later, with the index
            ("", Some(422)),
            (" \n", Some(422)),
            ("[null]", Some(422)),
            ("{", Some(400)),
            ("{}", Some(400)),
            (r#"[{"labels":{"a":1}}]"#, Some(400)),
            (r#"[{"labels":[]}]"#, Some(400)),
            (r#"[{"labels":{"a":"1"}}] x"#, Some(400)),
        ] {
            assert_eq!(status(body), expected, "{body}");
        }
    }
}
