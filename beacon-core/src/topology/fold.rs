//! `reduce` and `aggregate`: operators that keep one value per key.

use std::marker::PhantomData;

use crate::codec::Codec;
use crate::operator::{Aggregate, Ctx, KeyedProcess, OpResult};
use crate::state::{Registry, Value};

/// Folds values into one of their kind.
pub(super) struct Reduce<K, T, F> {
    total: Value<T>,
    f: F,
    marker: PhantomData<fn() -> K>,
}

impl<K, T: Codec, F> Reduce<K, T, F> {
    pub(super) fn new(state: &mut Registry, f: F) -> Self {
        Self { total: state.value("total"), f, marker: PhantomData }
    }
}

impl<K, T, F> KeyedProcess for Reduce<K, T, F>
where
    K: Codec + Clone + 'static,
    T: Codec + Clone + 'static,
    F: Fn(T, T) -> T + 'static,
{
    type Key = K;
    type In = T;
    type Out = (K, T);
    type Timer = ();

    fn on_record(&self, value: T, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let total = match self.total.get(ctx)? {
            Some(total) => (self.f)(total, value),
            None => value,
        };
        self.total.set(ctx, &total);
        ctx.emit((ctx.key().clone(), total))
    }
}

/// Folds values into an accumulator.
pub(super) struct Fold<K, A: Aggregate> {
    accumulator: Value<A::Accumulator>,
    aggregate: A,
    marker: PhantomData<fn() -> K>,
}

impl<K, A: Aggregate> Fold<K, A> {
    pub(super) fn new(state: &mut Registry, aggregate: A) -> Self {
        Self { accumulator: state.value("accumulator"), aggregate, marker: PhantomData }
    }
}

impl<K: Codec + Clone + 'static, A: Aggregate> KeyedProcess for Fold<K, A> {
    type Key = K;
    type In = A::In;
    type Out = (K, A::Out);
    type Timer = ();

    fn on_record(&self, value: A::In, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let mut accumulator = self.accumulator.get(ctx)?.unwrap_or_else(|| self.aggregate.init());
        self.aggregate.add(&mut accumulator, &value)?;
        self.accumulator.set(ctx, &accumulator);
        ctx.emit((ctx.key().clone(), self.aggregate.result(&accumulator)))
    }
}
