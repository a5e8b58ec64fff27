//! Webhooks, against real HTTP servers.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is the point")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use beacon_notifier::{Attempt, Dispatcher, channel::trust::Trust};
use beacon_plan::{
    receiver::{Channel, HttpAuth, HttpClient, Receiver, Webhook},
    secret::Secret,
};
use serde_json::Value;
use support::{certificates::Certificates, notification, server::Server};
use tokio::sync::{Barrier, mpsc};

const OPS: &str = "ops";

/// What a server got.
struct Got {
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A server that answers everything with `answer`.
struct Hook {
    address: String,
    got: mpsc::UnboundedReceiver<Got>,
}

impl Hook {
    async fn answering(answer: impl IntoResponse + Clone + Send + Sync + 'static) -> Self {
        let (sender, got) = mpsc::unbounded_channel();
        let handle = move |request: Request| {
            let (sender, answer) = (sender.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let got = Got { method: parts.method.to_string(), uri: parts.uri, headers: parts.headers, body };
                sender.send(got).unwrap();
                answer
            }
        };
        Self { address: serve(Router::new().fallback(handle)).await, got }
    }

    fn next(&mut self) -> Got {
        self.got.try_recv().expect("the server got a request")
    }

    fn got_nothing_more(&mut self) {
        assert!(self.got.try_recv().is_err(), "the server got another request");
    }
}

/// Serves on a free port; `http://127.0.0.1:PORT`.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn webhook(url: &str) -> Webhook {
    Webhook { url: Secret::new(url), max_alerts: 0, timeout: None, http: HttpClient::default() }
}

fn receiver(name: &str, webhook: Webhook) -> Receiver {
    support::receiver(name, Channel::Webhook(webhook))
}

fn dispatcher(receivers: &[Receiver]) -> Dispatcher {
    support::dispatcher(receivers, Trust::of([]))
}

async fn attempt(webhook: Webhook) -> Attempt {
    dispatcher(&[receiver(OPS, webhook)]).deliver(&notification(OPS, "webhook")).await
}

fn accepted() -> Attempt {
    Attempt::Accepted { detail: "HTTP 200".to_owned() }
}

#[tokio::test]
async fn receiver_gets_payload_version_4_with_an_idempotency_key() {
    let mut hook = Hook::answering(StatusCode::OK).await;
    let dispatcher = dispatcher(&[receiver(OPS, webhook(&format!("{}/hook?team=ops", hook.address)))]);
    let notification = notification(OPS, "webhook");
    assert_eq!(dispatcher.deliver(&notification).await, accepted());

    let got = hook.next();
    assert_eq!((got.method.as_str(), got.uri.to_string().as_str()), ("POST", "/hook?team=ops"));
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("user-agent"), format!("Beacon/{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(got.header("idempotency-key"), notification.id);
    let body: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body["version"], "4");
    assert_eq!(body["externalURL"], "http://beacon.test");
    assert_eq!(body["alerts"][0]["labels"]["alertname"], "Down");

    // A second attempt is the first one again, byte for byte.
    assert_eq!(dispatcher.deliver(&notification).await, accepted());
    let again = hook.next();
    assert_eq!((again.header("idempotency-key"), &again.body), (got.header("idempotency-key"), &got.body));
}

#[tokio::test]
async fn overloaded_receiver_is_tried_again_when_it_asks_to() {
    for code in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let hook = Hook::answering((code, [("Retry-After", "17")], "come back later")).await;
        let detail = format!("HTTP {}: come back later", code.as_u16());
        let after = Some(Duration::from_secs(17));
        assert_eq!(attempt(webhook(&hook.address)).await, Attempt::Retry { detail, after });
    }
}

#[tokio::test]
async fn failing_receiver_is_tried_again() {
    let hook = Hook::answering((StatusCode::INTERNAL_SERVER_ERROR, "oh\nno")).await;
    let detail = "HTTP 500: oh no".to_owned();
    assert_eq!(attempt(webhook(&hook.address)).await, Attempt::Retry { detail, after: None });
}

