//! Beacon as a whole against Alertmanager: the same load from the same generator, one system after the other.

mod batch;
mod intake;
mod load;
mod notification;
mod stage;

pub use intake::{Intake, Phase};
pub use notification::Notification;
pub use stage::System;

use anyhow::{Context, Result};

use crate::broker::Broker;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Alerts active at the end.
    pub alerts: usize,
    /// How often all of them are posted again, 64 a request.
    pub repeats: usize,
    /// Posts of one alert each.
    pub singles: usize,
}

/// Alerts taken in, and the memory they take, for each of the systems.
///
/// # Errors
/// A system that cannot be started, a refused alert, or an accepted one that is not listed.
pub fn intake(broker: &Broker, systems: &[System], size: Size) -> Result<Vec<Intake>> {
    systems
        .iter()
        .map(|&system| {
            eprintln!("  {} ...", system.title());
            intake::measure(system, broker, size).with_context(|| system.title())
        })
        .collect()
}

/// Time from a post to the webhook at `group_wait: 0s`, for each of the systems.
///
/// # Errors
/// A system that cannot be started, or a notification that does not come.
pub fn notifications(broker: &Broker, systems: &[System], count: u32) -> Result<Vec<Notification>> {
    systems
        .iter()
        .map(|&system| {
            eprintln!("  {} ...", system.title());
            notification::measure(system, broker, count).with_context(|| system.title())
        })
        .collect()
}
