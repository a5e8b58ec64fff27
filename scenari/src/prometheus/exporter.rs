//! The scraped side: a gauge per device, set by the test.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::runtime::Runtime;

use crate::runtime;

type Gauges = Arc<Mutex<BTreeMap<String, f64>>>;

pub(super) struct Exporter {
    port: u16,
    gauges: Gauges,
    runtime: Option<Runtime>,
}

impl Exporter {
    pub(super) fn start() -> Self {
        let gauges = Gauges::default();
        let (runtime, port, listener) = runtime::serving("exporter");
        let service = Router::new().route("/metrics", get(metrics)).with_state(Arc::clone(&gauges));
        runtime.spawn(async move { axum::serve(listener, service).await });
        Self { port, gauges, runtime: Some(runtime) }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn set(&self, device: &str, used_ratio: f64) {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned(), used_ratio);
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Prometheus's text format, version 0.0.4.
async fn metrics(State(gauges): State<Gauges>) -> String {
    let mut text = "# TYPE disk_used_ratio gauge\n".to_owned();
    for (device, ratio) in gauges.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        writeln!(text, "disk_used_ratio{{device=\"{device}\"}} {ratio}").expect("a string takes all that is written");
    }
    text
}
