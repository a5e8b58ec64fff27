//! Streams: what the builder's methods hand out, to be joined with further operators.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::assembly::NodeId;
use super::broadcast::BroadcastStream;
use super::builder::{Node, Plan};
use super::describe::Shape;
use super::keyed::KeyedStream;
use super::source::{Changed, KeyedSource, Outbound, SourceSpec, Topic, ValueSource};
use super::transform::{Apply, Forward, send_keyed, send_to_all};
use crate::codec::Codec;
use crate::operator::{OpError, Outgoing, Port, Receiver, Step};

/// A stream of values inside a task.
pub struct Stream<T> {
    pub(super) plan: Rc<RefCell<Plan>>,
    pub(super) node: NodeId,
    marker: PhantomData<fn() -> T>,
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.plan), self.node)
    }
}

impl<T> Stream<T> {
    pub(super) fn new(plan: Rc<RefCell<Plan>>, node: NodeId) -> Self {
        Self { plan, node, marker: PhantomData }
    }

    /// Adds a node that receives this stream's values and has an output of its own.
    pub(super) fn then<U, R>(
        &self,
        name: &str,
        shape: Shape,
        topic: Option<Arc<str>>,
        make: impl Fn(Port<U>) -> R + Send + Sync + 'static,
    ) -> Stream<U>
    where
        T: 'static,
        U: Clone + 'static,
        R: Receiver<T> + 'static,
    {
        let mut plan = self.plan.borrow_mut();
        let (upstream, node) = (self.node, plan.next());
        plan.add(Node::new(name, shape, vec![upstream]).on(topic.as_ref()), move |assembly| {
            let receiver = make(assembly.port(node));
            assembly.attach::<T>(upstream, Rc::new(receiver));
        });
        Stream::new(Rc::clone(&self.plan), node)
    }

    /// A named output of the operator this stream comes from, which declares it in its constructor
    /// ([`Registry::output`](crate::state::Registry)). `build()` refuses names and types that the operator does not
    /// have.
    pub fn output<U: Clone + 'static>(&self, name: &str) -> Stream<U> {
        let mut plan = self.plan.borrow_mut();
        let (operator, node) = (self.node, plan.next());
        let operator_name = plan.nodes[operator].name.clone();
        let output = name.to_owned();
        plan.add(Node::new(format!("{operator_name}.{name}"), Shape::Output, vec![operator]), move |assembly| {
            assembly.take_output::<U>((operator, &operator_name), &output, node);
        });
        Stream::new(Rc::clone(&self.plan), node)
    }
}

