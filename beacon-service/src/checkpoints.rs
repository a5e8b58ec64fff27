//! Flags of checkpoints: where a process's state is kept beside its own disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use beacon_core::checkpoint::storage::{self, FolderStore};
use beacon_core::checkpoint::{CheckpointConfig, ObjectStore};

/// The word that switches checkpoints off where they are the default.
const NONE: &str = "none";

/// Where object storage is. Its `Debug` shows no more than the scheme: some write keys into such URLs.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageUrl(String);

impl fmt::Debug for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://...", self.0.split_once("://").map_or("", |(scheme, _)| scheme))
    }
}

impl FromStr for StorageUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == NONE || text.contains("://") {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("expected a URL such as file:///srv/checkpoints, or `{NONE}`"))
        }
    }
}

/// Which object storage.
#[derive(Clone, Debug, clap::Args)]
pub struct StorageFlags {
    /// Where checkpoints of state are kept: a URL such as `file:///srv/checkpoints`, the same for all processes, or
    /// `none`. Default: on the embedded log the folder `checkpoints` of the data directory, on Kafka none.
    #[arg(
        id = "checkpoints_url",
        long = "checkpoints",
        value_name = "URL",
        env = "BEACON_CHECKPOINTS",
        hide_env_values = true,
        global = true
    )]
    pub url: Option<StorageUrl>,
}

impl StorageFlags {
    /// Opens the storage that was named, or the folder that is the default; `None`: there are no checkpoints. Blocks.
    ///
    /// # Errors
    /// When the URL is not understood, or the storage cannot be opened.
    pub fn open(&self, default: Option<&Path>) -> anyhow::Result<Option<Arc<dyn ObjectStore>>> {
        match (&self.url, default) {
            (Some(StorageUrl(url)), _) if url == NONE => Ok(None),
            (Some(StorageUrl(url)), _) => Ok(Some(storage::open(url).context("--checkpoints")?)),
            (None, None) => Ok(None),
            (None, Some(folder)) => {
                let folder = std::path::absolute(folder).with_context(|| format!("{}", folder.display()))?;
                Ok(Some(Arc::new(FolderStore::open(&folder).context("the folder of checkpoints")?)))
            }
        }
    }
}

/// Checkpoints of a process that runs tasks.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckpointFlags {
    /// Which object storage.
    #[command(flatten)]
    pub storage: StorageFlags,
    /// Time between the checkpoints of a task that has changed, in seconds: how much of its changelog has to be read
    /// after a lost disk.
    #[arg(long = "checkpoints.interval-s", value_name = "SECONDS", default_value_t = 300)]
    pub interval_s: u64,
    /// Checkpoints to keep of each task; its changelog is kept from the oldest of them on.
    #[arg(long = "checkpoints.keep", value_name = "COUNT", default_value_t = 3)]
    pub keep: usize,
}

impl CheckpointFlags {
    /// Settings of the engine, with the storage opened on a thread that may block. `default`: the folder to use unless
    /// something else is said.
    ///
    /// # Errors
    /// As [`StorageFlags::open`]; an interval or count of zero.
    pub async fn open(&self, default: Option<PathBuf>) -> anyhow::Result<Option<CheckpointConfig>> {
        ensure!(self.interval_s > 0, "--checkpoints.interval-s=0: at least one second");
        ensure!(self.keep > 0, "--checkpoints.keep=0: at least one, or no checkpoints at all: --checkpoints {NONE}");
        let flags = self.storage.clone();
        let store = tokio::task::spawn_blocking(move || flags.open(default.as_deref())).await??;
        Ok(store.map(|store| {
            tracing::info!(storage = store.describe(), every_s = self.interval_s, keep = self.keep, "checkpoints");
            let mut config = CheckpointConfig::new(store);
            config.interval = Duration::from_secs(self.interval_s);
            config.keep = self.keep;
            config
        }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Process {
        #[command(flatten)]
        checkpoints: CheckpointFlags,
    }

    fn parse(arguments: &[&str]) -> CheckpointFlags {
        Process::try_parse_from([&["process"], arguments].concat()).expect("understood").checkpoints
    }

    async fn opened(arguments: &[&str], default: Option<PathBuf>) -> Option<CheckpointConfig> {
        parse(arguments).open(default).await.expect("opened")
    }

    #[tokio::test]
    async fn the_default_is_a_folder_only_where_there_is_one() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("check points?");
        assert!(opened(&[], None).await.is_none());
        let config = opened(&[], Some(folder.clone())).await.expect("a folder");
        assert_eq!((config.interval, config.keep), (Duration::from_secs(300), 3));
        assert!(folder.is_dir());
        assert!(opened(&["--checkpoints", "none"], Some(folder)).await.is_none());
    }

    #[tokio::test]
    async fn what_is_named_wins_over_the_default() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("file://{}/named", directory.path().display());
        let given = ["--checkpoints", &url, "--checkpoints.interval-s", "1", "--checkpoints.keep", "2"];
        let config = opened(&given, Some(directory.path().join("default"))).await.expect("storage");
        assert_eq!((config.interval, config.keep), (Duration::from_secs(1), 2));
        assert!(directory.path().join("named").is_dir() && !directory.path().join("default").exists());
    }

    #[tokio::test]
    async fn mistakes_name_the_flag_and_secrets_are_not_shown() {
        let zero = parse(&["--checkpoints.keep", "0"]).open(None).await.expect_err("none to keep");
        assert!(zero.to_string().contains("--checkpoints.keep"), "{zero}");
        let unknown = parse(&["--checkpoints", "gopher://x"]).open(None).await.expect_err("no such storage");
        assert!(unknown.to_string().contains("--checkpoints"), "{unknown:#}");
        let no_url = Process::try_parse_from(["process", "--checkpoints", "srv"]).expect_err("no URL");
        assert!(no_url.to_string().contains("file:///"), "{no_url}");
        let secret = parse(&["--checkpoints", "s3://key:secret@bucket/?token=secret"]);
        assert!(!format!("{secret:?}").contains("secret"), "{secret:?}");
    }
}
