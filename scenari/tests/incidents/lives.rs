//! A load whose outcome does not depend on timing, so that two runs can be compared.
//!
//! Each of many services lives through four stages: disk a fails, disk b fails, a is well again, b is well again. The
//! next stage begins when both receivers were told of the last one. So whatever is killed or delayed in between, each
//! flush finds exactly one change, and a service is told of four times by each receiver, with the same contents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use beacon_proto::v1::Notification;
use scenari::alert::Alert;
use scenari::webhook::Webhook;
use scenari::world::World;

const STAGES: [(&str, &str); 4] = [("a", "firing"), ("b", "firing"), ("a", "resolved"), ("b", "resolved")];
const RECEIVERS: [&str; 2] = ["pager", "chronicle"];
/// Notifications that one life makes.
pub const TOLD_PER_LIFE: usize = STAGES.len() * RECEIVERS.len();
const PAUSE: Duration = Duration::from_millis(20);

/// Two receivers, both told of everything.
pub fn plan(webhook: &Webhook) -> String {
    format!(
        "global:
  resolve_timeout: 1h
route:
  receiver: pager
  group_by: [service]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 4h
  routes:
  - receiver: pager
    matchers: ['severity=\"page\"']
    continue: true
  - receiver: chronicle
receivers:
- name: pager
  webhook_configs:
  - url: '{url}pager'
- name: chronicle
  webhook_configs:
  - url: '{url}chronicle'
",
        url = webhook.url(),
    )
}

/// The load: which life is at which stage.
pub struct Lives<'a> {
    webhook: &'a Webhook,
    lives: Vec<Life>,
    started: Instant,
    spacing: Duration,
    seen: usize,
    told: BTreeMap<(String, &'static str, &'static str), BTreeSet<String>>,
}

#[derive(Clone, Copy, Default)]
struct Life {
    stage: usize,
    posted: bool,
}

impl<'a> Lives<'a> {
    /// `count` lives, of which one begins every `spacing` from now on.
    pub fn begin(webhook: &'a Webhook, count: usize, spacing: Duration) -> Self {
        let lives = vec![Life::default(); count];
        Self { webhook, lives, started: Instant::now(), spacing, seen: 0, told: BTreeMap::new() }
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How many lives are over.
    pub fn over(&self) -> usize {
        self.lives.iter().filter(|life| life.stage == STAGES.len()).count()
    }

    /// Whether all lives are over.
    pub fn all_over(&self) -> bool {
        self.over() == self.lives.len()
    }

    /// How many lives have begun by `elapsed`.
    pub fn begun_by(&self, elapsed: Duration) -> usize {
        let begun = elapsed.as_nanos() / self.spacing.as_nanos().max(1);
        self.lives.len().min(usize::try_from(begun).unwrap_or(usize::MAX))
    }

    /// Lives among the first `count` that are not over, with their stages.
    pub fn pending(&self, count: usize) -> Vec<(usize, usize)> {
        let open = |(index, life): (usize, &Life)| (life.stage < STAGES.len()).then_some((index, life.stage));
        self.lives.iter().take(count).enumerate().filter_map(open).collect()
    }

    /// Reads what was told, posts what is due, and rests for a moment. What is not accepted now is offered again at the
    /// next step.
    pub fn step(&mut self, world: &World) {
        self.listen();
        let begun = self.begun_by(self.elapsed());
        for index in 0..begun {
            self.advance(index);
        }
        let due: Vec<usize> =
            (0..begun).filter(|index| self.lives[*index].stage < STAGES.len() && !self.lives[*index].posted).collect();
        let alerts: Vec<Alert> = due.iter().map(|index| alert(*index, self.lives[*index].stage)).collect();
        if !alerts.is_empty() && world.offer(&alerts) {
            for index in due {
                self.lives[index].posted = true;
            }
        }
        sleep(PAUSE);
    }

    /// Steps until all lives are over.
    ///
    /// # Panics
    /// When that takes longer than `timeout` from now; the message names the lives that hang.
    pub fn run_to_end(&mut self, world: &mut World, timeout: Duration) {
        let started = Instant::now();
        while !self.all_over() {
            let pending = self.pending(self.lives.len());
            assert!(started.elapsed() < timeout, "after {timeout:?} these lives hang (life, stage): {pending:?}");
            self.step(world);
        }
        world.assert_alive();
    }

    fn listen(&mut self) {
        for page in self.webhook.pages_after(self.seen) {
            self.seen += 1;
            let payload = page.payload();
            let service = &payload.group_labels["service"];
            for (disk, status) in STAGES {
                if payload.alerts.iter().any(|alert| alert.labels["disk"] == disk && alert.status == status) {
                    self.told.entry((service.clone(), disk, status)).or_default().insert(payload.receiver.clone());
                }
            }
        }
    }

    fn advance(&mut self, index: usize) {
        let life = &mut self.lives[index];
        let Some((disk, status)) = STAGES.get(life.stage) else { return };
        let told = self.told.get(&(service(index), *disk, *status));
        if life.posted && told.is_some_and(|receivers| receivers.len() == RECEIVERS.len()) {
            *life = Life { stage: life.stage + 1, posted: false };
        }
    }
}

/// The notifications of the first `count` lives.
pub fn of_first(count: usize, told: &[Notification]) -> Vec<Notification> {
    let services: BTreeSet<String> = (0..count).map(service).collect();
    told.iter().filter(|told| services.contains(&told.group_labels["service"])).cloned().collect()
}

/// Panics when two runs did not tell the same; shows what one has and the other has not.
#[track_caller]
pub fn assert_same(found: &[Notification], wanted: &[Notification]) {
    let beyond = |these: &[Notification], those: &[Notification]| -> Vec<String> {
        these.iter().filter(|this| !those.contains(this)).take(5).map(|this| format!("{this:?}")).collect()
    };
    let (extra, missing) = (beyond(found, wanted), beyond(wanted, found));
    assert!(
        found == wanted,
        "{} notifications, calm: {}\nonly here: {extra:#?}\nonly calm: {missing:#?}",
        found.len(),
        wanted.len(),
    );
}

fn service(index: usize) -> String {
    format!("service-{index:03}")
}

fn alert(index: usize, stage: usize) -> Alert {
    let (disk, status) = STAGES[stage];
    let alert = Alert::named("DiskFailing")
        .label("service", service(index))
        .label("disk", disk)
        .label("severity", "page")
        .annotation("summary", format!("disk {disk} of service {index}"))
        .starts_at(beginning());
    if status == "resolved" { alert.ends_at(beginning() + Duration::from_secs(60)) } else { alert }
}

/// The same in all runs of this program: times are part of what is compared.
fn beginning() -> SystemTime {
    static BEGINNING: OnceLock<SystemTime> = OnceLock::new();
    *BEGINNING.get_or_init(|| SystemTime::now() - Duration::from_secs(120))
}
