//! Outputs with names, beside an operator's main one: late records, refusals, alarms.

use super::Port;
use crate::state::Registry;

/// A named output of an operator, made in its constructor and used with [`Ctx::emit_to`](super::Ctx::emit_to).
///
/// What comes out of it is a stream of the topology: `Stream::output` or `KeyedStream::output` with the same name and
/// type, which the topology's `build()` checks. Values of an output that no stream takes are dropped.
pub struct Output<T> {
    pub(super) port: Port<T>,
}

impl<T> Clone for Output<T> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone() }
    }
}

impl Registry {
    /// A named output of values `T`.
    ///
    /// ```
    /// # use beacon_core::operator::{Ctx, KeyedProcess, OpResult, Output};
    /// # use beacon_core::state::Registry;
    /// struct Checker { refused: Output<String> }
    ///
    /// impl Checker {
    ///     fn new(state: &mut Registry) -> Self { Self { refused: state.output("refused") } }
    /// }
    ///
    /// impl KeyedProcess for Checker {
    ///     type Key = String;
    ///     type In = u64;
    ///     type Out = u64;
    ///     type Timer = ();
    ///
    ///     fn on_record(&self, value: u64, ctx: &mut Ctx<'_, Self>) -> OpResult {
    ///         if value < 100 { ctx.emit(value) } else { ctx.emit_to(&self.refused, format!("{value} is too much")) }
    ///     }
    /// }
    /// ```
    pub fn output<T: Clone + 'static>(&mut self, name: &str) -> Output<T> {
        let port = Port::default();
        self.outputs.push((name.to_owned(), Box::new(port.clone())));
        Output { port }
    }
}
