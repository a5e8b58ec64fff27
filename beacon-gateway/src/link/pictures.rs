//! The views that the gateway answers from.

use std::sync::Arc;

use beacon_core::log::{Log, LogError};
use beacon_core::view::{Progress, View};
use beacon_proto::topics::{self, Topics};
use beacon_proto::v1::Plan;

use super::Written;
use crate::plan::PlanCell;
use crate::publish::PLAN_ID;
use crate::row::AlertRow;
use crate::silences::SilenceRow;

/// Full names of the topics that the gateway reads and writes; made once, shared by all records.
#[derive(Clone, Debug)]
pub struct TopicNames {
    /// Written: alerts as posted.
    pub alerts: Arc<str>,
    /// Read: what became of them.
    pub alerts_state: Arc<str>,
    /// Read and written.
    pub silences: Arc<str>,
    /// Read and written.
    pub plans: Arc<str>,
}

impl TopicNames {
    /// The names under the prefix of `topics`.
    pub fn new(topics: &Topics) -> Self {
        Self {
            alerts: topics.name(topics::ALERTS).into(),
            alerts_state: topics.name(topics::ALERTS_STATE).into(),
            silences: topics.name(topics::SILENCES).into(),
            plans: topics.name(topics::PLANS).into(),
        }
    }
}

/// The views, and what this gateway wrote that they should reflect.
#[derive(Debug)]
pub struct Pictures {
    /// Alerts by `tenant/fingerprint`.
    pub alerts: View<String, AlertRow>,
    /// How far the states seen reflect the topic `alerts`: the worker takes each of its partitions in order, so the
    /// largest offset that any state of a partition names is reached as a whole.
    pub alerts_reflected: Arc<Progress>,
    /// Silences by `tenant/id`.
    pub silences: View<String, SilenceRow>,
    /// Plans by id.
    pub plans: View<String, Plan>,
}

impl Pictures {
    /// Starts all of them; returns before they have read what is there. `plan` is told of each plan that is read, and has to be
    /// told when all are.
    ///
    /// # Errors
    /// Those of the log.
    pub fn start(log: &dyn Log, names: &TopicNames, plan: &Arc<PlanCell>) -> Result<Self, LogError> {
        let partitions = log.describe_topic(&names.alerts)?.map_or(0, |topic| topic.partitions);
        let alerts_reflected = Arc::new(Progress::new(partitions));
        let alerts = View::start_observed(log, &names.alerts_state, {
            let reflected = Arc::clone(&alerts_reflected);
            move |change: &beacon_core::view::Change<String, AlertRow>| {
                if let Some(row) = &change.new {
                    reflected.advance(change.partition, row.reflects_offset + 1);
                }
            }
        })?;
        plan.begin_reading();
        let plans = View::start_observed(log, &names.plans, {
            let plan = Arc::clone(plan);
            move |change: &beacon_core::view::Change<String, Plan>| {
                // A plan that was removed stays in force, as it does at the workers.
                if let (PLAN_ID, Some(published)) = (change.key.as_str(), &change.new) {
                    plan.heard(published);
                }
            }
        })?;
        Ok(Self { alerts, alerts_reflected, silences: View::start(log, &names.silences)?, plans })
    }

    /// Why one of them is not kept up to date any more, if so.
    pub fn ended(&self) -> Option<String> {
        [self.alerts.ended(), self.silences.ended(), self.plans.ended()].into_iter().flatten().next()
    }
}

/// What this gateway wrote to the topics it also reads.
#[derive(Debug, Default)]
pub struct OwnWrites {
    /// To `alerts`.
    pub alerts: Written,
    /// To `silences`.
    pub silences: Written,
}
