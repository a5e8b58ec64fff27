//! The load generator: some connections, each with one request under way, until all bodies are posted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::latency::{Percentiles, Times};

/// Requests under way at once.
pub const CONNECTIONS: usize = 16;

/// Posts alerts; its own CPU time is nobody's.
pub struct Generator {
    runtime: Runtime,
    client: Client,
    alerts: String,
}

/// What the clients saw.
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Of single requests.
    pub requests: Percentiles,
}

impl Generator {
    /// For the API at `base`.
    ///
    /// # Errors
    /// The machine gives no thread or socket.
    pub fn new(base: &str) -> Result<Self> {
        // An error means that somebody in this process has installed one already, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::builder()
            .timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(CONNECTIONS)
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(Self { runtime, client, alerts: format!("{base}/api/v2/alerts") })
    }

    /// Posts all bodies once, in about the given order; every one must be answered 200.
    ///
    /// # Errors
    /// The first request that was not.
    pub fn post_all(&self, bodies: Vec<String>) -> Result<Posted> {
        let bodies = Arc::new(bodies.into_iter().map(Bytes::from).collect::<Vec<_>>());
        let next = Arc::new(AtomicUsize::new(0));
        let started = Instant::now();
        let requests = self.runtime.block_on(async {
            let mut connections = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let (client, url) = (self.client.clone(), self.alerts.clone());
                connections.spawn(one_after_the_other(client, url, Arc::clone(&bodies), Arc::clone(&next)));
            }
            let mut all = Times::new();
            while let Some(times) = connections.join_next().await {
                all.merge(&times.context("a connection of the load generator panicked")??);
            }
            anyhow::Ok(all)
        })?;
        Ok(Posted { elapsed: started.elapsed(), requests: requests.percentiles() })
    }

    /// Posts one body, which must be answered 200.
    ///
    /// # Errors
    /// It was not.
    pub fn post(&self, body: String) -> Result<()> {
        self.runtime.block_on(post(&self.client, &self.alerts, body.into()))
    }

    /// How many alerts the API lists.
    ///
    /// # Errors
    /// It does not answer, or not with a list.
    pub fn listed(&self) -> Result<usize> {
        self.runtime.block_on(async {
            let answer = self.client.get(&self.alerts).send().await?.error_for_status()?.bytes().await?;
            let alerts: Vec<serde::de::IgnoredAny> = serde_json::from_slice(&answer).context("no list of alerts")?;
            Ok(alerts.len())
        })
    }
}

async fn one_after_the_other(
    client: Client,
    url: String,
    bodies: Arc<Vec<Bytes>>,
    next: Arc<AtomicUsize>,
) -> Result<Times> {
    let mut times = Times::new();
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let started = Instant::now();
        post(&client, &url, body.clone()).await?;
        times.add(started.elapsed());
    }
    Ok(times)
}

async fn post(client: &Client, url: &str, body: Bytes) -> Result<()> {
    let request = client.post(url).header("content-type", "application/json").body(body);
    let answer = request.send().await.with_context(|| format!("POST {url}"))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    ensure!(status.as_u16() == 200, "POST {url} was answered {status}: {text}");
    Ok(())
}
