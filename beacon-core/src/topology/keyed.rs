//! Streams of values with keys, and the stateful operators on them.

use std::rc::Rc;

use super::Assembly;
use super::assembly::NodeId;
use super::broadcast::BroadcastStream;
use super::builder::Node;
use super::describe::Shape;
use super::fold::{Fold, Reduce};
use super::source::{Changed, Topic};
use super::stages;
use super::stream::Stream;
use crate::codec::Codec;
use crate::operator::{
    Aggregate, BroadcastProcess, BroadcastSide, ConnectedProcess, KeyedProcess, KeyedRunner, Receiver, RightSide,
    TimerTarget,
};
use crate::state::Registry;
use crate::state::layout::name_id;

/// A stream of values with keys: all values of a key are in one task, in order.
pub struct KeyedStream<K, T> {
    pub(super) stream: Stream<(K, T)>,
}

impl<K, T> Clone for KeyedStream<K, T> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone() }
    }
}

impl<K: Codec + Clone + 'static, T: Clone + 'static> KeyedStream<K, T> {
    /// The same keys with other values.
    pub fn map_values<U: Clone + 'static>(
        &self,
        name: &str,
        f: impl Fn(T) -> U + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, U> {
        KeyedStream { stream: self.stream.map(name, move |(key, value)| (key, f(value))) }
    }

    /// The values of both streams under their keys, which must be partitioned alike.
    pub fn merge(&self, name: &str, other: &KeyedStream<K, T>) -> KeyedStream<K, T> {
        KeyedStream { stream: self.stream.merge(name, &other.stream) }
    }

    /// The keys and values as a plain stream.
    pub fn to_stream(&self) -> Stream<(K, T)> {
        self.stream.clone()
    }

    /// A named output of the operator this stream comes from. See [`Stream::output`].
    pub fn output<U: Clone + 'static>(&self, name: &str) -> Stream<U> {
        self.stream.output(name)
    }

    /// Writes each value to a topic under its key.
    pub fn sink(&self, name: &str, topic: &Topic<T>)
    where
        T: Codec,
    {
        self.stream
            .map(&format!("{name}.keyed"), |(key, value)| Changed { key: key.into_bytes(), value: Some(value) })
            .sink_changes(name, topic);
    }

    /// A stateful operator; `make` is called once per task.
    pub fn process<P>(&self, name: &str, make: impl Fn(&mut Registry) -> P + Send + Sync + 'static) -> Stream<P::Out>
    where
        P: KeyedProcess<Key = K, In = T>,
    {
        self.operator(Node::new(name, Shape::Process, Vec::new()), make, None, |_, _| {})
    }

    /// A stateful operator that also takes a broadcast.
    pub fn process_with<P>(
        &self,
        name: &str,
        broadcast: &BroadcastStream<P::Broadcast>,
        make: impl Fn(&mut Registry) -> P + Send + Sync + 'static,
    ) -> Stream<P::Out>
    where
        P: BroadcastProcess<Key = K, In = T>,
    {
        let side = broadcast.stream.node;
        let node = Node::new(name, Shape::Process, Vec::new());
        self.operator(node, make, Some(side), move |assembly, runner: &Rc<KeyedRunner<P>>| {
            assembly.attach::<P::Broadcast>(side, Rc::new(BroadcastSide(Rc::clone(runner))));
        })
    }

    /// A stateful operator over this stream and another with the same keys: see [`ConnectedProcess`].
    pub fn connect<P>(
        &self,
        name: &str,
        right: &KeyedStream<K, P::Right>,
        make: impl Fn(&mut Registry) -> P + Send + Sync + 'static,
    ) -> Stream<P::Out>
    where
        P: ConnectedProcess<Key = K, In = T>,
    {
        self.connected(Node::new(name, Shape::Connect, Vec::new()), right, make)
    }

    pub(super) fn connected<P>(
        &self,
        node: Node,
        right: &KeyedStream<K, P::Right>,
        make: impl Fn(&mut Registry) -> P + Send + Sync + 'static,
    ) -> Stream<P::Out>
    where
        P: ConnectedProcess<Key = K, In = T>,
    {
        let side = right.stream.node;
        self.operator(node, make, Some(side), move |assembly, runner: &Rc<KeyedRunner<P>>| {
            assembly.attach::<(K, P::Right)>(side, Rc::new(RightSide(Rc::clone(runner))));
        })
    }

    /// Folds each key's values into one of their kind; every record emits what it came to.
    ///
    /// ```
    /// # use beacon_core::topology::KeyedStream;
    /// # fn totals(orders: &KeyedStream<String, u64>) -> KeyedStream<String, u64> {
    /// orders.reduce("total", |total, cents| total + cents)
    /// # }
    /// ```
    pub fn reduce(&self, name: &str, f: impl Fn(T, T) -> T + Clone + Send + Sync + 'static) -> KeyedStream<K, T>
    where
        T: Codec,
    {
        let node = Node::new(name, Shape::Reduce, Vec::new());
        let make = move |state: &mut Registry| Reduce::new(state, f.clone());
        KeyedStream { stream: self.operator(node, make, None, |_, _| {}) }
    }

    /// Folds each key's values into an accumulator; every record emits the result.
    pub fn aggregate<A>(&self, name: &str, aggregate: A) -> KeyedStream<K, A::Out>
    where
        A: Aggregate<In = T> + Clone + Send + Sync,
    {
        let node = Node::new(name, Shape::Aggregate, Vec::new());
        let make = move |state: &mut Registry| Fold::new(state, aggregate.clone());
        KeyedStream { stream: self.operator(node, make, None, |_, _| {}) }
    }

    pub(super) fn operator<P>(
        &self,
        mut node: Node,
        make: impl Fn(&mut Registry) -> P + Send + Sync + 'static,
        side: Option<NodeId>,
        attach_side: impl Fn(&mut Assembly, &Rc<KeyedRunner<P>>) + Send + Sync + 'static,
    ) -> Stream<P::Out>
    where
        P: KeyedProcess<Key = K, In = T>,
    {
        let upstream = self.stream.node;
        let mut plan = self.stream.plan.borrow_mut();
        let id = plan.next();
        let name = node.name.clone();
        node.inputs = [Some(upstream), side].into_iter().flatten().collect();
        let stage = stages::stage(&plan, &node.inputs);
        plan.add(node, move |assembly| {
            let mut registry = Registry::new(name.clone());
            let operator = make(&mut registry);
            assembly.add_registered(id, &name, registry);
            let runner = Rc::new(KeyedRunner::new(operator, &name, stage, assembly.port(id)));
            assembly.attach::<(K, T)>(upstream, Rc::clone(&runner) as Rc<dyn Receiver<(K, T)>>);
            attach_side(assembly, &runner);
            assembly.add_timers(name_id(&name), runner as Rc<dyn TimerTarget>);
        });
        Stream::new(Rc::clone(&self.stream.plan), id)
    }
}
