//! Debian's Alertmanager as the measure of answers.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running Alertmanager with the plan of the rig; ends with this value.
pub struct Alertmanager {
    /// `http://127.0.0.1:port`.
    pub base: String,
    process: Child,
    _directory: tempfile::TempDir,
}

/// How to get what is missing.
pub const INSTALL: &str = "install it: RUNLEVEL=1 apt-get install --no-install-recommends prometheus-alertmanager";

impl Alertmanager {
    /// Starts one without a cluster, and waits until it answers.
    pub async fn start(plan: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("alertmanager.yml");
        std::fs::write(&file, plan).expect("written");
        // Free now; whoever takes it before Alertmanager does fails this test loudly.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("prometheus-alertmanager does not start ({error}); {INSTALL}"));
        let started = Self { base: format!("http://127.0.0.1:{port}"), process, _directory: directory };
        let http = super::client();
        let begun = Instant::now();
        while http.get(format!("{}/-/ready", started.base)).send().await.is_err() {
            assert!(begun.elapsed() < super::LONG, "Alertmanager does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        started
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
