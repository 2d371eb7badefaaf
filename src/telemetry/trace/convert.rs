//! From a span as it waits to one as OpenTelemetry's exporter takes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace as api;
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::span::{Attribute, Event, Kind, SpanRecord, Value};
use crate::clock::{self, Instant};
use crate::domain::trace::TraceContext;
use crate::telemetry::VERSION;

/// What the spans say of who made them.
const SCOPE: &str = "interlock";

/// Further off than this, wall time was set, and the two clocks are compared anew. Less is left alone: the spans of a call must
/// not move against each other.
const SET_ANEW: Duration = Duration::from_millis(10);

/// What the spans are about, as the collector is told.
pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    let attributes =
        attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(attributes).build()
}

/// Turns spans into what is exported.
pub(super) struct Converter {
    scope: InstrumentationScope,
    wall: Wall,
}

impl Converter {
    pub(super) fn new() -> Self {
        let scope = InstrumentationScope::builder(SCOPE).with_version(VERSION).build();
        Self { scope, wall: Wall::read() }
    }

    #[allow(clippy::vec_box, reason = "they come out of a queue that is small with them boxed")]
    pub(super) fn convert(&mut self, spans: Vec<Box<SpanRecord>>) -> Vec<SpanData> {
        self.wall.compare_with(&Wall::read());
        spans.into_iter().map(|span| self.span(*span)).collect()
    }

    fn span(&self, span: SpanRecord) -> SpanData {
        let mut events = SpanEvents::default();
        events.events = span.events.into_iter().map(|event| self.event(event)).collect();
        let mut links = SpanLinks::default();
        let link = |context| api::Link::with_context(span_context(context));
        links.links = span.links.into_iter().map(link).collect();
        SpanData {
            span_context: span_context(span.context),
            parent_span_id: SpanId::from(span.parent),
            parent_span_is_remote: span.parent_is_remote,
            span_kind: match span.kind {
                Kind::Server => api::SpanKind::Server,
                Kind::Client => api::SpanKind::Client,
                Kind::Internal => api::SpanKind::Internal,
            },
            name: span.name,
            start_time: self.wall.at(span.started),
            end_time: self.wall.at(span.ended.unwrap_or(span.started)),
            attributes: attributes(span.attributes),
            dropped_attributes_count: 0,
            events,
            links,
            status: match span.failed {
                true => api::Status::error(""),
                false => api::Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn event(&self, event: Event) -> api::Event {
        let at = self.wall.at(event.at);
        api::Event::new(event.name, at, attributes(event.attributes), 0)
    }
}

fn span_context(context: TraceContext) -> api::SpanContext {
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    api::SpanContext::new(
        TraceId::from(context.trace_id),
        SpanId::from(context.span_id),
        flags,
        false,
        api::TraceState::NONE,
    )
}

fn attributes(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    let convert = |(key, value): Attribute| match value {
        Value::Number(number) => KeyValue::new(key, number),
        Value::Text(text) => KeyValue::new(key, text),
    };
    attributes.into_iter().map(convert).collect()
}

/// One moment by both clocks.
#[derive(Clone, Copy, Debug)]
struct Wall {
    instant: Instant,
    since_epoch: Duration,
}

impl Wall {
    fn read() -> Self {
        Self { instant: clock::now(), since_epoch: clock::wall() }
    }

    /// Goes by a later reading where wall time was set since.
    fn compare_with(&mut self, later: &Self) {
        if self.since_epoch_at(later.instant).abs_diff(later.since_epoch) > SET_ANEW {
            *self = *later;
        }
    }

    fn since_epoch_at(&self, instant: Instant) -> Duration {
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.since_epoch.saturating_add(later),
            None => self.since_epoch.saturating_sub(self.instant - instant),
        }
    }

    fn at(&self, instant: Instant) -> SystemTime {
        UNIX_EPOCH + self.since_epoch_at(instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::trace::names;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn all_of_a_span_reaches_the_exporter() {
        let context = TraceContext { trace_id: 0xab, span_id: 0xcd, sampled: true };
        let linked = TraceContext { trace_id: 0xef, span_id: 0x12, sampled: false };
        let started = clock::now();
        let mut span = SpanRecord::child(context.at(5), context, Kind::Client, "PUT", started);
        span.set(names::SERVER_PORT, 80_u16);
        span.add_event(names::DIVERGENCE, started + at(2), [(names::CAUSE, "body".into())]);
        span.link(linked);
        span.fail("timeout");
        span.end(started + at(3));
        let mut converter = Converter::new();

        let data = converter.convert(vec![Box::new(span)]).remove(0);

        assert_eq!(data.span_context, span_context(context.at(5)));
        assert!(data.span_context.is_sampled() && data.span_context.is_valid());
        assert_eq!(data.parent_span_id, SpanId::from(0xcd));
        assert_eq!((&*data.name, data.span_kind), ("PUT", api::SpanKind::Client));
        assert_eq!(data.end_time.duration_since(data.start_time).unwrap(), at(3));
        let attributes = [KeyValue::new("server.port", 80), KeyValue::new("error.type", "timeout")];
        assert_eq!(data.attributes, attributes);
        assert_eq!(data.events[0].timestamp, data.start_time + at(2));
        assert_eq!(data.events[0].attributes, [KeyValue::new("interlock.cause", "body")]);
        assert_eq!(data.links[0].span_context, span_context(linked));
        assert_eq!(data.status, api::Status::error(""));
    }

    #[test]
    fn wall_time_is_followed_only_when_it_was_set() {
        let start = Wall { instant: clock::now(), since_epoch: at(1_000_000) };
        let read = |millis| Wall { instant: start.instant + at(60_000), since_epoch: at(millis) };
        let mut wall = start;

        wall.compare_with(&read(1_060_009));
        assert_eq!(wall.since_epoch_at(start.instant + at(1)), at(1_000_001));
        wall.compare_with(&read(990_000));
        assert_eq!(wall.since_epoch_at(start.instant + at(60_001)), at(990_001));
        assert_eq!(wall.since_epoch_at(start.instant), at(930_000));
    }
}
