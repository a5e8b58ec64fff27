//! Building and checking a topology.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::assembly::{Assembly, NodeId};
use super::call::{CallSite, RawCaller, Replies};
use super::describe::{Drawing, Shape};
use super::source::{Changed, ChangedSource, SourceSpec, Topic, ValueSource};
use super::stream::Stream;
use super::{names, stages};
use crate::codec::Codec;
use crate::operator::{Announced, TimeFrom};
use crate::state::StoreSpec;
use crate::state::layout::name_id;

/// Puts a task's part of one operator together.
pub(super) type Blueprint = Arc<dyn Fn(&mut Assembly) + Send + Sync>;

/// An operator as drawn and checked.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) inputs: Vec<NodeId>,
    /// The topic it reads or writes.
    pub(super) topic: Option<Arc<str>>,
    /// What its name does not tell: the windows of a window.
    pub(super) detail: Option<String>,
}

impl Node {
    pub(super) fn new(name: impl Into<String>, shape: Shape, inputs: Vec<NodeId>) -> Self {
        Self { name: name.into(), shape, inputs, topic: None, detail: None }
    }

    pub(super) fn on(mut self, topic: Option<&Arc<str>>) -> Self {
        self.topic = topic.cloned();
        self
    }
}

/// A topic between two steps of the job, made by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InternalTopic {
    /// Full name.
    pub name: Arc<str>,
}

pub(super) struct Plan {
    pub(super) application: String,
    pub(super) nodes: Vec<Node>,
    pub(super) blueprints: Vec<Blueprint>,
    pub(super) sources: Vec<SourceSpec>,
    pub(super) internal: Vec<InternalTopic>,
    pub(super) calls: BTreeMap<u32, CallSite>,
    pub(super) dead_letters: Option<Arc<str>>,
    pub(super) mistakes: Vec<String>,
}

impl Plan {
    pub(super) fn add(&mut self, node: Node, blueprint: impl Fn(&mut Assembly) + Send + Sync + 'static) {
        self.nodes.push(node);
        self.blueprints.push(Arc::new(blueprint));
    }

    pub(super) fn next(&self) -> NodeId {
        self.nodes.len()
    }

    pub(super) fn internal_topic(&mut self, name: &str, purpose: &str) -> Arc<str> {
        self.mistakes.extend(names::internal_mistake(&self.application, name, purpose));
        let topic: Arc<str> = names::internal(&self.application, name, purpose).into();
        self.internal.push(InternalTopic { name: Arc::clone(&topic) });
        topic
    }

    /// The source topics whose records reach `node` without passing an internal topic must be partitioned like the
    /// application.
    pub(super) fn require_copartitioned(&mut self, node: NodeId) {
        let mut reached = vec![node];
        while let Some(id) = reached.pop() {
            let node = &self.nodes[id];
            if let (Shape::Source, Some(topic)) = (&node.shape, &node.topic) {
                for source in self.sources.iter_mut().filter(|source| source.topic == *topic) {
                    source.copartitioned = true;
                }
            }
            reached.extend_from_slice(&node.inputs);
        }
    }
}

/// All mistakes of a topology at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topology of `{application}` cannot be built: {}", .mistakes.join("; "))]
#[non_exhaustive]
pub struct BuildErrors {
    /// The application.
    pub application: String,
    /// Each mistake, with the name of the operator or topic.
    pub mistakes: Vec<String>,
}

/// Collects sources, operators and sinks.
pub struct TopologyBuilder {
    pub(super) plan: Rc<RefCell<Plan>>,
}

impl TopologyBuilder {
    /// A topology of the application with this name, which is the identity of its state and its consumer group: 1 to 232 of
    /// the characters that topics' names have.
    pub fn new(application: impl Into<String>) -> Self {
        Self {
            plan: Rc::new(RefCell::new(Plan {
                application: application.into(),
                nodes: Vec::new(),
                blueprints: Vec::new(),
                sources: Vec::new(),
                internal: Vec::new(),
                calls: BTreeMap::new(),
                dead_letters: None,
                mistakes: Vec::new(),
            })),
        }
    }

    /// Where records go that an operator or codec refuses. Without it such a record stops the job.
    pub fn dead_letters(&self, topic: impl Into<Arc<str>>) -> &Self {
        self.plan.borrow_mut().dead_letters = Some(topic.into());
        self
    }

