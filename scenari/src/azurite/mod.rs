//! Azurite: Microsoft's emulator of Azure Blob Storage. `scripts/azurite.sh` puts it where it is looked for.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::binaries::{cache, installed};
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::reaper::Reaper;
use crate::wait::try_until;

/// The storage account there is.
pub const ACCOUNT: &str = "beacon";
/// Its key.
pub const KEY: &str = "beacon0azure0key0hush0beacon0key";

/// The package's file is the one place where the version is written.
const PACKAGE: &str = include_str!("../../azurite/package.json");
const OLDEST_NODE: u32 = 18;

/// The server; gone when dropped, with all blobs.
pub struct Azurite {
    node: PathBuf,
    port: u16,
    process: Process,
    _reaper: Reaper,
    _directory: TempDir,
}

impl Azurite {
    /// The one that all tests of this process share: a container each keeps them apart.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Azurite> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("no Azurite: {error:#}")))
    }

    /// Starts it on a free port of 127.0.0.1, with all blobs in memory, and waits until it makes containers.
    ///
    /// # Errors
    /// With its last words, or with what to install.
    pub fn start() -> Result<Self> {
        let node = installed("node", "nodejs");
        let said = Command::new(&node).arg("--version").output().context("node does not start")?;
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let major = major(&said).with_context(|| format!("node does not tell its version: {said}"))?;
        ensure!(major >= OLDEST_NODE, "{} is node {said}, older than {OLDEST_NODE}", node.display());
        let program = cache().join("azurite").join(version()).join("node_modules/azurite/dist/src/blob/main.js");
        ensure!(program.is_file(), "{} is not there; run scripts/setup.sh test", program.display());
        let directory = tempfile::Builder::new().prefix("beacon-azurite-").tempdir().context("no directory for it")?;
        // The destructor of a shared one never runs: statics are not dropped.
        let reaper = Reaper::new(r#"sleep 1; rm -rf "$1""#, directory.path()).context("cannot start sh")?;
        let port = free_port();
        let process = Launch::new("azurite", &node, directory.path())
            .arg(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--inMemoryPersistence", "--disableTelemetry", "--silent"])
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .start()?;
        let mut azurite = Self { node, port, process, _reaper: reaper, _directory: directory };
        azurite.wait_ready()?;
        Ok(azurite)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let mut ended = None;
        let ready = try_until("Azurite to make a container", Duration::from_secs(120), || {
            ended = self.process.ended();
            // An early end is no reason to wait on: leave the loop and report it below.
            if ended.is_some() { Ok(()) } else { self.try_make("ready") }
        });
        match (ended, ready) {
            (Some(status), _) => anyhow::bail!("it ended at start: {status}\n{}", self.process.tail()),
            (None, Err(message)) => anyhow::bail!("{message}\n{}", self.process.tail()),
            (None, Ok(())) => Ok(()),
        }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account's address by whoever listens on `port`.
    pub fn endpoint(port: u16) -> String {
        format!("http://127.0.0.1:{port}/{ACCOUNT}")
    }

    /// The variables of a login; the key is the last of them.
    pub fn variables() -> [(&'static str, &'static str); 2] {
        [("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT), ("AZURE_STORAGE_ACCOUNT_KEY", KEY)]
    }

    /// Makes a container.
    ///
    /// # Panics
    /// When it does not.
    pub fn make_container(&self, name: &str) {
        self.try_make(name).unwrap_or_else(|error| panic!("no container {name}: {error}"));
    }

    fn try_make(&self, name: &str) -> Result<(), String> {
        let made = Command::new(&self.node)
            .args(["-e", include_str!("container.js"), "--", &Self::endpoint(self.port), ACCOUNT, KEY, name])
            .output()
            .map_err(|error| error.to_string())?;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    }
}

fn version() -> String {
    let package: serde_json::Value = serde_json::from_str(PACKAGE).expect("scenari/azurite/package.json is JSON");
    package["dependencies"]["azurite"].as_str().expect("it names the version").to_owned()
}

/// The major version in the output of `node --version`.
fn major(said: &str) -> Option<u32> {
    said.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_and_no_range() {
        assert!(version().split('.').all(|part| part.parse::<u32>().is_ok()), "{}", version());
    }

    #[test]
    fn the_version_of_node_is_understood() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20"), None);
    }
}
