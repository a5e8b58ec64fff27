//! A proxy as companies have them, through which all that is encrypted must go: HTTP's CONNECT.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::runtime;

/// The proxy; gone when dropped. It leads to servers by names that nobody else knows.
pub struct Tunnel {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Tunnel {
    /// Starts it; `names` are `host:port` with the port of 127.0.0.1 that each leads to.
    pub fn start(names: impl IntoIterator<Item = (String, u16)>) -> Self {
        let names: Arc<Vec<_>> = Arc::new(names.into_iter().collect());
        let (runtime, port, listener) = runtime::serving("tunnel");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        runtime.spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(pass(client, Arc::clone(&names), Arc::clone(&shared)));
            }
        });
        Self { port, asked, _runtime: runtime }
    }

    /// What `HTTPS_PROXY` is to be.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where connections were asked for, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn pass(
    mut client: TcpStream,
    names: Arc<Vec<(String, u16)>>,
    asked: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(target.to_owned());
    let Some((_, port)) = names.iter().find(|(name, _)| name == target) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await;
    };
    let mut server = TcpStream::connect(("127.0.0.1", *port)).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
