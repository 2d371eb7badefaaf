//! Traces: which calls are traced, their spans, and how those get to a collector.
//!
//! - [`Tracer`] decides which calls are traced, and takes spans. A call that is not traced costs a look at its header.
//! - [`SpanRecord`] is a span that waits: in one bounded queue, from which one thread of its own exports. When the queue is full, spans
//!   are dropped and counted; no request waits for a collector.
//! - [`current()`] is the trace that a thread works for at the moment: log lines carry its ids.

mod active;
mod client;
mod collector;
mod convert;
mod current;
mod export;
pub mod names;
mod post;
mod server;
mod span;

use tokio::sync::mpsc::{self, error::TrySendError};

use super::Telemetry;
use super::events::SpansDropped;
use super::labels::SpanDrop;
use crate::domain::trace::TraceContext;

pub use active::ActiveSpan;
pub use client::{Onward, Target};
pub use current::{Entered, Within, current, enter, within};
pub(super) use current::{span_id, trace_id};
pub use export::export;
pub use server::{Decided, Incoming, ServerSpan, entity_hash};
pub use span::{Attribute, Kind, SpanRecord, Value};

/// Spans that wait to be exported: some seconds of a busy sidecar, and a few megabytes.
pub const MAX_QUEUED: usize = 4096;

/// What a sidecar that exports traces has.
pub(super) struct Traces {
    /// The share of calls without a caller's decision that are traced.
    ratio: f64,
    queue: mpsc::Sender<Box<SpanRecord>>,
}

/// The other end of the queue, for whoever exports.
pub struct SpanQueue {
    spans: mpsc::Receiver<Box<SpanRecord>>,
}

impl Traces {
    pub(super) fn new(ratio: f64) -> (Self, SpanQueue) {
        let (queue, spans) = mpsc::channel(MAX_QUEUED);
        (Self { ratio, queue }, SpanQueue { spans })
    }
}

/// Decides what is traced, and takes spans. Without a configured collector it does neither.
#[derive(Clone, Copy)]
pub struct Tracer<'t> {
    telemetry: &'t Telemetry,
}

impl Telemetry {
    /// What makes traces.
    pub fn tracer(&self) -> Tracer<'_> {
        Tracer { telemetry: self }
    }
}

impl Tracer<'_> {
    /// Whether spans are exported at all.
    pub fn is_on(self) -> bool {
        self.traces().is_some()
    }

    /// The place of a call that comes in: that of its own span where it is traced. A caller's decision stands, and its place too
    /// where that decision is not to trace; without one the configured share of calls is traced, and all get a trace id.
    pub fn begin(self, caller: Option<TraceContext>) -> TraceContext {
        match (caller, self.traces()) {
            (Some(caller), Some(_)) if caller.sampled => self.child(caller),
            (Some(caller), _) => caller,
            (None, Some(traces)) => place(fastrand::f64() < traces.ratio),
            (None, None) => TraceContext::NONE,
        }
    }

    /// The place of a span under another one, traced where that one is.
    pub fn child(self, parent: TraceContext) -> TraceContext {
        parent.at(random_span_id())
    }

    /// The place of a span that begins a trace of its own, and is exported whatever share of calls is. To be linked to what
    /// it is about.
    pub fn root(self) -> TraceContext {
        place(true)
    }

    /// Runs a future that works for a trace whenever it is polled, as [`within`].
    pub fn within<F: Future + Unpin>(self, context: TraceContext, future: F) -> Within<F> {
        within(context, future)
    }

    /// Takes a span, sampled or not; drops and counts it where too many wait. Without a collector it does nothing.
    pub fn record(self, mut span: SpanRecord) {
        let Some(traces) = self.traces() else { return };
        span.close();
        let (reason, details) = match traces.queue.try_send(Box::new(span)) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => (SpanDrop::QueueFull, "the collector is too slow"),
            Err(TrySendError::Closed(_)) => (SpanDrop::ExportFailed, "the exporter has ended"),
        };
        SpansDropped { reason, count: 1, details }.emit(self.telemetry);
    }

    fn traces(&self) -> Option<&Traces> {
        self.telemetry.inner.traces.as_ref()
    }
}

/// A new trace.
fn place(sampled: bool) -> TraceContext {
    TraceContext { trace_id: fastrand::u128(1..), span_id: random_span_id(), sampled }
}

fn random_span_id() -> u64 {
    fastrand::u64(1..)
}

#[cfg(test)]
mod tests;
