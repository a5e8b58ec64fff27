//! What storage is opened with: where logins come from, and how long to wait.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What storage is opened with. The default is right for a service: this process's environment, and a patience of
/// minutes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StorageOptions {
    /// Where logins come from.
    pub variables: Variables,
    /// How long to wait for storage.
    pub patience: Patience,
}

/// Environment variables: of this process, or those handed in. Its `Debug` shows none.
#[derive(Clone, Default)]
pub struct Variables(Option<Arc<BTreeMap<String, String>>>);

impl Variables {
    /// These and no others; then no login is looked for in files and metadata services either, unless a variable says so.
    pub fn only<N: Into<String>, V: Into<String>>(variables: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(Some(Arc::new(variables.collect())))
    }

    /// The value of one, if it is set and not empty.
    #[cfg_attr(not(feature = "object-storage"), allow(dead_code))] // a folder needs no login
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var(name).ok(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// Whether these are the process's own.
    #[cfg_attr(not(feature = "object-storage"), allow(dead_code))]
    pub(super) fn are_of_process(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_none() { "Variables of the process" } else { "Variables handed in" })
    }
}

/// How long to wait for storage, and how often to ask again, before a call fails with
/// [`ObjectErrorKind::Retriable`](crate::checkpoint::ObjectErrorKind::Retriable).
///
/// More patience inside one call only hides an outage for longer: the engine tries again after a failed call, too.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Patience {
    /// For a connection to be made. Default 10 seconds.
    pub connect: Duration,
    /// For one answer: a request with at most 8 MiB in it, or the next bytes of a download. Shorter: a dead server is
    /// noticed earlier; too short: a slow line never gets a part through. Default 2 minutes.
    pub answer: Duration,
    /// How often one request is made before its call fails. Tried again is what may help: no connection, a time-out, "too
    /// many requests", a failure of the server; never a refusal. Default 4.
    pub tries: usize,
    /// Before the second try; twice as long before each further one, with some chance in it. Default 250 ms.
    pub first_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(120),
            tries: 4,
            first_wait: Duration::from_millis(250),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_do_not_show_what_they_hold() {
        let options = StorageOptions { variables: Variables::only([("KEY", "hush")]), ..Default::default() };
        assert_eq!(options.variables.get("KEY").as_deref(), Some("hush"));
        assert!(!format!("{options:?}").contains("hush"), "{options:?}");
        assert_eq!(Variables::only([("KEY", "")]).get("KEY"), None, "an empty one is not set");
    }
}