#[tokio::test]
async fn refused_payload_is_dead_and_the_reason_quoted_without_secrets() {
    let hook = Hook::answering((StatusCode::BAD_REQUEST, "Cannot POST /services/T0KEN12345: no channel")).await;
    let attempt = attempt(webhook(&format!("{}/services/T0KEN12345", hook.address))).await;
    assert_eq!(attempt, Attempt::Dead { detail: "HTTP 400: Cannot POST <secret>: no channel".to_owned() });
}

#[tokio::test]
async fn refused_connection_is_tried_again_and_names_no_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/T0KEN12345", listener.local_addr().unwrap());
    drop(listener);
    let Attempt::Retry { detail, after: None } = attempt(webhook(&url)).await else { panic!("to be tried again") };
    assert!(detail.contains("Connection refused"), "{detail}");
    assert!(!detail.contains("T0KEN12345") && !detail.contains("http://"), "{detail}");
}

#[tokio::test]
async fn broken_connection_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    assert!(matches!(attempt(webhook(&url)).await, Attempt::Retry { after: None, .. }));
}

#[tokio::test]
async fn slow_receiver_runs_into_its_own_timeout_and_delays_no_other() {
    let slow = serve(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let mut fast = Hook::answering(StatusCode::OK).await;
    let hanging = Webhook { timeout: Some(Duration::from_millis(1_500)), ..webhook(&slow) };
    let dispatcher = Arc::new(dispatcher(&[receiver("slow", hanging), receiver("fast", webhook(&fast.address))]));
    // More than the slow one's places: some wait before they are even tried.
    let attempts: Vec<_> = (0..100)
        .map(|_| {
            let dispatcher = Arc::clone(&dispatcher);
            tokio::spawn(async move { dispatcher.deliver(&notification("slow", "webhook")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let begin = Instant::now();
    assert_eq!(dispatcher.deliver(&notification("fast", "webhook")).await, accepted());
    assert!(begin.elapsed() < Duration::from_millis(1_400), "{:?}", begin.elapsed());
    fast.next();
    for attempt in attempts {
        let detail = "no answer within 1.5s".to_owned();
        assert_eq!(attempt.await.unwrap(), Attempt::Retry { detail, after: None });
    }
}

/// Requests in a server.
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
    full: Barrier,
}

#[tokio::test]
async fn one_target_has_a_bounded_number_of_attempts_in_flight() {
    let crowd = Arc::new(Crowd {
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        total: AtomicUsize::new(0),
        full: Barrier::new(64),
    });
    let handle = |State(crowd): State<Arc<Crowd>>| async move {
        let now = crowd.now.fetch_add(1, Ordering::SeqCst) + 1;
        crowd.most.fetch_max(now, Ordering::SeqCst);
        // The first 64 stay until all of them are there: with fewer places than that they would run into the time-out.
        if crowd.total.fetch_add(1, Ordering::SeqCst) < 64 {
            crowd.full.wait().await;
        }
        crowd.now.fetch_sub(1, Ordering::SeqCst);
        StatusCode::OK
    };
    let address = serve(Router::new().fallback(handle).with_state(Arc::clone(&crowd))).await;
    let dispatcher = Arc::new(dispatcher(&[receiver(OPS, webhook(&address))]));
    let attempts: Vec<_> = (0..200)
        .map(|_| {
            let dispatcher = Arc::clone(&dispatcher);
            tokio::spawn(async move { dispatcher.deliver(&notification(OPS, "webhook")).await })
        })
        .collect();
    for attempt in attempts {
        assert_eq!(attempt.await.unwrap(), accepted());
    }
    assert_eq!(crowd.most.load(Ordering::SeqCst), 64);
}

#[tokio::test]
async fn answer_without_an_end_is_accepted_at_once() {
    let endless = || async {
        let body = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1_024])));
        Response::new(axum::body::Body::from_stream(body))
    };
    let address = serve(Router::new().fallback(endless)).await;
    assert_eq!(attempt(webhook(&address)).await, accepted());
}

#[tokio::test]
async fn redirect_that_repeats_the_post_is_followed_without_credentials() {
    for code in [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT] {
        let mut end = Hook::answering(StatusCode::OK).await;
        let mut start = Hook::answering((code, [("Location", format!("{}/end", end.address))])).await;
        let mut webhook = webhook(&start.address);
        webhook.http.auth = Some(bearer("c0rrect-horse"));
        assert_eq!(attempt(webhook).await, accepted());
        assert_eq!(start.next().header("authorization"), "Bearer c0rrect-horse");
        let got = end.next();
        assert_eq!((got.method.as_str(), got.uri.path()), ("POST", "/end"));
        assert!(!got.body.is_empty());
        // Another port is another host.
        assert_eq!(got.header("authorization"), "");
        assert_eq!(got.header("idempotency-key"), notification(OPS, "webhook").id);
    }
}

#[tokio::test]
async fn redirect_that_would_drop_the_alerts_is_dead() {
    for code in [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::SEE_OTHER] {
        let mut end = Hook::answering(StatusCode::OK).await;
        let start = Hook::answering((code, [("Location", end.address.clone())])).await;
        let Attempt::Dead { detail } = attempt(webhook(&start.address)).await else { panic!("{code} is dead") };
        assert!(detail.contains("would turn the POST into a GET"), "{detail}");
        end.got_nothing_more();
    }
}

#[tokio::test]
async fn redirects_are_not_followed_when_the_plan_forbids_it_or_for_ever() {
    let mut end = Hook::answering(StatusCode::OK).await;
    let location = [("Location", end.address.clone())];
    let start = Hook::answering((StatusCode::TEMPORARY_REDIRECT, location)).await;
    let mut standing = webhook(&start.address);
    standing.http.follow_redirects = false;
    let Attempt::Dead { detail } = attempt(standing).await else { panic!("dead") };
    assert!(detail.starts_with("HTTP 307: redirect not followed"), "{detail}");
    end.got_nothing_more();

    let mut circle = Hook::answering((StatusCode::TEMPORARY_REDIRECT, [("Location", "/")])).await;
    assert!(matches!(attempt(webhook(&circle.address)).await, Attempt::Dead { .. }));
    for _ in 0..=10 {
        circle.next();
    }
    circle.got_nothing_more();
}

fn bearer(credentials: &str) -> HttpAuth {
    HttpAuth::Scheme { scheme: "Bearer".to_owned(), credentials: Secret::new(credentials) }
}

#[tokio::test]
async fn request_is_authorized_as_the_plan_says() {
    let mut hook = Hook::answering(StatusCode::OK).await;
    let basic = HttpAuth::Basic { username: "Aladdin".to_owned(), password: Secret::new("open sesame") };
    // The first is RFC 7617's own example.
    for (auth, header) in
        [(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), (bearer("mF_9.B5f-4.1JqM"), "Bearer mF_9.B5f-4.1JqM")]
    {
        // What the plan says is stronger than what the address says.
        let mut webhook = webhook(&hook.address.replace("http://", "http://me:too@"));
        webhook.http.auth = Some(auth);
        assert_eq!(attempt(webhook).await, accepted());
        let got = hook.next();
        assert_eq!(got.headers.get_all("authorization").iter().collect::<Vec<_>>(), [header]);
    }
}

#[tokio::test]
async fn wrong_credentials_are_tried_again_and_not_quoted() {
    let hook = Hook::answering((StatusCode::UNAUTHORIZED, "bad token c0rrect-horse")).await;
    let mut webhook = webhook(&hook.address);
    webhook.http.auth = Some(bearer("c0rrect-horse"));
    let detail = "HTTP 401, check the webhook's http_config credentials: bad token <secret>".to_owned();
    assert_eq!(attempt(webhook).await, Attempt::Retry { detail, after: None });
}

#[tokio::test]
async fn https_needs_an_authority_that_is_trusted() {
    let certificates = Certificates::new();
    let server = Server::https(&certificates.certificate(), &certificates.key());
    let receivers = [receiver(OPS, webhook(&format!("https://localhost:{}/", server.port)))];
    let notification = notification(OPS, "webhook");
    assert_eq!(support::dispatcher(&receivers, certificates.trust()).deliver(&notification).await, accepted());
    let stranger = support::dispatcher(&receivers, Trust::of([])).deliver(&notification).await;
    let Attempt::Retry { detail, .. } = stranger else { panic!("{stranger:?}") };
    assert!(detail.contains("UnknownIssuer"), "{detail}");
}
