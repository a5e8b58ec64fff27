//! Ports for servers under test.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

/// Below the range from which Linux takes ports of outgoing connections (32768 and up): a port that a test closes for a
/// while, to open it again, is not taken meanwhile by somebody's outgoing connection.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Ports of this process, locked until it ends: other test programs that look for one at the same time must not even try them.
static OURS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 on which nobody listens now, and that no other test program of this machine will be given; each call
/// gives another one.
///
/// # Panics
/// When all twelve thousand are taken, or the folder of their locks cannot be written.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time begin at different places.
    let start = (std::process::id().wrapping_mul(61) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        let Some(lock) = lock(port) else { continue };
        if !is_taken(port) {
            OURS.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT - 1);
}

/// The lock of a port; `None`: somebody has it.
fn lock(port: u16) -> Option<File> {
    let folder = folder();
    let path = folder.join(port.to_string());
    let file = fs::create_dir_all(&folder)
        .and_then(|()| File::options().create(true).append(true).open(&path))
        .unwrap_or_else(|error| panic!("{}, the lock of a port, cannot be opened: {error}", path.display()));
    file.try_lock().is_ok().then_some(file)
}

/// Whether a socket has the port. Not found out by taking it: a process that another thread starts meanwhile would have that
/// socket, too, for some milliseconds, and the port would be taken when it is wanted.
fn is_taken(port: u16) -> bool {
    const TIME_WAIT: &str = "06";
    let local = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        // Without IPv6 there is no such table.
        fs::read_to_string(table).unwrap_or_default().lines().skip(1).any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let has_it = fields.next().is_some_and(|address| address.ends_with(&local));
            has_it && fields.nth(1).is_some_and(|state| state != TIME_WAIT)
        })
    })
}

/// One for each user: what one has made another cannot open.
fn folder() -> PathBuf {
    let user = fs::metadata("/proc/self").map_or(0, |own| own.uid());
    std::env::temp_dir().join(format!("beacon-test-ports-{user}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_taken_while_somebody_listens_on_it() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        assert!(is_taken(port));
        drop(listener);
        // A process that is being started may have it for a moment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while is_taken(port) {
            assert!(std::time::Instant::now() < deadline, "nobody has port {port} any more");
        }
    }

    #[test]
    fn ports_are_distinct_and_can_be_bound() {
        let (a, b) = (free_port(), free_port());
        assert_ne!(a, b);
        TcpListener::bind(("127.0.0.1", a)).expect("the port is free");
    }

    #[test]
    fn a_port_that_was_given_is_locked() {
        assert!(lock(free_port()).is_none());
    }
}