    /// Reads the values of a topic; tombstones are skipped.
    pub fn source<V: Codec + Clone + 'static>(&self, name: &str, topic: &Topic<V>) -> Stream<V> {
        let topic_name = Arc::clone(topic.name());
        self.add_source(name, topic.name(), move |assembly, node| {
            let output = assembly.port(node);
            assembly.add_source(&topic_name, Rc::new(ValueSource::<V> { output }));
        })
    }

    /// Reads keys with their values or tombstones: compacted topics.
    pub fn source_changes<V: Codec + Clone + 'static>(&self, name: &str, topic: &Topic<V>) -> Stream<Changed<V>> {
        let topic_name = Arc::clone(topic.name());
        self.add_source(name, topic.name(), move |assembly, node| {
            let output = assembly.port(node);
            assembly.add_source(&topic_name, Rc::new(ChangedSource::<V> { output }));
        })
    }

    fn add_source<T>(
        &self,
        name: &str,
        topic: &Arc<str>,
        blueprint: impl Fn(&mut Assembly, NodeId) + Send + Sync + 'static,
    ) -> Stream<T> {
        let mut plan = self.plan.borrow_mut();
        if plan.sources.iter().any(|source| source.topic == *topic) {
            plan.mistakes.push(format!("source `{name}` reads {topic}, which another source reads; use its stream"));
        }
        plan.sources.push(SourceSpec {
            name: name.to_owned(),
            topic: Arc::clone(topic),
            copartitioned: false,
            event_time: None,
            idle_after: None,
            broadcast: false,
        });
        let node = plan.next();
        plan.add(Node::new(name, Shape::Source, Vec::new()).on(Some(topic)), move |assembly| blueprint(assembly, node));
        Stream::new(Rc::clone(&self.plan), node)
    }

    /// Declares calls to the world outside and the stream of their replies. See [`Replies`].
    pub fn replies<K, R>(&self, name: &str, caller: Arc<dyn RawCaller>) -> Replies<K, R>
    where
        K: Codec + Clone + 'static,
        R: Codec + Clone + 'static,
    {
        Replies::declare(&self.plan, name, caller)
    }

    /// Checks everything and fixes the topology.
    ///
    /// # Errors
    /// All mistakes at once: names used twice, topics read twice, names whose identities collide, names that no topic can
    /// have ([`check_topic_name`](crate::log::check_topic_name)).
    pub fn build(self) -> Result<Topology, BuildErrors> {
        let plan = self.plan.borrow();
        let mut mistakes = plan.mistakes.clone();
        mistakes.extend(names::mistakes(&plan));
        let mut seen = BTreeSet::new();
        for node in &plan.nodes {
            if node.name.is_empty() {
                mistakes.push("an operator has an empty name".to_owned());
            } else if !seen.insert(&node.name) {
                mistakes.push(format!("the name `{}` is used twice", node.name));
            }
        }
        if plan.sources.is_empty() {
            mistakes.push("nothing is read: there is no source".to_owned());
        }
        let mut topology = Topology {
            application: plan.application.clone(),
            blueprints: plan.blueprints.clone(),
            sources: sources(&plan),
            internal: plan.internal.clone(),
            calls: plan.calls.clone(),
            dead_letters: plan.dead_letters.clone(),
            sinks: sinks(&plan.nodes),
            hops: hops(&plan.nodes),
            drawing: Drawing::new(&plan.application, &plan.nodes),
            stores: Vec::new(),
            announced: stages::announced(&plan),
        };
        mistakes.extend(stages::mistake(&topology.announced));
        // Operators name their states and outputs in their constructors, so a trial assembly shows all of them.
        let trial = topology.assemble();
        mistakes.extend(trial.mistakes);
        topology.stores = trial.stores;
        let names = topology.stores.iter().map(|store| store.name().to_owned());
        let operators = plan.nodes.iter().map(|node| node.name.clone());
        let mut ids: BTreeMap<u32, String> = BTreeMap::new();
        for name in names.chain(operators) {
            if let Some(other) = ids.insert(name_id(&name), name.clone()) {
                let why = if other == name { "is used twice" } else { "collides with another; rename one" };
                let mistake = format!("the state or operator name `{name}` {why}");
                if !mistakes.iter().any(|known| known.contains(&format!("`{name}`"))) {
                    mistakes.push(mistake);
                }
            }
        }
        if mistakes.is_empty() {
            Ok(topology)
        } else {
            Err(BuildErrors { application: plan.application.clone(), mistakes })
        }
    }
}

/// The sources, each with whether it only feeds broadcasts.
fn sources(plan: &Plan) -> Vec<SourceSpec> {
    let mut sources = plan.sources.clone();
    for (id, node) in plan.nodes.iter().enumerate().filter(|(_, node)| node.shape == Shape::Source) {
        for source in sources.iter_mut().filter(|source| Some(&source.topic) == node.topic.as_ref()) {
            source.broadcast = only_broadcast(&plan.nodes, id);
        }
    }
    sources
}

