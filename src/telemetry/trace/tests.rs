//! What is traced, what spans say, and what becomes of those that nobody takes.

use std::collections::BTreeSet;

use http::{Method, Version};

use super::*;
use crate::clock::{self, Instant};
use crate::domain::decision::{Decision, Reason};
use crate::domain::flag::Path;
use crate::domain::transition::Stage;
use crate::telemetry::Topology;
use crate::telemetry::labels::Role;

const CALLER: TraceContext = TraceContext { trace_id: 0xab, span_id: 0xcd, sampled: true };

fn telemetry(ratio: f64) -> (Telemetry, SpanQueue) {
    Telemetry::traced(&Topology::default(), ratio)
}

fn span(name: &'static str) -> SpanRecord {
    SpanRecord::root(place(true), Kind::Internal, name, clock::now())
}

fn taken(queue: &mut SpanQueue) -> SpanRecord {
    *queue.spans.try_recv().unwrap()
}

/// The value of a series on the page.
fn value(telemetry: &Telemetry, series: &str) -> u64 {
    let page = telemetry.render();
    let line = page.lines().find_map(|line| line.strip_prefix(series)).unwrap();
    line.trim().parse().unwrap()
}

fn attribute<'s>(span: &'s SpanRecord, key: &str) -> Option<&'s Value> {
    let mut found = span.attributes.iter().filter(|(name, _)| *name == key);
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "{key} is set twice: {span:#?}");
    value
}

fn serve(telemetry: &Telemetry, method: &Method, path: &str) -> std::rc::Rc<ServerSpan> {
    let incoming = Incoming {
        method,
        path,
        version: Version::HTTP_11,
        client: "::ffff:192.0.2.7".parse().unwrap(),
        user_agent: None,
        started: clock::now(),
    };
    telemetry.tracer().serve(place(true), None, incoming).unwrap()
}

#[test]
fn a_caller_that_traces_is_traced_whatever_the_share() {
    let (telemetry, _queue) = telemetry(0.0);

    let begun = telemetry.tracer().begin(Some(CALLER));

    assert_eq!((begun.trace_id, begun.sampled), (CALLER.trace_id, true));
    assert!(begun.span_id != CALLER.span_id && begun.span_id != 0);
}

#[test]
fn a_caller_that_does_not_trace_keeps_its_place_whatever_the_share() {
    let (telemetry, _queue) = telemetry(1.0);
    let caller = TraceContext { sampled: false, ..CALLER };

    assert_eq!(telemetry.tracer().begin(Some(caller)), caller);
}

#[test]
fn without_a_caller_s_word_the_share_is_traced_and_every_call_has_a_trace_of_its_own() {
    fastrand::seed(7);
    for (ratio, least, most) in [(0.0, 0, 0), (0.25, 2_300, 2_700), (1.0, 10_000, 10_000)] {
        let (telemetry, _queue) = telemetry(ratio);
        let begun: Vec<_> = (0..10_000).map(|_| telemetry.tracer().begin(None)).collect();

        let sampled = begun.iter().filter(|context| context.sampled).count();
        assert!((least..=most).contains(&sampled), "{sampled} at {ratio}");
        let traces: BTreeSet<_> = begun.iter().map(|context| context.trace_id).collect();
        assert!(traces.len() == 10_000 && begun.iter().all(|context| context.span_id != 0));
    }
}

#[test]
fn without_a_collector_there_is_no_trace_but_a_caller_s() {
    let telemetry = Telemetry::new(&Topology::default());
    let tracer = telemetry.tracer();

    tracer.record(span("dropped without a word"));

    assert!(!tracer.is_on());
    assert_eq!(tracer.begin(None), TraceContext::NONE);
    assert_eq!(tracer.begin(Some(CALLER)), CALLER);
    assert!(tracer.wait_for_lease(CALLER).is_none());
    assert_eq!(value(&telemetry, "interlock_spans_dropped_total{reason=\"export_failed\"}"), 0);
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let (telemetry, mut queue) = telemetry(1.0);

    for _ in 0..MAX_QUEUED + 10 {
        telemetry.tracer().record(span("one of many"));
    }

    let dropped = "interlock_spans_dropped_total{reason=\"queue_full\"}";
    assert_eq!(value(&telemetry, dropped), 10);
    taken(&mut queue);
    telemetry.tracer().record(span("one that fits"));
    assert_eq!(value(&telemetry, dropped), 10);
}

#[test]
fn what_comes_after_the_exporter_has_ended_is_counted() {
    let (telemetry, queue) = telemetry(1.0);
    drop(queue);

    telemetry.tracer().record(span("too late"));

    assert_eq!(value(&telemetry, "interlock_spans_dropped_total{reason=\"export_failed\"}"), 1);
}

