//! Incidents, each on the embedded log and on a real Kafka with gateway, worker and notifier as separate processes.
//!
//! A program of its own so that all of them share one broker. `World` lets one installation at a time on stage, so the
//! incidents run one after the other whatever the number of test threads.

mod app_tools;
mod broker_restart;
mod calm;
mod changing_group;
mod checkpoint_tools;
mod clean_stop;
mod coming_and_going;
mod killed_worker;
mod late_kafka;
mod lives;
mod lost_disk;
mod members;
mod old_file;
mod poison;
mod power_cut;
mod receiver_down;
mod reload;
mod secured;
mod shown_restore;
mod side_by_side;
mod silence;
mod stock_prometheus;
mod watched;
mod zombie;

use scenari::world::World;

/// Which log an incident happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Embedded,
    Kafka,
}

impl On {
    /// An installation on this log with this `alertmanager.yml`.
    #[track_caller]
    fn start(self, config: &str) -> World {
        match self {
            Self::Embedded => World::embedded(config),
            Self::Kafka => World::kafka(config),
        }
    }
}

/// Makes two tests of each incident, `embedded::name` and `kafka::name`.
macro_rules! on_both_logs {
    ($($incident:ident),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $incident() { super::$incident(crate::On::Embedded) })+
        }
        mod kafka {
            $(#[test] fn $incident() { super::$incident(crate::On::Kafka) })+
        }
    };
}
use on_both_logs;
