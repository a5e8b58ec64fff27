//! Which topics between two steps carry event time, and how many of them a record has passed where.

use std::sync::Arc;

use super::assembly::NodeId;
use super::builder::Plan;
use super::describe::Shape;
use crate::operator::{Announced, STAGES};

/// Where records at a node come from, in event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// Some come from a source with event time.
    timed: bool,
    /// Re-keyed topics with event time on the longest way.
    stage: u8,
}

/// Re-keyed topics that records with event time come to be in, each with the stage of the operators that write it.
pub(super) fn announced(plan: &Plan) -> Vec<Announced> {
    let mut found = Vec::new();
    for node in plan.nodes.iter().filter(|node| node.shape == Shape::Repartition) {
        let origin = origin(plan, &found, &node.inputs);
        if let Some(topic) = node.topic.as_ref().filter(|_| origin.timed) {
            found.push(Announced { topic: Arc::clone(topic), stage: origin.stage });
        }
    }
    found
}

/// The stage of an operator with these inputs. Beyond the last stage there is a mistake: see [`mistake`].
pub(super) fn stage(plan: &Plan, inputs: &[NodeId]) -> u8 {
    origin(plan, &announced(plan), inputs).stage.min(STAGES as u8 - 1)
}

fn origin(plan: &Plan, announced: &[Announced], inputs: &[NodeId]) -> Origin {
    let mut origin = Origin::default();
    let mut reached = inputs.to_vec();
    while let Some(id) = reached.pop() {
        let node = &plan.nodes[id];
        let topic = node.topic.as_ref();
        match node.shape {
            Shape::Source => {
                let timed = |source: &super::SourceSpec| Some(&source.topic) == topic && source.event_time.is_some();
                origin.timed |= plan.sources.iter().any(timed);
            }
            Shape::Repartition => {
                if let Some(topic) = announced.iter().find(|announced| Some(&announced.topic) == topic) {
                    origin.timed = true;
                    origin.stage = origin.stage.max(topic.stage + 1);
                }
            }
            // Broadcasts and answers have no event time.
            Shape::Broadcast | Shape::Replies => {}
            _ => reached.extend_from_slice(&node.inputs),
        }
    }
    origin
}

/// More re-keyed topics in a row than event time can pass.
pub(super) fn mistake(announced: &[Announced]) -> Option<String> {
    let too_far = announced.iter().find(|announced| usize::from(announced.stage) + 1 >= STAGES)?;
    Some(format!(
        "{} is re-keyed topic number {} on a way of records with event time, which can pass {}; make an application of its \
         own of what is behind it",
        too_far.topic,
        too_far.stage + 1,
        STAGES - 1
    ))
}
