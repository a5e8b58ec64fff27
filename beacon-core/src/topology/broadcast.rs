//! Streams whose values reach every task.

use super::stream::Stream;

/// A stream whose values reach every task.
pub struct BroadcastStream<T> {
    pub(super) stream: Stream<T>,
}

impl<T: Clone + 'static> BroadcastStream<T> {
    /// The values of both, as one type.
    pub fn merge(&self, name: &str, other: &BroadcastStream<T>) -> BroadcastStream<T> {
        BroadcastStream { stream: self.stream.merge(name, &other.stream) }
    }

    /// The same broadcast with other values.
    pub fn map<U: Clone + 'static>(
        &self,
        name: &str,
        f: impl Fn(T) -> U + Clone + Send + Sync + 'static,
    ) -> BroadcastStream<U> {
        BroadcastStream { stream: self.stream.map(name, f) }
    }
}
