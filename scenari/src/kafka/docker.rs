//! Whether a Docker engine answers, asked within two seconds.

use std::env;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Asks the engine's `_ping` (Docker Engine API, SystemPing).
///
/// # Errors
/// Why nobody answers there.
pub(super) fn answers() -> Result<(), String> {
    ping(&env::var("DOCKER_HOST").unwrap_or_else(|_| DEFAULT.to_owned()))
}

fn ping(host: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{host}: {error}");
    if let Some(path) = host.strip_prefix("unix://") {
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        ask(stream).map_err(failed)
    } else if let Some(address) = host.strip_prefix("tcp://") {
        let address = address
            .to_socket_addrs()
            .map_err(failed)?
            .next()
            .ok_or_else(|| format!("{host}: the name has no address"))?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        ask(stream).map_err(failed)
    } else {
        Err(format!("DOCKER_HOST={host}: neither unix:// nor tcp://"))
    }
}

fn ask(mut stream: impl Read + Write) -> std::io::Result<()> {
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = [0; 64];
    let read = stream.read(&mut answer)?;
    let first = String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned();
    if first.starts_with("HTTP/1.") && first.contains(" 200 ") {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("answered {first:?} to a ping")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    fn engine_that_says(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = format!("tcp://{}", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("one client");
            let mut request = [0; 256];
            let read = stream.read(&mut request).expect("a request");
            assert!(request[..read].starts_with(b"GET /_ping "));
            stream.write_all(answer.as_bytes()).expect("the client reads");
        });
        host
    }

    #[test]
    fn an_engine_that_answers_its_ping_is_found() {
        assert_eq!(ping(&engine_that_says("HTTP/1.0 200 OK\r\n\r\nOK")), Ok(()));
    }

    #[test]
    fn a_server_that_is_no_engine_is_not() {
        let refused = ping(&engine_that_says("HTTP/1.0 404 Not Found\r\n\r\n")).expect_err("no engine");
        assert!(refused.contains("404"), "{refused}");
    }

    #[test]
    fn a_missing_socket_is_named() {
        let missing = ping("unix:///no/such/docker.sock").expect_err("no engine");
        assert!(missing.contains("/no/such/docker.sock"), "{missing}");
    }
}
