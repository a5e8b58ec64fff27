//! Plans: the one of this process's file, and the one in force, which is what the topic `plans` says and workers decide by.
//!
//! They differ while members of an installation have different files. The API answers by the one in force, so that all
//! gateways answer alike.
//!
//! What the topic says is known when it is read to its end: on the way there, old versions that are not compacted yet come by
//! once more.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use beacon_plan::Plan;
use beacon_proto::v1;
use tokio::sync::watch;

use crate::config::{GatewayConfig, PlanSource};

/// A plan that was read from its source.
#[derive(Clone, Debug)]
pub struct OwnPlan {
    /// The plan, with its secrets.
    pub plan: Arc<Plan>,
    /// When its file was written, milliseconds since the epoch; `None` when that is not known.
    pub written_ms: Option<i64>,
}

/// Both plans. Requests in hand keep the one they began with.
#[derive(Debug)]
pub struct PlanCell {
    plans: RwLock<Plans>,
    /// Whether the topic was read to its end once.
    known: watch::Sender<bool>,
}

#[derive(Debug)]
struct Plans {
    own: OwnPlan,
    in_force: Arc<Plan>,
    /// Version of the newest on the topic, as it was published: of the one in force, unless that one cannot be read here.
    version: String,
    /// While the topic is read from its start: the newest so far.
    reading: Option<Newest>,
}

type Newest = Option<v1::Plan>;

impl PlanCell {
    /// Begins with what was read; it counts as in force until the topic says something else.
    pub fn new(own: OwnPlan) -> Self {
        let (in_force, version) = (Arc::clone(&own.plan), own.plan.version().to_owned());
        let plans = Plans { own, in_force, version, reading: Some(None) };
        Self { plans: RwLock::new(plans), known: watch::Sender::new(false) }
    }

