//! What a fleet's store and the log have of traces.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use super::serialize::wait_for_waiters;
use crate::support::{
    Collector, JOURNEYS, Next, Otlp, Redis, Sidecar, Span, Upstream, eventually, get, only, put,
    segment_of, serialized, stays, store_at, until,
};

/// Shows a line for every call.
const DEBUG: (&str, &str) = ("INTERLOCK__TELEMETRY__LOG", "debug");

#[test]
fn a_lease_of_the_fleet_shows_what_was_said_to_the_store() {
    let (redis, collector) = (Redis::start(), Collector::start(Otlp::Grpc));
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let store = store_at(&redis.url(), "250ms");
    let config = format!("{}{store}{}", collector.traces(1.0), serialized(100));
    let sidecar = Sidecar::in_front_of(&app).with(&config).start();

    assert_eq!(sidecar.call(&put(&segment_of("J1", 1), "{}")).status, 200);

    let is_command = |span: &Span| span.get("db.system.name") == "redis";
    let spans = eventually("the lease to be asked for and given back", || {
        let spans = collector.spans();
        (spans.iter().filter(|span| is_command(span)).count() == 2).then_some(spans)
    });
    let server = only(&spans, |span| span.kind == SpanKind::Server);
    assert_eq!(server.get("interlock.protection"), "protected");
    let wait = only(&spans, |span| span.name == "interlock.lease.wait");
    let of = |operation| only(&spans, |span| span.get("interlock.store.operation") == operation);
    let (acquire, release) = (of("lease_acquire"), of("lease_release"));
    assert_eq!((&acquire.parent, &acquire.trace), (&wait.id, &server.trace));
    assert!(wait.encloses(&acquire), "{spans:#?}");
    assert_eq!((&release.parent, &release.trace), (&server.id, &server.trace));
    for command in [acquire, release] {
        assert_eq!(command.kind, SpanKind::Client);
        assert!(matches!(command.name.as_str(), "EVALSHA" | "EVAL"), "{command:#?}");
        assert_eq!((command.get("db.operation.name"), command.failed), (&*command.name, false));
    }
    // What is said to the store for nobody's call, and for calls that are not traced, is no span.
    let untraced = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n";
    let path = segment_of("J2", 1);
    let call = format!("PUT {path} HTTP/1.1\r\nHost: a\r\n{untraced}Content-Length: 0\r\n\r\n");
    sidecar.call(call.as_bytes());
    stays("as many commands in spans", || {
        collector.spans().iter().filter(|span| is_command(span)).count() == 2
    });
}

#[test]
fn a_lease_that_is_handed_on_goes_back_under_the_call_that_had_it_last() {
    let (redis, collector) = (Redis::start(), Collector::start(Otlp::Http));
    let (app, gate) = Upstream::gated();
    let store = store_at(&redis.url(), "250ms");
    let config = format!("{}{store}{}", collector.traces(1.0), serialized(100));
    let sidecar = Sidecar::in_front_of(&app).with(&config).start();
    let send = |trace: &str| {
        let traceparent = format!("00-{}-b7ad6b7169203331-01", trace.repeat(32));
        let path = segment_of("J1", 1);
        let mut client = sidecar.client();
        client.send(
            format!("PUT {path} HTTP/1.1\r\nHost: a\r\ntraceparent: {traceparent}\r\nContent-Length: 0\r\n\r\n").as_bytes(),
        );
        client
    };

    let mut first = send("a");
    app.wait_for(1);
    let mut last = send("b");
    wait_for_waiters(&sidecar, 1);
    gate.open();
    assert_eq!((first.response().status, last.response().status), (200, 200));

    let commands = eventually("the lease to be given back", || {
        let mut spans = collector.spans();
        spans.retain(|span| span.get("db.system.name") == "redis");
        (spans.len() == 2).then_some(spans)
    });
    let trace_of = |operation| {
        only(&commands, |span| span.get("interlock.store.operation") == operation).trace
    };
    assert_eq!(trace_of("lease_acquire"), "a".repeat(32));
    assert_eq!(trace_of("lease_release"), "b".repeat(32));
}

