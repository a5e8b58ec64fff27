//! The one async runtime of the harness, so that scenarios themselves stay plain synchronous tests.

use std::future::Future;
use std::net;
use std::sync::OnceLock;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::ports::free_port;

/// The shared runtime, for clients. Servers have one each: see [`own`].
pub(crate) fn shared() -> &'static Runtime {
    static SHARED: OnceLock<Runtime> = OnceLock::new();
    SHARED.get_or_init(|| own("scenari"))
}

/// A runtime with one thread of its own. Shutting it down ends every task on it, open connections included, which is
/// how a server of the harness goes away as if its machine did.
pub(crate) fn own(name: &str) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .expect("the machine allows one more thread and an epoll instance")
}

/// What a server of the harness has: a runtime of its own, and a free port of 127.0.0.1 with its listener.
pub(crate) fn serving(name: &str) -> (Runtime, u16, TcpListener) {
    let port = free_port();
    let runtime = own(name);
    let listener = net::TcpListener::bind(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("port {port} of {name} was taken meanwhile: {error}"));
    let listener = listening(&runtime, listener);
    (runtime, port, listener)
}

/// Hands a listener over to a runtime.
pub(crate) fn listening(runtime: &Runtime, listener: net::TcpListener) -> TcpListener {
    listener.set_nonblocking(true).expect("Linux sockets can be non-blocking");
    let _entered = runtime.enter();
    TcpListener::from_std(listener).expect("it is non-blocking and in a runtime")
}

/// Runs a future to its end on the shared runtime, from a thread that is not part of it.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    shared().block_on(future)
}
