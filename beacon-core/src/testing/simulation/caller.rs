//! The world outside as a call of a simulated job sees it.

use std::marker::PhantomData;

use super::scheduler;
use crate::codec::Codec;
use crate::topology::{CallDone, RawCaller};

/// Answers each call of a simulated job after a while that the seed chooses, with what a function says; one in a while
/// is dropped without an answer, so that it has to be made again.
///
/// Outside of a simulation it answers at once.
pub struct SimulatedCaller<Q, R, F> {
    answer: F,
    marker: PhantomData<fn(Q) -> R>,
}

impl<Q: Codec, R: Codec, F: Fn(Q) -> R + Send + Sync> SimulatedCaller<Q, R, F> {
    /// Answers by this function, which sees each request at least once.
    pub fn new(answer: F) -> Self {
        Self { answer, marker: PhantomData }
    }
}

impl<Q: Codec, R: Codec, F: Fn(Q) -> R + Send + Sync> RawCaller for SimulatedCaller<Q, R, F> {
    fn call(&self, _key: &[u8], request: &[u8], done: CallDone) {
        // A request that cannot be read is dropped, and made again: simulation shows it as a job that never rests.
        let Ok(request) = Q::decode(request) else { return };
        let answer = (self.answer)(request).to_bytes();
        scheduler::later(Box::new(move || {
            if !scheduler::drops_an_answer() {
                done(answer);
            }
        }));
    }
}
