//! Somebody looks at an installation with `beacon app`, asks who holds it up, and changes its partition count twice, while
//! alerts fire that were told of before and end after.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use scenari::alert::{self, Alert};
use scenari::kafka::Kafka;
use scenari::ports::free_port;
use scenari::process::Process;
use scenari::wait::{same, wait_until};
use scenari::webhook::Webhook;
use scenari::world::{Role, World};
use serde_json::Value;

use crate::On;
use crate::lives::plan;

const PATIENCE: Duration = Duration::from_secs(120);
/// Of the first ones half end with eight partitions, half when there are four again.
const SERVICES: usize = 12;
/// What comes of a page that was taken is written down within this.
const QUIET: Duration = Duration::from_secs(2);

crate::on_both_logs!(an_installation_is_described_looked_at_and_rescaled_there_and_back);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `beacon app` with these arguments, which must succeed, and returns what it printed.
#[track_caller]
fn app(world: &World, arguments: &[&str]) -> String {
    let output = world.app(arguments);
    assert!(output.status.success(), "beacon app {arguments:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same with `--json`: one object a line.
#[track_caller]
fn json(world: &World, arguments: &[&str]) -> Vec<Value> {
    let text = app(world, &[arguments, &["--json"]].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn firing(service: &str) -> Alert {
    Alert::named("DiskFull")
        .label("service", service)
        .starts_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

fn ended(service: &str) -> Alert {
    firing(service).ends_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_060))
}

fn services(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("service-{number:02}")).collect()
}

/// How often each service was told of with each status.
fn told(webhook: &Webhook) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for page in webhook.taken() {
        let payload = page.payload();
        *told.entry((payload.group_labels["service"].clone(), payload.status)).or_default() += 1;
    }
    told
}

/// Waits until each of these was told of with this status.
fn wait_for_told(webhook: &Webhook, services: &[String], status: &str) {
    wait_until(&format!("{status} of {services:?}"), PATIENCE, || {
        let told = told(webhook);
        let missing: Vec<_> =
            services.iter().filter(|service| !told.contains_key(&((*service).clone(), status.to_owned()))).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("not yet: {missing:?}")) }
    });
}

fn an_installation_is_described_looked_at_and_rescaled_there_and_back(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let first = services(0..SERVICES);
    world.accept(&first.iter().map(|service| firing(service)).collect::<Vec<_>>());
    wait_for_told(&webhook, &first, "firing");

    it_is_described(&world);
    while_it_runs(on, &world);
    stop(&mut world, &webhook);
    its_lag_is_told(on, &world);
    whoever_holds_it_up_is_named(on, &world);

    rescale(on, &world, &webhook, 4, 8);
    let (ended_by_eight, ended_by_four) = first.split_at(SERVICES / 2);
    let second = services(SERVICES..SERVICES + 4);
    {
        let (mut members, url) = start_with(8, on, &world);
        let alerts: Vec<_> = second.iter().map(|service| firing(service)).collect();
        post(&url, &[alerts, ended_by_eight.iter().map(|service| ended(service)).collect()].concat());
        wait_for_told(&webhook, &second, "firing");
        wait_for_told(&webhook, ended_by_eight, "resolved");
        end(&mut members, &webhook);
    }
    rescale(on, &world, &webhook, 8, 4);
    world.start_all();
    world.accept(&ended_by_four.iter().chain(&second).map(|service| ended(service)).collect::<Vec<_>>());
    wait_for_told(&webhook, ended_by_four, "resolved");
    wait_for_told(&webhook, &second, "resolved");
    world.assert_alive();
    let told = told(&webhook);
    assert_eq!(told.len(), 2 * (SERVICES + 4), "{told:?}");
    assert!(told.values().all(|times| *times == 1), "each is told once that it fires and once that it ended: {told:?}");
}

/// Stops first who writes, then who reads, when nothing is under way any more.
fn stop(world: &mut World, webhook: &Webhook) {
    webhook.assert_quiet_for(QUIET);
    for role in [Role::Gateway, Role::Worker(0), Role::Notifier] {
        world.stop(role);
    }
}

