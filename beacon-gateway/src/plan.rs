//! Plans: the one of this process's file, and the one in force, which is what the topic `plans` says and workers decide by.
//!
//! They differ while members of an installation have different files. The API answers by the one in force, so that all
//! gateways answer alike.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use beacon_plan::Plan;
use beacon_proto::v1;

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
pub struct PlanCell(RwLock<Plans>);

#[derive(Debug)]
struct Plans {
    own: OwnPlan,
    in_force: Arc<Plan>,
    /// Version of the one in force, as it was published.
    version: String,
}

impl PlanCell {
    /// Begins with what was read; it counts as in force until the topic says something else.
    pub fn new(own: OwnPlan) -> Self {
        let (in_force, version) = (Arc::clone(&own.plan), own.plan.version().to_owned());
        Self(RwLock::new(Plans { own, in_force, version }))
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
        let mut plans = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if own.plan.version() == plans.version {
            plans.in_force = Arc::clone(&own.plan);
        }
        plans.own = own;
    }

    /// A plan was read from the topic: it is in force from now on. One that this version cannot read is not: a worker of
    /// this version keeps the last one, too.
    pub fn follow(&self, published: &v1::Plan) {
        let own = self.own().plan;
        let plan = if own.version() == published.version {
            Arc::clone(&own)
        } else {
            match Plan::parse_redacted(&published.alertmanager_yaml, &published.id) {
                Ok(plan) => Arc::new(plan),
                Err(error) => {
                    tracing::error!(version = published.version, %error, "a published plan is refused; the last one stays in force");
                    return;
                }
            }
        };
        let own = own.version();
        tracing::info!(version = published.version, own, "the plan in force");
        let mut plans = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (plans.in_force, plans.version) = (plan, published.version.clone());
    }

    fn read<T>(&self, of: impl FnOnce(&Plans) -> T) -> T {
        of(&self.0.read().unwrap_or_else(PoisonError::into_inner))
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
