//! Spans as a collector was sent them.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as proto};

/// Attributes by their names; numbers as text.
pub(crate) type Attributes = BTreeMap<String, String>;

/// One span.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The trace's id in hexadecimal.
    pub(crate) trace: String,
    /// Its own id.
    pub(crate) id: String,
    /// Its parent's id; empty where it has none.
    pub(crate) parent: String,
    /// Its name.
    pub(crate) name: String,
    /// What it is of.
    pub(crate) kind: SpanKind,
    /// When it began and ended, in nanoseconds since 1970.
    pub(crate) time: (u64, u64),
    /// What is said of it.
    pub(crate) attributes: Attributes,
    /// Whether it failed.
    pub(crate) failed: bool,
    /// What happened during it.
    pub(crate) events: Vec<(String, Attributes)>,
    /// The spans that it is about: the ids of their traces, and their own.
    pub(crate) links: Vec<(String, String)>,
    /// What is said of whoever sent it.
    pub(crate) resource: Attributes,
    /// The name and the version of what made it.
    pub(crate) scope: (String, String),
}

impl Span {
    /// An attribute; empty where it has none of that name.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The spans of which this one is the parent, in the order of their beginnings.
    pub(crate) fn children<'s>(&self, spans: &'s [Self]) -> Vec<&'s Self> {
        let under = |span: &&Self| span.trace == self.trace && span.parent == self.id;
        let mut children: Vec<&Self> = spans.iter().filter(under).collect();
        children.sort_by_key(|span| span.time);
        children
    }

    /// Whether another one lies within it in time.
    pub(crate) fn encloses(&self, other: &Self) -> bool {
        self.time.0 <= other.time.0 && other.time.1 <= self.time.1
    }
}

/// The only span of which this holds.
#[track_caller]
pub(crate) fn only(spans: &[Span], holds: impl Fn(&Span) -> bool) -> Span {
    let mut found = spans.iter().filter(|span| holds(span));
    match (found.next(), found.next()) {
        (Some(span), None) => span.clone(),
        (None, _) => panic!("there is no such span among {spans:#?}"),
        (Some(one), Some(other)) => panic!("there are two such spans: {one:#?} and {other:#?}"),
    }
}

/// The spans of an export.
pub(crate) fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.map(|it| it.attributes).unwrap_or_default());
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.unwrap_or_default();
            let scope = (scope.name, scope.version);
            let span = |span| one(span, resource.clone(), scope.clone());
            spans.extend(of_scope.spans.into_iter().map(span));
        }
    }
    spans
}

fn one(span: proto::Span, resource: Attributes, scope: (String, String)) -> Span {
    Span {
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(|it| (it.name, attributes(it.attributes))).collect(),
        links: span.links.iter().map(|it| (hex(&it.trace_id), hex(&it.span_id))).collect(),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        resource,
        scope,
    }
}

fn attributes(attributes: Vec<KeyValue>) -> Attributes {
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("no attribute of ours: {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
