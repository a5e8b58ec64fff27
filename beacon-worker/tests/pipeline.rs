//! The pipeline on the test driver: production topology, virtual time, crashes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beacon_core::codec::Codec;
use beacon_core::testing::TestDriver;
use beacon_core::topology::Topic;
use beacon_plan::Plan;
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::{self, AlertEvent, AlertState, Notification, Reason, Silence, Status};
use beacon_proto::{fingerprint, key};

const PLAN: &str = "
global: {resolve_timeout: 5m}
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs: [{url: 'http://127.0.0.1:1/'}]
";

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The pipeline with a plan in force, told as an incident.
struct Incident {
    driver: TestDriver,
}

impl Incident {
    fn begins() -> Self {
        Self::with_plan(PLAN)
    }

    fn with_plan(yaml: &str) -> Self {
        let topology = beacon_worker::pipeline::topology(&Topics::default()).expect("the topology is valid");
        let mut incident = Self { driver: TestDriver::new(topology, 4) };
        incident.plan(yaml);
        incident
    }

    fn topic<V: Codec>(name: &str) -> Topic<V> {
        Topic::new(Topics::default().name(name))
    }

    fn plan(&mut self, yaml: &str) {
        let parsed = Plan::parse(yaml, "test").expect("a valid plan");
        let plan = v1::Plan {
            id: "alertmanager.yml".into(),
            version: parsed.version().into(),
            alertmanager_yaml: parsed.redacted_yaml().into(),
            published_at_ms: self.now(),
            replaced: Vec::new(),
        };
        self.driver.send(&Self::topic(topics::PLANS), b"alertmanager.yml", &plan);
    }

    fn now(&self) -> i64 {
        self.driver.now().as_millis()
    }

    fn after(&mut self, wait: u64) -> &mut Self {
        self.driver.advance(seconds(wait));
        self
    }

    fn event(&self, labels: &[(&str, &str)]) -> AlertEvent {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AlertEvent { labels, received_at_ms: self.now(), ..AlertEvent::default() }
    }

    fn send(&mut self, event: &AlertEvent) -> &mut Self {
        let key = key::alert("", &fingerprint::hex(&event.labels));
        self.driver.send(&Self::topic(topics::ALERTS), key.as_bytes(), event);
        self
    }

    fn fires(&mut self, labels: &[(&str, &str)]) -> &mut Self {
        let (now, later) = (self.now(), self.now() + 86_400_000 * 9);
        let event = AlertEvent { starts_at_ms: Some(now), ends_at_ms: Some(later), ..self.event(labels) };
        self.send(&event)
    }

    fn resolves(&mut self, labels: &[(&str, &str)]) -> &mut Self {
        let event = AlertEvent { ends_at_ms: Some(self.now()), ..self.event(labels) };
        self.send(&event)
    }

    fn silences(&mut self, name: &str, value: &str, lasts: u64) {
        let matcher = v1::Matcher { name: name.into(), pattern: value.into(), ..v1::Matcher::default() };
        let silence = Silence {
            id: format!("{name}={value}"),
            matchers: vec![matcher],
            starts_at_ms: self.now(),
            ends_at_ms: self.now() + lasts as i64 * 1_000,
            ..Silence::default()
        };
        self.driver.send(&Self::topic(topics::SILENCES), key::silence("", &silence.id).as_bytes(), &silence);
    }

    fn told(&mut self) -> Vec<Notification> {
        self.driver.output(&Self::topic(topics::NOTIFICATIONS))
    }

    /// What was told since the last look, in short: status, reason, hosts firing, hosts resolved.
    fn said(&mut self) -> Vec<(Status, Reason, String, String)> {
        let hosts = |notification: &Notification, status| {
            let mut hosts: Vec<_> = notification
                .alerts
                .iter()
                .filter(|alert| alert.status() == status)
                .map(|alert| alert.labels.get("host").cloned().unwrap_or_default())
                .collect();
            hosts.sort();
            hosts.join(",")
        };
        self.told()
            .iter()
            .map(|n| (n.status(), n.reason(), hosts(n, Status::Firing), hosts(n, Status::Resolved)))
            .collect()
    }

