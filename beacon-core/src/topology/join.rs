//! Stream–table join: records meet the row of their key.
//!
//! A table is a compacted topic of changes read as state: the last value of each key, none after a tombstone. A record
//! is joined with the row its task has read so far. What it deliberately does not do: it never waits, and a row that
//! comes later joins nothing again. Two topics have no order between them, so just after the first start records may
//! meet a table that is not read yet; they are then unmatched. Which rows were read is part of the same commits as what
//! came of it, so a restart changes no answer. A job that has to wait for its rows connects the two streams and keeps
//! the records ([`KeyedStream::connect`]).

use std::marker::PhantomData;

use super::builder::{Node, TopologyBuilder};
use super::describe::Shape;
use super::keyed::KeyedStream;
use super::source::{Changed, Topic};
use super::stream::Stream;
use super::transform::Apply;
use crate::codec::Codec;
use crate::operator::{ConnectedProcess, Ctx, KeyedProcess, OpResult, Output, Port, Step};
use crate::state::{Registry, Value};

/// Rows by key: what a stream is joined with.
pub struct Table<K, V> {
    changes: KeyedStream<K, Option<V>>,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { changes: self.changes.clone() }
    }
}

impl TopologyBuilder {
    /// Reads a compacted topic as a table: its keys are `K`, a tombstone removes the row.
    ///
    /// The topic must have as many partitions as the application, which is checked at start, and its records must
    /// stand in the partition of their key (Kafka's default partitioner).
    pub fn table<K, V>(&self, name: &str, topic: &Topic<V>) -> Table<K, V>
    where
        K: Codec + Clone + 'static,
        V: Codec + Clone + 'static,
    {
        let changes = self.source_changes(name, topic);
        self.plan.borrow_mut().require_copartitioned(changes.node);
        let rows: Stream<(K, Option<V>)> =
            changes.then(&format!("{name}.rows"), Shape::Table, None, move |output: Port<(K, Option<V>)>| {
                Apply(move |change: Changed<V>, step: &mut Step| {
                    output.push((K::decode(&change.key)?, change.value), step)
                })
            });
        Table { changes: KeyedStream { stream: rows } }
    }
}

impl<K, V> KeyedStream<K, Option<V>> {
    /// These changes as a table: the last value of a key is its row, `None` removes it.
    pub fn to_table(&self) -> Table<K, V> {
        Table { changes: self.clone() }
    }
}

impl<K: Codec + Clone + 'static, T: Clone + 'static> KeyedStream<K, T> {
    /// Each value with the row of its key. Values without one come out of the named output `unmatched`, as `(K, T)`.
    ///
    /// What happens with rows that come late is told in [`Table`]'s module: nothing.
    pub fn join<V, U>(
        &self,
        name: &str,
        table: &Table<K, V>,
        f: impl Fn(T, V) -> U + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, U>
    where
        V: Codec + Clone + 'static,
        U: Clone + 'static,
    {
        self.join_rows(name, table, "inner", move |value: T, row: Option<V>| match row {
            Some(row) => Ok(f(value, row)),
            None => Err(value),
        })
    }

    /// Each value with the row of its key, or with none.
    pub fn left_join<V, U>(
        &self,
        name: &str,
        table: &Table<K, V>,
        f: impl Fn(T, Option<V>) -> U + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, U>
    where
        V: Codec + Clone + 'static,
        U: Clone + 'static,
    {
        self.join_rows(name, table, "left", move |value: T, row: Option<V>| Ok(f(value, row)))
    }

    fn join_rows<V, U>(
        &self,
        name: &str,
        table: &Table<K, V>,
        kind: &str,
        f: impl Fn(T, Option<V>) -> Result<U, T> + Clone + Send + Sync + 'static,
    ) -> KeyedStream<K, U>
    where
        V: Codec + Clone + 'static,
        U: Clone + 'static,
    {
        let mut node = Node::new(name, Shape::Join, Vec::new());
        node.detail = Some(kind.to_owned());
        let make = move |state: &mut Registry| Join::new(state, f.clone());
        KeyedStream { stream: self.connected(node, &table.changes, make) }
    }
}

/// The operator: the row is its state.
struct Join<K, T, V, F> {
    row: Value<V>,
    unmatched: Output<(K, T)>,
    f: F,
    marker: PhantomData<fn() -> V>,
}

impl<K: Clone + 'static, T: Clone + 'static, V: Codec, F> Join<K, T, V, F> {
    fn new(state: &mut Registry, f: F) -> Self {
        Self { row: state.value("row"), unmatched: state.output("unmatched"), f, marker: PhantomData }
    }
}

impl<K, T, V, U, F> KeyedProcess for Join<K, T, V, F>
where
    K: Codec + Clone + 'static,
    T: Clone + 'static,
    V: Codec + Clone + 'static,
    U: Clone + 'static,
    F: Fn(T, Option<V>) -> Result<U, T> + 'static,
{
    type Key = K;
    type In = T;
    type Out = (K, U);
    type Timer = ();

    fn on_record(&self, value: T, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let key = ctx.key().clone();
        match (self.f)(value, self.row.get(ctx)?) {
            Ok(joined) => ctx.emit((key, joined)),
            Err(unmatched) => ctx.emit_to(&self.unmatched, (key, unmatched)),
        }
    }
}

impl<K, T, V, U, F> ConnectedProcess for Join<K, T, V, F>
where
    K: Codec + Clone + 'static,
    T: Clone + 'static,
    V: Codec + Clone + 'static,
    U: Clone + 'static,
    F: Fn(T, Option<V>) -> Result<U, T> + 'static,
{
    type Right = Option<V>;

    fn on_right(&self, row: Option<V>, ctx: &mut Ctx<'_, Self>) -> OpResult {
        match row {
            Some(row) => self.row.set(ctx, &row),
            None => self.row.clear(ctx),
        }
        Ok(())
    }
}
