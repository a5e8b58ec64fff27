//! Gateway, worker and notifier in one process, over one log. They share topics only, as separate processes do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use beacon_core::log::Log;
use beacon_core::runtime::{App, AppConfig, StateLocation};
use beacon_gateway::{Gateway, GatewayConfig};
use beacon_notifier::Dispatcher;
use beacon_notifier::channel::terminal::Terminal;
use beacon_notifier::finishing::Attempts;
use beacon_plan::Plan;
use beacon_service::checkpoints::CheckpointFlags;
use beacon_service::flags::TogetherFlags;
use beacon_service::metrics::Observed;
use beacon_service::{running, signals};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The folder of a data directory where checkpoints are kept unless told otherwise.
pub const CHECKPOINTS: &str = "checkpoints";

/// What runs together.
pub struct AllInOne {
    address: SocketAddr,
    shutdown: watch::Receiver<bool>,
    /// It serves already.
    gateway: JoinHandle<anyhow::Result<()>>,
    /// Stops the gateway when true or gone.
    stop: watch::Sender<bool>,
    worker: App,
    notifier: App,
    attempts: Arc<Attempts>,
}

/// Settings beside the gateway's.
pub struct Parts<'a> {
    /// The gateway's settings; its plan hook is set here.
    pub gateway: GatewayConfig,
    /// Where tasks keep their state.
    pub state_dir: &'a Path,
    /// This process among those of the installation.
    pub instance: String,
    /// How it works together with those; `None`: there are none.
    pub together: Option<TogetherFlags>,
    /// Checkpoints of that state.
    pub checkpoints: CheckpointFlags,
    /// Where they are kept unless the flags say something else.
    pub checkpoint_folder: Option<PathBuf>,
}

impl AllInOne {
    /// Serves first, so that clients get an answer at once, then starts the rest behind it.
    ///
    /// # Errors
    /// A plan that cannot be used, an address that cannot be had, checkpoints that cannot be opened, threads that cannot be
    /// started.
    pub async fn start(log: Arc<dyn Log>, mut parts: Parts<'_>) -> anyhow::Result<Self> {
        // Before anybody is answered: whoever was may ask for a stop.
        let mut shutdown = signals::shutdown()?;
        // Links in notifications begin with it.
        let external_url = parts.gateway.external_url.clone().unwrap_or_else(|| link_base(&parts.gateway.listen));
        let dispatcher = Arc::new(Dispatcher::new([], &external_url, Terminal::stdout())?);
        let follower = Arc::clone(&dispatcher);
        parts.gateway.on_plan =
            Some(Arc::new(move |plan: &Plan| follower.reload(plan.receivers()).map_err(|error| error.to_string())));
        let (topics, partitions) = (parts.gateway.topics.clone(), parts.gateway.partitions);
        let observed = Observed::new(Arc::clone(&log));
        let deliveries = dispatcher.metrics();
        observed.add_text(move || deliveries.render());
        let engine = Arc::clone(&observed);
        parts.gateway.more_metrics = Some(Arc::new(move |dialect| Box::pin(Arc::clone(&engine).text(dialect))));
        let gateway = Gateway::bind(parts.gateway, Arc::clone(&log)).await?;
        let address = gateway.local_addr()?;
        crate::gateway::reload_on_sighup(&gateway)?;
        let (stop, stopped) = watch::channel(false);
        let gateway = tokio::spawn(gateway.serve(stopped));
        let mut config = AppConfig::new(partitions);
        config.state = StateLocation::Directory(parts.state_dir.to_owned());
        config.instance = parts.instance;
        if let Some(together) = &parts.together {
            together.apply(&mut config);
        }
        // While HTTP is answered: storage far away may take its time to answer.
        config.checkpoints = tokio::select! {
            opened = parts.checkpoints.open(parts.checkpoint_folder) => opened?,
            _ = shutdown.wait_for(|stop| *stop) => bail!("stopped while the checkpoints were being opened"),
        };
        let worker = beacon_worker::start(Arc::clone(&log), &topics, config.clone())?;
        let (runtime, attempts) = (tokio::runtime::Handle::current(), dispatcher.attempts());
        let notifier = beacon_notifier::start(log, &topics, config, dispatcher, runtime)?;
        observed.add(worker.watch());
        observed.add(notifier.watch());
        Ok(Self { address, shutdown, gateway, stop, worker, notifier, attempts })
    }

    /// Where it listens: the real port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs until a signal, or until one of the parts ends.
    ///
    /// # Errors
    /// Why a part ended by itself.
    pub async fn run(self) -> anyhow::Result<()> {
        let (mut gateway, stop, mut shutdown) = (self.gateway, self.stop, self.shutdown);
        let asked = shutdown.wait_for(|stop| *stop);
        let (mut worker_stop, mut notifier_stop) = (stop.subscribe(), self.attempts.finished_after(stop.subscribe()));
        let mut worker = tokio::spawn(async move { running::until_stopped(self.worker, &mut worker_stop).await });
        let mut notifier = tokio::spawn(async move { running::until_stopped(self.notifier, &mut notifier_stop).await });
        let (mut gateway_result, mut worker_result, mut notifier_result) = (None, None, None);
        tokio::select! {
            _ = asked => {}
            result = &mut gateway => gateway_result = Some(result),
            result = &mut worker => worker_result = Some(result),
            result = &mut notifier => notifier_result = Some(result),
        }
        stop.send_replace(true);
        // Nothing is accepted any more before what was accepted is committed.
        let gateway = match gateway_result {
            Some(result) => result,
            None => gateway.await,
        };
        let worker = match worker_result {
            Some(result) => result,
            None => worker.await,
        };
        let notifier = match notifier_result {
            Some(result) => result,
            None => notifier.await,
        };
        gateway?.context("gateway")?;
        worker?.context("worker")?;
        notifier?.context("notifier")
    }
}

/// Where links begin unless told otherwise: at the address that is listened on, and for every address at the host's name,
/// as in Alertmanager, whose name receivers of pages may know.
fn link_base(listen: &str) -> String {
    match listen.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]", port)) => format!("http://{}:{port}", host_name()),
        _ => format!("http://{listen}"),
    }
}

/// This machine's name.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_begin_where_others_reach_this_process() {
        let host = host_name();
        for every in [":9093", "0.0.0.0:9093", "[::]:9093"] {
            assert_eq!(link_base(every), format!("http://{host}:9093"));
        }
        assert_eq!(link_base("127.0.0.1:9093"), "http://127.0.0.1:9093");
        assert_eq!(link_base("[::1]:9093"), "http://[::1]:9093");
    }
}
