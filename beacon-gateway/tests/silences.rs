//! Silences over HTTP: set, changed, expired, listed, and what they mute.

mod rig;

use beacon_proto::topics;
use beacon_proto::v1::Silence;
use prost::Message;
use rig::{PlainWorker, Rig, TempLog, answer, config};
use serde_json::{Value, json};

fn silence(id: &str, team: &str, comment: &str) -> Value {
    json!({
        "id": id,
        "matchers": [{"name": "team", "value": team, "isRegex": false, "isEqual": true}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2090-01-01T00:00:00Z",
        "createdBy": "me",
        "comment": comment,
    })
}

async fn set(rig: &Rig, silence: Value) -> String {
    let (status, body) = rig.post("/api/v2/silences", silence.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("json");
    answer["silenceID"].as_str().expect("an id").to_owned()
}

async fn delete(rig: &Rig, id: &str) -> (u16, String) {
    answer(rig.http.delete(format!("{}/api/v2/silence/{id}", rig.base))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_mutes_from_the_moment_it_is_answered() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    let _worker = PlainWorker::start(temp.log.clone());
    let body = r#"[{"labels":{"team":"x"}},{"labels":{"team":"y"}}]"#;
    assert_eq!(rig.post("/api/v2/alerts", body).await.0, 200);
    let id = set(&rig, silence("", "x", "c")).await;

    let muted = rig.get_json("/api/v2/alerts?filter=team%3Dx").await;
    assert_eq!(muted[0]["status"]["state"], "suppressed");
    assert_eq!(muted[0]["status"]["silencedBy"], json!([id]));
    let count = |listing: Value| listing.as_array().map(Vec::len);
    assert_eq!(count(rig.get_json("/api/v2/alerts?silenced=false").await), Some(1));
    assert_eq!(count(rig.get_json("/api/v2/alerts?active=false").await), Some(1));
    let (_, metrics) = rig.get("/metrics").await;
    assert!(metrics.contains("alertmanager_alerts{state=\"suppressed\"} 1"), "{metrics}");
    assert!(metrics.contains("alertmanager_silences{state=\"active\"} 1"), "{metrics}");

    assert_eq!(delete(&rig, &id).await, (200, String::new()));
    let free = rig.get_json("/api/v2/alerts?filter=team%3Dx").await;
    assert_eq!(free[0]["status"]["state"], "active");
    assert_eq!(rig.get_json(&format!("/api/v2/silence/{id}")).await["status"]["state"], "expired");
    assert_eq!(delete(&rig, &id).await.0, 200, "what has ended has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_would_alter_the_past_makes_a_new_silence() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    let first = set(&rig, silence("", "x", "c")).await;
    let stored = rig.get_json(&format!("/api/v2/silence/{first}")).await;
    let mut same = silence(&first, "x", "another comment");
    same["startsAt"] = stored["startsAt"].clone();
    assert_eq!(set(&rig, same).await, first);
    let second = set(&rig, silence(&first, "z", "c")).await;
    assert_ne!(second, first);
    let all = rig.get_json("/api/v2/silences").await;
    let states: Vec<(&str, &str)> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|s| (s["id"].as_str().expect("id"), s["status"]["state"].as_str().expect("state")))
        .collect();
    assert_eq!(states, [(second.as_str(), "active"), (first.as_str(), "expired")]);
    let filtered = rig.get_json("/api/v2/silences?filter=team%3Dz").await;
    assert_eq!(filtered.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_outlive_the_gateway() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    let id = set(&rig, silence("", "x", "c")).await;
    rig.stop().await.expect("a clean stop");
    let rig = Rig::start(config(), temp.log.clone()).await;
    assert_eq!(rig.get_json(&format!("/api/v2/silence/{id}")).await["comment"], "c");
    let records = rig::records_of(&*temp.log, topics::SILENCES);
    let record = records.last().expect("one");
    let stored = Silence::decode(record.value.as_deref().expect("a value")).expect("a silence");
    assert_eq!(record.key.as_deref(), Some(beacon_proto::key::silence("", &stored.id).as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_silence_goes_when_its_time_is_over() {
    let temp = TempLog::new();
    let mut config = config();
    config.silence_retention = std::time::Duration::ZERO;
    let rig = Rig::start(config, temp.log.clone()).await;
    let id = set(&rig, silence("", "x", "c")).await;
    let staying = set(&rig, silence("", "y", "c")).await;
    assert_eq!(delete(&rig, &id).await.0, 200);
    let path = format!("/api/v2/silence/{id}");
    rig::eventually("the silence is gone", || async { rig.get(&path).await.0 == 404 }).await;
    assert_eq!(rig.get(&format!("/api/v2/silence/{staying}")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_are_decided_one_after_the_other() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    let id = set(&rig, silence("", "x", "c")).await;
    let changes = (0..8).map(|n| {
        let body = silence(&id, &format!("{n}"), "c").to_string();
        let request = rig.http.post(format!("{}/api/v2/silences", rig.base)).header("content-type", "application/json");
        tokio::spawn(answer(request.body(body)))
    });
    for change in changes.collect::<Vec<_>>() {
        assert_eq!(change.await.expect("no panic").0, 200);
    }
    let all = rig.get_json("/api/v2/silences").await;
    let of_first = all.as_array().expect("a list").iter().filter(|s| s["id"] == id.as_str()).count();
    assert_eq!((all.as_array().map(Vec::len), of_first), (Some(9), 1));
}
