//! From the YAML tree to what it means, gathering every mistake on the way.
//!
//! [`At`] is a place in the tree that knows its path; [`Fields`] is a mapping whose keys are asked for one by one, so that
//! what nobody asked for is an unknown key. Nothing here stops at the first mistake: what cannot be read is reported and
//! left out, and the report decides in the end whether there is a plan.
//!
//! Invariant: a value of which [`At::secret`] has asked appears in no message.

mod email;
mod global;
mod http;
mod receiver;
mod route;
mod unsupported;
mod webhook;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::duration;
use crate::error::{Fault, PlanError, Position, Warning};
use crate::receiver::Receiver;
use crate::route::RouteSpec;
use crate::secret::{REDACTED, Secret};
use crate::yaml::{Entry, Node, Value, load, scalar};

pub(crate) use global::Global;

/// What a configuration says, in the form of the file: nothing inherited between routes.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub global: Global,
    pub route: RouteSpec,
    pub receivers: Vec<Receiver>,
}

/// Reads a whole configuration. With `redacted`, `<secret>` stands for secrets that are not known here.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub(crate) fn read(text: &str, redacted: bool) -> Result<(Spec, Vec<Warning>), Vec<PlanError>> {
    let start = Position { line: 1, column: 1 };
    let problem =
        |fault, message: &str| PlanError { position: start, path: String::new(), fault, message: message.to_owned() };
    let node = match load::load(text) {
        Ok(Some(node)) => node,
        Ok(None) => {
            let message = "the configuration is empty; it needs at least `route` with a receiver and `receivers`";
            return Err(vec![problem(Fault::Missing, message)]);
        }
        Err(error) => return Err(vec![error]),
    };
    let report = Report { redacted, errors: RefCell::default(), warnings: RefCell::default() };
    let spec = root(&At { node: &node, path: String::new(), report: &report });
    let mut errors = report.errors.into_inner();
    errors.sort_by_key(|error| error.position);
    match spec {
        Some(spec) if errors.is_empty() => Ok((spec, report.warnings.into_inner())),
        _ => Err(errors),
    }
}

fn root(at: &At<'_>) -> Option<Spec> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::ROOT);
    let global = fields.get("global").map_or_else(|| Some(Global::default()), |at| global::read(&at));
    let receivers = fields.get("receivers").map(|at| receiver::read_all(&at, &global.clone().unwrap_or_default()));
    let receivers = receivers.unwrap_or_default();
    let route = match fields.get("route") {
        Some(at) => route::read_root(&at, &receivers.names),
        None => {
            at.missing("there is no `route`; add one with at least a receiver");
            None
        }
    };
    fields.finish();
    Some(Spec { global: global?, route: route?, receivers: receivers.receivers })
}

/// What was found wrong or odd so far.
struct Report {
    redacted: bool,
    errors: RefCell<Vec<PlanError>>,
    warnings: RefCell<Vec<Warning>>,
}

/// A place in the tree.
#[derive(Clone)]
struct At<'a> {
    node: &'a Node,
    path: String,
    report: &'a Report,
}

impl<'a> At<'a> {
    fn report(&self, position: Position, path: &str, fault: Fault, message: impl Into<String>) {
        let error = PlanError { position, path: path.to_owned(), fault, message: message.into() };
        self.report.errors.borrow_mut().push(error);
    }

    /// Reports that what is here is wrong.
    fn invalid(&self, message: impl Into<String>) {
        self.report(self.node.position, &self.path, Fault::Invalid, message);
    }

    /// Reports that something is absent from what is here.
    fn missing(&self, message: impl Into<String>) {
        self.report(self.node.position, &self.path, Fault::Missing, message);
    }

    /// Reports that what is here is right for Alertmanager, but not taken yet.
    fn not_supported(&self, message: impl Into<String>) {
        self.report(self.node.position, &self.path, Fault::NotSupported, message);
    }

    fn warn(&self, message: impl Into<String>) {
        let warning = Warning { position: self.node.position, path: self.path.clone(), message: message.into() };
        self.report.warnings.borrow_mut().push(warning);
    }

    fn expected(&self, what: &str) {
        self.invalid(format!("expected {what}, found {}", self.node.describe()));
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        At { node, path: format!("{}[{index}]", self.path), report: self.report }
    }

