//! A span under way, which records itself when it is let go.

use super::{SpanRecord, Tracer, Value};
use crate::domain::trace::TraceContext;
use crate::telemetry::Telemetry;

/// A span under way. Dropped, it is recorded as it is: whoever waited for its end has left.
pub struct ActiveSpan {
    telemetry: Telemetry,
    /// There until it is dropped.
    span: Option<SpanRecord>,
}

impl Tracer<'_> {
    /// Records a span as soon as the returned one is dropped.
    pub fn active(self, span: SpanRecord) -> ActiveSpan {
        ActiveSpan { telemetry: self.telemetry.clone(), span: Some(span) }
    }
}

impl ActiveSpan {
    /// Its place: what is done on its behalf goes under it.
    pub fn context(&self) -> TraceContext {
        self.span.as_ref().map_or(TraceContext::NONE, SpanRecord::context)
    }

    /// Adds an attribute, as [`SpanRecord::set`].
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.with(|span| span.set(key, value));
    }

    /// Marks it as failed, as [`SpanRecord::fail`].
    pub fn fail(&mut self, error_type: impl Into<Value>) {
        self.with(|span| span.fail(error_type));
    }

    /// Changes the span.
    pub fn with(&mut self, change: impl FnOnce(&mut SpanRecord)) {
        if let Some(span) = &mut self.span {
            change(span);
        }
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            self.telemetry.tracer().record(span);
        }
    }
}
