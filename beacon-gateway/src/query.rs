//! What the query string of a listing asks for: matchers, a receiver, and which states.

use beacon_plan::matcher::{self, Matcher, Op, ParseError};
use regex::Regex;

use crate::error::ApiError;

/// Reads `filter=` of all the pairs of a query string, in their order.
///
/// # Errors
/// 400 for something that is no matcher.
pub fn filters(pairs: &[(String, String)]) -> Result<Vec<Matcher>, ApiError> {
    let texts = pairs.iter().filter(|(name, _)| name == "filter");
    texts
        .map(|(_, text)| match matcher::parse_one(text) {
            Ok((matcher, _note)) => Ok(matcher),
            Err(ParseError::Neither { classic, .. }) => Err(ApiError::bad_request(classic.to_string())),
            Err(error) => Err(ApiError::bad_request(error.to_string())),
        })
        .collect()
}

/// A flag of a listing: true unless said otherwise; the last one counts, and words are read as go-openapi reads them.
fn flag(pairs: &[(String, String)], name: &str) -> bool {
    const TRUE: [&str; 10] = ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
    match pairs.iter().rfind(|(candidate, _)| candidate == name) {
        None => true,
        Some((_, value)) => value.is_empty() || TRUE.contains(&value.to_ascii_lowercase().as_str()),
    }
}

/// What a listing of alerts, or of groups of them, asks for.
#[derive(Clone, Debug)]
pub struct AlertQuery {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Anchored; of the receivers at least one must match.
    pub receiver: Option<Regex>,
    /// Whether to show what nothing suppresses.
    pub active: bool,
    /// Whether to show what a silence suppresses.
    pub silenced: bool,
    /// Whether to show what another alert suppresses.
    pub inhibited: bool,
}

impl AlertQuery {
    /// Reads a query string.
    ///
    /// `unprocessed` is taken and changes nothing, as in Alertmanager: what is listed has been processed.
    ///
    /// # Errors
    /// 400 for something that is no matcher, or no regular expression.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let receiver = pairs.iter().rfind(|(name, value)| name == "receiver" && !value.is_empty());
        Ok(Self {
            matchers: filters(pairs)?,
            receiver: receiver.map(|(_, pattern)| receiver_pattern(pattern)).transpose()?,
            active: flag(pairs, "active"),
            silenced: flag(pairs, "silenced"),
            inhibited: flag(pairs, "inhibited"),
        })
    }

    /// Whether the name of a receiver is asked for.
    pub fn wants_receiver(&self, name: &str) -> bool {
        self.receiver.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }

    /// Whether one of these receivers is asked for; always when none is asked for by name.
    pub fn wants_one_of<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        self.receiver.is_none() || names.any(|name| self.wants_receiver(name))
    }
}

fn receiver_pattern(pattern: &str) -> Result<Regex, ApiError> {
    matcher::pattern::compile(pattern)
        .map_err(|error| ApiError::bad_request(format!("failed to parse receiver param: {error}")))
}

/// Whether labels pass the filters of the API.
///
/// Unlike the matchers of a plan these tell an absent label from an empty one where the filter's value is empty:
/// `team!=""` passes whatever has the label, `team=""` whatever has it not. (Alertmanager's `matchFilterLabels`.)
pub fn pass<'a>(matchers: &[Matcher], label: impl Fn(&str) -> Option<&'a str>) -> bool {
    matchers.iter().all(|matcher| {
        let value = label(matcher.name());
        let by_presence = matcher.value().is_empty()
            && match matcher.op() {
                Op::NotEqual | Op::NotRegex => value.is_some(),
                Op::Equal | Op::Regex => value.is_none(),
            };
        by_presence || matcher.matches_value(value.unwrap_or(""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refusal(given: &[(&str, &str)]) -> String {
        match AlertQuery::read(&pairs(given)).expect_err("to be refused") {
            ApiError::Said(status, text) => format!("{} {text}", status.as_u16()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_are_on_unless_said_otherwise() {
        let read = |given: &[(&str, &str)]| AlertQuery::read(&pairs(given)).expect("valid").active;
        assert!(read(&[]));
        assert!(read(&[("active", "")]));
        assert!(read(&[("active", "false"), ("active", "Yes")]));
        assert!(!read(&[("active", "false")]));
        assert!(!read(&[("active", "foo")]));
    }

    #[test]
    fn what_is_no_matcher_is_refused_in_alertmanagers_words() {
        assert_eq!(refusal(&[("filter", "team=x"), ("filter", "team")]), "400 bad matcher format: team");
        assert!(refusal(&[("filter", "")]).starts_with("400 expected 1 matcher, found 0"));
        assert!(refusal(&[("receiver", "(")]).starts_with("400 failed to parse receiver param: "));
    }

    #[test]
    fn receivers_are_matched_as_a_whole() {
        let query = AlertQuery::read(&pairs(&[("receiver", "a|b")])).expect("valid");
        assert!(query.wants_receiver("b"));
        assert!(!query.wants_receiver("ab"));
    }

    #[test]
    fn an_empty_filter_value_asks_for_presence() {
        let matchers = |text: &str| filters(&pairs(&[("filter", text)])).expect("valid");
        let with = |name: &str| (name == "team").then_some("x");
        let without = |_: &str| None;
        assert!(pass(&matchers("team!=\"\""), with));
        assert!(!pass(&matchers("team!=\"\""), without));
        assert!(pass(&matchers("team=\"\""), without));
        assert!(!pass(&matchers("team=\"\""), with));
        assert!(pass(&matchers("team=~\"\""), without));
        assert!(pass(&matchers("team!=y"), without));
    }
}
