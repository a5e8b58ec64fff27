//! Alertmanager's own command line tool, Debian's build of it: what operators have in their fingers.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::binaries;

/// `amtool` pointed at one server.
#[derive(Clone, Debug)]
pub struct Amtool {
    program: PathBuf,
    url: String,
}

impl Amtool {
    /// For the API at `url` (`http://host:port`).
    ///
    /// # Panics
    /// When amtool is not installed.
    #[track_caller]
    pub fn new(url: impl Into<String>) -> Self {
        Self { program: binaries::installed("amtool", "prometheus-alertmanager"), url: url.into() }
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// It exited with another code than 0; the text holds what it said.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(arguments)
            .arg(format!("--alertmanager.url={}", self.url))
            .output()
            .map_err(|error| format!("{} does not start: {error}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(format!("amtool {arguments:?}: {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)))
        }
    }

    /// Adds a silence for an hour, with matchers as on the command line, and returns its id.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn silence(&self, matchers: &[&str]) -> String {
        let mut arguments = vec!["silence", "add", "--author=on-call", "--comment=being worked on", "--duration=1h"];
        arguments.extend(matchers);
        self.run(&arguments).unwrap_or_else(|error| panic!("{error}")).trim().to_owned()
    }

    /// Ends a silence now.
    ///
    /// # Panics
    /// When the server refuses it.
    #[track_caller]
    pub fn expire(&self, id: &str) {
        self.run(&["silence", "expire", id]).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ids of the active and pending silences.
    ///
    /// # Errors
    /// The server did not answer, or with something else.
    pub fn silences(&self) -> Result<Vec<String>, String> {
        ids(&self.run(&["silence", "query", "-o", "json"])?, "id")
    }

    /// Fingerprints of the active alerts, those that are silenced left out.
    ///
    /// # Errors
    /// The server did not answer, or with something else.
    pub fn alerts(&self) -> Result<Vec<String>, String> {
        ids(&self.run(&["alert", "query", "-o", "json"])?, "fingerprint")
    }
}

fn ids(json: &str, field: &str) -> Result<Vec<String>, String> {
    let items: Vec<Value> = serde_json::from_str(json).map_err(|error| format!("no list ({error}): {json}"))?;
    items
        .iter()
        .map(|item| item[field].as_str().map(str::to_owned).ok_or_else(|| format!("no {field} in {item}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_from_the_list() {
        assert_eq!(ids(r#"[{"id":"a"},{"id":"b"}]"#, "id"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(ids(r#"[{"name":"a"}]"#, "id").is_err());
    }
}
