//! The receiver's HTTP side.

use std::future::pending;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use tokio::runtime::Runtime;

use super::{Book, Mood, Page};
use crate::runtime;
use crate::wait::wait_until;

/// How long another may have the port.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves on a runtime of its own: shutting that down cuts open connections too, which ending `axum::serve` does not.
pub(super) fn serve(port: u16, book: Arc<Mutex<Book>>) -> Runtime {
    let runtime = runtime::own("webhook");
    // After a close, processes that are being started may have the old socket for some milliseconds.
    let listener = wait_until("the webhook receiver has its port", PATIENCE, || {
        TcpListener::bind(("127.0.0.1", port)).map_err(|error| format!("port {port}: {error}"))
    });
    let listener = runtime::listening(&runtime, listener);
    let service = Router::new().fallback(any(receive)).with_state(book);
    runtime.spawn(async move { axum::serve(listener, service).await });
    runtime
}

async fn receive(State(book): State<Arc<Mutex<Book>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let key = headers.get("idempotency-key").map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
    let (place, mut mood) = {
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let mood = book.mood.subscribe();
        let answered = answer(*mood.borrow());
        book.pages.push(Page {
            at: SystemTime::now(),
            idempotency_key: key,
            path: uri.to_string(),
            answered,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        if let Some(status) = answered {
            return status_code(status);
        }
        (book.pages.len() - 1, mood)
    };
    if *mood.borrow() == Mood::Hang {
        return pending().await;
    }
    let status = mood.wait_for(|mood| answer(*mood).is_some()).await.map(|mood| answer(*mood));
    // The book outlives its server.
    let status = status.ok().flatten().expect("waited for");
    book.lock().unwrap_or_else(PoisonError::into_inner).pages[place].answered = Some(status);
    status_code(status)
}

fn answer(mood: Mood) -> Option<u16> {
    match mood {
        Mood::Answer(status) => Some(status),
        Mood::Hang | Mood::Hold => None,
    }
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("tests give real statuses")
}
