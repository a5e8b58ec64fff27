//! Text that must not be shown: passwords, tokens, webhook URLs.
//!
//! A [`Secret`] deliberately has no `Serialize`, and its `Debug` and `Display` print [`REDACTED`], so that neither a log
//! line nor a topic can carry it by accident. Only [`Secret::expose`] gives the text, at the one place that sends it.

use std::fmt;

/// What stands for a secret wherever it is shown, as in Alertmanager.
pub const REDACTED: &str = "<secret>";

/// A secret text. Empty is "not set".
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the connection that needs it, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True if nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True in a plan read from its redacted form: the secret is known to exist, but not what it is.
    pub fn is_redacted(&self) -> bool {
        self.0 == REDACTED
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { REDACTED })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_only_that_it_exists() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "<secret> <secret>");
        assert_eq!(Secret::default().to_string(), "");
        assert_eq!(secret.expose(), "hunter2");
    }
}
