//! `route` and its children.

use std::time::Duration;

use super::{At, Fields, unsupported};
use crate::label::NameRules;
use crate::matcher::{self, Matcher, Note, Op};
use crate::route::{GroupBySpec, RouteSpec};

pub(super) fn read_root(at: &At<'_>, receivers: &[String]) -> Option<RouteSpec> {
    let fields = at.fields()?;
    for key in ["match", "match_re", "matchers"] {
        if let Some(at) = fields.get(key).filter(|at| !at.is_zero()) {
            at.invalid(
                "the root route cannot have matchers, as it takes every alert; move them to a route below `routes`",
            );
        }
    }
    if let Some(at) = fields.get("continue").filter(|at| at.is_true()) {
        at.invalid("the root route cannot have `continue`, as nothing comes after it; remove it");
    }
    if fields.get("receiver").is_none_or(|at| at.is_empty()) {
        at.missing("the root route needs a `receiver`: it takes every alert that no other route takes");
    }
    read(fields, receivers)
}

fn read(fields: Fields<'_>, receivers: &[String]) -> Option<RouteSpec> {
    unsupported::refuse(&fields, unsupported::ROUTE);
    let children = fields.get("routes").and_then(|at| at.list()).unwrap_or_default();
    let route = RouteSpec {
        receiver: receiver(&fields, receivers),
        group_by: fields.get("group_by").and_then(|at| group_by(&at)),
        group_wait: fields.get("group_wait").and_then(|at| at.duration()),
        group_interval: interval(&fields, "group_interval"),
        repeat_interval: interval(&fields, "repeat_interval"),
        matchers: matchers(&fields),
        continues: fields.boolean("continue", false),
        routes: children.iter().filter_map(|at| read(at.fields()?, receivers)).collect(),
    };
    fields.finish();
    Some(route)
}

fn receiver(fields: &Fields<'_>, receivers: &[String]) -> Option<String> {
    let at = fields.get("receiver")?;
    let name = at.text().filter(|name| !name.is_empty())?;
    if !receivers.iter().any(|known| known == name) {
        let known: Vec<String> = receivers.iter().map(|known| format!("{known:?}")).collect();
        let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
        at.invalid(format!("there is no receiver {name:?}; add it to `receivers` (defined: {known})"));
    }
    Some(name.to_owned())
}

/// Zero would mean notifying without end.
fn interval(fields: &Fields<'_>, key: &'static str) -> Option<Duration> {
    let at = fields.get(key)?;
    let duration = at.duration()?;
    if duration.is_zero() {
        at.invalid(format!("`{key}` cannot be zero; leave it out for the default, or write for example 1m"));
        return None;
    }
    Some(duration)
}

/// An empty list is as good as absent: the parent's holds.
fn group_by(at: &At<'_>) -> Option<GroupBySpec> {
    let (mut names, mut all) = (Vec::new(), false);
    for (at, name) in at.texts()? {
        if name == "..." {
            all = true;
        } else if !NameRules::Utf8.allow(name) {
            at.invalid(format!("invalid label name {name:?}: {}", NameRules::Utf8.describe()));
        } else if names.iter().any(|known| known == name) {
            at.invalid(format!("the label {name:?} is there twice; remove one"));
        } else {
            names.push(name.to_owned());
        }
    }
    if all && !names.is_empty() {
        at.invalid("`...` means all labels, so no other label can be beside it; keep one of the two");
    }
    match (all, names.is_empty()) {
        (true, _) => Some(GroupBySpec::All),
        (false, false) => Some(GroupBySpec::Labels(names)),
        (false, true) => None,
    }
}

/// The three ways to write matchers, put together.
fn matchers(fields: &Fields<'_>) -> Vec<Matcher> {
    let mut all = Vec::new();
    if let Some(at) = fields.get("match") {
        all.extend(by_name(&at, Op::Equal));
    }
    if let Some(at) = fields.get("match_re") {
        all.extend(by_name(&at, Op::Regex));
    }
    for (at, text) in fields.get("matchers").and_then(|at| matcher_list(&at)).unwrap_or_default() {
        match matcher::parse(text) {
            Ok((matchers, note)) => {
                all.extend(matchers);
                note.iter().for_each(|note| at.warn(explain(note)));
            }
            Err(error) => at.invalid(error.to_string()),
        }
    }
    all
}

fn matcher_list<'a>(at: &At<'a>) -> Option<Vec<(At<'a>, &'a str)>> {
    if let crate::yaml::Value::Scalar { .. } = at.node.value {
        at.invalid("expected a list of matchers, found a text; put `- ` before it");
        return None;
    }
    at.texts()
}

fn explain(note: &Note) -> String {
    let why = match note {
        Note::ClassicOnly { .. } => "only the classic parser understands this matcher",
        Note::Ambiguous { .. } => {
            "the classic and the UTF-8 parser read this matcher differently; the classic reading holds"
        }
    };
    format!("{why}; write {} instead", note.write_instead())
}

/// `match` and `match_re`, whose names are always judged by the classic rules.
fn by_name(at: &At<'_>, op: Op) -> Vec<Matcher> {
    let mut all = Vec::new();
    for (entry, at) in at.entries().unwrap_or_default() {
        if !NameRules::Classic.allow(&entry.key) {
            at.invalid(format!(
                "invalid label name {:?}: {}; `matchers` take any name",
                entry.key,
                NameRules::Classic.describe()
            ));
            continue;
        }
        let value = match at.node.value {
            crate::yaml::Value::Null if op == Op::Equal => Some(""),
            _ => at.text(),
        };
        match value.map(|value| Matcher::new(&entry.key, op, value)) {
            Some(Ok(matcher)) => all.push(matcher),
            Some(Err(error)) => at.invalid(error.to_string()),
            None => {}
        }
    }
    all
}