    /// A text; a plain number or boolean is the text that is written.
    fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, .. } => Some(text),
            _ => {
                self.expected("a text");
                None
            }
        }
    }

    /// A text that is never shown.
    fn secret(&self) -> Option<Secret> {
        let secret = Secret::new(self.text()?);
        if secret.is_redacted() && !self.report.redacted {
            self.invalid(format!(
                "{REDACTED} is what a configuration shows in place of a secret; write the secret itself"
            ));
            return None;
        }
        Some(secret)
    }

    fn boolean(&self) -> Option<bool> {
        let found = match &self.node.value {
            Value::Scalar { text, plain: true } => scalar::boolean(text),
            _ => None,
        };
        if found.is_none() {
            self.expected("true or false (without quotes)");
        }
        found
    }

    fn unsigned(&self) -> Option<u64> {
        let found = match &self.node.value {
            Value::Scalar { text, plain: true } => scalar::unsigned(text),
            _ => None,
        };
        if found.is_none() {
            self.expected("a whole number from 0 (without quotes)");
        }
        found
    }

    fn duration(&self) -> Option<Duration> {
        duration::parse(self.text()?).map_err(|error| self.invalid(error.to_string())).ok()
    }

    fn list(&self) -> Option<Vec<At<'a>>> {
        match &self.node.value {
            Value::List(items) => Some(items.iter().enumerate().map(|(index, node)| self.item(index, node)).collect()),
            _ => {
                self.expected("a list");
                None
            }
        }
    }

    fn texts(&self) -> Option<Vec<(At<'a>, &'a str)>> {
        self.list()?.into_iter().map(|at| at.text().map(|text| (at, text))).collect()
    }

    /// The entries of a mapping whose keys are names chosen by the user.
    fn entries(&self) -> Option<Vec<(&'a Entry, At<'a>)>> {
        let Value::Map(entries) = &self.node.value else {
            self.expected("a mapping");
            return None;
        };
        let at = |entry: &'a Entry| At { node: &entry.node, path: join(&self.path, &entry.key), report: self.report };
        Some(entries.iter().map(|entry| (entry, at(entry))).collect())
    }

    /// A mapping whose keys are known.
    fn fields(&self) -> Option<Fields<'a>> {
        let entries = self.entries()?;
        Some(Fields {
            at: self.clone(),
            seen: entries.iter().map(|_| Cell::new(false)).collect(),
            entries,
            known: RefCell::default(),
        })
    }

    /// Whether nothing is written here, or an empty text.
    fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Scalar { text, .. } => text.is_empty(),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    fn is_true(&self) -> bool {
        matches!(&self.node.value, Value::Scalar { text, plain: true } if scalar::boolean(text) == Some(true))
    }

    /// Whether this is what Go has where nothing is configured: then refusing it would refuse nothing.
    fn is_zero(&self) -> bool {
        match &self.node.value {
            Value::Null => true,
            Value::Scalar { text, plain } => text.is_empty() || *plain && scalar::boolean(text) == Some(false),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A mapping whose keys are asked for one by one.
struct Fields<'a> {
    at: At<'a>,
    entries: Vec<(&'a Entry, At<'a>)>,
    seen: Vec<Cell<bool>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The value of a key; `None` if it is absent or null.
    fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.known.borrow_mut().push(key);
        let index = self.entries.iter().position(|(entry, _)| entry.key == key)?;
        self.seen[index].set(true);
        let at = &self.entries[index].1;
        (!matches!(at.node.value, Value::Null)).then(|| at.clone())
    }

    /// A text that is not empty; an empty one is as good as absent.
    fn text(&self, key: &'static str) -> Option<String> {
        self.get(key)?.text().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn secret(&self, key: &'static str) -> Option<Secret> {
        self.get(key)?.secret().filter(|secret| !secret.is_empty())
    }

    fn boolean(&self, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(|at| at.boolean()).unwrap_or(default)
    }

    /// Refuses a key that Alertmanager has and Beacon has not, unless it says nothing.
    fn refuse(&self, key: &'static str, way_out: &str) {
        if self.get(key).is_some_and(|at| !at.is_zero())
            && let Some((entry, at)) = self.entries.iter().find(|(entry, _)| entry.key == key)
        {
            at.report(
                entry.position,
                &at.path,
                Fault::NotSupported,
                format!("`{key}` is not supported yet; {way_out}"),
            );
        }
    }

    /// Reports the keys that nobody asked for.
    fn finish(self) {
        let known = self.known.into_inner();
        for ((entry, at), seen) in self.entries.iter().zip(&self.seen) {
            if seen.get() {
                continue;
            }
            let key = entry.key.as_str();
            let near = known.iter().filter(|name| distance(key, name) <= 2 || key.len() > 2 && name.starts_with(key));
            let way_out = match near.min_by_key(|name| distance(key, name)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "remove it: Alertmanager 0.25 to 0.28 has no such key either".to_owned(),
            };
            self.at.report(
                entry.position,
                &at.path,
                Fault::UnknownKey,
                format!("unknown key `{}`; {way_out}", entry.key),
            );
        }
    }
}

/// How many characters to change, add or drop to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in [("", "abc", 3), ("recever", "receiver", 1), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
