//! Windows: the records of a key, cut by time and folded.
//!
//! Built from an ordered map and one timer per key, which waits for whatever window of the key is next. What it
//! deliberately does not do: it keeps no records, only accumulators, and it retracts nothing: a later result of a window
//! replaces the one before.
//!
//! Invariant: while a key has windows, its timer is set at or before the moment the first of them closes or is
//! forgotten (`tests/windows/oracle.rs: windows_tell_what_the_oracle_tells`,
//! `tests/windows/oracle.rs: sessions_tell_what_the_oracle_tells`).

use std::marker::PhantomData;

use super::builder::Node;
use super::describe::Shape;
use super::keyed::KeyedStream;
use super::window_span::{Content, Span, Timing, Windowed};
use super::window_spec::{Sessions, Settings, Windows};
use crate::codec::Codec;
use crate::operator::{Aggregate, Ctx, KeyedProcess, MergeAggregate, OpError, OpResult, Output};
use crate::state::{MapState, Registry};
use crate::time::{EventTime, ProcessingTime, TimeDomain};
use crate::timer_tags;

timer_tags! {
    /// What a key with windows waits for.
    pub(super) enum WindowTimer {
        /// The next of them closes, or is forgotten.
        Next = 1,
    }
}

impl<K: Codec + Clone + 'static, T: Clone + 'static> KeyedStream<K, T> {
    /// Folds each key's records by windows of one size. A window's result is emitted when it closes.
    ///
    /// Windows of event time (the default) need a source with
    /// [`with_event_time`](super::Stream::with_event_time), and close when the watermark reaches their end. Records
    /// that come after their windows are gone come out of the output `late`, as `(K, T)`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use beacon_core::operator::Count;
    /// # use beacon_core::topology::{KeyedStream, Windowed, Windows};
    /// # fn counts(clicks: &KeyedStream<String, String>) -> KeyedStream<String, Windowed<u64>> {
    /// clicks.window("per minute", Windows::tumbling(Duration::from_secs(60)), Count::new())
    /// # }
    /// ```
    pub fn window<A>(&self, name: &str, windows: Windows, aggregate: A) -> KeyedStream<K, Windowed<A::Out>>
    where
        A: Aggregate<In = T> + Clone + Send + Sync,
    {
        let mut node = Node::new(name, Shape::Window, Vec::new());
        node.detail = Some(windows.to_string());
        self.windowed(node, windows.mistake(), move |state| {
            let settings = windows.settings.clone();
            WindowOperator::new(state, aggregate.clone(), settings, Kind::Fixed(windows.clone()))
        })
    }

    /// Folds each key's records by sessions. A session's result is emitted when it closes.
    ///
    /// A record that connects two sessions makes them one. Within the allowed lateness that may include one whose result
    /// was emitted: the result of the grown session, with the earlier start, replaces it.
    pub fn session_window<A>(&self, name: &str, sessions: Sessions, aggregate: A) -> KeyedStream<K, Windowed<A::Out>>
    where
        A: MergeAggregate<In = T> + Clone + Send + Sync,
    {
        let mut node = Node::new(name, Shape::Window, Vec::new());
        node.detail = Some(sessions.to_string());
        self.windowed(node, sessions.mistake(), move |state| {
            let settings = sessions.settings.clone();
            WindowOperator::new(state, aggregate.clone(), settings, Kind::Sessions(sessions.clone(), A::merge))
        })
    }

    fn windowed<A: Aggregate<In = T>>(
        &self,
        node: Node,
        mistake: Option<String>,
        make: impl Fn(&mut Registry) -> WindowOperator<K, A> + Send + Sync + 'static,
    ) -> KeyedStream<K, Windowed<A::Out>> {
        if let Some(mistake) = mistake {
            let mistake = format!("`{}`: {mistake}", node.name);
            self.stream.plan.borrow_mut().mistakes.push(mistake);
        }
        KeyedStream { stream: self.operator(node, make, None, |_, _| {}) }
    }
}

enum Kind<A: Aggregate> {
    Fixed(Windows),
    Sessions(Sessions, Merge<A>),
}

type Merge<A> = fn(&A, &mut <A as Aggregate>::Accumulator, <A as Aggregate>::Accumulator);

struct WindowOperator<K, A: Aggregate> {
    windows: MapState<Span, Content<A::Accumulator>>,
    late: Output<(K, A::In)>,
    aggregate: A,
    settings: Settings,
    kind: Kind<A>,
    marker: PhantomData<fn() -> K>,
}

/// How far the windows' clock has come; `i64::MIN` before it is known.
type Clock = i64;

