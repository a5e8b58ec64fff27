//! Stateless receivers: functions, joins to topics.

use std::sync::Arc;

use crate::codec::{Codec, key_hash};
use crate::operator::{OpResult, Outgoing, Port, Receiver, Step};

/// Calls a function with each value; the function pushes what comes of it.
pub(super) struct Apply<F>(pub(super) F);

impl<T, F: Fn(T, &mut Step) -> OpResult> Receiver<T> for Apply<F> {
    fn receive(&self, value: T, step: &mut Step) -> OpResult {
        (self.0)(value, step)
    }
}

/// Passes values on: several streams into one.
pub(super) struct Forward<T>(pub(super) Port<T>);

impl<T: Clone> Receiver<T> for Forward<T> {
    fn receive(&self, value: T, step: &mut Step) -> OpResult {
        self.0.push(value, step)
    }
}

/// Sends a keyed value to the partition of its key.
pub(super) fn send_keyed(topic: &Arc<str>, key: Vec<u8>, value: Vec<u8>, step: &mut Step) {
    let partition = key_hash(&key) % step.partitions();
    step.send(Outgoing {
        topic: Arc::clone(topic),
        partition: Some(partition),
        key: Some(key),
        value: Some(value),
        headers: Vec::new(),
        timestamp: step.output_time(),
    });
}

/// Sends a value to every partition.
pub(super) fn send_to_all<T: Codec>(topic: &Arc<str>, value: &T, step: &mut Step) {
    let bytes = value.to_bytes();
    for partition in 0..step.partitions() {
        step.send(Outgoing {
            topic: Arc::clone(topic),
            partition: Some(partition),
            key: Some(Vec::new()),
            value: Some(bytes.clone()),
            headers: Vec::new(),
            timestamp: step.output_time(),
        });
    }
}