impl<T: Clone + 'static> Stream<T> {
    /// One value for each value.
    pub fn map<U: Clone + 'static>(&self, name: &str, f: impl Fn(T) -> U + Clone + Send + Sync + 'static) -> Stream<U> {
        self.then(name, Shape::Stateless, None, move |output| {
            let f = f.clone();
            Apply(move |value, step: &mut Step| output.push(f(value), step))
        })
    }

    /// Only the values for which `f` is true.
    pub fn filter(&self, name: &str, f: impl Fn(&T) -> bool + Clone + Send + Sync + 'static) -> Stream<T> {
        self.then(name, Shape::Stateless, None, move |output| {
            let f = f.clone();
            Apply(move |value, step: &mut Step| if f(&value) { output.push(value, step) } else { Ok(()) })
        })
    }

    /// Any number of values for each value, in order.
    pub fn flat_map<U, I>(&self, name: &str, f: impl Fn(T) -> I + Clone + Send + Sync + 'static) -> Stream<U>
    where
        U: Clone + 'static,
        I: IntoIterator<Item = U>,
    {
        self.try_flat_map(name, move |value| Ok(f(value)))
    }

    /// Any number of values for each value, or what is to become of the record.
    pub fn try_flat_map<U, I>(
        &self,
        name: &str,
        f: impl Fn(T) -> Result<I, OpError> + Clone + Send + Sync + 'static,
    ) -> Stream<U>
    where
        U: Clone + 'static,
        I: IntoIterator<Item = U>,
    {
        let operator = name.to_owned();
        self.then(name, Shape::Stateless, None, move |output| {
            let (f, operator) = (f.clone(), operator.clone());
            Apply(move |value, step: &mut Step| {
                for result in f(value).inspect_err(|_| step.refused_by(&operator))? {
                    output.push(result, step)?;
                }
                Ok(())
            })
        })
    }

    /// The values of both streams, in the order the task sees them.
    pub fn merge(&self, name: &str, other: &Stream<T>) -> Stream<T> {
        let merged = self.then(name, Shape::Stateless, None, Forward);
        attach_also(&merged, other.node);
        merged
    }

    /// The values by a key, through an internal topic, so that all values of a key meet in one task.
    ///
    /// Order: values of one key that come from one task keep their order. The name is part of the topic's.
    pub fn key_by<K>(&self, name: &str, key: impl Fn(&T) -> K + Clone + Send + Sync + 'static) -> KeyedStream<K, T>
    where
        K: Codec + Clone + 'static,
        T: Codec,
    {
        let topic = self.plan.borrow_mut().internal_topic(name, "repartition");
        let write_topic = Arc::clone(&topic);
        let _: Stream<()> = self.then(name, Shape::Repartition, Some(Arc::clone(&topic)), move |_output: Port<()>| {
            let (key, topic) = (key.clone(), Arc::clone(&write_topic));
            Apply(move |value: T, step: &mut Step| {
                send_keyed(&topic, key(&value).into_bytes(), value.into_bytes(), step);
                Ok(())
            })
        });
        let from = self.plan.borrow().next() - 1;
        let read = read_internal(&self.plan, name, from, &topic, |topic, output| {
            (Arc::clone(topic), Rc::new(KeyedSource::<K, T> { output }))
        });
        KeyedStream { stream: read }
    }

    /// The values by the key their topic already has: no internal topic.
    ///
    /// The source topics must have as many partitions as the application, which is checked at start; a record that
    /// stands in another partition than its key's is a dead letter.
    pub fn keyed<K>(&self, name: &str, key: impl Fn(&T) -> K + Clone + Send + Sync + 'static) -> KeyedStream<K, T>
    where
        K: Codec + Clone + 'static,
    {
        self.plan.borrow_mut().require_copartitioned(self.node);
        let stream = self.then(name, Shape::Stateless, None, move |output: Port<(K, T)>| {
            let key = key.clone();
            Apply(move |value: T, step: &mut Step| {
                let key = key(&value);
                output.push((key, value), step)
            })
        });
        KeyedStream { stream }
    }

    /// The values in every task: each is written to all partitions of an internal topic in one commit. The name is part of
    /// the topic's.
    pub fn broadcast(&self, name: &str) -> BroadcastStream<T>
    where
        T: Codec,
    {
        let topic = self.plan.borrow_mut().internal_topic(name, "broadcast");
        let write_topic = Arc::clone(&topic);
        let _: Stream<()> = self.then(name, Shape::Broadcast, Some(Arc::clone(&topic)), move |_output: Port<()>| {
            let topic = Arc::clone(&write_topic);
            Apply(move |value: T, step: &mut Step| {
                send_to_all(&topic, &value, step);
                Ok(())
            })
        });
        let from = self.plan.borrow().next() - 1;
        let stream = read_internal(&self.plan, name, from, &topic, |topic, output| {
            (Arc::clone(topic), Rc::new(ValueSource::<T> { output }))
        });
        BroadcastStream { stream }
    }

    /// Writes each value to a topic under a key.
    pub fn sink(&self, name: &str, topic: &Topic<T>, key: impl Fn(&T) -> Vec<u8> + Clone + Send + Sync + 'static)
    where
        T: Codec,
    {
        self.map(&format!("{name}.keyed"), move |value| Changed { key: key(&value), value: Some(value) })
            .sink_changes(name, topic);
    }

    /// The records of this source drive event time and may be `lateness` out of order. To be called on a source's
    /// stream.
    ///
    /// The watermark of a task is the earliest, over its inputs with event time, of the highest timestamp seen less the
    /// lateness. Behind a [`Stream::key_by`] it is the earliest of all tasks that write there. A larger lateness waits
    /// longer for stragglers, a smaller one makes more of them late.
    ///
    /// A partition without records holds event time up for ever, unless [`Stream::with_idleness`] says otherwise.
    pub fn with_event_time(self, lateness: Duration) -> Self {
        self.with_source("event time", |source| source.event_time = Some(lateness))
    }

    /// Event time does not wait for a partition of this source that was silent for `idle_after`, in processing time. To
    /// be called on a source's stream, beside [`Stream::with_event_time`].
    ///
    /// When it speaks again it is waited for again; what it then brings from before the watermark is late. Shorter times
    /// close windows sooner when there is little traffic, and make more records late when a producer pauses.
    pub fn with_idleness(self, idle_after: Duration) -> Self {
        self.with_source("idleness", |source| source.idle_after = Some(idle_after))
    }

    fn with_source(self, what: &str, set: impl FnOnce(&mut SourceSpec)) -> Self {
        let mut plan = self.plan.borrow_mut();
        let topic = plan.nodes[self.node].topic.clone();
        if plan.nodes.iter().any(|node| node.inputs.contains(&self.node)) {
            let mistake =
                format!("`{}` gets its {what} too late: say it before the next step", plan.nodes[self.node].name);
            plan.mistakes.push(mistake);
        }
        match plan.sources.iter_mut().find(|source| Some(&source.topic) == topic.as_ref()) {
            Some(source) => set(source),
            None => {
                let mistake = format!("`{}` is no source: {what} is a source's", plan.nodes[self.node].name);
                plan.mistakes.push(mistake);
            }
        }
        drop(plan);
        self
    }
}

impl Stream<Outbound> {
    /// Writes records with headers of their own to a topic, each to the partition of its key.
    pub fn sink_records(&self, name: &str, topic: impl Into<Arc<str>>) {
        let topic = topic.into();
        let write_topic = Arc::clone(&topic);
        let _: Stream<()> = self.then(name, Shape::Sink, Some(topic), move |_output: Port<()>| {
            let topic = Arc::clone(&write_topic);
            Apply(move |record: Outbound, step: &mut Step| {
                step.send(Outgoing {
                    topic: Arc::clone(&topic),
                    partition: None,
                    key: Some(record.key),
                    value: record.value,
                    headers: record.headers,
                    timestamp: step.output_time(),
                });
                Ok(())
            })
        });
    }
}

impl<V: Codec + Clone + 'static> Stream<Changed<V>> {
    /// Writes keys with their values, or tombstones, to a topic.
    pub fn sink_changes(&self, name: &str, topic: &Topic<V>) {
        let topic = Arc::clone(topic.name());
        let write_topic = Arc::clone(&topic);
        let _: Stream<()> = self.then(name, Shape::Sink, Some(topic), move |_output: Port<()>| {
            let topic = Arc::clone(&write_topic);
            Apply(move |change: Changed<V>, step: &mut Step| {
                step.send(Outgoing {
                    topic: Arc::clone(&topic),
                    partition: None,
                    key: Some(change.key),
                    value: change.value.map(Codec::into_bytes),
                    headers: Vec::new(),
                    timestamp: step.output_time(),
                });
                Ok(())
            })
        });
    }
}

/// Attaches a second input to the node of `merged`, which forwards.
fn attach_also<T: Clone + 'static>(merged: &Stream<T>, input: NodeId) {
    let mut plan = merged.plan.borrow_mut();
    let node = merged.node;
    plan.nodes[node].inputs.push(input);
    let first = Arc::clone(&plan.blueprints[node]);
    let upstream = plan.nodes[node].inputs[0];
    plan.blueprints[node] = Arc::new(move |assembly| {
        first(assembly);
        let receiver = assembly.last_attached::<T>(upstream);
        assembly.attach::<T>(input, receiver);
    });
}

/// Adds the reading side of an internal topic.
fn read_internal<T: Clone + 'static, S: super::RawSource + 'static>(
    plan: &Rc<RefCell<Plan>>,
    name: &str,
    from: NodeId,
    topic: &Arc<str>,
    make: impl Fn(&Arc<str>, Port<T>) -> (Arc<str>, Rc<S>) + Send + Sync + 'static,
) -> Stream<T> {
    let mut borrowed = plan.borrow_mut();
    let node = borrowed.next();
    let topic = Arc::clone(topic);
    borrowed.add(Node::new(format!("{name}.read"), Shape::Stateless, vec![from]), move |assembly| {
        let (topic, source) = make(&topic, assembly.port(node));
        assembly.add_source(&topic, source);
    });
    drop(borrowed);
    Stream::new(Rc::clone(plan), node)
}
