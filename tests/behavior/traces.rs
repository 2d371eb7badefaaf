//! Traces: what a collector is sent of a call, and what the app and the caller see of its trace.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::support::{
    Collector, JOURNEYS, Otlp, Recorded, Sidecar, Span, Upstream, get, only, put, segment_of,
    serialized, to_fixed_app,
};

/// A caller's trace.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// The caller's own place in it.
const CALLER: &str = "b7ad6b7169203331";

const ROUTE: &str = "/api/journeys/{journeyId}/segments/{segmentId}/status";
/// Stands in every update of these tests, and may stand in no span.
const SECRET: &str = "Departed-s3cret";

/// A sidecar whose fixed path serialises, and which sends this share of its calls to the collector.
pub(super) fn traced(app: &Upstream, collector: &Collector, percent: u8, ratio: f64) -> Sidecar {
    let config = format!("{}{}", collector.traces(ratio), serialized(percent));
    Sidecar::in_front_of(app).with(&config).start()
}

fn app() -> Upstream {
    Upstream::running(|exchange| exchange.ok("done"))
}

/// An update of a segment of J1, with more header lines.
pub(super) fn update(headers: &str) -> Vec<u8> {
    let body = format!("{{\"status\":\"{SECRET}\"}}");
    let (path, length) = (segment_of("J1", "S1"), body.len());
    format!("PUT {path}?token=t0ken HTTP/1.1\r\nHost: app.test\r\nUser-Agent: a test\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into()
}

fn caller(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

pub(super) fn is_server(span: &Span) -> bool {
    span.kind == SpanKind::Server
}

pub(super) fn is_upstream(span: &Span) -> bool {
    span.kind == SpanKind::Client && !span.get("server.address").is_empty()
}

/// Nothing of what a call carries is in any span.
fn assert_discreet(spans: &[Span]) {
    for span in spans {
        let values = span.attributes.values().chain([&span.name]);
        for value in values {
            for hidden in [SECRET, "J1", "S1", "t0ken"] {
                assert!(!value.contains(hidden), "{hidden} in {span:#?}");
            }
        }
    }
}

/// The tree of one update over one wire: the same for both.
fn one_update_is_one_tree(otlp: Otlp) {
    let (app, collector) = (app(), Collector::start(otlp));
    let sidecar = traced(&app, &collector, 100, 1.0);

    assert_eq!(sidecar.call(&update("")).status, 200);

    let spans = collector.wait_for(3);
    let server = only(&spans, is_server);
    assert_eq!((server.parent.as_str(), server.failed), ("", false));
    assert_eq!(server.name, format!("PUT {ROUTE}"));
    let [wait, call] = server.children(&spans)[..] else { panic!("{spans:#?}") };
    assert_eq!((wait.name.as_str(), wait.kind), ("interlock.lease.wait", SpanKind::Internal));
    assert_eq!((call.name.as_str(), call.kind), ("PUT", SpanKind::Client));
    assert!(server.encloses(wait) && server.encloses(call), "{spans:#?}");
    assert!(wait.time.1 <= call.time.0, "{spans:#?}");
    assert_eq!(wait.get("interlock.lease.result"), "granted");
    let sent = app.only_request();
    assert_eq!(
        Some(wait.get("interlock.fencing_token")),
        sent.headers.get("interlock-fencing-token")
    );
    let expected = format!("00-{}-{}-01", server.trace, call.id);
    assert_eq!(sent.headers.get("traceparent"), Some(expected.as_str()));
    assert_eq!(server.resource["service.name"], "interlock");
    assert_eq!(server.scope, ("interlock".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
    assert_discreet(&spans);
}

#[test]
fn an_update_is_one_tree_that_goes_on_in_the_app_over_grpc() {
    one_update_is_one_tree(Otlp::Grpc);
}

#[test]
fn an_update_is_one_tree_that_goes_on_in_the_app_over_http() {
    one_update_is_one_tree(Otlp::Http);
}

#[test]
fn the_span_of_an_update_says_what_was_decided_and_what_became_of_it() {
    let (app, collector) = (app(), Collector::start(Otlp::Http));
    let sidecar = traced(&app, &collector, 100, 1.0);

    sidecar.call(&update(""));

    let spans = collector.wait_for(3);
    let server = only(&spans, is_server);
    for (name, value) in [
        ("http.request.method", "PUT"),
        ("http.route", ROUTE),
        ("http.response.status_code", "200"),
        ("url.path", ROUTE),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "a test"),
        ("feature_flag.key", JOURNEYS),
        ("feature_flag.result.variant", "fixed"),
        ("feature_flag.result.reason", "static"),
        ("feature_flag.provider.name", "interlock"),
        ("interlock.path", "fixed"),
        ("interlock.protection", "local"),
        ("interlock.outcome", "applied"),
        ("error.type", ""),
    ] {
        assert_eq!(server.get(name), value, "{name}");
    }
    let version = sidecar.flag(JOURNEYS)["version"].to_string();
    assert_eq!(server.get("feature_flag.version"), version);
    assert_eq!(server.get("feature_flag.context.id").len(), 16);
    let call = only(&spans, is_upstream);
    let port = app.url().rsplit(':').next().unwrap().to_owned();
    assert_eq!((call.get("server.address"), call.get("server.port")), ("127.0.0.1", port.as_str()));
    assert_eq!(call.get("url.full"), format!("{}{ROUTE}", app.url()));
    assert_eq!(call.get("http.response.status_code"), "200");
    assert_eq!(call.get("http.request.resend_count"), "");
}

#[test]
fn one_entity_is_told_from_another_by_a_hash_and_recognised_by_it() {
    let (app, collector) = (app(), Collector::start(Otlp::Http));
    let sidecar = traced(&app, &collector, 0, 1.0);

    for journey in ["A", "B", "A"] {
        sidecar.call(&put(&segment_of(journey, 1), "{}"));
    }

    let spans = collector.wait_for(6);
    let mut servers: Vec<&Span> = spans.iter().filter(|span| is_server(span)).collect();
    servers.sort_by_key(|span| span.time);
    let entities: Vec<&str> = servers.iter().map(|it| it.get("feature_flag.context.id")).collect();
    assert!(entities[0] == entities[2] && entities[0] != entities[1], "{entities:?}");
}

#[test]
fn a_caller_that_traces_is_followed_whatever_share_is_configured() {
    let (app, collector) = (app(), Collector::start(Otlp::Http));
    let sidecar = traced(&app, &collector, 0, 0.0);
    let context = caller("01");

    sidecar.call(&update(&format!(
        "traceparent: {context}\r\ntracestate: a=1,b=2\r\nbaggage: k=v\r\n"
    )));

    let spans = collector.wait_for(2);
    let server = only(&spans, is_server);
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, CALLER));
    let call = only(&spans, is_upstream);
    let sent = app.only_request();
    let expected = format!("00-{TRACE}-{}-01", call.id);
    assert_eq!(sent.headers.get("traceparent"), Some(expected.as_str()));
    assert_eq!(sent.headers.get("tracestate"), Some("a=1,b=2"));
    assert_eq!(sent.headers.get("baggage"), Some("k=v"));
}

/// The headers that reach the app of a call that must not be traced, and nothing reaches the collector.
fn untraced(ratio: f64, headers: &str) -> Recorded {
    let (app, collector) = (app(), Collector::start(Otlp::Http));
    let sidecar = traced(&app, &collector, 100, ratio);

    sidecar.call(&update(headers));

    // One that is traced, so that it is known to be sent when nothing else is.
    let context = format!("traceparent: {}\r\n", caller("01").replace(TRACE, &"f".repeat(32)));
    sidecar.call(&update(&context));
    let spans = collector.wait_for(3);
    assert!(spans.iter().all(|span| span.trace == "f".repeat(32)), "{spans:#?}");
    app.requests()[0].clone()
}

#[test]
fn a_caller_that_does_not_trace_is_followed_whatever_share_is_configured() {
    let context = caller("00");

    let sent = untraced(1.0, &format!("traceparent: {context}\r\ntracestate: a=1\r\n"));

    assert_eq!(sent.headers.get("traceparent"), Some(context.as_str()));
    assert_eq!(sent.headers.get("tracestate"), Some("a=1"));
}

#[test]
fn without_a_caller_s_word_the_configured_share_decides() {
    let sent = untraced(0.0, "");

    assert_eq!(sent.headers.get("traceparent"), None);
}

#[test]
fn what_is_no_trace_context_is_passed_on_and_counts_as_none() {
    let malformed = format!("00-{TRACE}-{CALLER}-0");

    let sent = untraced(0.0, &format!("traceparent: {malformed}\r\ntracestate: a=1\r\n"));

    assert_eq!(sent.headers.get("traceparent"), Some(malformed.as_str()));
    assert_eq!(sent.headers.get("tracestate"), Some("a=1"));
}

#[test]
fn a_malformed_or_repeated_context_does_not_live_on_in_a_trace_that_begins_here() {
    let good = caller("01");
    for context in [
        format!("traceparent: {}\r\n", good.to_uppercase()),
        format!("traceparent: 00-{}-{CALLER}-01\r\n", "0".repeat(32)),
        format!("traceparent: {good}\r\ntraceparent: {good}\r\n"),
        String::new(),
    ] {
        let (app, collector) = (app(), Collector::start(Otlp::Http));
        let sidecar = traced(&app, &collector, 0, 1.0);

        let response = sidecar.call(&update(&format!("{context}tracestate: a=1\r\n")));

        assert_eq!(response.status, 200);
        let server = only(&collector.wait_for(2), is_server);
        assert!(server.trace != TRACE && server.parent.is_empty(), "{server:#?}");
        let sent = app.only_request();
        let lines = sent.headers.all("traceparent");
        assert!(lines.len() == 1 && lines[0].contains(&server.trace), "{lines:?}");
        assert_eq!(sent.headers.get("tracestate"), None);
    }
}

#[test]
fn without_a_collector_nothing_is_added() {
    let app = app();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(100)).start();
    let context = caller("01");

    sidecar.call(&update(""));
    sidecar.call(&update(&format!("traceparent: {context}\r\ntracestate: a=1\r\n")));

    let sent = app.wait_for(2);
    assert_eq!(sent[0].headers.get("traceparent"), None);
    assert_eq!(sent[1].headers.get("traceparent"), Some(context.as_str()));
    assert_eq!(sent[1].headers.get("tracestate"), Some("a=1"));
}

