//! Keeping secrets out of what is said about deliveries.
//!
//! A receiver's answer may quote the request (`Cannot POST /hooks/T0KEN`), so what other sides say is not taken into a
//! detail before the secrets of that channel are struck out. Struck out is literal text; a receiver that encodes a secret
//! before quoting it is not seen through.

use std::fmt;

/// What stands in place of a secret.
pub use beacon_plan::secret::REDACTED;

/// Shorter pieces than this stay: striking out `v1` or `a` would hide nothing and garble everything.
const SHORTEST: usize = 6;

/// The secrets of one channel.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret inside another one doesn't break the larger one up.
    secrets: Vec<String>,
}

impl Redactor {
    /// Strikes out each of `secrets`, except what is too short to be one.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// The pieces of a webhook's address in which a token may stand: the whole, path and query, each segment and value,
    /// user and password. Not the host.
    pub fn pieces_of(url: &reqwest::Url) -> Vec<String> {
        let mut pieces = vec![url.to_string(), url.path().to_owned()];
        pieces.extend(url.query().map(|query| format!("{}?{query}", url.path())));
        pieces.extend(url.path().split('/').map(str::to_owned));
        pieces.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        pieces.push(url.username().to_owned());
        pieces.extend(url.password().map(str::to_owned));
        pieces
    }

    /// `text` with every secret replaced by `<secret>`.
    pub fn strike_out(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), REDACTED))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_request_loses_its_token() {
        let url = "https://hooks.example.org/services/T0KEN12345?key=abcdefgh".parse().unwrap();
        let redactor = Redactor::new(Redactor::pieces_of(&url));
        for quote in [
            "Cannot POST /services/T0KEN12345",
            "no hook T0KEN12345",
            "abcdefgh is revoked",
            "https://hooks.example.org/services/T0KEN12345?key=abcdefgh is gone",
        ] {
            let told = redactor.strike_out(quote);
            assert!(told.contains(REDACTED), "{told}");
            assert!(!told.contains("T0KEN12345") && !told.contains("abcdefgh"), "{told}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Redactor::new(["hunter2".to_owned()])), "Redactor(1 secrets)");
    }
}
