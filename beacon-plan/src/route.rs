//! The routing tree: which receivers an alert goes to, and in which group.
//!
//! A [`Route`] holds its effective settings, inheritance already applied. Matching goes depth first: an alert descends
//! into the children in order, stops after the first child that takes it unless that child says `continue`, and belongs
//! to a route itself only if no child took it. The root takes everything.
//!
//! Three texts name a route or a group:
//! - [`Route::key`]: the matchers on the way from the root, as Alertmanager prints them. Twins share it.
//! - [`Route::id`]: the same made unique by numbering twins (`#1`, …). It does not depend on settings or on the place
//!   among other siblings, so that groups live on when routes are added around them.
//! - a group key: the route's key and the group labels, exactly as Alertmanager prints it. *Not unique*: the groups of
//!   two twins (the same matchers, say with `continue`) share it, so key state by [`RouteMatch::group_id`].
//!
//! Source: Alertmanager's `dispatch.Route`; <https://prometheus.io/docs/alerting/latest/configuration/#route>.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::label::{self, Labels};
use crate::matcher::{Matcher, Printed, all_match};

/// Labels whose values make the groups of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// `group_by: [...]`: every label; each alert is a group of its own.
    All,
    /// These; labels that an alert does not have are left out. None: one group.
    Labels(BTreeSet<String>),
}

impl GroupBy {
    /// The group labels of an alert.
    pub fn select(&self, labels: &Labels) -> Labels {
        match self {
            Self::All => labels.clone(),
            Self::Labels(names) => {
                names.iter().filter_map(|name| Some((name.clone(), labels.get(name)?.clone()))).collect()
            }
        }
    }
}

/// What a route says of the groups in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who is told; a receiver of the plan.
    pub receiver: String,
    /// How alerts are grouped.
    pub group_by: GroupBy,
    /// From a group's first alert to its first notification. Default 30 s; may be 0.
    pub group_wait: Duration,
    /// Between looks at a group that has been notified. Default 5 min; never 0.
    pub group_interval: Duration,
    /// After this a group is told again though nothing is new. Default 4 h; never 0.
    pub repeat_interval: Duration,
}

/// What a route in the file says itself; what is `None` comes from its parent, or is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteSpec {
    pub receiver: Option<String>,
    /// In the order of the file.
    pub group_by: Option<GroupBySpec>,
    pub group_wait: Option<Duration>,
    pub group_interval: Option<Duration>,
    pub repeat_interval: Option<Duration>,
    pub matchers: Vec<Matcher>,
    pub continues: bool,
    pub routes: Vec<RouteSpec>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupBySpec {
    All,
    Labels(Vec<String>),
}

/// A node of the routing tree.
#[derive(Clone, Debug)]
pub struct Route {
    id: String,
    key: String,
    settings: Settings,
    matchers: Vec<Matcher>,
    continues: bool,
    routes: Vec<Route>,
}

impl Route {
    /// Builds the tree with its inheritance.
    pub(crate) fn root(spec: &RouteSpec) -> Self {
        let defaults = Settings {
            receiver: String::new(),
            group_by: GroupBy::Labels(BTreeSet::new()),
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 60 * 60),
        };
        let key = Printed(&sorted(&spec.matchers)).to_string();
        Self::build(spec, &defaults, key.clone(), key)
    }

    fn build(spec: &RouteSpec, parent: &Settings, id: String, key: String) -> Self {
        let settings = Settings {
            receiver: spec.receiver.clone().unwrap_or_else(|| parent.receiver.clone()),
            group_by: match &spec.group_by {
                None => parent.group_by.clone(),
                Some(GroupBySpec::All) => GroupBy::All,
                Some(GroupBySpec::Labels(names)) => GroupBy::Labels(names.iter().cloned().collect()),
            },
            group_wait: spec.group_wait.unwrap_or(parent.group_wait),
            group_interval: spec.group_interval.unwrap_or(parent.group_interval),
            repeat_interval: spec.repeat_interval.unwrap_or(parent.repeat_interval),
        };
        let mut twins: BTreeMap<String, usize> = BTreeMap::new();
        let routes = spec.routes.iter().map(|child| {
            let own = Printed(&sorted(&child.matchers)).to_string();
            let twin = twins.entry(own.clone()).or_default();
            let number = if *twin > 0 { format!("#{twin}") } else { String::new() };
            *twin += 1;
            Self::build(child, &settings, format!("{id}/{own}{number}"), format!("{key}/{own}"))
        });
        let routes = routes.collect();
        Self { id, key, matchers: sorted(&spec.matchers), continues: spec.continues, routes, settings }
    }

    /// Unique within the plan, stable across its versions.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The matchers from the root to here, as Alertmanager prints them; not unique.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The effective settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The route's own matchers, sorted.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// Whether siblings after this one are tried as well once it has taken an alert.
    pub fn continues(&self) -> bool {
        self.continues
    }

    /// Its children, in order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The routes at or below this one that an alert belongs to, in the order of the tree. Empty if this route does not
    /// match.
    pub fn matching<'r>(&'r self, labels: &Labels) -> Vec<&'r Route> {
        let mut found = Vec::new();
        self.collect(labels, &mut found);
        found
    }

    fn collect<'r>(&'r self, labels: &Labels, found: &mut Vec<&'r Route>) -> bool {
        if !all_match(&self.matchers, labels) {
            return false;
        }
        let before = found.len();
        for child in &self.routes {
            if child.collect(labels, found) && !child.continues {
                break;
            }
        }
        if found.len() == before {
            found.push(self);
        }
        true
    }

    /// This route and all below it, depth first.
    pub fn walk(&self) -> Vec<&Route> {
        let mut all = vec![self];
        all.extend(self.routes.iter().flat_map(Self::walk));
        all
    }
}

fn sorted(matchers: &[Matcher]) -> Vec<Matcher> {
    let mut matchers = matchers.to_vec();
    matchers.sort();
    matchers
}

/// One group that an alert belongs to.
#[derive(Clone, Debug)]
pub struct RouteMatch<'p> {
    /// The route, with its settings.
    pub route: &'p Route,
    /// The labels that make the group.
    pub group_labels: Labels,
    /// As Alertmanager writes it: `{}/{severity="page"}:{alertname="Down"}`. Shown to receivers; not unique.
    pub group_key: String,
}

impl<'p> RouteMatch<'p> {
    pub(crate) fn new(route: &'p Route, labels: &Labels) -> Self {
        let group_labels = route.settings.group_by.select(labels);
        let group_key = format!("{}:{}", route.key, label::Printed(&group_labels));
        Self { route, group_labels, group_key }
    }

    /// Unique within the plan and stable across its versions: what state of the group is kept by. The same as the group
    /// key for a route without twins.
    pub fn group_id(&self) -> String {
        format!("{}:{}", self.route.id, label::Printed(&self.group_labels))
    }
}
