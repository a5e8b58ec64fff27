//! What every task knows: the plan and the silences, each a broadcast, and their parsed forms.
//!
//! Parsed forms are a cache of what is in state, looked up by a version that changes with it; they hold nothing of
//! their own.

use std::cell::RefCell;
use std::rc::Rc;

use beacon_core::codec::{Codec, CodecError};
use beacon_core::operator::OpError;
use beacon_core::state::{Registry, SharedMap, SharedScope, SharedScopeMut, SharedValue};
use beacon_core::topology::Changed;
use beacon_plan::Plan;
use beacon_plan::silence::CompiledSilences;
use beacon_proto::v1;

/// A broadcast record.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A new version of the plan.
    Plan(Changed<v1::Plan>),
    /// A silence was made, changed or forgotten.
    Silence(Changed<v1::Silence>),
}

impl Codec for Fact {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Plan(plan) => {
                out.push(1);
                plan.encode(out);
            }
            Self::Silence(silence) => {
                out.push(2);
                silence.encode(out);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            Some((1, rest)) => Changed::decode(rest).map(Self::Plan),
            Some((2, rest)) => Changed::decode(rest).map(Self::Silence),
            _ => Err(CodecError::new("Fact", "unknown kind")),
        }
    }
}

/// The plan as state, with its parsed form.
pub struct PlanState {
    plan: SharedValue<v1::Plan>,
    version: SharedValue<String>,
    parsed: RefCell<Option<(String, Rc<Plan>)>>,
}

impl PlanState {
    pub fn new(state: &mut Registry) -> Self {
        Self {
            plan: state.shared_value("plan"),
            version: state.shared_value("plan version"),
            parsed: RefCell::default(),
        }
    }

    /// Takes a new version in. `None`: it is the one we have, or the plan was removed, which leaves the last in force.
    ///
    /// # Errors
    /// A plan that does not parse is a dead letter; the last one stays in force.
    pub fn update(
        &self,
        change: &Changed<v1::Plan>,
        scope: &mut impl SharedScopeMut,
    ) -> Result<Option<Rc<Plan>>, OpError> {
        let Some(plan) = &change.value else { return Ok(None) };
        if self.version.get(scope)?.as_ref() == Some(&plan.version) {
            return Ok(None);
        }
        let parsed = Rc::new(published(plan)?);
        self.plan.set(scope, plan);
        self.version.set(scope, &plan.version);
        Ok(Some(parsed))
    }

    /// The plan in force; `None` before the first.
    ///
    /// # Errors
    /// When state cannot be read, or holds a plan that this version cannot read: the task stops.
    pub fn current(&self, scope: &impl SharedScope) -> Result<Option<Rc<Plan>>, OpError> {
        let Some(version) = self.version.get(scope)? else { return Ok(None) };
        if let Some((known, parsed)) = &*self.parsed.borrow()
            && *known == version
        {
            return Ok(Some(Rc::clone(parsed)));
        }
        let Some(plan) = self.plan.get(scope)? else { return Ok(None) };
        let parsed = Rc::new(stored(&plan)?);
        *self.parsed.borrow_mut() = Some((version, Rc::clone(&parsed)));
        Ok(Some(parsed))
    }
}

fn published(plan: &v1::Plan) -> Result<Plan, OpError> {
    Plan::parse_redacted(&plan.alertmanager_yaml, &plan.id).map_err(|error| {
        tracing::error!(version = plan.version, %error, "a published plan is refused; the last one stays in force");
        OpError::dead_letter(error)
    })
}

/// Without its plan a task must not go on: alerts and timers would be used up, and what they were to tell never told.
fn stored(plan: &v1::Plan) -> Result<Plan, OpError> {
    Plan::parse_redacted(&plan.alertmanager_yaml, &plan.id).map_err(|error| {
        let version = &plan.version;
        OpError::Stop(format!(
            "the plan in force (version {version}) cannot be read by this version of Beacon: {error}; start the version \
             that ran before, publish a plan that both can read, then start this one"
        ))
    })
}

/// The silences as state, with their compiled form.
pub struct SilenceState {
    silences: SharedMap<String, v1::Silence>,
    /// Place of the last change in the broadcast: other state, other number.
    version: SharedValue<u64>,
    compiled: RefCell<Option<(u64, Rc<CompiledSilences>)>>,
}

impl SilenceState {
    pub fn new(state: &mut Registry) -> Self {
        Self {
            silences: state.shared_map("silences"),
            version: state.shared_value("silences version"),
            compiled: RefCell::default(),
        }
    }

    /// Takes a change in. `offset` is its place in the broadcast.
    ///
    /// # Errors
    /// A silence whose matchers do not compile is a dead letter; the others stay in force.
    pub fn update(
        &self,
        change: &Changed<v1::Silence>,
        offset: u64,
        scope: &mut impl SharedScopeMut,
    ) -> Result<(), OpError> {
        let id = String::from_utf8(change.key.clone()).map_err(OpError::dead_letter)?;
        match &change.value {
            Some(silence) => {
                CompiledSilences::default().upsert(silence.clone()).map_err(OpError::dead_letter)?;
                self.silences.insert(scope, &id, silence);
            }
            None => self.silences.remove(scope, &id),
        }
        self.version.set(scope, &(offset + 1));
        Ok(())
    }

    /// The silences in force or to come.
    ///
    /// # Errors
    /// When state cannot be read.
    pub fn current(&self, scope: &impl SharedScope) -> Result<Rc<CompiledSilences>, OpError> {
        let version = self.version.get(scope)?.unwrap_or(0);
        if let Some((known, compiled)) = &*self.compiled.borrow()
            && *known == version
        {
            return Ok(Rc::clone(compiled));
        }
        let mut compiled = CompiledSilences::default();
        for (_, silence) in self.silences.entries(scope)? {
            compiled.upsert(silence).map_err(|error| OpError::Stop(format!("a stored silence: {error}")))?;
        }
        let compiled = Rc::new(compiled);
        *self.compiled.borrow_mut() = Some((version, Rc::clone(&compiled)));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_plan_is_a_dead_letter_when_it_comes_and_a_stop_when_it_is_in_force() {
        let plan = v1::Plan { version: "v7".into(), alertmanager_yaml: "route: 3".into(), ..v1::Plan::default() };
        assert!(matches!(published(&plan), Err(OpError::DeadLetter(_))));
        match stored(&plan) {
            Err(OpError::Stop(reason)) => {
                assert!(reason.contains("version v7") && reason.contains("route"), "{reason}")
            }
            other => panic!("{other:?}"),
        }
    }
}
