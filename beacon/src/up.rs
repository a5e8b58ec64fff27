//! `beacon up`: everything in one process, with nothing to install or configure.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_gateway::{GatewayConfig, PlanSource};
use beacon_plan::Plan;
use beacon_service::checkpoints::CheckpointFlags;
use beacon_service::flags::TopicFlags;

use crate::all_in_one::{AllInOne, CHECKPOINTS, Parts};

/// Flags of `beacon up`.
#[derive(Debug, clap::Args)]
pub struct UpArguments {
    /// Where everything is kept: the log and the state. Only one process may use it at a time.
    #[arg(long = "data.dir", value_name = "DIR", default_value = "beacon-data")]
    data_dir: PathBuf,
    /// The plan: an alertmanager.yml. Without one, every group is paged to this terminal.
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Where to listen. The default is reached from this machine only; `:9093` is all addresses.
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:9093")]
    listen: String,
    /// Under which URL people reach this: links in notifications begin with it.
    #[arg(long = "web.external-url", value_name = "URL")]
    external_url: Option<String>,
    #[command(flatten)]
    checkpoints: CheckpointFlags,
    #[command(flatten)]
    topics: TopicFlags,
}

/// Runs until a signal.
pub async fn run(arguments: UpArguments) -> anyhow::Result<()> {
    let plan = match &arguments.config_file {
        Some(path) => PlanSource::File(path.clone()),
        None => PlanSource::Builtin(Arc::new(Plan::builtin_terminal())),
    };
    let mut gateway = GatewayConfig::new(plan);
    gateway.alone = true;
    gateway.listen.clone_from(&arguments.listen);
    gateway.external_url.clone_from(&arguments.external_url);
    gateway.topics = arguments.topics.topics();
    gateway.partitions = arguments.topics.partitions(false);
    let log_dir = arguments.data_dir.join("log");
    let log = EmbeddedLog::open(&log_dir).with_context(|| format!("--data.dir {}", arguments.data_dir.display()))?;
    let state_dir = arguments.data_dir.join("state");
    let parts = Parts {
        gateway,
        state_dir: &state_dir,
        instance: "0".to_owned(),
        together: None,
        checkpoints: arguments.checkpoints.clone(),
        checkpoint_folder: Some(arguments.data_dir.join(CHECKPOINTS)),
    };
    let running = AllInOne::start(log, parts).await?;
    println!("{}", greeting(running.address().port(), &arguments));
    running.run().await
}

/// What a newcomer needs next.
fn greeting(port: u16, arguments: &UpArguments) -> String {
    let pages = match &arguments.config_file {
        Some(path) => format!("Pages go to the receivers of {}.", path.display()),
        None => "Without --config.file, pages appear in this terminal.".to_owned(),
    };
    format!(
        r#"
Beacon listens on http://localhost:{port} and keeps its data in {data}. {pages}

Try it, in a second terminal:

  curl -sS localhost:{port}/api/v2/alerts -H 'Content-Type: application/json' \
       -d '[{{"labels": {{"alertname": "DiskFull", "host": "web-1"}}, "annotations": {{"summary": "97 % used"}}}}]'

  curl -sS 'localhost:{port}/api/v2/alerts?filter=alertname=DiskFull'

To have a Prometheus send its alerts here, put this into its prometheus.yml:

  alerting:
    alertmanagers:
      - static_configs:
          - targets: ['localhost:{port}']

Stop with Ctrl-C. What was accepted is kept and decided after the next start.
"#,
        data = arguments.data_dir.display(),
    )
}
