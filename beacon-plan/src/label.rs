//! Label sets and which names are allowed in them.

use std::collections::BTreeMap;
use std::fmt;

use crate::matcher::quote;

/// Labels of an alert, sorted by name. An absent label and an empty one are the same to every matcher.
pub type Labels = BTreeMap<String, String>;

/// Which label names are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRules {
    /// Any text that is not empty: Alertmanager since 0.27.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`: Alertmanager before, and since with `classic-mode`.
    Classic,
}

impl NameRules {
    /// Whether `name` is allowed.
    pub fn allow(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Classic => {
                let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
                first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
        }
    }

    /// What is allowed, in words, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Utf8 => "a label name is any text that is not empty",
            Self::Classic => "a label name is letters, digits and _ and does not begin with a digit",
        }
    }
}

/// Prints labels as Alertmanager does in group keys: `{alertname="Down", instance="a:9100"}`.
pub struct Printed<'a>(pub &'a Labels);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            let separator = if at > 0 { ", " } else { "" };
            write!(f, "{separator}{name}={}", quote::quote(value))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_the_rules_in_force() {
        for (name, utf8, classic) in [
            ("alertname", true, true),
            ("_a1", true, true),
            ("1a", true, false),
            ("a:b", true, false),
            ("größe", true, false),
            ("a b", true, false),
            ("", false, false),
        ] {
            assert_eq!(NameRules::Utf8.allow(name), utf8, "{name}");
            assert_eq!(NameRules::Classic.allow(name), classic, "{name}");
        }
    }

    #[test]
    fn labels_print_as_in_a_group_key() {
        let labels = Labels::from([("b".to_owned(), "x\"y\n".to_owned()), ("a".to_owned(), "ü".to_owned())]);
        assert_eq!(Printed(&labels).to_string(), r#"{a="ü", b="x\"y\n"}"#);
        assert_eq!(Printed(&Labels::new()).to_string(), "{}");
    }
}