    fn says(&mut self, expected: &[(Status, Reason, &str, &str)]) {
        let said = self.said();
        let said: Vec<_> = said.iter().map(|(s, r, f, e)| (*s, *r, f.as_str(), e.as_str())).collect();
        assert_eq!(said, expected);
    }
}

use Status::{Firing, Resolved};

#[test]
fn a_group_waits_is_told_once_and_again_when_it_resolves() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(10).fires(&[("alertname", "Down"), ("host", "b")]);
    incident.after(19).says(&[]);
    incident.after(1).says(&[(Firing, Reason::First, "a,b", "")]);
    incident.after(3600).says(&[]);
    incident.resolves(&[("alertname", "Down"), ("host", "a")]).after(300).says(&[(
        Firing,
        Reason::SomeResolved,
        "b",
        "a",
    )]);
    incident.resolves(&[("alertname", "Down"), ("host", "b")]).after(300).says(&[(
        Resolved,
        Reason::AllResolved,
        "",
        "b",
    )]);
    incident.after(86_400).says(&[]);
}

#[test]
fn new_members_are_told_at_the_group_interval_and_all_at_the_repeat_interval() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.fires(&[("alertname", "Down"), ("host", "b")]).after(299).says(&[]);
    incident.after(1).says(&[(Firing, Reason::NewAlerts, "a,b", "")]);
    incident.after(4 * 3600 + 300).says(&[(Firing, Reason::Repeat, "a,b", "")]);
}

#[test]
fn groups_are_apart() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).fires(&[("alertname", "Disk"), ("host", "a")]).after(30);
    let mut keys: Vec<_> = incident.told().into_iter().map(|n| n.group_key).collect();
    keys.sort();
    assert_eq!(keys, [r#"{}:{alertname="Disk"}"#, r#"{}:{alertname="Down"}"#]);
}

#[test]
fn an_alert_nobody_renews_ends_by_timeout() {
    let mut incident = Incident::begins();
    let event = incident.event(&[("alertname", "Down"), ("host", "a")]);
    incident.send(&event).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.after(269).says(&[]);
    incident.after(1).says(&[]);
    incident.after(30).says(&[(Resolved, Reason::AllResolved, "", "a")]);
}

#[test]
fn an_outage_of_ours_ends_nobodys_alert() {
    let mut incident = Incident::begins();
    let labels = [("alertname", "Down"), ("host", "a")];
    let event = incident.event(&labels);
    incident.send(&event).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.driver.down_for(seconds(3600));
    incident.after(60).says(&[]);
    let event = incident.event(&labels);
    incident.send(&event).after(120).says(&[]);
    incident.after(900).says(&[(Resolved, Reason::AllResolved, "", "a")]);
}

#[test]
fn a_silence_mutes_and_its_end_is_told_at_the_next_look() {
    let mut incident = Incident::begins();
    incident.silences("host", "a", 900);
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(890).says(&[]);
    incident.after(300).says(&[(Firing, Reason::First, "a", "")]);
}

#[test]
fn a_told_alert_that_resolves_under_a_silence_still_gets_its_end() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.silences("alertname", "Down", 86_400);
    incident.after(60).resolves(&[("alertname", "Down"), ("host", "a")]);
    incident.after(300).says(&[(Resolved, Reason::AllResolved, "", "a")]);
    incident.after(86_400).says(&[]);
}

#[test]
fn an_unchanged_plan_read_again_tells_nobody_anything() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.plan(PLAN);
    incident.after(600).says(&[]);
}