    /// Whether what the topic says is known.
    pub fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Returns when what the topic says is known.
    pub async fn known(&self) {
        // Its sender is here, so it cannot be gone.
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    /// The one of this process's file.
    pub fn own(&self) -> OwnPlan {
        self.read(|plans| plans.own.clone())
    }

    /// The one that workers decide by.
    pub fn in_force(&self) -> Arc<Plan> {
        self.read(|plans| Arc::clone(&plans.in_force))
    }

    /// Whether the file says what is in force.
    pub fn own_is_in_force(&self) -> bool {
        self.read(|plans| plans.own.plan.version() == plans.version)
    }

    /// This process's file was read again.
    pub fn set_own(&self, own: OwnPlan) {
        let mut plans = self.write();
        if own.plan.version() == plans.version {
            plans.in_force = Arc::clone(&own.plan);
        }
        plans.own = own;
    }

    /// The topic is read from its start, once more perhaps: until [`PlanCell::all_read`] what is in force stays so.
    pub fn begin_reading(&self) {
        self.write().reading = Some(None);
    }

    /// The topic is read to its end: the newest of its plans is in force, and each that comes from now on.
    pub fn all_read(&self) {
        let mut plans = self.write();
        if let Some(newest) = plans.reading.take().flatten() {
            plans.follow(&newest);
        }
        drop(plans);
        self.known.send_replace(true);
    }

    /// A plan was read from the topic.
    pub fn heard(&self, published: &v1::Plan) {
        let mut plans = self.write();
        match &mut plans.reading {
            Some(newest) => *newest = Some(published.clone()),
            None => plans.follow(published),
        }
    }

    fn read<T>(&self, of: impl FnOnce(&Plans) -> T) -> T {
        of(&self.plans.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Plans> {
        self.plans.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plans {
    /// It is in force from now on. One that this version cannot read is not: a worker of this version keeps the last one, too.
    fn follow(&mut self, published: &v1::Plan) {
        let own = self.own.plan.version();
        if published.version == own {
            self.in_force = Arc::clone(&self.own.plan);
        } else if published.version != self.version {
            match Plan::parse_redacted(&published.alertmanager_yaml, &published.id) {
                Ok(plan) => self.in_force = Arc::new(plan),
                Err(error) => {
                    tracing::error!(version = published.version, %error, "a published plan is refused; the last one stays in force");
                    self.version.clone_from(&published.version);
                    return;
                }
            }
        } else {
            return;
        }
        tracing::info!(version = published.version, own, "the plan in force");
        self.version.clone_from(&published.version);
    }
}

/// A number that changes with the plan's version.
pub fn hash(plan: &Plan) -> u64 {
    u64::from_str_radix(plan.version(), 16).expect("a version is 16 hex digits")
}

/// Reads the plan from its source and shows it to the hook.
///
/// # Errors
/// A file that cannot be read, every mistake in it with its place, or what the hook has against it.
pub async fn read(config: &GatewayConfig) -> anyhow::Result<OwnPlan> {
    let own = match &config.plan {
        PlanSource::Builtin(plan) => OwnPlan { plan: Arc::clone(plan), written_ms: None },
        PlanSource::File(path) => {
            let path = path.clone();
            let reading = tokio::task::spawn_blocking(move || read_file(&path));
            reading.await.context("reading the plan")??
        }
    };
    for warning in own.plan.warnings() {
        tracing::warn!(plan = own.plan.name(), "{warning}");
    }
    show(config, &own.plan)?;
    Ok(own)
}

fn read_file(path: &std::path::Path) -> anyhow::Result<OwnPlan> {
    let name = path.display().to_string();
    let cannot = || format!("cannot read the configuration {name}: check --config.file");
    // Before the text: of a file that is written meanwhile the text is not older than the time says.
    let written = std::fs::metadata(path).and_then(|file| file.modified()).with_context(cannot)?;
    let text = std::fs::read_to_string(path).with_context(cannot)?;
    // A file from before 1970 is as old as can be.
    let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written_ms = Some(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Ok(OwnPlan { plan: Arc::new(Plan::parse(&text, &name)?), written_ms })
}

/// Shows a plan to the hook, which takes it up or says what it has against it.
///
/// # Errors
/// The hook's; the plan it had before is still in use there.
pub fn show(config: &GatewayConfig, plan: &Plan) -> anyhow::Result<()> {
    match &config.on_plan {
        Some(hook) => hook(plan).map_err(|reason| anyhow::anyhow!("{}: {reason}", plan.name())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(receiver: &str) -> Arc<Plan> {
        let text = format!("route: {{receiver: {receiver}}}\nreceivers: [{{name: {receiver}}}]\n");
        Arc::new(Plan::parse(&text, "alertmanager.yml").expect("a good plan"))
    }

    fn published(plan: &Plan) -> v1::Plan {
        let alertmanager_yaml = plan.redacted_yaml().to_owned();
        v1::Plan { version: plan.version().to_owned(), alertmanager_yaml, ..v1::Plan::default() }
    }

    /// The receiver of the plan in force, and whether that is the own one.
    fn seen(cell: &PlanCell) -> (String, bool) {
        (cell.in_force().receivers()[0].name.clone(), cell.own_is_in_force())
    }

    #[test]
    fn a_topic_that_is_read_once_more_takes_nothing_back_on_the_way() {
        let [first, second, third] = ["first", "second", "third"].map(plan);
        let cell = PlanCell::new(OwnPlan { plan: Arc::clone(&second), written_ms: None });
        let (own, newest) = (("second".to_owned(), true), ("third".to_owned(), false));
        for (known, meanwhile) in [(false, &own), (true, &newest)] {
            cell.begin_reading();
            for plan in [&first, &second, &third] {
                cell.heard(&published(plan));
                assert_eq!((cell.is_known(), &seen(&cell)), (known, meanwhile));
            }
            cell.all_read();
            assert_eq!((cell.is_known(), &seen(&cell)), (true, &newest));
        }
        cell.heard(&published(&second));
        assert_eq!(seen(&cell), own);
    }

    #[test]
    fn an_empty_topic_leaves_the_own_plan_in_force() {
        let cell = PlanCell::new(OwnPlan { plan: plan("own"), written_ms: None });
        cell.all_read();
        assert_eq!((cell.is_known(), seen(&cell)), (true, ("own".to_owned(), true)));
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_not_the_own_one_either() {
        let own = plan("own");
        let cell = PlanCell::new(OwnPlan { plan: Arc::clone(&own), written_ms: None });
        cell.all_read();
        cell.heard(&v1::Plan { alertmanager_yaml: "from: the future\n".to_owned(), ..published(&plan("later")) });
        assert_eq!(seen(&cell), ("own".to_owned(), false));
        cell.heard(&published(&own));
        assert_eq!(seen(&cell), ("own".to_owned(), true));
    }
}