fn it_is_described(world: &World) {
    for (application, parts) in
        [("worker", ["track", "notify", "alerts.state"]), ("notifier", ["deliver", "notifications", "dead letters"])]
    {
        let text = app(world, &["describe", application]);
        assert!(parts.iter().all(|part| text.contains(part)), "{application}: {text}");
        let drawing = app(world, &["describe", application, "--form", "mermaid"]);
        assert!(drawing.starts_with("flowchart"), "{drawing}");
        let graph = app(world, &["describe", application, "--form", "dot"]);
        assert!(graph.starts_with("digraph"), "{graph}");
    }
    let output = world.app(&["describe", "gateway"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("worker") && said(&output).contains("notifier"), "{}", said(&output));
}

/// On Kafka it can be looked at all the time; the embedded log belongs to its process.
fn while_it_runs(on: On, world: &World) {
    let output = world.app(&["lag", "worker", "--json"]);
    match on {
        On::Embedded => {
            assert!(!output.status.success() && said(&output).contains("--data.dir"), "{}", said(&output));
        }
        On::Kafka => {
            assert!(output.status.success(), "{}", said(&output));
            // The committed offset comes with the commit that wrote what was told.
            wait_until("the worker to be at rest", PATIENCE, || at_rest(&json(world, &["lag", "worker"])));
            wait_until("the notifier to be at rest", PATIENCE, || at_rest(&json(world, &["lag", "notifier"])));
        }
    }
    let rescale = world.app(&["rescale", "--partitions", "8"]);
    assert!(!rescale.status.success(), "it is at work: {}", said(&rescale));
}

/// Nothing is left to read. On Kafka markers of transactions may be, which are no records.
fn at_rest(lags: &[Value]) -> Result<(), String> {
    let behind: Vec<_> = lags.iter().filter(|lag| lag["stable_lag"].as_u64().is_none_or(|lag| lag > 2)).collect();
    if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?}")) }
}

fn its_lag_is_told(on: On, world: &World) {
    for (application, input) in [("worker", "alerts"), ("notifier", "notifications")] {
        let lags = json(world, &["lag", application]);
        let number = |lag: &Value, name: &str| lag[name].as_u64().unwrap_or_else(|| panic!("{name} of {lag}"));
        for lag in &lags {
            let next = lag["committed"].as_u64().unwrap_or(0).max(number(lag, "start"));
            assert_eq!(number(lag, "lag"), number(lag, "end").saturating_sub(next), "{lag}");
            assert_eq!(number(lag, "stable_lag"), number(lag, "stable").saturating_sub(next), "{lag}");
            assert!(number(lag, "stable") <= number(lag, "end") && lag["partition"].is_u64(), "{lag}");
            assert!(on == On::Kafka || number(lag, "lag") == 0, "{lag}");
        }
        at_rest(&lags).unwrap_or_else(|behind| panic!("it was at rest: {behind}"));
        let of_input: Vec<_> = lags
            .iter()
            .filter(|lag| lag["topic"].as_str().is_some_and(|topic| topic.ends_with(&format!(".{input}"))))
            .collect();
        assert_eq!(of_input.len(), 4, "{lags:?}");
        assert!(of_input.iter().all(|lag| lag["internal"] == false), "{of_input:?}");
        let read: u64 = of_input.iter().map(|lag| lag["committed"].as_u64().unwrap_or(0)).sum();
        assert!(read >= SERVICES as u64, "{read} records were read of {input}");
        let text = app(world, &["lag", application]);
        assert!(text.starts_with("PARTITION") && text.contains("STABLE LAG"), "{text}");
        assert!(text.contains("offsets before what it could read now"), "{text}");
    }
    let internal = json(world, &["lag", "worker"]).iter().filter(|lag| lag["internal"] == true).count();
    assert!(internal >= 4, "the topic by which alerts come to their groups");
}

/// A stranger begins a transaction on the topic of alerts and does not end it.
fn whoever_holds_it_up_is_named(on: On, world: &World) {
    assert_eq!(json(world, &["stable", "worker"]), Vec::<Value>::new());
    assert!(app(world, &["stable", "notifier"]).contains("nothing is held back"));
    if on == On::Embedded {
        return;
    }
    let lags = json(world, &["lag", "worker"]);
    let topics = lags.iter().filter_map(|lag| lag["topic"].as_str());
    let alerts = topics.into_iter().find(|topic| topic.ends_with(".alerts")).expect("it reads alerts");
    let stranger = format!("stranger-{}", std::process::id());
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Kafka::shared().bootstrap())
        .set("transactional.id", &stranger)
        // Longer than this takes on any machine.
        .set("transaction.timeout.ms", "600000")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("registered");
    producer.begin_transaction().expect("begun");
    producer.send(BaseRecord::<str, str>::to(alerts).partition(1).key("k").payload("not an alert")).expect("taken");
    producer.flush(PATIENCE).expect("written");
    for arguments in [vec!["stable", "worker"], vec!["stable", "--topic", alerts]] {
        let held = json(world, &arguments);
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!((held[0]["topic"].as_str(), held[0]["partition"].as_u64()), (Some(alerts), Some(1)));
        assert_eq!(held[0]["end"].as_u64(), held[0]["stable"].as_u64().map(|stable| stable + 1));
        assert!(held[0]["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{held:?}");
        let writers = held[0]["writers"].as_array().expect("the broker lets us read it");
        assert_eq!(writers.len(), 1, "{held:?}");
        assert_eq!(
            (writers[0]["transactional_id"].as_str(), &writers[0]["decided"]),
            (Some(&*stranger), &Value::Bool(false))
        );
    }
    let text = app(world, &["stable", "worker"]);
    assert!(text.contains(&format!("by a transaction of {stranger}, open since")), "{text}");
    let lag = json(world, &["lag", "worker"]).into_iter().find(|lag| lag["topic"] == alerts && lag["partition"] == 1);
    let lag = lag.expect("there is a partition 1");
    assert_eq!(lag["lag"].as_u64(), lag["stable_lag"].as_u64().map(|stable| stable + 1), "{lag}");
    producer.abort_transaction(PATIENCE).expect("aborted");
    wait_until("nothing to be held back", PATIENCE, || same(json(world, &["stable", "worker"]).len(), 0));
}

