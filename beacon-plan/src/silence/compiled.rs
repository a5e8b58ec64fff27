//! All silences of a tenant, compiled, and which of them mute a label set.
//!
//! Most silences name at least one label exactly (`instance="a:9100"`). Those are found by that label; only the others are
//! tried one after the other. So thousands of silences cost an alert about as much as a handful.
//!
//! Invariant: every silence is in exactly one of the two indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use beacon_proto::v1::Silence;

use super::{State, compile, mutes, state};
use crate::label::Labels;
use crate::matcher::{Matcher, Op, WireError};

/// Silences by id.
#[derive(Clone, Debug, Default)]
pub struct CompiledSilences {
    by_id: BTreeMap<String, (Silence, Vec<Matcher>)>,
    /// Name, value, ids of silences that require it.
    by_label: HashMap<String, HashMap<String, BTreeSet<String>>>,
    /// Ids of silences that require no exact value.
    others: BTreeSet<String>,
}

impl CompiledSilences {
    /// Adds a silence, in place of one with the same id.
    ///
    /// # Errors
    /// When a matcher cannot be used (the message was written by a newer version, or is damaged); nothing is changed.
    pub fn upsert(&mut self, silence: Silence) -> Result<(), WireError> {
        let matchers = compile(&silence)?;
        self.remove(&silence.id);
        match exact(&matchers) {
            Some((name, value)) => {
                let ids = self.by_label.entry(name.to_owned()).or_default().entry(value.to_owned()).or_default();
                ids.insert(silence.id.clone());
            }
            None => {
                self.others.insert(silence.id.clone());
            }
        }
        self.by_id.insert(silence.id.clone(), (silence, matchers));
        Ok(())
    }

    /// Removes a silence and returns it.
    pub fn remove(&mut self, id: &str) -> Option<Silence> {
        let (silence, matchers) = self.by_id.remove(id)?;
        let Some((name, value)) = exact(&matchers) else {
            self.others.remove(id);
            return Some(silence);
        };
        if let Some(values) = self.by_label.get_mut(name) {
            if let Some(ids) = values.get_mut(value) {
                ids.remove(id);
                if ids.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.by_label.remove(name);
            }
        }
        Some(silence)
    }

    /// A silence by its id.
    pub fn get(&self, id: &str) -> Option<&Silence> {
        self.by_id.get(id).map(|(silence, _)| silence)
    }

    /// All silences, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.by_id.values().map(|(silence, _)| silence)
    }

    /// How many there are, expired ones included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Ids of the silences that mute these labels at `now_ms`, sorted: the API's `silencedBy`.
    pub fn muting(&self, labels: &Labels, now_ms: i64) -> Vec<&str> {
        let mut ids: Vec<&str> = self.active(labels, now_ms).map(|silence| silence.id.as_str()).collect();
        ids.sort_unstable();
        ids
    }

    /// Whether any silence mutes these labels at `now_ms`.
    pub fn is_muted(&self, labels: &Labels, now_ms: i64) -> bool {
        self.active(labels, now_ms).next().is_some()
    }

    fn active<'s, 'l>(&'s self, labels: &'l Labels, now_ms: i64) -> impl Iterator<Item = &'s Silence> + use<'s, 'l> {
        let exact = labels.iter().filter_map(|(name, value)| self.by_label.get(name)?.get(value)).flatten();
        exact
            .chain(&self.others)
            .filter_map(|id| self.by_id.get(id))
            .filter(move |(silence, matchers)| state(silence, now_ms) == State::Active && mutes(matchers, labels))
            .map(|(silence, _)| silence)
    }
}

/// The first matcher that only one label set value can fulfil.
fn exact(matchers: &[Matcher]) -> Option<(&str, &str)> {
    let matcher = matchers.iter().find(|matcher| matcher.op() == Op::Equal && !matcher.value().is_empty())?;
    Some((matcher.name(), matcher.value()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matcher::all_match;

    fn silence(id: &str, matchers: &str, starts_at_ms: i64, ends_at_ms: i64) -> Silence {
        let (matchers, _) = crate::matcher::parse(matchers).expect("valid");
        Silence {
            id: id.into(),
            matchers: matchers.iter().map(Into::into).collect(),
            starts_at_ms,
            ends_at_ms,
            ..Silence::default()
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn active_silences_that_match_are_found_sorted() {
        let mut silences = CompiledSilences::default();
        for silence in [
            silence("c", "job=\"db\"", 0, 10),
            silence("b", "job=~\"d.\",host=\"\"", 0, 10),
            silence("a", "job=\"db\",host!=\"x\"", 0, 10),
            silence("later", "job=\"db\"", 10, 20),
            silence("other", "job=\"web\"", 0, 10),
        ] {
            silences.upsert(silence).expect("valid");
        }
        let db = labels(&[("job", "db")]);
        assert_eq!(silences.muting(&db, 5), ["a", "b", "c"]);
        assert_eq!(silences.muting(&db, 10), ["later"]);
        assert!(!silences.is_muted(&db, 20) && !silences.is_muted(&labels(&[]), 5));
    }

    #[test]
    fn an_update_replaces_and_a_removal_forgets() {
        let mut silences = CompiledSilences::default();
        silences.upsert(silence("1", "a=b", 0, 10)).expect("valid");
        silences.upsert(silence("1", "a=c", 0, 10)).expect("valid");
        assert!(!silences.is_muted(&labels(&[("a", "b")]), 5) && silences.is_muted(&labels(&[("a", "c")]), 5));
        assert!(silences.remove("1").is_some() && silences.remove("1").is_none());
        assert!(silences.is_empty() && silences.by_label.is_empty() && silences.others.is_empty());
    }

    #[test]
    fn a_damaged_silence_changes_nothing() {
        let mut silences = CompiledSilences::default();
        silences.upsert(silence("1", "a=b", 0, 10)).expect("valid");
        let mut damaged = silence("1", "a=c", 0, 10);
        damaged.matchers[0].r#type = 7;
        assert!(silences.upsert(damaged).is_err());
        assert!(silences.is_muted(&labels(&[("a", "b")]), 5));
    }

    proptest! {
        #[test]
        fn the_index_finds_what_trying_all_finds(
            all in proptest::collection::vec(("[0-9]", "[ab](=|!=|=~)\"[xy]?\"(,[ab](=|!=)\"[xy]?\")?"), 0..12),
            alerts in proptest::collection::vec(proptest::collection::btree_map("[ab]", "[xy]", 0..3), 1..6),
        ) {
            let mut silences = CompiledSilences::default();
            let mut last = BTreeMap::new();
            for (id, matchers) in &all {
                silences.upsert(silence(id, matchers, 0, 10)).expect("valid");
                last.insert(id.clone(), crate::matcher::parse(matchers).expect("valid").0);
            }
            for alert in &alerts {
                let want: Vec<&str> = last.iter().filter(|(_, m)| all_match(m, alert)).map(|(id, _)| id.as_str()).collect();
                prop_assert_eq!(silences.muting(alert, 5), want);
            }
        }
    }
}
