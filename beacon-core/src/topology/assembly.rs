//! One task's operators, put together from the topology's blueprints.

use std::any::Any;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::RawSource;
use crate::operator::{Port, Receiver, TimerTarget};
use crate::state::{Registry, StoreSpec};

/// Number of an operator in its topology.
pub(super) type NodeId = usize;

type Finish = Box<dyn FnOnce(&mut Assembly)>;

/// The parts of one task while it is put together, and after.
#[derive(Default)]
pub struct Assembly {
    /// `Vec<Rc<dyn Receiver<T>>>` of each node, by the node's own `T`.
    receivers: HashMap<NodeId, Box<dyn Any>>,
    finish: Vec<Finish>,
    pub(crate) sources: Vec<(Arc<str>, Rc<dyn RawSource>)>,
    pub(crate) timers: HashMap<u32, Rc<dyn TimerTarget>>,
    /// All states, in the order of their operators.
    pub(super) stores: Vec<StoreSpec>,
}

impl Assembly {
    /// The output of a node; its receivers are joined when all nodes are there.
    pub(super) fn port<T: Clone + 'static>(&mut self, node: NodeId) -> Port<T> {
        let port = Port::default();
        let output = port.clone();
        self.finish.push(Box::new(move |assembly: &mut Assembly| {
            let receivers = assembly.receivers.remove(&node).map(|receivers| {
                *receivers.downcast().expect("receivers of a node are of the node's type: streams are typed")
            });
            output.connect(receivers.unwrap_or_default());
        }));
        port
    }

    /// Attaches a receiver to a node's output.
    pub(super) fn attach<T: 'static>(&mut self, node: NodeId, receiver: Rc<dyn Receiver<T>>) {
        self.receivers
            .entry(node)
            .or_insert_with(|| Box::new(Vec::<Rc<dyn Receiver<T>>>::new()))
            .downcast_mut::<Vec<Rc<dyn Receiver<T>>>>()
            .expect("receivers of a node are of the node's type: streams are typed")
            .push(receiver);
    }

    /// The receiver attached to a node's output last.
    pub(super) fn last_attached<T: 'static>(&self, node: NodeId) -> Rc<dyn Receiver<T>> {
        let receivers = self.receivers.get(&node).and_then(|all| all.downcast_ref::<Vec<Rc<dyn Receiver<T>>>>());
        Rc::clone(receivers.and_then(|all| all.last()).expect("asked for right after attaching"))
    }

    pub(super) fn add_source(&mut self, topic: &Arc<str>, source: Rc<dyn RawSource>) {
        self.sources.push((Arc::clone(topic), source));
    }

    pub(super) fn add_timers(&mut self, operator: u32, target: Rc<dyn TimerTarget>) {
        self.timers.insert(operator, target);
    }

    pub(super) fn add_states(&mut self, registry: &Registry) {
        self.stores.extend_from_slice(registry.stores());
    }

    pub(super) fn finish(mut self) -> Self {
        for finish in std::mem::take(&mut self.finish) {
            finish(&mut self);
        }
        self
    }
}
