//! A proxy that spoils connections on request: between a client under test and a real server.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, copy_bidirectional, sink};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::runtime;

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weather {
    /// Nothing.
    Calm,
    /// It is closed at once.
    Down,
    /// It is answered by "503 Service Unavailable".
    Unavailable,
    /// Nobody ever answers.
    Stalled,
    /// Both ways take a while.
    Slow,
    /// It is closed when this many bytes of answers went by.
    CutAnswers(u64),
    /// It is closed when this many bytes of requests went by.
    CutRequests(u64),
    /// Answers go by as ever, but of that to an HTTP/1 request with this in it no more than so many bytes ever come.
    HeldAnswer(&'static str, u64),
}

/// The proxy; gone when dropped.
pub struct Proxy {
    port: u16,
    sky: Arc<Sky>,
    _runtime: Runtime,
}

struct Sky {
    target: u16,
    /// The weather, and for how many more connections; then it is calm.
    now: Mutex<(Weather, u32)>,
    changed: watch::Sender<()>,
}

impl Proxy {
    /// Starts it in front of a server on this port of 127.0.0.1, in calm weather.
    pub fn start(target: u16) -> Self {
        let (runtime, port, listener) = runtime::serving("proxy");
        let sky = Arc::new(Sky { target, now: Mutex::new((Weather::Calm, 0)), changed: watch::Sender::new(()) });
        let shared = Arc::clone(&sky);
        runtime.spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&shared).serve(client));
                }
            }
        });
        Self { port, sky, _runtime: runtime }
    }

    /// The port of 127.0.0.1 on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes all connections; those to come have this weather.
    pub fn set(&self, weather: Weather) {
        self.set_for(weather, u32::MAX);
    }

    /// The same for so many connections; those after them are calm.
    pub fn set_for(&self, weather: Weather, connections: u32) {
        *self.sky.now.lock().unwrap_or_else(PoisonError::into_inner) = (weather, connections);
        self.sky.changed.send_replace(());
    }
}

impl Sky {
    /// The weather of the next connection.
    fn next(&self) -> Weather {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.1 == 0 {
            return Weather::Calm;
        }
        now.1 -= 1;
        now.0
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let mut changed = self.changed.subscribe();
        let weather = self.next();
        tokio::select! {
            // What becomes of a spoiled connection is the client's concern.
            _ = pass(client, self.target, weather) => {}
            _ = changed.changed() => {}
        }
    }
}

async fn pass(mut client: TcpStream, target: u16, weather: Weather) -> std::io::Result<()> {
    if weather == Weather::Down {
        return Ok(());
    }
    if weather == Weather::Stalled {
        return pending().await;
    }
    if weather == Weather::Unavailable {
        read_head(&mut client).await?;
        client.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
        client.shutdown().await?;
        // A body on its way would otherwise meet a closed door, and the answer be lost.
        copy(&mut client, &mut sink()).await?;
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", target)).await?;
    if weather == Weather::Calm {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    if let Weather::HeldAnswer(to, bytes) = weather {
        return hold(client, server, to.as_bytes(), bytes).await;
    }
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let (requests, answers, pause) = match weather {
        Weather::CutAnswers(bytes) => (u64::MAX, bytes, Duration::ZERO),
        Weather::CutRequests(bytes) => (bytes, u64::MAX, Duration::ZERO),
        _ => (u64::MAX, u64::MAX, Duration::from_millis(10)),
    };
    tokio::select! {
        ended = trickle(from_client.take(requests), &mut to_server, pause) => ended,
        ended = trickle(from_server.take(answers), &mut to_client, pause) => ended,
    }
}

async fn trickle(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    pause: Duration,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        to.write_all(&buffer[..read]).await?;
    }
}

/// Passes everything until a request has `to` in it; of its answer this many bytes, and then nothing in either direction.
async fn hold(mut client: TcpStream, mut server: TcpStream, to: &[u8], bytes: u64) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = async {
        let (mut buffer, mut seen) = (vec![0; 32 << 10], Vec::new());
        loop {
            let read = from_client.read(&mut buffer).await?;
            to_server.write_all(&buffer[..read]).await?;
            seen.extend_from_slice(&buffer[..read]);
            let found = seen.windows(to.len()).any(|window| window == to);
            if found || read == 0 {
                return Ok::<_, std::io::Error>(found);
            }
            // It may come in two pieces.
            seen.drain(..seen.len().saturating_sub(to.len()));
        }
    };
    // Answers before that one have gone by already: nobody asks again on a connection before they have come.
    tokio::select! {
        asked = requests => if !asked? { return Ok(()) },
        ended = copy(&mut from_server, &mut to_client) => return ended.map(drop),
    }
    copy(&mut from_server.take(bytes), &mut to_client).await?;
    pending().await
}

/// Up to the blank line, or the end.
async fn read_head(client: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).await? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    Ok(())
}
