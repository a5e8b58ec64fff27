//! The plan in use: read from its source, shown to the hook, swapped as a whole.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use beacon_plan::Plan;

use crate::config::{GatewayConfig, PlanSource};

/// The plan in use. Requests in hand keep the one they began with.
#[derive(Debug)]
pub struct PlanCell(RwLock<Arc<Plan>>);

impl PlanCell {
    /// Begins with `plan`.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self(RwLock::new(plan))
    }

    /// The one in use now.
    pub fn now(&self) -> Arc<Plan> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses another from now on.
    pub fn set(&self, plan: Arc<Plan>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = plan;
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
pub async fn read(config: &GatewayConfig) -> anyhow::Result<Arc<Plan>> {
    let plan = match &config.plan {
        PlanSource::Builtin(plan) => Arc::clone(plan),
        PlanSource::File(path) => {
            let path = path.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read the configuration {name}: check --config.file"))?;
                anyhow::Ok(Plan::parse(&text, &name)?)
            });
            Arc::new(reading.await.context("reading the plan")??)
        }
    };
    for warning in plan.warnings() {
        tracing::warn!(plan = plan.name(), "{warning}");
    }
    show(config, &plan)?;
    Ok(plan)
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
