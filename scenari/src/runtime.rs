//! The one async runtime of the harness, so that scenarios themselves stay plain synchronous tests.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};

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

/// Runs a future to its end on the shared runtime, from a thread that is not part of it.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    shared().block_on(future)
}
