//! Reading the plan again while running: the old one stays unless the new one is good and published.

use std::sync::Arc;

use crate::app::App;
use crate::error::ApiError;
use crate::publish::{Asked, Unpublished, publish};
use crate::time;

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
    /// The file says what it said before, and that was replaced on the topic meanwhile. What is in force goes on.
    #[error("{0}")]
    Replaced(String),
}

impl Reloader {
    pub(crate) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// Reads the plan's source again, publishes the plan when its version is new, and uses it from then on.
    ///
    /// # Errors
    /// See [`ReloadError`]; in all cases the plan in force stays.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let app = &self.app;
        let _turn = app.plan_turn.lock().await;
        let own = crate::plan::read(&app.config).await.map_err(|error| {
            app.metrics.plan_refused();
            tracing::error!(plan = %app.config.plan, %error, "the new plan is not taken, the old one goes on");
            ReloadError::Refused(error)
        })?;
        let is_change = own.plan.version() != app.plan.own().plan.version();
        let asked = if is_change { Asked::ByChange } else { Asked::ByStart };
        match publish(app, &own, asked).await {
            Ok(()) => {}
            Err(Unpublished::Replaced(why)) => {
                app.metrics.plan_refused();
                tracing::error!("{why}");
                // Of the same version, but its secrets may be others.
                app.plan.set_own(own);
                return Err(ReloadError::Replaced(why));
            }
            Err(Unpublished::Later(error)) => {
                app.metrics.plan_refused();
                let reason = match error {
                    ApiError::Said(_, reason) | ApiError::Coded(_, _, reason) => reason,
                    ApiError::Bare(status) => status.to_string(),
                };
                tracing::error!(plan = %app.config.plan, %reason, "the new plan is not published, the old one goes on");
                // The hook has taken the new one already: without this, those behind it would send by another plan than
                // the one that decides.
                if let Err(error) = crate::plan::show(&app.config, &app.plan.own().plan) {
                    tracing::error!(%error, "the old plan could not be taken up again everywhere; reload again");
                }
                return Err(ReloadError::Unpublished(reason));
            }
        }
        app.metrics.plan_taken(crate::plan::hash(&own.plan), time::now_ms());
        tracing::info!(plan = %app.config.plan, version = own.plan.version(), "plan reloaded");
        app.plan.set_own(own);
        Ok(())
    }
}
