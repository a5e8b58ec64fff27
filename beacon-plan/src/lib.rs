//! Plans as code: what an `alertmanager.yml` means, and the pure decisions that Alertmanager's users rely on.
//!
//! - [`Plan`] reads a configuration, reports every mistake with its place, and routes alerts to groups and receivers.
//! - [`matcher`], [`silence`], [`alert`], [`notify`] are the mechanisms beside it.
//!
//! No I/O, no clock, no async, no global state: whoever calls brings texts and times. Deliberately not here: sending,
//! rendering, storing, and the topics. What Alertmanager supports and this crate does not is refused by name, never
//! ignored.
//!
//! ```
//! use beacon_plan::Plan;
//!
//! let plan = Plan::parse(
//!     "
//! route:
//!   receiver: ops
//!   group_by: [alertname]
//!   routes:
//!     - matchers: [severity=page]
//! receivers:
//!   - name: ops
//!     webhook_configs: [{url: 'http://127.0.0.1:8080/'}]
//! ",
//!     "alertmanager.yml",
//! )?;
//! let labels = [("alertname", "Down"), ("severity", "page")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
//! let groups = plan.route(&labels);
//! assert_eq!(groups[0].group_key, r#"{}/{severity="page"}:{alertname="Down"}"#);
//! assert_eq!(groups[0].route.settings().receiver, "ops");
//! # Ok::<(), beacon_plan::PlanErrors>(())
//! ```

pub mod alert;
pub mod duration;
pub mod error;
pub mod label;
pub mod matcher;
pub mod notify;
pub mod receiver;
pub mod route;
pub mod secret;
pub mod silence;

mod plan;
mod read;
mod redact;
mod yaml;

pub use error::{PlanError, PlanErrors};
pub use label::{Labels, NameRules};
pub use plan::Plan;
pub use receiver::{Channel, Integration, Kind, Receiver, Target};
pub use route::{Route, RouteMatch};
pub use secret::Secret;
