//! A gateway from its first breath to its last: bind, answer, bring up the log behind it, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use beacon_core::log::{Log, LogError};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::App;
use crate::config::GatewayConfig;
use crate::link::{Link, OwnWrites, StopFlag, TopicNames, bring_up};
use crate::metrics::Metrics;
use crate::plan::PlanCell;
use crate::reload::Reloader;
use crate::{http, publish, time};

/// How long requests in hand may take after a shutdown was asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// A gateway that is bound to its address and has read its plan.
pub struct Gateway {
    app: Arc<App>,
    log: Arc<dyn Log>,
    listener: TcpListener,
}

impl Gateway {
    /// Reads the plan and binds the address. Does not touch the log yet, so it takes milliseconds.
    ///
    /// # Errors
    /// A plan that cannot be read or used, or an address that cannot be had; the message names it.
    pub async fn bind(config: GatewayConfig, log: Arc<dyn Log>) -> anyhow::Result<Self> {
        let metrics = Metrics::default();
        let own = crate::plan::read(&config).await?;
        metrics.plan_taken(crate::plan::hash(&own.plan), time::now_ms());
        let addresses = config.listen_addresses().await?;
        let listener = TcpListener::bind(addresses.as_slice())
            .await
            .with_context(|| format!("cannot listen on {}: give another --web.listen-address", config.listen))?;
        let app = App {
            names: TopicNames::new(&config.topics),
            link: Link::default(),
            plan: Arc::new(PlanCell::new(own)),
            plan_turn: tokio::sync::Mutex::default(),
            own_writes: OwnWrites::default(),
            silence_writes: tokio::sync::Mutex::default(),
            metrics,
            started_at_ms: time::now_ms(),
            config,
        };
        Ok(Self { app: Arc::new(app), log, listener })
    }

    /// Where it listens: the real port when 0 was asked for.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Reloads the plan of this gateway: for a handler of SIGHUP.
    pub fn reloader(&self) -> Reloader {
        Reloader::new(Arc::clone(&self.app))
    }

    /// Answers until `shutdown` is true or its sender is gone; requests in hand are finished first.
    ///
    /// # Errors
    /// When the log says something that trying again cannot mend, such as a topic with another partition count.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
        let Self { app, log, listener } = self;
        tracing::info!(listen = %app.config.listen, log = %log.describe(), plan = %app.config.plan, "gateway started");
        let stop = Arc::new(StopFlag::default());
        // Also when this future is dropped half-way: the thread below would wait for its stop for ever, and the
        // runtime for the thread.
        let _stop_when_dropped = StopWhenDropped(Arc::clone(&stop));
        let (closing, closed) = watch::channel(false);
        let mut bringing_up = tokio::task::spawn_blocking({
            let (app, log, stop) = (Arc::clone(&app), Arc::clone(&log), Arc::clone(&stop));
            move || bring_up(&app.link, &app.plan, &*log, &app.config, &stop)
        });
        let publishing = tokio::spawn(publish::publish_at_start(Arc::clone(&app), closed.clone()));
        let sweeping = tokio::spawn(crate::silences::sweep(Arc::clone(&app), closed.clone()));
        let mut serving = tokio::spawn(answer(listener, Arc::clone(&app), closed));

        let mut broken = None;
        tokio::select! {
            _ = shutdown.wait_for(|asked| *asked) => {}
            failure = lasting_failure(&mut bringing_up) => broken = Some(failure),
            ended = &mut serving => broken = Some(anyhow::anyhow!("the HTTP server ended by itself: {ended:?}")),
        }
        stop.stop();
        closing.send_replace(true);
        if !bringing_up.is_finished() {
            // A call into the log may be under way; it ends by its own time-out.
            drop(tokio::time::timeout(LAST_ANSWERS, &mut bringing_up).await);
        }
        if !serving.is_finished() && tokio::time::timeout(LAST_ANSWERS, &mut serving).await.is_err() {
            tracing::warn!(waited = ?LAST_ANSWERS, "some requests were not finished before the stop");
            serving.abort();
        }
        publishing.abort();
        sweeping.abort();
        // The views join their threads when dropped; not on a thread that others wait for. Closed by name, because a
        // reloader may hold on to the rest for longer.
        tokio::task::spawn_blocking(move || {
            app.link.close();
            drop(log);
        })
        .await
        .context("closing the views")?;
        tracing::info!("gateway stopped");
        broken.map_or(Ok(()), Err)
    }
}

/// Stops bringing up the log when the gateway goes, however it goes.
struct StopWhenDropped(Arc<StopFlag>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Ends only when bringing up fails for good.
async fn lasting_failure(bringing_up: &mut tokio::task::JoinHandle<Result<(), LogError>>) -> anyhow::Error {
    match bringing_up.await {
        Ok(Ok(())) => std::future::pending().await,
        Ok(Err(error)) => anyhow::Error::new(error).context("the gateway cannot use its log"),
        Err(panic) => anyhow::Error::new(panic).context("bringing up the log"),
    }
}

async fn answer(listener: TcpListener, app: Arc<App>, mut closed: watch::Receiver<bool>) -> std::io::Result<()> {
    // Answers are small and wanted at once.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
    });
    axum::serve(listener, http::routes(app))
        .with_graceful_shutdown(async move {
            // An error is a sender that is gone, which is a stop as well.
            let _ = closed.wait_for(|closed| *closed).await;
        })
        .await
}
