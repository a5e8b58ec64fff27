//! Silences as the API prints, filters and sorts them.

use std::cmp::Reverse;
use std::sync::Arc;

use beacon_plan::matcher::Matcher;
use beacon_plan::silence::State;
use serde::Serialize;

use super::row::SilenceRow;
use crate::query::pass;
use crate::time::ApiTime;

/// A silence as the API prints it; the order of the fields is Alertmanager's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GettableSilence<'a> {
    id: &'a str,
    status: Status,
    updated_at: ApiTime,
    comment: &'a str,
    created_by: &'a str,
    ends_at: ApiTime,
    matchers: Vec<GettableMatcher<'a>>,
    starts_at: ApiTime,
}

#[derive(Debug, Serialize)]
struct Status {
    state: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct GettableMatcher<'a> {
    is_equal: bool,
    is_regex: bool,
    name: &'a str,
    value: &'a str,
}

impl<'a> GettableSilence<'a> {
    /// Prints `row` as it is at `now_ms`.
    pub fn new(row: &'a SilenceRow, now_ms: i64) -> Self {
        let silence = &row.silence;
        let matcher = |matcher: &'a Matcher| GettableMatcher {
            is_equal: matcher.op().is_equal(),
            is_regex: matcher.op().is_regex(),
            name: matcher.name(),
            value: matcher.value(),
        };
        Self {
            id: &silence.id,
            status: Status { state: row.state(now_ms).as_str() },
            updated_at: ApiTime(silence.updated_at_ms),
            comment: &silence.comment,
            created_by: &silence.created_by,
            ends_at: ApiTime(silence.ends_at_ms),
            matchers: row.matchers.iter().map(matcher).collect(),
            starts_at: ApiTime(silence.starts_at_ms),
        }
    }
}

/// Whether a silence passes the filters: its matchers stand for labels, name and value; of equal names the last counts.
pub fn passes(row: &SilenceRow, filters: &[Matcher]) -> bool {
    let value = |name: &str| row.matchers.iter().rfind(|matcher| matcher.name() == name).map(Matcher::value);
    pass(filters, value)
}

/// Sorts as Alertmanager does: active ones by which ends first, then pending ones by which starts first, then expired
/// ones by which ended last; by id where that says nothing, so that two listings agree.
pub fn sort(rows: &mut [Arc<SilenceRow>], now_ms: i64) {
    rows.sort_by_cached_key(|row| {
        let silence = &row.silence;
        let place = match row.state(now_ms) {
            State::Active => (1, silence.ends_at_ms, Reverse(0)),
            State::Pending => (2, silence.starts_at_ms, Reverse(0)),
            State::Expired => (3, 0, Reverse(silence.ends_at_ms)),
        };
        (place, silence.id.clone())
    });
}

#[cfg(test)]
mod tests {
    use beacon_plan::matcher::{Op, parse_one};
    use beacon_proto::v1::Silence;

    use super::*;

    fn row(id: &str, starts_at_ms: i64, ends_at_ms: i64) -> Arc<SilenceRow> {
        let silence = Silence { id: id.to_owned(), starts_at_ms, ends_at_ms, ..Silence::default() };
        let matchers = vec![Matcher::new("team", Op::Regex, "x|y").expect("valid")];
        Arc::new(SilenceRow { silence, matchers })
    }

    #[test]
    fn the_order_is_what_ends_next_then_what_starts_next_then_what_ended_last() {
        let mut rows = [
            row("ended-long-ago", 0, 10),
            row("later", 300, 400),
            row("ends-last", 0, 900),
            row("just-ended", 0, 90),
            row("soon", 200, 1000),
            row("ends-first", 0, 150),
        ];
        sort(&mut rows, 100);
        let ids: Vec<&str> = rows.iter().map(|row| row.silence.id.as_str()).collect();
        assert_eq!(ids, ["ends-first", "ends-last", "soon", "later", "just-ended", "ended-long-ago"]);
    }

    #[test]
    fn filters_look_at_the_matchers_values() {
        let passes = |filter: &str| passes(&row("a", 0, 1), &[parse_one(filter).expect("valid").0]);
        assert!(passes("team=\"x|y\""));
        assert!(!passes("team=x"));
        assert!(passes("other=\"\""));
    }

    #[test]
    fn json_is_alertmanagers() {
        let row = row("7", 0, 1);
        assert_eq!(
            serde_json::to_string(&GettableSilence::new(&row, 5)).expect("json"),
            "{\"id\":\"7\",\"status\":{\"state\":\"expired\"},\"updatedAt\":\"1970-01-01T00:00:00.000Z\",\
             \"comment\":\"\",\"createdBy\":\"\",\"endsAt\":\"1970-01-01T00:00:00.001Z\",\
             \"matchers\":[{\"isEqual\":true,\"isRegex\":true,\"name\":\"team\",\"value\":\"x|y\"}],\
             \"startsAt\":\"1970-01-01T00:00:00.000Z\"}"
        );
    }
}
