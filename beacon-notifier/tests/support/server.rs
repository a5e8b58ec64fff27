//! Servers in processes of their own, for one test each.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

/// Debian's packages are seen by Debian's Python only, not by another one that may come first on `PATH`.
const PYTHON: &str = "/usr/bin/python3";

/// A server that has said its port; killed when dropped.
pub struct Server {
    pub port: u16,
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    _ends_when_closed: ChildStdin,
}

impl Server {
    /// aiosmtpd with the options that `smtp_server.py` documents.
    pub fn smtp(options: &Value) -> Self {
        Self::start("smtp_server.py", [options.to_string()])
    }

    /// HTTPS with this certificate.
    pub fn https(certificate: &Path, key: &Path) -> Self {
        Self::start("https_server.py", [certificate, key])
    }

    fn start(script: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(script);
        let mut process = Command::new(PYTHON)
            .arg(script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{PYTHON}: {error}; apt-get install -y python3 python3-aiosmtpd"));
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = said.next().and_then(Result::ok).and_then(|line| line.parse().ok());
        let port = port.expect("the server starts and says its port; apt-get install -y python3-aiosmtpd");
        let stdin = process.stdin.take().unwrap();
        Self { port, process, said, _ends_when_closed: stdin }
    }

    /// Waits for the next thing that the server tells.
    pub fn next(&mut self) -> Value {
        let line = self.said.next().expect("the server runs").unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is all that is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
