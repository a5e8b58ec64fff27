//! Folding the records of a key, or of a window, into one value.

use std::marker::PhantomData;

use super::OpResult;
use crate::codec::Codec;

/// How values are folded.
///
/// What is stored is the accumulator, so it is as large as the aggregation needs and no larger: a mean keeps a sum and a
/// count. It is part of the state's bytes; see [`Versioned`](crate::codec::Versioned) for how it may change.
pub trait Aggregate: 'static {
    /// What is folded.
    type In: Clone + 'static;
    /// What is kept.
    type Accumulator: Codec + 'static;
    /// What comes of it.
    type Out: Clone + 'static;

    /// The accumulator of no value.
    fn init(&self) -> Self::Accumulator;

    /// Adds a value. Values come in the order of the partition, not of their times.
    ///
    /// # Errors
    /// What is to become of the record: see [`OpError`](super::OpError).
    fn add(&self, accumulator: &mut Self::Accumulator, value: &Self::In) -> OpResult;

    /// What the accumulator says.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Out;
}

/// An aggregation whose accumulators can be put together: what session windows need, which grow into each other.
pub trait MergeAggregate: Aggregate {
    /// Makes `accumulator` what it would be with the values of `other`, too.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator);
}

/// How many values there are.
pub struct Count<T>(PhantomData<fn() -> T>);

impl<T> Count<T> {
    /// Counts values `T`.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Count<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Count<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: Clone + 'static> Aggregate for Count<T> {
    type In = T;
    type Accumulator = u64;
    type Out = u64;

    fn init(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _: &T) -> OpResult {
        *count += 1;
        Ok(())
    }

    fn result(&self, count: &u64) -> u64 {
        *count
    }
}

impl<T: Clone + 'static> MergeAggregate for Count<T> {
    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }
}