#[test]
fn a_store_that_is_gone_is_a_wait_that_says_so() {
    let (mut redis, collector) = (Redis::start(), Collector::start(Otlp::Grpc));
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let store = store_at(&redis.url(), "250ms");
    let config = format!("{}{store}{}", collector.traces(1.0), serialized(100));
    let sidecar = Sidecar::in_front_of(&app).with(&config).start();
    redis.kill();
    sidecar.wait_for_metric("interlock_store_up", &[], 0.0);

    assert_eq!(sidecar.call(&put(&segment_of("J1", 1), "{}")).status, 200);

    let spans = collector.wait_for(3);
    let wait = only(&spans, |span| span.name == "interlock.lease.wait");
    assert_eq!((wait.get("interlock.lease.result"), wait.failed), ("exposed", true));
    assert_eq!(wait.get("error.type"), "store_unreachable");
    let server = only(&spans, |span| span.kind == SpanKind::Server);
    assert_eq!(server.get("interlock.protection"), "exposed");
}

/// The lines of an event in a sidecar's log.
fn lines(sidecar: &Sidecar, event: &str) -> Vec<Value> {
    let log = sidecar.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn a_traced_call_s_log_lines_carry_its_trace() {
    let collector = Collector::start(Otlp::Http);
    // An app that closes instead of answering.
    let app = Upstream::running(|exchange| {
        exchange.read_body();
        Next::Close
    });
    let config = format!("{}{}", collector.traces(1.0), serialized(0));
    let sidecar = Sidecar::in_front_of(&app).with(&config).env(DEBUG.0, DEBUG.1).start();

    assert_eq!(sidecar.call(&put(&segment_of("J1", 1), "{}")).status, 502);
    sidecar.call(b"GET / HTTP/1.1\r\n\r\n");

    let spans = collector.wait_for(3);
    let of = |name: &str| {
        let server = only(&spans, |it| it.kind == SpanKind::Server && it.name.starts_with(name));
        (Value::from(server.trace), Value::from(server.id))
    };
    let ids = |line: &Value| (line["trace_id"].clone(), line["span_id"].clone());
    assert_eq!(ids(&lines(&sidecar, "upstream_failed")[0]), of("PUT"));
    assert_eq!(ids(&lines(&sidecar, "client_refused")[0]), of("GET"));
    let answered: Vec<_> = lines(&sidecar, "request_answered").iter().map(ids).collect();
    assert_eq!(answered, [of("PUT"), of("GET")]);
}

#[test]
fn without_a_collector_the_log_names_a_caller_s_trace_and_no_other() {
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let sidecar = Sidecar::in_front_of(&app).env(DEBUG.0, DEBUG.1).start();

    sidecar.call(&get("/"));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    sidecar.call(
        format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {traceparent}\r\n\r\n").as_bytes(),
    );

    until("both calls to be told of", || lines(&sidecar, "request_answered").len() == 2);
    let lines = lines(&sidecar, "request_answered");
    assert_eq!(lines[0].get("trace_id"), None, "{lines:?}");
    assert_eq!(lines[1]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(lines[1]["span_id"], "b7ad6b7169203331");
}

#[test]
fn an_update_that_was_exposed_is_told_of_with_its_trace_though_its_client_has_left() {
    let mut redis = Redis::start();
    let (app, gate) = Upstream::gated();
    let store = store_at(&redis.url(), "250ms");
    let sidecar = Sidecar::in_front_of(&app).with(&format!("{store}{}", serialized(100))).start();
    redis.kill();
    sidecar.wait_for_metric("interlock_store_up", &[], 0.0);

    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let path = segment_of("J1", 1);
    let call = format!(
        "PUT {path} HTTP/1.1\r\nHost: a\r\ntraceparent: {traceparent}\r\nContent-Length: 0\r\n\r\n"
    );
    let mut client = sidecar.client();
    client.send(call.as_bytes());
    app.wait_for(1);
    drop(client);
    sidecar.wait_for_metric("interlock_client_gone_total", &[("flag", JOURNEYS)], 1.0);
    gate.open();

    sidecar.wait_for_metric("interlock_exposed_updates_total", &[("flag", JOURNEYS)], 1.0);
    let line = eventually("the line", || lines(&sidecar, "update_exposed").pop());
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
}
