//! A whole plan: read once, then asked for every alert.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::error::{PlanErrors, Warning};
use crate::label::Labels;
use crate::read::{self, Spec};
use crate::receiver::{Integration, Receiver, Target};
use crate::redact::{self, Keys};
use crate::route::{Route, RouteMatch};

/// The plan that holds when no configuration is given: everything goes to the terminal, grouped by name, soon.
const BUILTIN: &str = "\
global: {resolve_timeout: 5m}
route:
  receiver: terminal
  group_by: [alertname]
  group_wait: 1s
  group_interval: 10s
  repeat_interval: 4h
receivers:
  - name: terminal
    terminal_configs: [{}]
";

/// What an `alertmanager.yml` means. Immutable; cheap to ask, not cheap to clone (share it).
#[derive(Clone, Debug)]
pub struct Plan {
    name: String,
    resolve_timeout: Duration,
    root: Route,
    receivers: Vec<Receiver>,
    warnings: Vec<Warning>,
    redacted: String,
    status: String,
    version: String,
}

impl Plan {
    /// Reads a configuration. `name` is the file's, for messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line and column, its path and the way out. What Alertmanager
    /// supports and Beacon does not yet is such a mistake too.
    pub fn parse(yaml: &str, name: &str) -> Result<Self, PlanErrors> {
        Self::read(yaml, name, false)
    }

    /// Reads what [`Plan::redacted_yaml`] wrote. It routes like the original; its secrets are `<secret>`, so nothing can
    /// be sent with it.
    ///
    /// # Errors
    /// As [`Plan::parse`].
    pub fn parse_redacted(yaml: &str, name: &str) -> Result<Self, PlanErrors> {
        Self::read(yaml, name, true)
    }

    /// The plan that holds when no configuration is given: it pages to the terminal.
    pub fn builtin_terminal() -> Self {
        Self::parse(BUILTIN, "the built-in plan").expect("the built-in plan is valid, as a test shows")
    }

    fn read(yaml: &str, name: &str, redacted: bool) -> Result<Self, PlanErrors> {
        match read::read(yaml, redacted) {
            Ok((spec, warnings)) => Ok(Self::assemble(spec, warnings, name)),
            Err(errors) => Err(PlanErrors { name: name.to_owned(), errors }),
        }
    }

    fn assemble(spec: Spec, warnings: Vec<Warning>, name: &str) -> Self {
        let redacted = redact::write(&spec, Keys::All);
        let digest = Sha256::digest(redacted.as_bytes());
        Self {
            name: name.to_owned(),
            resolve_timeout: spec.global.resolve_timeout,
            root: Route::root(&spec.route),
            warnings,
            status: redact::write(&spec, Keys::Alertmanager),
            version: digest[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            redacted,
            receivers: spec.receivers,
        }
    }

    /// The file's name, as given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 16 hex digits: the same for the same meaning. Comments, order of keys and secrets do not count: with a rotated
    /// password a plan routes as before, and a hash of a secret is not for a topic either.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The configuration without secrets, for the topic of plans: [`Plan::parse_redacted`] reads it.
    pub fn redacted_yaml(&self) -> &str {
        &self.redacted
    }

    /// The configuration without secrets for Alertmanager's clients, what `/api/v2/status` shows as `config.original`:
    /// without Beacon's own keys, and with a URL that leads nowhere in place of a webhook's, as amtool 0.25 takes no
    /// `<secret>` for it.
    pub fn status_yaml(&self) -> &str {
        &self.status
    }

    /// `global.resolve_timeout`: an alert without an end is taken for resolved when its source has been silent this long.
    pub fn resolve_timeout(&self) -> Duration {
        self.resolve_timeout
    }

    /// What works but may surprise, in the order of the file.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The root of the routing tree.
    pub fn root(&self) -> &Route {
        &self.root
    }

    /// A route by its [`Route::id`].
    pub fn route_by_id(&self, id: &str) -> Option<&Route> {
        self.root.walk().into_iter().find(|route| route.id() == id)
    }

    /// The groups an alert belongs to, in the order of the tree. At least one.
    pub fn route(&self, labels: &Labels) -> Vec<RouteMatch<'_>> {
        self.root.matching(labels).into_iter().map(|route| RouteMatch::new(route, labels)).collect()
    }

    /// Names of the receivers an alert goes to, in the order of the tree, repeated where several routes lead to one: the
    /// `receivers` that the API shows. Cheaper than [`Plan::route`].
    pub fn receivers_of(&self, labels: &Labels) -> Vec<&str> {
        self.root.matching(labels).into_iter().map(|route| route.settings().receiver.as_str()).collect()
    }

    /// All receivers, in the order of the file.
    pub fn receivers(&self) -> &[Receiver] {
        &self.receivers
    }

    /// A receiver by its name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// An integration by its address. `None`: the plan no longer has it.
    pub fn integration(&self, target: &Target) -> Option<&Integration> {
        self.receiver(&target.receiver)?.integrations.iter().find(|integration| integration.target == *target)
    }
}
