//! One task's operators, put together from the topology's blueprints.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
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
    /// Named outputs by operator and name: a `Port<T>` each.
    outputs: BTreeMap<(NodeId, String), Box<dyn Any>>,
    /// What only shows when operators are made.
    pub(super) mistakes: Vec<String>,
}

impl Assembly {
    /// The output of a node; its receivers are joined when all nodes are there.
    pub(super) fn port<T: Clone + 'static>(&mut self, node: NodeId) -> Port<T> {
        let port = Port::default();
        self.join_later(node, port.clone());
        port
    }

    /// Joins a port to the receivers of a node when all nodes are there.
    fn join_later<T: Clone + 'static>(&mut self, node: NodeId, output: Port<T>) {
        self.finish.push(Box::new(move |assembly: &mut Assembly| {
            let receivers = assembly.receivers.remove(&node).map(|receivers| {
                *receivers.downcast().expect("receivers of a node are of the node's type: streams are typed")
            });
            output.connect(receivers.unwrap_or_default());
        }));
    }

    /// Makes a named output of an operator the output of a node of its own.
    pub(super) fn take_output<T: Clone + 'static>(&mut self, operator: (NodeId, &str), name: &str, node: NodeId) {
        let (id, operator) = operator;
        match self.outputs.remove(&(id, name.to_owned())).map(|port| port.downcast::<Port<T>>()) {
            Some(Ok(port)) => self.join_later(node, *port),
            Some(Err(_)) => {
                let wanted = std::any::type_name::<T>();
                self.mistakes
                    .push(format!("output `{name}` of `{operator}` is taken as {wanted}, which it does not hold"));
            }
            None => {
                let known: Vec<_> =
                    self.outputs.keys().filter(|(of, _)| *of == id).map(|(_, name)| format!("`{name}`")).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                self.mistakes.push(format!("`{operator}` has no output `{name}` to take; not taken are: {known}"));
            }
        }
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

    /// What an operator asked for in its constructor.
    pub(super) fn add_registered(&mut self, node: NodeId, operator: &str, registry: Registry) {
        self.stores.extend_from_slice(registry.stores());
        for (name, port) in registry.outputs {
            if self.outputs.insert((node, name.clone()), port).is_some() {
                self.mistakes.push(format!("`{operator}` has two outputs `{name}`"));
            }
        }
    }

    pub(super) fn finish(mut self) -> Self {
        for finish in std::mem::take(&mut self.finish) {
            finish(&mut self);
        }
        self
    }
}