impl<K: Codec + Clone + 'static, A: Aggregate> WindowOperator<K, A> {
    fn new(state: &mut Registry, aggregate: A, settings: Settings, kind: Kind<A>) -> Self {
        let (windows, late) = (state.map("windows"), state.output("late"));
        Self { windows, late, aggregate, settings, kind, marker: PhantomData }
    }

    fn clock(&self, ctx: &Ctx<'_, Self>) -> Clock {
        match self.settings.clock {
            TimeDomain::Event => ctx.watermark().map_or(i64::MIN, EventTime::as_millis),
            TimeDomain::Processing => ctx.processing_time().as_millis(),
        }
    }

    /// When a window is forgotten.
    fn gone_at(&self, span: Span) -> i64 {
        span.end.saturating_add(self.settings.lateness_ms)
    }

    fn fresh(&self) -> Content<A::Accumulator> {
        Content { closed: false, accumulator: self.aggregate.init() }
    }

    /// Adds a value to one window. `false`: it comes too late for it.
    fn add(&self, span: Span, value: &A::In, ctx: &mut Ctx<'_, Self>) -> Result<bool, OpError> {
        let clock = self.clock(ctx);
        if self.gone_at(span) <= clock {
            return Ok(false);
        }
        let mut content = self.windows.get(ctx, &span)?.unwrap_or_else(|| self.fresh());
        self.aggregate.add(&mut content.accumulator, value)?;
        self.tell_and_keep(span, content, clock, ctx)?;
        Ok(true)
    }

    /// Adds a value to the session it belongs to, which may be several by now. `false`: it comes too late.
    fn add_to_session(
        &self,
        single: Span,
        merge: Merge<A>,
        value: &A::In,
        ctx: &mut Ctx<'_, Self>,
    ) -> Result<bool, OpError> {
        // Ordered by end, and sessions do not overlap: the first that ends after the record begins, and what follows
        // until one begins after the record's end.
        let from = Span { end: single.start.saturating_add(1), start: i64::MIN };
        let mut met = Vec::new();
        for entry in self.windows.range(ctx, from..) {
            let (span, content) = entry?;
            if span.start >= single.end {
                break;
            }
            met.push((span, content));
        }
        let session = met
            .iter()
            .fold(single, |grown, (span, _)| Span { start: grown.start.min(span.start), end: grown.end.max(span.end) });
        let clock = self.clock(ctx);
        if self.gone_at(session) <= clock {
            return Ok(false);
        }
        let mut content = self.fresh();
        for (span, old) in met {
            self.windows.remove(ctx, &span);
            merge(&self.aggregate, &mut content.accumulator, old.accumulator);
        }
        self.aggregate.add(&mut content.accumulator, value)?;
        self.tell_and_keep(session, content, clock, ctx)?;
        Ok(true)
    }

    /// After a record: stores a window, emits what is to be said now, and sees that its end is waited for.
    fn tell_and_keep(
        &self,
        span: Span,
        mut content: Content<A::Accumulator>,
        clock: Clock,
        ctx: &mut Ctx<'_, Self>,
    ) -> OpResult {
        content.closed = span.end <= clock;
        self.windows.insert(ctx, &span, &content);
        self.wake_at(if content.closed { self.gone_at(span) } else { span.end }, ctx)?;
        if content.closed {
            self.tell(span, &content, Timing::Late, ctx)
        } else if self.settings.updates {
            self.tell(span, &content, Timing::Early, ctx)
        } else {
            Ok(())
        }
    }

    fn tell(&self, span: Span, content: &Content<A::Accumulator>, timing: Timing, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let [start, end, last] = [span.start, span.end, span.end.saturating_sub(1)].map(EventTime::from_millis);
        let result = Windowed { start, end, timing, value: self.aggregate.result(&content.accumulator) };
        ctx.emit_at(last, (ctx.key().clone(), result))
    }

    /// Wakes the key at this moment, or before.
    fn wake_at(&self, at_ms: i64, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let timer = WindowTimer::Next;
        match self.settings.clock {
            TimeDomain::Event => {
                let at = EventTime::from_millis(at_ms);
                if ctx.event_timer(timer)?.is_none_or(|set| set > at) {
                    ctx.set_timer(timer, at)?;
                }
            }
            TimeDomain::Processing => {
                let at = ProcessingTime::from_millis(at_ms);
                if ctx.timer(timer)?.is_none_or(|set| set > at) {
                    ctx.set_timer(timer, at)?;
                }
            }
        }
        Ok(())
    }
}

impl<K: Codec + Clone + 'static, A: Aggregate> KeyedProcess for WindowOperator<K, A> {
    type Key = K;
    type In = A::In;
    type Out = (K, Windowed<A::Out>);
    type Timer = WindowTimer;

    fn on_record(&self, value: A::In, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let at_ms = match self.settings.clock {
            TimeDomain::Event => ctx.event_time().as_millis(),
            TimeDomain::Processing => ctx.processing_time().as_millis(),
        };
        let in_time = match &self.kind {
            Kind::Fixed(windows) => {
                let mut in_time = false;
                for span in windows.of(at_ms) {
                    in_time |= self.add(span, &value, ctx)?;
                }
                in_time
            }
            Kind::Sessions(sessions, merge) => self.add_to_session(sessions.of(at_ms), *merge, &value, ctx)?,
        };
        if in_time {
            return Ok(());
        }
        ctx.count_late();
        ctx.emit_to(&self.late, (ctx.key().clone(), value))
    }

    fn on_timer(&self, _: WindowTimer, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let clock = self.clock(ctx);
        let after = Span { end: clock.saturating_add(1), start: i64::MIN };
        let over = self.windows.range(ctx, ..after).collect::<Result<Vec<_>, _>>()?;
        // First of all the next window that is open: what is emitted below may meet this operator again.
        if let Some((open, _)) = self.windows.range(ctx, after..).next().transpose()? {
            self.wake_at(open.end, ctx)?;
        }
        for (span, mut content) in over {
            let closed_before = std::mem::replace(&mut content.closed, true);
            if self.gone_at(span) <= clock {
                self.windows.remove(ctx, &span);
            } else {
                if !closed_before {
                    self.windows.insert(ctx, &span, &content);
                }
                self.wake_at(self.gone_at(span), ctx)?;
            }
            if !closed_before {
                self.tell(span, &content, Timing::OnTime, ctx)?;
            }
        }
        Ok(())
    }
}