/// Whether everything that comes out of a node ends in a broadcast.
fn only_broadcast(nodes: &[Node], id: NodeId) -> bool {
    let mut after = (0..nodes.len()).filter(|next| nodes[*next].inputs.contains(&id)).peekable();
    after.peek().is_some()
        && after.all(|next| match nodes[next].shape {
            Shape::Broadcast => true,
            Shape::Stateless => only_broadcast(nodes, next),
            _ => false,
        })
}

fn sinks(nodes: &[Node]) -> Vec<(String, Arc<str>)> {
    let sinks = nodes.iter().filter(|node| node.shape == Shape::Sink);
    sinks.filter_map(|node| Some((node.name.clone(), Arc::clone(node.topic.as_ref()?)))).collect()
}

/// The most internal topics on a way from a source. Nodes come after their inputs.
fn hops(nodes: &[Node]) -> u32 {
    let mut depths: Vec<u32> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let before = node.inputs.iter().map(|input| depths[*input]).max().unwrap_or(0);
        depths.push(before + u32::from(matches!(node.shape, Shape::Repartition | Shape::Broadcast)));
    }
    depths.into_iter().max().unwrap_or(0)
}

/// A checked topology: shared by all threads, assembled anew for each task.
#[derive(Clone)]
pub struct Topology {
    application: String,
    blueprints: Vec<Blueprint>,
    sources: Vec<SourceSpec>,
    internal: Vec<InternalTopic>,
    calls: BTreeMap<u32, CallSite>,
    dead_letters: Option<Arc<str>>,
    sinks: Vec<(String, Arc<str>)>,
    hops: u32,
    drawing: Drawing,
    stores: Vec<StoreSpec>,
    announced: Vec<Announced>,
}

impl Topology {
    /// The application's name.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// Topics the job reads that somebody else makes.
    pub fn sources(&self) -> &[SourceSpec] {
        &self.sources
    }

    /// Topics the engine makes for the job, with as many partitions as the application.
    pub fn internal_topics(&self) -> &[InternalTopic] {
        &self.internal
    }

    /// All topics that the job's tasks read: the [sources](Self::sources), then the
    /// [internal ones](Self::internal_topics).
    pub fn inputs(&self) -> impl Iterator<Item = &Arc<str>> {
        let sources = self.sources.iter().map(|source| &source.topic);
        sources.chain(self.internal.iter().map(|topic| &topic.name))
    }

    /// The topic of every task's changelog.
    pub fn changelog(&self) -> Arc<str> {
        format!("{}-changelog", self.application).into()
    }

    /// A topic that is there while a tool works on the application, which does not start meanwhile.
    pub fn maintenance_topic(&self) -> String {
        format!("{}-maintenance", self.application)
    }

    /// Where refused records go.
    pub fn dead_letters(&self) -> Option<&Arc<str>> {
        self.dead_letters.as_ref()
    }

    /// Topics the job writes that somebody else makes, each with the name of the sink.
    pub fn sinks(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.sinks.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    /// How many internal topics a record of a source may pass, one after the other, before it meets an operator.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// The states of all operators, in the order of the operators.
    pub fn stores(&self) -> &[StoreSpec] {
        &self.stores
    }

    /// Internal topics in which tasks announce their event time.
    pub(crate) fn announced(&self) -> &[Announced] {
        &self.announced
    }

    /// Where the event time of a topic that is read comes from; `None`: it has none.
    pub(crate) fn time_of(&self, topic: &Arc<str>) -> Option<TimeFrom> {
        if self.announced.iter().any(|announced| announced.topic == *topic) {
            return Some(TimeFrom::Tasks);
        }
        let source = self.sources.iter().find(|source| source.topic == *topic)?;
        Some(TimeFrom::Records { lateness: source.event_time?, idle_after: source.idle_after })
    }

    /// The stage of event time of operators that read this topic.
    pub(crate) fn stage_of(&self, topic: &Arc<str>) -> u8 {
        let announced = self.announced.iter().find(|announced| announced.topic == *topic);
        announced.map_or(0, |announced| announced.stage + 1)
    }

    pub(crate) fn call_site(&self, operator: u32) -> Option<&CallSite> {
        self.calls.get(&operator)
    }

    /// A stable text of the topology: one operator a line, with what it reads from.
    pub fn describe(&self) -> String {
        self.drawing.text()
    }

    /// The topology as a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        self.drawing.mermaid()
    }

    /// The topology as a graph for Graphviz's `dot`.
    pub fn dot(&self) -> String {
        self.drawing.dot()
    }

    /// One task's operators.
    pub fn assemble(&self) -> Assembly {
        let mut assembly = Assembly::default();
        for blueprint in &self.blueprints {
            blueprint(&mut assembly);
        }
        assembly.finish()
    }
}