#[test]
fn a_changed_plan_moves_firing_alerts_and_closes_what_the_old_group_told() {
    let mut incident = Incident::begins();
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(30).says(&[(Firing, Reason::First, "a", "")]);
    incident.after(60);
    incident.plan(&PLAN.replace("group_by: [alertname]", "group_by: [host]"));
    incident.after(1);
    let told = incident.told();
    assert_eq!(told.len(), 1, "it has been firing longer than the new group would wait");
    assert_eq!((told[0].status(), told[0].group_key.as_str()), (Firing, r#"{}:{host="a"}"#));
    incident.after(300);
    let told = incident.told();
    let ended: Vec<_> = told.iter().filter(|n| n.status() == Resolved).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].group_key, r#"{}:{alertname="Down"}"#);
}

#[test]
fn alerts_that_came_before_the_first_plan_are_routed_when_it_comes() {
    let topology = beacon_worker::pipeline::topology(&Topics::default()).expect("valid");
    let mut incident = Incident { driver: TestDriver::new(topology, 2) };
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(600).says(&[]);
    incident.plan(PLAN);
    incident.after(1).says(&[(Firing, Reason::First, "a", "")]);
}

#[test]
fn a_crash_anywhere_changes_neither_what_is_told_nor_its_ids() {
    let run = |crash: bool| {
        let mut incident = Incident::begins();
        for number in 0..60u32 {
            let host = format!("h{}", number % 7);
            let name = format!("Alert{}", number % 3);
            let labels = [("alertname", name.as_str()), ("host", host.as_str())];
            if crash && number % 2 == 0 {
                incident.driver.hold_commits();
            }
            if number % 5 == 4 {
                incident.resolves(&labels)
            } else {
                incident.fires(&labels)
            };
            if crash {
                incident.driver.crash_and_restore();
            }
            incident.after(u64::from(number * 7 % 90));
        }
        incident.after(3600);
        let mut told: Vec<_> = incident.told().iter().map(Codec::to_bytes).collect();
        told.sort();
        told
    };
    let (calm, rough) = (run(false), run(true));
    assert!(calm.len() > 10);
    assert!(calm == rough, "{} notifications calm, {} with crashes", calm.len(), rough.len());
}

#[test]
fn a_group_that_starts_again_never_uses_an_id_twice() {
    let mut incident = Incident::begins();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let event = AlertEvent {
            starts_at_ms: Some(1_767_225_600_000),
            ends_at_ms: Some(incident.now() + 1_000_000_000),
            ..incident.event(&[("alertname", "Down"), ("host", "a")])
        };
        incident.send(&event).after(60);
        incident.resolves(&[("alertname", "Down"), ("host", "a")]).after(400);
        ids.extend(incident.told().into_iter().map(|n| n.id));
    }
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (6, 6));
}

#[test]
fn poison_becomes_a_dead_letter_and_the_pipeline_goes_on() {
    let mut incident = Incident::begins();
    let alerts: Arc<str> = Topics::default().name(topics::ALERTS).into();
    incident.driver.send_bytes(&alerts, b"k", Some(vec![0xff, 0xff]));
    incident.driver.send_bytes(&alerts, b"k", Some(b"{\"labels\": 5}".to_vec()));
    let nameless = incident.event(&[]);
    incident.send(&nameless);
    incident.driver.send_bytes(&Topics::default().name(topics::PLANS).into(), b"p", Some(b"{".to_vec()));
    let letters = incident.driver.records(&Topics::default().name(topics::DEAD_LETTERS));
    let reasons: Vec<_> =
        letters.iter().map(|letter| String::from_utf8_lossy(&letter.headers[0].1).into_owned()).collect();
    assert_eq!(letters.len(), 4, "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("at least one label")), "{reasons:?}");
    incident.fires(&[("alertname", "Down"), ("host", "a")]).after(30).says(&[(Firing, Reason::First, "a", "")]);
}

#[test]
fn the_state_topic_shows_each_event_and_forgets_in_the_end() {
    let mut incident = Incident::begins();
    let states = Incident::topic::<AlertState>(topics::ALERTS_STATE);
    incident.fires(&[("alertname", "Down"), ("host", "a")]);
    let seen = incident.driver.output(&states);
    assert_eq!((seen.len(), seen[0].resolved, seen[0].receivers.clone()), (1, false, vec!["hook".to_owned()]));
    incident.fires(&[("alertname", "Down"), ("host", "a")]);
    assert_eq!(incident.driver.output(&states)[0].reflects_offset, 1);
    incident.after(60).resolves(&[("alertname", "Down"), ("host", "a")]);
    assert!(incident.driver.output(&states)[0].resolved);
    incident.after(900);
    let last = incident.driver.changes(&states);
    assert_eq!(last.len(), 1);
    assert!(last[0].1.is_none(), "a tombstone");
}
