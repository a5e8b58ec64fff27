//! Alerts over HTTP: what is accepted, when, and what a reader sees of it.

mod rig;

use std::time::{Duration, Instant};

use beacon_core::log::LogErrorKind;
use beacon_proto::topics;
use beacon_proto::v1::AlertEvent;
use prost::Message;
use rig::troubled::Troubled;
use rig::{PlainWorker, Rig, TempLog, config};
use serde_json::{Value, json};

async fn rig_with_worker(temp: &TempLog) -> (Rig, PlainWorker) {
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    let worker = PlainWorker::start(temp.log.clone());
    (rig, worker)
}

fn names(alerts: &Value) -> Vec<&str> {
    let alerts = alerts.as_array().expect("a list");
    alerts.iter().map(|alert| alert["labels"]["alertname"].as_str().expect("named")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_200_means_that_the_alerts_are_in_the_log() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    let body = r#"[{"labels":{"alertname":"A","empty":""},"annotations":{"s":"é\n"},"generatorURL":"http://x/"},
                   {"labels":{"alertname":"B"},"endsAt":"2020-01-01T00:00:00Z"}]"#;
    // No wait for readiness: the request waits for the log.
    assert_eq!(rig.post("/api/v2/alerts", body).await, (200, String::new()));

    let records = rig::records_of(&*temp.log, topics::ALERTS);
    assert_eq!(records.len(), 2);
    let event = |name: &str| {
        let events = records.iter().map(|record| {
            let event = AlertEvent::decode(record.value.as_deref().expect("a value")).expect("an event");
            let key = beacon_proto::key::alert("", &beacon_proto::fingerprint::hex(&event.labels));
            assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
            event
        });
        events.into_iter().find(|event| event.labels["alertname"] == name).expect("there")
    };
    let a = event("A");
    assert_eq!(a.labels.len(), 1, "a label without a value is none");
    assert_eq!(a.annotations["s"], "é\n");
    assert_eq!((a.starts_at_ms, a.ends_at_ms), (None, None));
    assert!(a.received_at_ms > 1_600_000_000_000);
    let b = event("B");
    assert_eq!((b.starts_at_ms, b.ends_at_ms), (Some(1_577_836_800_000), Some(1_577_836_800_000)));
    rig.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_what_was_written_before_it() {
    let temp = TempLog::new();
    let (rig, _worker) = rig_with_worker(&temp).await;
    for round in 0..20 {
        let alerts: Vec<Value> = (0..10)
            .map(|n| json!({"labels": {"alertname": format!("{round}-{n}"), "round": round.to_string()}}))
            .collect();
        assert_eq!(rig.post("/api/v2/alerts", json!(alerts).to_string()).await.0, 200);
        let seen = rig.get_json(&format!("/api/v2/alerts?filter=round%3D{round}")).await;
        assert_eq!(seen.as_array().map(Vec::len), Some(10), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_are_filtered_sorted_and_routed() {
    let temp = TempLog::new();
    let (rig, _worker) = rig_with_worker(&temp).await;
    let body = r#"[{"labels":{"alertname":"A","team":"x"}},{"labels":{"alertname":"B","team":"y"}},
                   {"labels":{"alertname":"C"}},{"labels":{"alertname":"D"},"endsAt":"2020-01-01T00:00:00Z"}]"#;
    assert_eq!(rig.post("/api/v2/alerts", body).await.0, 200);

    let all = rig.get_json("/api/v2/alerts").await;
    let fingerprints: Vec<&str> =
        all.as_array().expect("a list").iter().filter_map(|a| a["fingerprint"].as_str()).collect();
    assert!(fingerprints.is_sorted(), "{fingerprints:?}");
    assert_eq!(fingerprints.len(), 3, "what has ended is not shown");

    let list = |query: &str| {
        let path = format!("/api/v2/alerts?{query}");
        let rig = &rig;
        async move {
            names(&rig.get_json(&path).await).iter().map(|n| (*n).to_owned()).collect::<std::collections::BTreeSet<_>>()
        }
    };
    assert_eq!(list("filter=team%3D~%22x%7Cy%22").await.into_iter().collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(list("filter=team%3Dx&filter=alertname%3DB").await.len(), 0);
    assert_eq!(list("filter=team%3D%22%22").await.into_iter().collect::<Vec<_>>(), ["C"]);
    assert_eq!(list("receiver=team-x").await.into_iter().collect::<Vec<_>>(), ["A"]);
    assert_eq!(list("active=false").await.len(), 0);

    let a = rig.get_json("/api/v2/alerts?filter=alertname%3DA").await;
    assert_eq!(a[0]["receivers"], json!([{"name": "team-x"}, {"name": "team-xy"}]));
    assert_eq!(a[0]["status"], json!({"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_those_of_the_plan() {
    let temp = TempLog::new();
    let (rig, _worker) = rig_with_worker(&temp).await;
    let body = r#"[{"labels":{"alertname":"A","team":"x","job":"2"}},{"labels":{"alertname":"B"}},
                   {"labels":{"alertname":"B","job":"1"}}]"#;
    assert_eq!(rig.post("/api/v2/alerts", body).await.0, 200);
    let groups = rig.get_json("/api/v2/alerts/groups").await;
    let shape: Vec<Value> = groups
        .as_array()
        .expect("a list")
        .iter()
        .map(|group| json!([group["receiver"]["name"], group["labels"], group["alerts"].as_array().map(Vec::len)]))
        .collect();
    assert_eq!(
        shape,
        [
            json!(["team-x", {"alertname": "A"}, 1]),
            json!(["default", {"alertname": "B"}, 2]),
            json!(["team-xy", {"alertname": "A", "team": "x", "job": "2"}, 1]),
        ]
    );
    assert_eq!(groups[1]["alerts"][0]["labels"]["job"], "1", "what has a job comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_with_a_dead_worker_answers_with_what_there_is() {
    let temp = TempLog::new();
    let mut config = config();
    config.read_wait = Duration::from_millis(100);
    let rig = Rig::start(config, temp.log.clone()).await;
    rig.ready().await;
    assert_eq!(rig.post("/api/v2/alerts", r#"[{"labels":{"a":"1"}}]"#).await.0, 200);
    let begun = Instant::now();
    assert_eq!(rig.get_json("/api/v2/alerts").await, json!([]));
    assert!(begun.elapsed() >= Duration::from_millis(100), "it waited for the worker first");
    let answer = rig.http.get(format!("{}/api/v2/alerts", rig.base)).send().await.expect("an answer");
    assert_eq!(
        answer.headers().get("beacon-freshness").map(|value| value.as_bytes()),
        Some(&b"behind"[..]),
        "it says so"
    );
    let _worker = PlainWorker::start(temp.log.clone());
    rig::eventually("it is up to date", || async {
        let answer = rig.http.get(format!("{}/api/v2/alerts", rig.base)).send().await.expect("an answer");
        answer.headers().get("beacon-freshness").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_answers_before_the_log_does_and_alerts_are_refused_until_then() {
    let temp = TempLog::new();
    let log = Troubled::new(temp.log.clone());
    log.set_away(true);
    let mut config = config();
    config.read_wait = Duration::from_millis(50);
    let begun = Instant::now();
    let rig = Rig::start(config, log.clone()).await;
    assert_eq!(rig.get("/-/healthy").await, (200, "OK".to_owned()));
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());

    let (status, why) = rig.get("/-/ready").await;
    assert_eq!(status, 503, "{why}");
    let alert = r#"[{"labels":{"a":"1"}}]"#;
    rig::eventually("the reason is told", || async {
        let (status, why) = rig.post("/api/v2/alerts", alert).await;
        status == 503 && why.contains("the broker does not answer")
    })
    .await;
    assert_eq!(rig.get("/api/v2/alerts").await.0, 503);
    assert_eq!(rig.get("/api/v2/status").await.0, 200, "what needs no log needs no wait");

    log.set_away(false);
    rig.ready().await;
    assert_eq!(rig.post("/api/v2/alerts", alert).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_is_a_503_and_works_again_when_there_is_room() {
    let temp = TempLog::new();
    let log = Troubled::new(temp.log.clone());
    let rig = Rig::start(config(), log.clone()).await;
    rig.ready().await;
    log.refuse(Some(LogErrorKind::Full));
    let alert = r#"[{"labels":{"a":"1"}}]"#;
    let (status, why) = rig.post("/api/v2/alerts", alert).await;
    assert_eq!(status, 503);
    assert!(why.contains("no space left") && why.contains("try again"), "{why}");
    log.refuse(Some(LogErrorKind::TooLarge));
    assert_eq!(rig.post("/api/v2/alerts", alert).await.0, 413);
    log.refuse(None);
    assert_eq!(rig.post("/api/v2/alerts", alert).await.0, 200);
    assert_eq!(rig::records_of(&*temp.log, topics::ALERTS).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_views_are_made_anew_while_alerts_are_taken() {
    let temp = TempLog::new();
    let log = Troubled::new(temp.log.clone());
    let rig = Rig::start(config(), log.clone()).await;
    rig.ready().await;
    let _worker = PlainWorker::start(temp.log.clone());
    let post = |name: &str| rig.post("/api/v2/alerts", json!([{"labels": {"alertname": name}}]).to_string());
    assert_eq!(post("before").await.0, 200);
    assert_eq!(names(&rig.get_json("/api/v2/alerts").await), ["before"]);
    log.break_readers();
    assert_eq!(post("between").await.0, 200);
    rig::eventually("both are shown again", || async {
        let (status, body) = rig.get("/api/v2/alerts").await;
        assert!(status == 200 || body.contains("the reader is broken"), "{status} {body}");
        status == 200 && body.contains("before") && body.contains("between")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused() {
    let temp = TempLog::new();
    let mut config = config();
    config.max_body_bytes = 100;
    let rig = Rig::start(config, temp.log.clone()).await;
    let body = json!([{"labels": {"a": "x".repeat(100)}}]).to_string();
    let (status, why) = rig.post("/api/v2/alerts", body).await;
    assert_eq!((status, why.contains("100 bytes")), (413, true), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_another_partition_count_ends_the_gateway_by_name() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    rig.stop().await.expect("a clean stop");
    let mut config = config();
    config.partitions = rig::PARTITIONS * 2;
    let rig = Rig::start(config, temp.log.clone()).await;
    let error = rig.ended().await.expect_err("to end");
    assert!(format!("{error:#}").contains("beacon.alerts"), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_gateway_shows_what_was_there() {
    let temp = TempLog::new();
    let (rig, worker) = rig_with_worker(&temp).await;
    assert_eq!(rig.post("/api/v2/alerts", r#"[{"labels":{"alertname":"A"}}]"#).await.0, 200);
    assert_eq!(names(&rig.get_json("/api/v2/alerts").await), ["A"]);
    let reloader = rig.reloader.clone();
    rig.stop().await.expect("a clean stop");
    drop(worker);
    let temp = temp.reopen();
    drop(reloader);
    let rig = Rig::start(config(), temp.log.clone()).await;
    assert_eq!(names(&rig.get_json("/api/v2/alerts").await), ["A"]);
}
