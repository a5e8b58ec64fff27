//! The metrics of the engine behind an address: `/metrics` for Prometheus, `/healthz` for who asks whether it is ready.
//!
//! What it deliberately does not do: TLS and passwords; listen on an address that only the scraper reaches.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use beacon_core::log::Log;
use beacon_core::metrics::{Dialect, Sample, render};
use beacon_core::runtime::{AppStatus, AppWatch};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// How old the lag may be that is told: each look at it asks the log twice for every input partition.
const LAG_AGE: Duration = Duration::from_secs(5);
/// A scraper gives up after ten seconds; a log that does not answer must not take the other metrics with it.
const LAG_PATIENCE: Duration = Duration::from_secs(4);

/// Flags of a process that serves its own metrics.
#[derive(Clone, Debug, clap::Args)]
pub struct MetricsFlags {
    /// Where to serve Prometheus metrics at /metrics and health at /healthz; nowhere unless given.
    #[arg(long = "metrics.listen-address", value_name = "HOST:PORT", env = "BEACON_METRICS_LISTEN_ADDRESS")]
    pub listen: Option<String>,
}

/// Metrics beside the engine's, as OpenMetrics.
type MoreText = Box<dyn Fn() -> String + Send + Sync>;

/// The applications of a process, and the log that knows how far they are behind.
pub struct Observed {
    log: Arc<dyn Log>,
    watches: Mutex<Vec<AppWatch>>,
    more: Mutex<Vec<MoreText>>,
    /// Held while the log is asked, so that scrapes at the same time ask once.
    lag: tokio::sync::Mutex<Option<(Instant, Vec<Sample>)>>,
}

impl Observed {
    /// Nothing yet, on this log.
    pub fn new(log: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self { log, watches: Mutex::default(), more: Mutex::default(), lag: tokio::sync::Mutex::default() })
    }

    /// Observes this application as well.
    pub fn add(&self, watch: AppWatch) {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).push(watch);
    }

    /// Tells these metrics as well: OpenMetrics of families that nothing else here has.
    pub fn add_text(&self, text: impl Fn() -> String + Send + Sync + 'static) {
        self.more.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(text));
    }

    fn watches(&self) -> Vec<AppWatch> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All metrics of all applications as text, without the line that ends OpenMetrics.
    pub async fn text(self: Arc<Self>, dialect: Dialect) -> String {
        let mut samples: Vec<Sample> = self.watches().iter().flat_map(AppWatch::samples).collect();
        samples.extend(self.lag().await);
        let more: String = self.more.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|text| text()).collect();
        render(&samples, dialect) + &dialect.rewrite(&more)
    }

    /// The lag as it was at most five seconds ago; empty while the log cannot tell.
    async fn lag(self: &Arc<Self>) -> Vec<Sample> {
        let mut known = self.lag.lock().await;
        if let Some((at, samples)) = &*known
            && at.elapsed() < LAG_AGE
        {
            return samples.clone();
        }
        let (watches, log) = (self.watches(), Arc::clone(&self.log));
        let asking = tokio::task::spawn_blocking(move || {
            watches.iter().map(|watch| watch.lag(log.as_ref())).collect::<Result<Vec<_>, _>>()
        });
        let samples = match tokio::time::timeout(LAG_PATIENCE, asking).await {
            Ok(Ok(Ok(samples))) => samples.concat(),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the metrics leave out the lag: the log cannot tell it");
                Vec::new()
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the metrics leave out the lag: asking for it failed");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!("the metrics leave out the lag: the log does not answer in {LAG_PATIENCE:?}");
                Vec::new()
            }
        };
        *known = Some((Instant::now(), samples.clone()));
        samples
    }

    /// The first application that is not running, with how far it is; `None`: all are.
    fn ailing(&self) -> Option<String> {
        let ailing = self.watches().into_iter().find(|watch| watch.status() != AppStatus::Running)?;
        Some(format!("application {} is {:?}\n", ailing.application(), ailing.status()))
    }
}

/// Serves until `shutdown` is done; returns at once with the address it has, and the rest to be spawned.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(
    listen: &str,
    observed: Arc<Observed>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<std::net::SocketAddr> {
    let listener =
        bind(listen).await.with_context(|| format!("--metrics.listen-address={listen}: cannot listen there"))?;
    let at = listener.local_addr().context("the metrics' address")?;
    let routes = Router::new().route("/metrics", get(metrics)).route("/healthz", get(health)).with_state(observed);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(shutdown).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    tracing::info!(address = %at, "serving metrics");
    Ok(at)
}

/// As everywhere in Beacon, `:port` is every address of the machine.
async fn bind(listen: &str) -> std::io::Result<TcpListener> {
    let Some(port) = listen.strip_prefix(':') else { return TcpListener::bind(listen).await };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6 does not have that address; what else is wrong will be wrong here, too.
        Err(_) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
    }
}

/// [`serve`] where the flags ask for it, until the process stops.
///
/// # Errors
/// As [`serve`].
pub async fn serve_if_asked(
    flags: &MetricsFlags,
    log: Arc<dyn Log>,
    watch: AppWatch,
    shutdown: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let observed = Observed::new(log);
    observed.add(watch);
    serve_observed_if_asked(flags, observed, shutdown).await
}

/// As [`serve_if_asked`], for more than one application.
///
/// # Errors
/// As [`serve`].
pub async fn serve_observed_if_asked(
    flags: &MetricsFlags,
    observed: Arc<Observed>,
    mut shutdown: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<()> {
    if let Some(listen) = &flags.listen {
        let stopping = async move {
            // An error is the sender's end, which is the process's.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        serve(listen, observed, stopping).await?;
    }
    Ok(())
}

async fn metrics(State(observed): State<Arc<Observed>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let dialect = Dialect::for_accept(accept);
    let text = observed.text(dialect).await + dialect.end();
    ([(header::CONTENT_TYPE, dialect.content_type())], text)
}

async fn health(State(observed): State<Arc<Observed>>) -> (StatusCode, String) {
    match observed.ailing() {
        None => (StatusCode::OK, "OK\n".to_owned()),
        Some(ailing) => (StatusCode::SERVICE_UNAVAILABLE, ailing),
    }
}
