//! A receiver that hangs, with more pages waiting for it than may be under way, beside many that are well.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is the point")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use beacon_core::codec::Codec as _;
use beacon_core::log::embedded::EmbeddedLog;
use beacon_core::log::{Log as _, Record};
use beacon_core::runtime::AppConfig;
use beacon_notifier::channel::trust::Trust;
use beacon_plan::receiver::{Channel, HttpClient, Receiver, Webhook};
use beacon_plan::secret::Secret;
use beacon_proto::key;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::Notification;

/// More than a thread of the engine makes calls at once unless they are sorted.
const HANGING: usize = 1_200;
const HEALTHY: usize = 20;
const PAGES_EACH: usize = 5;
/// Far longer than this test waits: what hangs, hangs.
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_delays_no_other() {
    let hanging = serve(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let taken: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let book = Arc::clone(&taken);
    let take = move |uri: Uri, headers: HeaderMap| {
        let id = headers["idempotency-key"].to_str().unwrap().to_owned();
        book.lock().unwrap().insert(format!("{} {id}", uri.path()));
        std::future::ready(StatusCode::OK)
    };
    let well = serve(Router::new().fallback(take)).await;

    let mut receivers = vec![receiver("hanging", &hanging)];
    receivers.extend((0..HEALTHY).map(|number| receiver(&format!("well-{number}"), &format!("{well}/{number}"))));
    let dispatcher = Arc::new(support::dispatcher(&receivers, Trust::of([])));

    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path().join("log")).unwrap();
    // With one partition the pages of the hanging receiver are all before those of the others.
    let (topics, config) = (Topics::default(), AppConfig::new(1));
    log.create_topics(&topics.specs(1)).unwrap();
    let pages = (0..HANGING).map(|number| page("hanging", number)).chain(
        (0..HEALTHY).flat_map(|receiver| (0..PAGES_EACH).map(move |number| page(&format!("well-{receiver}"), number))),
    );
    log.appender().unwrap().append_blocking(pages.map(|page| record(&topics, &page)).collect()).unwrap();

    let runtime = tokio::runtime::Handle::current();
    let app = beacon_notifier::start(log.clone(), &topics, config, dispatcher, runtime).unwrap();
    let begin = Instant::now();
    while taken.lock().unwrap().len() < HEALTHY * PAGES_EACH {
        assert!(begin.elapsed() < Duration::from_secs(120), "told: {}", taken.lock().unwrap().len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::task::spawn_blocking(move || app.stop()).await.unwrap().unwrap();
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn receiver(name: &str, url: &str) -> Receiver {
    let http = HttpClient::default();
    let webhook = Webhook { url: Secret::new(url), max_alerts: 0, timeout: Some(AN_HOUR), http };
    support::receiver(name, Channel::Webhook(webhook))
}

/// A page of a group of its own.
fn page(receiver: &str, number: usize) -> Notification {
    let mut page = support::notification(receiver, "webhook");
    page.id = format!("{receiver}.{number}");
    page.group_key = format!("{{}}:{{receiver=\"{receiver}\", number=\"{number}\"}}");
    page
}

fn record(topics: &Topics, page: &Notification) -> Record {
    let key = key::group(&page.tenant, &page.group_key).into_bytes();
    Record::new(topics.name(topics::NOTIFICATIONS), key, page.to_bytes())
}
