//! The span of a comparison that found something. It is exported whatever share of calls is traced.

use super::Subject;
use crate::clock::{self, Instant};
use crate::domain::divergence::Cause;
use crate::domain::trace::TraceContext;
use crate::telemetry::Telemetry;
use crate::telemetry::trace::{Kind, SpanRecord, Value, entity_hash, names};

/// Records it. Gives its place, which begins a trace: nothing where none is exported.
pub(super) fn record(
    telemetry: &Telemetry,
    flag: &str,
    subject: &Subject,
    cause: Cause,
    begun: Instant,
) -> TraceContext {
    let tracer = telemetry.tracer();
    if !tracer.is_on() {
        return TraceContext::NONE;
    }
    let context = tracer.root();
    let mut span = SpanRecord::root(context, Kind::Internal, names::COMPARE, begun);
    span.set(names::FLAG_KEY, flag.to_owned());
    span.set(names::FLAG_CONTEXT, entity_hash(&subject.entity));
    span.set(names::PATH, subject.path.as_str());
    span.link(subject.trace);
    span.link(subject.shadow);
    let what: [(&'static str, Value); 1] = [(names::CAUSE, cause.as_str().into())];
    span.add_event(names::DIVERGENCE, clock::now(), what);
    tracer.record(span);
    context
}
