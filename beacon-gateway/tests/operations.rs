//! What people and machines that run a gateway ask of it: plan, reload, health, metrics, route prefix.

mod rig;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use beacon_core::log::{Log, LogErrorKind, Record};
use beacon_gateway::PlanSource;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::Plan;
use prost::Message;
use rig::troubled::Troubled;
use rig::{PLAN, PlainWorker, Rig, TempLog, answer, config};
use serde_json::json;

fn published(temp: &TempLog) -> Vec<Plan> {
    let records = rig::records_of(&*temp.log, topics::PLANS);
    records.iter().map(|record| Plan::decode(record.value.as_deref().expect("a value")).expect("a plan")).collect()
}

async fn published_are(temp: &TempLog, count: usize) {
    rig::eventually("the plan is published", || async { published(temp).len() == count }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_published_once_and_without_its_secrets() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    published_are(&temp, 1).await;
    rig.stop().await.expect("a clean stop");

    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    rig.reloader.reload().await.expect("an unchanged plan");
    let plans = published(&temp);
    assert_eq!(plans.len(), 1, "an unchanged plan is not a new message");
    assert_eq!(plans[0].id, "alertmanager.yml");
    assert!(!plans[0].alertmanager_yaml.contains("very-secret"));
    beacon_plan::Plan::parse_redacted(&plans[0].alertmanager_yaml, "topic").expect("readable");

    let status = rig.get_json("/api/v2/status").await;
    let original = status["config"]["original"].as_str().expect("text");
    assert!(original.contains("team-xy") && !original.contains("very-secret"), "{original}");
    assert_eq!(status["cluster"], json!({"peers": [], "status": "disabled"}));
    assert_eq!(
        rig.get_json("/api/v2/receivers").await,
        json!([{"name": "default"}, {"name": "team-x"}, {"name": "team-xy"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_published_is_taken_back_from_whoever_heard_of_it() {
    let temp = TempLog::new();
    let troubled = Troubled::new(temp.log.clone());
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("alertmanager.yml");
    std::fs::write(&file, PLAN).expect("written");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut config = config();
    config.plan = PlanSource::File(file.clone());
    config.on_plan = Some(Arc::new({
        let heard = Arc::clone(&heard);
        move |plan: &beacon_plan::Plan| {
            heard.lock().expect("no panic").push(plan.receivers().len());
            Ok(())
        }
    }));
    let rig = Rig::start(config, troubled.clone()).await;
    rig.ready().await;
    published_are(&temp, 1).await;

    std::fs::write(&file, "route: {receiver: r}\nreceivers: [{name: r}]\n").expect("written");
    troubled.refuse(Some(LogErrorKind::Full));
    let (status, why) = rig.post("/-/reload", "").await;
    assert_eq!(status, 503, "{why}");
    assert_eq!(*heard.lock().expect("no panic"), [3, 1, 3], "gateway and notifier are on the same plan again");

    troubled.refuse(None);
    assert_eq!(rig.post("/-/reload", "").await, (200, String::new()));
    assert_eq!(*heard.lock().expect("no panic"), [3, 1, 3, 1]);
    published_are(&temp, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_a_good_plan_and_keeps_the_old_one_for_a_bad_one() {
    let temp = TempLog::new();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("alertmanager.yml");
    std::fs::write(&file, PLAN).expect("written");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut config = config();
    config.plan = PlanSource::File(file.clone());
    config.on_plan = Some(Arc::new({
        let heard = Arc::clone(&heard);
        move |plan: &beacon_plan::Plan| {
            heard.lock().expect("no panic").push(plan.receivers().len());
            if plan.receivers().len() == 1 { Err("this one not".to_owned()) } else { Ok(()) }
        }
    }));
    let rig = Rig::start(config, temp.log.clone()).await;
    rig.ready().await;
    published_are(&temp, 1).await;

    let names = |receivers: serde_json::Value| receivers.as_array().map(Vec::len);
    std::fs::write(&file, format!("{PLAN}nonsense: 1\n")).expect("written");
    let (status, why) = rig.post("/-/reload", "").await;
    assert_eq!(status, 500);
    assert!(why.starts_with("failed to reload config: ") && why.contains("nonsense"), "{why}");
    assert_eq!(names(rig.get_json("/api/v2/receivers").await), Some(3));

    std::fs::write(&file, "route: {receiver: r}\nreceivers: [{name: r}]\n").expect("written");
    let (status, why) = rig.post("/-/reload", "").await;
    assert_eq!((status, why.contains("this one not")), (500, true), "{why}");
    let (_, metrics) = rig.get("/metrics").await;
    assert!(metrics.contains("alertmanager_config_last_reload_successful 0"));

    std::fs::write(&file, format!("{PLAN}- name: one-more\n")).expect("written");
    assert_eq!(rig.post("/-/reload", "").await, (200, String::new()));
    assert_eq!(names(rig.get_json("/api/v2/receivers").await), Some(4));
    assert_eq!(published(&temp).len(), 2);
    assert_eq!(*heard.lock().expect("no panic"), [3, 1, 4]);
    let (_, metrics) = rig.get("/metrics").await;
    assert!(metrics.contains("alertmanager_config_last_reload_successful 1"));
    assert_eq!(rig.get("/-/reload").await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_plan_at_start_is_refused_with_its_place() {
    let temp = TempLog::new();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("alertmanager.yml");
    std::fs::write(&file, "route:\n  receiver: nobody\nreceivers: []\n").expect("written");
    let mut config = config();
    config.plan = PlanSource::File(file.clone());
    let error = beacon_gateway::Gateway::bind(config, temp.log.clone()).await.err().expect("refused");
    assert!(format!("{error:#}").contains(&format!("{}:2:", file.display())), "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    let _worker = PlainWorker::start(temp.log.clone());
    let body = r#"[{"labels":{"a":"1"}},{"labels":{"a":"2"},"endsAt":"2020-01-01T00:00:00Z"},{"labels":{}}]"#;
    assert_eq!(rig.post("/api/v2/alerts", body).await.0, 400);
    rig.get_json("/api/v2/alerts").await;
    let (status, metrics) = rig.get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "alertmanager_alerts_received_total{status=\"firing\",version=\"v2\"} 2",
        "alertmanager_alerts_received_total{status=\"resolved\",version=\"v2\"} 1",
        "alertmanager_alerts_invalid_total{version=\"v2\"} 1",
        "alertmanager_alerts{state=\"active\"} 1",
        "alertmanager_http_request_duration_seconds_count{handler=\"/api/v2/alerts\",method=\"post\"} 1",
        "beacon_gateway_append_duration_seconds_count 1",
        "beacon_gateway_view_lag_records{view=\"alerts\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_under_the_route_prefix() {
    let temp = TempLog::new();
    let mut config = config();
    config.route_prefix = Some("/am".to_owned());
    let rig = Rig::start(config, temp.log.clone()).await;
    rig.ready().await;
    assert_eq!(rig.post("/api/v2/alerts", r#"[{"labels":{"a":"1"}}]"#).await.0, 200);
    for path in ["", "/"] {
        let (status, page) = rig.get(path).await;
        assert_eq!(status, 200, "{path:?}");
        assert!(page.contains("href=\"/am/api/v2/alerts\""), "{page}");
    }
    let outside = |path: &str| answer(rig.http.get(format!("http://{}{path}", rig.address)));
    assert_eq!(outside("/-/ready").await.0, 404);
    assert_eq!(outside("/").await.0, 200, "it leads to the page");
}

/// Writes a file as if that had been done an hour ago.
fn write_old(file: &Path, text: &str) {
    std::fs::write(file, text).expect("written");
    set_written(file, SystemTime::now() - Duration::from_secs(60 * 60));
}

fn set_written(file: &Path, at: SystemTime) {
    let opened = std::fs::File::options().write(true).open(file).expect("it is there");
    opened.set_modified(at).expect("it is ours");
}

/// Settings of a gateway with `text` as its file, which was written long ago.
fn config_with_file(file: &Path, text: &str) -> beacon_gateway::GatewayConfig {
    write_old(file, text);
    let mut config = config();
    config.plan = PlanSource::File(file.to_owned());
    config
}

async fn has_receivers(rig: &Rig, count: usize) {
    rig::eventually("the plan is in force here", || async {
        rig.get_json("/api/v2/receivers").await.as_array().map(Vec::len) == Some(count)
    })
    .await;
}

async fn metric(rig: &Rig, name: &str) -> String {
    let (_, metrics) = rig.get("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_an_old_file_does_not_take_the_plan_of_all_back() {
    let temp = TempLog::new();
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["new.yml", "old.yml"].map(|name| directory.path().join(name));
    let configs = files.each_ref().map(|file| config_with_file(file, PLAN));
    let one = Rig::start(configs[0].clone(), temp.log.clone()).await;
    one.ready().await;
    // Two that start at once may both publish the same.
    published_are(&temp, 1).await;
    let other = Rig::start(configs[1].clone(), temp.log.clone()).await;
    has_receivers(&other, 3).await;
    std::fs::write(&files[0], format!("{PLAN}- name: one-more\n")).expect("written");
    assert_eq!(one.post("/-/reload", "").await, (200, String::new()));

    // Running or started anew: the other one follows, and says that its file is an old one.
    has_receivers(&other, 4).await;
    assert_eq!(metric(&other, "beacon_gateway_plan_in_force ").await, "0");
    other.stop().await.expect("a clean stop");
    let other = Rig::start(configs[1].clone(), temp.log.clone()).await;
    has_receivers(&other, 4).await;
    let (status, why) = other.post("/-/reload", "").await;
    assert_eq!(status, 409, "{why}");
    assert!(why.contains("old.yml") && why.contains("touch"), "{why}");
    assert_eq!(published(&temp).len(), 2, "the old plan was not published again");
    assert_eq!(metric(&other, "beacon_gateway_plan_in_force ").await, "0");
    assert_eq!(metric(&one, "beacon_gateway_plan_in_force ").await, "1");
    assert_eq!(metric(&other, "alertmanager_config_last_reload_successful ").await, "0");

    // On purpose.
    set_written(&files[1], SystemTime::now() + Duration::from_secs(60));
    assert_eq!(other.post("/-/reload", "").await, (200, String::new()));
    has_receivers(&one, 3).await;
    assert_eq!(published(&temp).len(), 3);
    // And what was in force is an old one now.
    set_written(&files[0], SystemTime::now() - Duration::from_secs(60));
    assert_eq!(one.post("/-/reload", "").await.0, 409);
    has_receivers(&one, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_one_gateway_its_file_counts_at_each_start() {
    let temp = TempLog::new();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("alertmanager.yml");
    let mut config = config();
    config.plan = PlanSource::File(file.clone());
    config.alone = true;
    for (count, text) in [(1, PLAN.to_owned()), (2, format!("{PLAN}- name: one-more\n")), (3, PLAN.to_owned())] {
        write_old(&file, &text);
        let rig = Rig::start(config.clone(), temp.log.clone()).await;
        rig.ready().await;
        published_are(&temp, count).await;
        has_receivers(&rig, if count == 2 { 4 } else { 3 }).await;
        rig.stop().await.expect("a clean stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_an_old_file_is_not_ready_before_it_knows_the_plan_in_force() {
    let temp = TempLog::new();
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["new.yml", "old.yml"].map(|name| directory.path().join(name));
    let one = Rig::start(config_with_file(&files[0], PLAN), temp.log.clone()).await;
    published_are(&temp, 1).await;
    std::fs::write(&files[0], format!("{PLAN}- name: one-more\n")).expect("written");
    assert_eq!(one.post("/-/reload", "").await, (200, String::new()));

    let troubled = Troubled::new(temp.log.clone());
    troubled.hold_readers(true);
    let other = Rig::start(config_with_file(&files[1], PLAN), troubled.clone()).await;
    // Waits for appends, which are possible.
    assert_eq!(other.post("/api/v2/alerts", r#"[{"labels":{"a":"1"}}]"#).await.0, 200);
    let (status, why) = other.get("/-/ready").await;
    assert_eq!((status, why.contains("plan")), (503, true), "{why}");
    troubled.hold_readers(false);
    other.ready().await;
    assert_eq!(other.get_json("/api/v2/receivers").await.as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_plan_that_cannot_be_read_shows_and_the_last_one_stays() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    published_are(&temp, 1).await;
    rig::eventually("its own plan is in force", || async {
        metric(&rig, "beacon_gateway_plan_in_force ").await == "1"
    })
    .await;
    // As a gateway of a later version may publish one.
    let later = Plan { alertmanager_yaml: "from: the future\n".to_owned(), ..published(&temp)[0].clone() };
    let later = Plan { version: "0123456789abcdef".to_owned(), ..later };
    let record = Record::new(Topics::default().name(topics::PLANS), "alertmanager.yml", later.encode_to_vec());
    temp.log.appender().expect("an appender").append_blocking(vec![record]).expect("written");
    rig::eventually("it to say so", || async { metric(&rig, "beacon_gateway_plan_in_force ").await == "0" }).await;
    has_receivers(&rig, 3).await;
}