#[test]
fn texts_events_and_links_of_a_span_are_bounded() {
    let mut span = span("large");
    span.set(names::CAUSE, format!("{}ä", "x".repeat(1023)));
    span.set(names::URL_PATH, "y".repeat(1024));
    for _ in 0..1_000 {
        span.add_event(names::DIVERGENCE, clock::now(), []);
        span.link(CALLER);
    }

    assert_eq!(attribute(&span, names::CAUSE), Some(&"x".repeat(1023).into()));
    assert_eq!(attribute(&span, names::URL_PATH), Some(&"y".repeat(1024).into()));
    assert_eq!((span.events.len(), span.links.len()), (32, 128));
}

#[test]
fn no_trace_is_linked_to() {
    let mut span = span("apart");

    span.link(TraceContext::NONE);

    assert!(span.links.is_empty());
}

#[test]
fn every_reason_has_one_of_opentelemetry_s_words() {
    let (telemetry, mut queue) = telemetry(1.0);
    let words = [
        (Reason::Split, "split"),
        (Reason::Pinned, "targeting_match"),
        (Reason::Killed, "disabled"),
        (Reason::Static, "static"),
        (Reason::Stale, "stale"),
        (Reason::Default, "default"),
        (Reason::NoEntity, "error"),
    ];
    assert_eq!(words.map(|(reason, _)| reason), Reason::ALL);
    for (reason, word) in words {
        let decision = Decision { path: Path::Fixed, stage: Stage::Fixed, reason };

        let span = serve(&telemetry, &Method::PUT, "/");
        span.decided(Decided { flag: "f", version: 3, decision, entity: None });
        drop(span);

        let span = taken(&mut queue);
        assert_eq!(attribute(&span, names::FLAG_REASON), Some(&word.into()));
        assert_eq!(attribute(&span, names::FLAG_VARIANT), Some(&"fixed".into()));
        assert_eq!(attribute(&span, names::FLAG_VERSION), Some(&"3".to_owned().into()));
        assert_eq!(attribute(&span, names::FLAG_CONTEXT), None);
    }
}

#[test]
fn a_span_is_taken_when_the_last_one_lets_go_and_ends_when_the_answer_did() {
    let (telemetry, mut queue) = telemetry(1.0);
    let span = serve(&telemetry, &Method::PUT, "/a");
    let (update, ended) = (std::rc::Rc::clone(&span), clock::now());

    span.ended(None, None, ended);
    drop(span);
    assert!(queue.spans.try_recv().is_err());
    drop(update);

    let span = taken(&mut queue);
    assert_eq!((span.ended, span.failed), (Some(ended), false));
    assert_eq!(attribute(&span, names::CLIENT_ADDRESS), Some(&"192.0.2.7".to_owned().into()));
}

fn attempt(telemetry: &Telemetry, onward: &mut Onward, started: Instant) -> TraceContext {
    let target = Target { host: "app", port: 80, authority: "app", role: Role::Shadow };
    telemetry.tracer().send_on(onward, &Method::PUT, target, started).context()
}

#[test]
fn every_attempt_has_a_span_of_its_own_under_the_call_s() {
    let (telemetry, mut queue) = telemetry(1.0);
    let mut onward = Onward::new(CALLER, "/a/{b}".into());
    let started = clock::now();

    let places = [0, 1].map(|_| attempt(&telemetry, &mut onward, started));

    let [first, second] = [taken(&mut queue), taken(&mut queue)];
    assert_eq!([first.context, second.context], places);
    assert_ne!(first.context.span_id, second.context.span_id);
    assert_eq!((first.parent, second.parent), (CALLER.span_id, CALLER.span_id));
    assert_eq!(attribute(&first, names::HTTP_REQUEST_RESEND_COUNT), None);
    assert_eq!(attribute(&second, names::HTTP_REQUEST_RESEND_COUNT), Some(&1_u64.into()));
    assert_eq!(attribute(&first, names::URL_FULL), Some(&"http://app/a/{b}".to_owned().into()));
}

#[test]
fn a_shadow_has_a_trace_of_its_own_that_is_linked_to_the_call() {
    let (telemetry, mut queue) = telemetry(0.0);
    let mut onward = Onward::apart(CALLER, "/a".into());

    let place = attempt(&telemetry, &mut onward, clock::now());

    let span = taken(&mut queue);
    assert!(place.sampled && place.trace_id != CALLER.trace_id);
    assert_eq!((span.parent, span.links.as_slice()), (0, [CALLER].as_slice()));
    assert_eq!(attribute(&span, names::ROLE), Some(&"shadow".into()));
}

#[test]
fn commands_to_the_store_are_spans_only_for_a_traced_call() {
    let (telemetry, mut queue) = telemetry(1.0);
    let operation = crate::telemetry::labels::StoreOperation::LeaseAcquire;
    let command = || telemetry.tracer().command(operation, clock::now());

    assert!(command().is_none());
    {
        let _working = enter(TraceContext { sampled: false, ..CALLER });
        assert!(command().is_none());
    }
    let _working = enter(CALLER);
    command().unwrap().commanded("EVALSHA");

    let span = taken(&mut queue);
    assert_eq!((&*span.name, span.parent), ("EVALSHA", CALLER.span_id));
    assert_eq!(attribute(&span, names::STORE_OPERATION), Some(&"lease_acquire".into()));
}
