//! A real OpenStack Swift on one machine: proxy, account, container and object server, one replica of everything, TempAuth,
//! and a memcached that keeps the tokens.

mod configuration;
mod keystone;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::binaries::{install, installed};
use crate::ports::free_port;
use crate::process::{Launch, Process};
use crate::reaper::Reaper;
use crate::runtime;
use crate::wait::try_until;
use configuration::{Ports, user};
pub use keystone::Keystone;

/// The account's user.
pub const USER: &str = "beacon:keeper";
/// Its key.
pub const KEY: &str = "swift-key-hush";

const PACKAGES: [(&str, &str); 5] = [
    ("memcached", "memcached"),
    ("swift-account-server", "swift-account"),
    ("swift-container-server", "swift-container"),
    ("swift-object-server", "swift-object"),
    ("swift-proxy-server", "swift-proxy"),
];

/// The servers; gone when dropped, with all objects.
pub struct Swift {
    ports: Ports,
    processes: Vec<Process>,
    _reaper: Reaper,
    _directory: TempDir,
}

impl Swift {
    /// The one that all tests of this process share: a container each keeps them apart.
    ///
    /// # Panics
    /// When it cannot be started; the message says what to install.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Swift> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().unwrap_or_else(|error| panic!("no OpenStack Swift: {error:#}")))
    }

    /// Starts it on free ports of 127.0.0.1 and waits until it makes containers.
    ///
    /// # Errors
    /// With the servers' last words.
    pub fn start() -> Result<Self> {
        let programs = PACKAGES.map(|(program, package)| installed(program, package));
        let directory = tempfile::Builder::new().prefix("beacon-swift-").tempdir().context("no directory for Swift")?;
        // The destructor of a shared one never runs: statics are not dropped.
        let reaper = Reaper::new(r#"sleep 1; rm -rf "$1""#, directory.path()).context("cannot start sh")?;
        let ports = Ports {
            memcached: free_port(),
            account: free_port(),
            container: free_port(),
            object: free_port(),
            proxy: free_port(),
        };
        let path = directory.path();
        fs::create_dir_all(path.join("devices/d1"))?;
        for (name, text) in configuration::files(path, &ports, &user()?) {
            fs::write(path.join(name), text)?;
        }
        let rings = Command::new("/usr/bin/python3")
            .args(["-c", include_str!("rings.py")])
            .arg(path)
            .args([ports.account, ports.container, ports.object].map(|port| port.to_string()))
            .output()
            .context("cannot start /usr/bin/python3")?;
        let words = String::from_utf8_lossy(&rings.stderr);
        ensure!(rings.status.success(), "no rings: {words}; {}", install("python3-swift"));
        let [memcached, servers @ ..] = programs;
        let memcached = Launch::new("memcached", memcached, path)
            .args(["-l", "127.0.0.1", "-p"])
            .arg(ports.memcached.to_string())
            .args(["-U", "0", "-u", &user()?])
            .start()?;
        let mut processes = vec![memcached];
        for (program, (name, _)) in servers.iter().zip(&PACKAGES[1..]) {
            let file = path.join(format!("{}.conf", name.trim_start_matches("swift-")));
            processes.push(Launch::new(*name, program, path).arg(file).arg("--verbose").start()?);
        }
        let mut swift = Self { ports, processes, _reaper: reaper, _directory: directory };
        swift.wait_ready()?;
        Ok(swift)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let ready = try_until("Swift to keep an object", Duration::from_secs(120), || {
            self.try_put("ready")?;
            // Another server than those that keep containers, and the last one to start.
            self.try_put("ready/object")
        });
        ready.map_err(|error| {
            let words: String = self.processes.iter().map(Process::tail).collect();
            anyhow::anyhow!("{error} (its directory must be on a disk with extended attributes)\n{words}")
        })
    }

    /// The port of 127.0.0.1 on which its proxy server listens.
    pub fn port(&self) -> u16 {
        self.ports.proxy
    }

    /// Where one logs in, through whoever listens on `port`: Swift gives its own address by how it was asked.
    pub fn auth(port: u16) -> String {
        format!("http://127.0.0.1:{port}/auth/v1.0")
    }

    /// The variables of a login through whoever listens on `port`.
    pub fn variables(port: u16) -> [(&'static str, String); 3] {
        [("ST_AUTH", Self::auth(port)), ("ST_USER", USER.to_owned()), ("ST_KEY", KEY.to_owned())]
    }

    /// Makes a container.
    ///
    /// # Panics
    /// When Swift does not.
    pub fn make_container(&self, name: &str) {
        self.try_put(name).unwrap_or_else(|error| panic!("no container {name}: {error}"));
    }

    /// Makes a container, or an empty object in one.
    fn try_put(&self, name: &str) -> Result<(), String> {
        let (storage, token) = log_in(&Self::auth(self.port()))?;
        let url = format!("{storage}/{name}");
        runtime::block_on(async {
            let client = reqwest_client();
            let answer = client
                .put(url)
                .header("x-auth-token", token)
                .header("content-length", "0")
                .send()
                .await
                .map_err(|error| error.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
        })
    }

    /// Makes Swift forget every token it has given.
    ///
    /// # Panics
    /// When its memcached does not answer.
    pub fn forget_tokens(&self) {
        let mut cache = TcpStream::connect(("127.0.0.1", self.ports.memcached)).expect("it listens");
        cache.write_all(b"flush_all\r\n").expect("it listens");
        let mut answer = [0; 4];
        cache.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"OK\r\n");
    }
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("nothing special in it")
}

/// The account's address and a token.
fn log_in(auth: &str) -> Result<(String, String), String> {
    runtime::block_on(log_in_later(auth))
}

async fn log_in_later(auth: &str) -> Result<(String, String), String> {
    let request = reqwest_client().get(auth).header("x-auth-user", USER).header("x-auth-key", KEY);
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match (header("x-storage-url"), header("x-auth-token")) {
        (Some(storage), Some(token)) => Ok((storage, token)),
        _ => Err(format!("logging in at {auth}: {}", answer.status())),
    }
}