#[test]
fn a_call_that_matches_no_route_is_named_by_its_method_alone() {
    let (app, collector) = (app(), Collector::start(Otlp::Http));
    let sidecar = traced(&app, &collector, 0, 1.0);

    sidecar.call(&get("/elsewhere?token=t0ken"));
    sidecar.call(b"BREW /pot HTTP/1.0\r\nHost: app.test\r\n\r\n");

    let spans = collector.wait_for(4);
    let server = only(&spans, |span| is_server(span) && span.name == "GET");
    assert_eq!((server.get("http.route"), server.get("url.path")), ("", "/elsewhere"));
    assert_eq!((server.get("feature_flag.key"), server.get("interlock.path")), ("", ""));
    let odd = only(&spans, |span| is_server(span) && span.name == "HTTP");
    assert_eq!(odd.get("http.request.method"), "_OTHER");
    assert_eq!(odd.get("network.protocol.version"), "1.0");
    let call = only(&spans, |span| is_upstream(span) && span.name == "GET");
    assert_eq!(call.get("url.full"), format!("{}/elsewhere", app.url()));
    assert_discreet(&spans);
}

#[test]
fn the_upstream_of_the_fixed_path_gets_the_trace_too() {
    let (app, fixed) = (app(), app());
    let collector = Collector::start(Otlp::Grpc);
    let config = format!("{}{}", collector.traces(1.0), to_fixed_app(100, &fixed));
    let sidecar = Sidecar::in_front_of(&app).with(&config).start();

    sidecar.call(&update(""));

    let spans = collector.wait_for(2);
    let call = only(&spans, is_upstream);
    let sent = fixed.only_request();
    assert!(sent.headers.get("traceparent").unwrap().contains(&call.id));
    assert_eq!(call.get("url.full"), format!("{}{ROUTE}", fixed.url()));
    assert_eq!(only(&spans, is_server).get("interlock.protection"), "protected");
}