/// Tells what would be done, does it, and looks at the result. Everything is stopped.
fn rescale(on: On, world: &World, webhook: &Webhook, from: u64, to: u64) {
    let (count, url) = (to.to_string(), world.checkpoints_url());
    let arguments = ["rescale", "--partitions", &count, "--checkpoints", &url];
    let started = Instant::now();
    let plan = loop {
        let output = world.app(&[&arguments[..], &["--json"]].concat());
        if output.status.success() {
            break serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        }
        if said(&output).contains("has not read") {
            // It was stopped a moment too early.
            end(&mut start_with(from, on, world).0, webhook);
        } else {
            // A static member is in the group until its session expires.
            assert!(said(&output).contains("is at work"), "{}", said(&output));
        }
        assert!(started.elapsed() < PATIENCE, "{}", said(&output));
        std::thread::sleep(Duration::from_millis(300));
    };
    assert_eq!((plan["from"].as_u64(), plan["to"].as_u64()), (Some(from), Some(to)), "{plan}");
    let steps = plan["steps"].as_array().expect("a list");
    let divided = |application: &str| {
        steps.iter().filter_map(Value::as_str).any(|step| step.starts_with("divide") && step.ends_with(application))
    };
    assert!(divided("pipeline") && divided("notifier"), "{plan}");
    assert_eq!(alerts_partitions(world), from, "nothing was done");
    let text = app(world, &[&arguments[..], &["--yes"]].concat());
    assert!(text.starts_with(&format!("from {from} to {to} partitions:")), "{text}");
    assert_eq!(alerts_partitions(world), to);
    at_rest(&json(world, &["lag", "worker"])).expect("the new topics begin where the groups go on");
    let again = world.app(&[&arguments[..], &["--yes"]].concat());
    assert!(!again.status.success(), "there are {to} already: {}", said(&again));
}

fn alerts_partitions(world: &World) -> u64 {
    let of_alerts = |lag: &Value| lag["topic"].as_str().is_some_and(|topic| topic.ends_with(".alerts"));
    json(world, &["lag", "worker"]).into_iter().filter(of_alerts).count() as u64
}

/// All members as they were, but for the partition count; and the URL of the API.
fn start_with(partitions: u64, on: On, world: &World) -> (Vec<Process>, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let roles = match on {
        On::Embedded => vec![Role::Gateway],
        On::Kafka => vec![Role::Gateway, Role::Worker(0), Role::Notifier],
    };
    let start = |role: Role| {
        let launch = world.rival(role).with_flag("--partitions", partitions.to_string());
        let launch = if role == Role::Gateway { launch.with_flag("--web.listen-address", &address) } else { launch };
        launch.start().unwrap_or_else(|error| panic!("{error:#}"))
    };
    let mut members: Vec<_> = roles.into_iter().map(start).collect();
    let url = format!("http://{address}");
    members[0].wait_ready(&format!("{url}/-/ready"), PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
    (members, url)
}

/// Stops members when nothing is under way any more.
fn end(members: &mut [Process], webhook: &Webhook) {
    webhook.assert_quiet_for(QUIET);
    for member in members {
        assert!(member.terminate(PATIENCE).success(), "{}", member.tail());
    }
}

fn post(url: &str, alerts: &[Alert]) {
    alert::post(url, alerts).and_then(|answer| answer.expect_status(200)).unwrap_or_else(|error| panic!("{error}"));
}
