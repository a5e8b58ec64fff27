//! Reading the plan again while running: the old one stays unless the new one is good and published.

use std::sync::Arc;

use crate::app::App;
use crate::error::ApiError;
use crate::{publish, time};

/// Reloads the plan of one gateway; clone it freely.
#[derive(Clone, Debug)]
pub struct Reloader {
    app: Arc<App>,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file cannot be read, is no plan, or the hook refused it. The old plan goes on.
    #[error("failed to reload config: {0}")]
    Refused(anyhow::Error),
    /// The plan is good but could not be published; the old one goes on. Try again.
    #[error("the plan is good but could not be published, try again: {0}")]
    Unpublished(String),
}

impl Reloader {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Reads the plan's source again, publishes the plan when its version is new, and uses it from then on.
    ///
    /// # Errors
    /// See [`ReloadError`]; in both cases the old plan stays in use.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let plan = crate::plan::read(&self.app.config).await.map_err(|error| {
            self.app.metrics.plan_refused();
            tracing::error!(plan = %self.app.config.plan, %error, "the new plan is not taken, the old one goes on");
            ReloadError::Refused(error)
        })?;
        publish::publish(&self.app, &plan).await.map_err(|error| {
            self.app.metrics.plan_refused();
            let reason = match error {
                ApiError::Said(_, reason) | ApiError::Coded(_, _, reason) => reason,
                ApiError::Bare(status) => status.to_string(),
            };
            tracing::error!(plan = %self.app.config.plan, %reason, "the new plan is not published, the old one goes on");
            // The hook has taken the new one already: without this, those behind it would send by another plan than
            // the one that decides.
            if let Err(error) = crate::plan::show(&self.app.config, &self.app.plan.now()) {
                tracing::error!(%error, "the old plan could not be taken up again everywhere; reload again");
            }
            ReloadError::Unpublished(reason)
        })?;
        self.app.metrics.plan_taken(crate::plan::hash(&plan), time::now_ms());
        tracing::info!(plan = %self.app.config.plan, version = plan.version(), "plan reloaded");
        self.app.plan.set(plan);
        Ok(())
    }
}
