//! The order in which labels and annotations are shown.

use std::collections::BTreeMap;

/// The label whose value names an alert.
pub const ALERTNAME: &str = "alertname";

/// Name and value of each entry: `alertname` first, the others by name.
///
/// Source: `KV.SortedPairs` of Alertmanager's `template` package.
pub fn sorted(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    let named = map.get_key_value(ALERTNAME);
    let others = map.iter().filter(|(name, _)| name.as_str() != ALERTNAME);
    named.into_iter().chain(others).map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The entries of `map` whose names are not in `without`, in the order of [`sorted`].
pub fn remaining<'a>(
    map: &'a BTreeMap<String, String>,
    without: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    sorted(map).filter(|(name, _)| !without.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alertname_comes_first() {
        let map = ["zone", "alertname", "a"].map(|name| (name.to_owned(), String::new())).into();
        assert_eq!(sorted(&map).map(|(name, _)| name).collect::<Vec<_>>(), ["alertname", "a", "zone"]);
    }
}
