//! How operators of one task are joined: direct, typed calls.

use std::cell::OnceCell;
use std::rc::Rc;

use super::{OpResult, Step};

/// Something that takes the values of one stream.
pub trait Receiver<T> {
    /// Takes one value.
    ///
    /// # Errors
    /// Those of operators further down; the whole step is taken back.
    fn receive(&self, value: T, step: &mut Step) -> OpResult;
}

/// The output of an operator: hands each value to every receiver, in the order they were attached.
pub struct Port<T> {
    receivers: Rc<OnceCell<Vec<Rc<dyn Receiver<T>>>>>,
}

impl<T> Clone for Port<T> {
    fn clone(&self) -> Self {
        Self { receivers: Rc::clone(&self.receivers) }
    }
}

impl<T> Default for Port<T> {
    fn default() -> Self {
        Self { receivers: Rc::default() }
    }
}

impl<T: Clone> Port<T> {
    /// Fixes who receives. Once; a task's operators do not change while it lives.
    pub(crate) fn connect(&self, receivers: Vec<Rc<dyn Receiver<T>>>) {
        assert!(self.receivers.set(receivers).is_ok(), "a port is connected once, by the topology");
    }

    /// Hands a value down. The last receiver gets the value itself, the others copies.
    pub fn push(&self, value: T, step: &mut Step) -> OpResult {
        let Some((last, others)) = self.receivers.get().and_then(|receivers| receivers.split_last()) else {
            return Ok(());
        };
        for receiver in others {
            receiver.receive(value.clone(), step)?;
        }
        last.receive(value, step)
    }
}
