//! Keyed operators: records and timers of one key, one at a time.

use std::cell::RefCell;
use std::rc::Rc;

use super::{BroadcastCtx, Ctx, OpError, OpResult, Port, Receiver, Step};
use crate::codec::Codec;
use crate::state::layout;
use crate::timer::{Timer, TimerTag};

/// An operator with state and timers per key.
///
/// State handles are made in the constructor and kept in `self`; methods take `&self`, so that no state hides in plain
/// fields. All steps of one key happen one after the other, in the order of the partition.
pub trait KeyedProcess: Sized + 'static {
    /// What records are keyed by.
    type Key: Codec + 'static;
    /// What comes in.
    type In: 'static;
    /// What goes out.
    type Out: Clone + 'static;
    /// What its timers are for; `()` when it has one or none.
    type Timer: TimerTag;

    /// One record of the context's key.
    ///
    /// # Errors
    /// What is to become of the record: see [`OpError`].
    fn on_record(&self, record: Self::In, ctx: &mut Ctx<'_, Self>) -> OpResult;

    /// A timer of the context's key, at or after its deadline, once. It is no longer set.
    ///
    /// # Errors
    /// [`OpError::DeadLetter`] takes the step back and drops the timer, with the reason in the dead letters.
    fn on_timer(&self, timer: Self::Timer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let _ = (timer, ctx);
        Ok(())
    }
}

/// A keyed operator that also takes records which every task gets: plans, silences.
pub trait BroadcastProcess: KeyedProcess {
    /// What is broadcast.
    type Broadcast: 'static;

    /// One broadcast record. It may write shared state, and visit every key of this task.
    ///
    /// # Errors
    /// What is to become of the record: see [`OpError`].
    fn on_broadcast(&self, record: Self::Broadcast, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult;
}

/// A keyed operator with a second input of another type: both see the same state and timers of a key.
///
/// The first input is [`KeyedProcess::on_record`]'s. All steps of one key happen one after the other, whichever input
/// they come from; records of one input keep their order, between the inputs there is none. For three inputs and more,
/// map each to a variant of an enum and merge the streams.
pub trait ConnectedProcess: KeyedProcess {
    /// What comes in on the right.
    type Right: 'static;

    /// One record of the second input, at the context's key.
    ///
    /// # Errors
    /// What is to become of the record: see [`OpError`].
    fn on_right(&self, record: Self::Right, ctx: &mut Ctx<'_, Self>) -> OpResult;
}

/// Something timers can be for.
pub trait TimerTarget {
    /// Runs a timer that is due.
    fn fire(&self, timer: &Timer, step: &mut Step) -> OpResult;
}

/// One operator in one task.
pub struct KeyedRunner<P: KeyedProcess> {
    pub(super) operator: P,
    pub(super) id: u32,
    pub(super) name: Rc<str>,
    pub(super) output: Port<P::Out>,
    /// How many re-keyed topics with event time its records passed.
    pub(super) stage: u8,
    /// Scratch for key bytes, so that a record costs no allocation for its key.
    scratch: RefCell<Vec<u8>>,
}

impl<P: KeyedProcess> KeyedRunner<P> {
    /// Joins an operator at a stage of event time (below [`STAGES`](super::STAGES)) to its output.
    pub fn new(operator: P, name: &str, stage: u8, output: Port<P::Out>) -> Self {
        Self { operator, id: layout::name_id(name), name: name.into(), output, stage, scratch: RefCell::default() }
    }

    /// Runs a record's part of a step at its key.
    fn at_key(&self, key: &P::Key, step: &mut Step, run: impl FnOnce(&mut Ctx<'_, P>) -> OpResult) -> OpResult {
        let mut bytes = self.scratch.take();
        bytes.clear();
        key.encode(&mut bytes);
        let result = step.key_group(&bytes).and_then(|group| run(&mut Ctx::new(self, key, &bytes, group, step)));
        if result.is_err() {
            step.refused_by(&self.name);
        }
        *self.scratch.borrow_mut() = bytes;
        result
    }
}

/// A record with its key.
impl<P: KeyedProcess> Receiver<(P::Key, P::In)> for KeyedRunner<P> {
    fn receive(&self, (key, record): (P::Key, P::In), step: &mut Step) -> OpResult {
        self.at_key(&key, step, |ctx| self.operator.on_record(record, ctx))
    }
}

/// The second input of an operator.
pub struct RightSide<P: ConnectedProcess>(pub(crate) Rc<KeyedRunner<P>>);

impl<P: ConnectedProcess> Receiver<(P::Key, P::Right)> for RightSide<P> {
    fn receive(&self, (key, record): (P::Key, P::Right), step: &mut Step) -> OpResult {
        self.0.at_key(&key, step, |ctx| self.0.operator.on_right(record, ctx))
    }
}

/// The broadcast side of an operator.
pub struct BroadcastSide<P: BroadcastProcess>(pub Rc<KeyedRunner<P>>);

impl<P: BroadcastProcess> Receiver<P::Broadcast> for BroadcastSide<P> {
    fn receive(&self, record: P::Broadcast, step: &mut Step) -> OpResult {
        let result = self.0.operator.on_broadcast(record, &mut BroadcastCtx::new(&self.0, step));
        if result.is_err() {
            step.refused_by(&self.0.name);
        }
        result
    }
}

impl<P: KeyedProcess> TimerTarget for KeyedRunner<P> {
    fn fire(&self, timer: &Timer, step: &mut Step) -> OpResult {
        let key = P::Key::decode(&timer.key)
            .map_err(|error| OpError::Stop(format!("operator `{}`: key of a stored timer: {error}", self.name)))?;
        let tag = P::Timer::from_number(timer.tag).ok_or_else(|| {
            OpError::Stop(format!(
                "operator `{}`: a stored timer has number {}, which this version of the program does not know",
                self.name, timer.tag
            ))
        })?;
        let mut ctx = Ctx::new(self, &key, &timer.key, layout::key_group(&timer.key), step);
        ctx.timer_deadline_ms = Some(timer.deadline_ms);
        let result = self.operator.on_timer(tag, &mut ctx);
        if result.is_err() {
            step.refused_by(&self.name);
        }
        result
    }
}
