//! What a customer has paid, once all payments are in and all tariffs known, whichever comes last.
//!
//! Payments come by windows of the wall clock, which cut them as it happens. So the line is the same whatever happens when, and
//! it is not there when a window has lost a payment, or told one twice.

use beacon_core::operator::{Aggregate, BroadcastCtx, BroadcastProcess, Ctx, KeyedProcess, MergeAggregate, OpResult};
use beacon_core::state::{Registry, SharedValue, Value};
use beacon_core::topology::Windowed;

use super::{PAYMENTS, Sum, Sums, TARIFFS};

pub struct Bill {
    paid: Value<Sums>,
    tariffs: SharedValue<Sums>,
}

impl Bill {
    pub fn new(state: &mut Registry) -> Self {
        Self { paid: state.value("paid"), tariffs: state.shared_value("tariffs") }
    }

    fn settle(&self, paid: &Sums, tariffs: &Sums, ctx: &mut Ctx<'_, Self>) -> OpResult {
        if paid.count != PAYMENTS || tariffs.count != TARIFFS {
            return Ok(());
        }
        self.paid.clear(ctx);
        ctx.emit((ctx.key().clone(), format!("{} paid by tariffs of {}", paid.sum, tariffs.sum)))
    }
}

impl KeyedProcess for Bill {
    type Key = String;
    type In = Windowed<Sums>;
    type Out = (String, String);
    type Timer = ();

    fn on_record(&self, told: Windowed<Sums>, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let mut paid = self.paid.get(ctx)?.unwrap_or_default();
        Sum.merge(&mut paid, told.value);
        self.paid.set(ctx, &paid);
        let tariffs = self.tariffs.get(ctx)?.unwrap_or_default();
        self.settle(&paid, &tariffs, ctx)
    }
}

impl BroadcastProcess for Bill {
    type Broadcast = u64;

    fn on_broadcast(&self, tariff: u64, ctx: &mut BroadcastCtx<'_, Self>) -> OpResult {
        let mut tariffs = self.tariffs.get(ctx)?.unwrap_or_default();
        Sum.add(&mut tariffs, &tariff)?;
        self.tariffs.set(ctx, &tariffs);
        ctx.for_each_key(&self.paid, |paid, ctx| self.settle(&paid, &tariffs, ctx))
    }
}
