//! Collectors that are slow, dead, absent or far away: what becomes of spans, and of nothing else.

use std::time::{Duration, Instant};

use crate::support::{
    Collector, Otlp, Sidecar, StallProxy, Upstream, in_parallel, put, segment_of, serialized, until,
};

const DROPPED: &str = "interlock_spans_dropped_total";
const EXPORTED: &str = "interlock_spans_exported_total";

/// For one export, in milliseconds.
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";

/// No call may take as long: nothing but the collector takes time in these tests.
const LONG: Duration = Duration::from_secs(5);

/// Spans that wait at most, and may be on their way meanwhile.
const QUEUE: usize = 4096 + 512;

/// A sidecar that traces every call, and gives up on an export soon.
fn traced(collector: &Collector) -> Sidecar {
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let config = format!("{}{}", collector.traces(1.0), serialized(0));
    Sidecar::in_front_of(&app).with(&config).env(TIMEOUT, "2000").start()
}

fn updates(sidecar: &Sidecar, callers: usize, each: usize) {
    let slowest = in_parallel(callers, |n| {
        let mut client = sidecar.client();
        let times = (0..each).map(|_| {
            let start = Instant::now();
            let response = client.call(&put(&segment_of("J1", n), "{}"));
            assert_eq!((response.status, response.text().as_str()), (200, "done"));
            start.elapsed()
        });
        times.max()
    });
    assert!(slowest.iter().flatten().all(|time| *time < LONG), "{slowest:?}");
}

fn count(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)]) -> usize {
    sidecar.metrics().sum(name, labels).unwrap_or_default() as usize
}

fn failed(sidecar: &Sidecar) -> usize {
    count(sidecar, DROPPED, &[("reason", "export_failed")])
}

/// Calls until a span comes to the collector that was not there before.
fn spans_flow_again(sidecar: &Sidecar, collector: &Collector) {
    let before = collector.spans().len();
    until("spans to flow again", || {
        updates(sidecar, 1, 1);
        collector.spans().len() > before
    });
}

/// Every span is either at the collector or counted.
fn nothing_is_lost_silently(sidecar: &Sidecar, collector: &Collector, spans: usize) {
    until("every span to be accounted for", || {
        let exported = count(sidecar, EXPORTED, &[]);
        let dropped = count(sidecar, DROPPED, &[]);
        exported == collector.spans().len() && exported + dropped == spans
    });
}

#[test]
fn a_collector_that_takes_spans_is_told_of_in_the_metrics() {
    let collector = Collector::start(Otlp::Grpc);
    let sidecar = traced(&collector);

    updates(&sidecar, 2, 600);

    nothing_is_lost_silently(&sidecar, &collector, 2400);
    assert_eq!(count(&sidecar, DROPPED, &[]), 0);
    let largest = collector.exports().into_iter().max();
    assert!(largest <= Some(512), "{largest:?}");
}

fn a_collector_that_hangs_costs_spans_and_no_call_anything(otlp: Otlp) {
    let collector = Collector::start(otlp);
    let sidecar = traced(&collector);
    collector.hang();

    updates(&sidecar, 1, 1);
    collector.wait_for_exports(1);
    updates(&sidecar, 4, QUEUE / 4);

    until("the queue to have been full", || {
        count(&sidecar, DROPPED, &[("reason", "queue_full")]) > 0
    });
    until("an export to be given up", || failed(&sidecar) > 0);
    assert_eq!((collector.spans().len(), count(&sidecar, EXPORTED, &[])), (0, 0));
    collector.take();
    spans_flow_again(&sidecar, &collector);
    let log = sidecar.log();
    assert!(log.contains("\"spans_dropped\"") && log.contains("no answer within 2s"), "{log}");
}

#[test]
fn a_grpc_collector_that_hangs_costs_spans_and_no_call_anything() {
    a_collector_that_hangs_costs_spans_and_no_call_anything(Otlp::Grpc);
}

#[test]
fn an_http_collector_that_hangs_costs_spans_and_no_call_anything() {
    a_collector_that_hangs_costs_spans_and_no_call_anything(Otlp::Http);
}

fn a_collector_that_is_absent_is_found_when_it_comes(otlp: Otlp) {
    let mut collector = Collector::absent(otlp);
    let sidecar = traced(&collector);

    updates(&sidecar, 1, 1);
    until("an export to fail", || failed(&sidecar) == 2);
    let log = sidecar.log();
    assert!(log.contains("Connection refused"), "{log}");

    collector.start_again();
    spans_flow_again(&sidecar, &collector);
}

#[test]
fn a_grpc_collector_that_is_absent_is_found_when_it_comes() {
    a_collector_that_is_absent_is_found_when_it_comes(Otlp::Grpc);
}

#[test]
fn an_http_collector_that_is_absent_is_found_when_it_comes() {
    a_collector_that_is_absent_is_found_when_it_comes(Otlp::Http);
}

fn a_collector_that_dies_is_found_again(otlp: Otlp) {
    let mut collector = Collector::start(otlp);
    let sidecar = traced(&collector);
    updates(&sidecar, 1, 1);
    collector.wait_for(2);

    collector.stop();
    updates(&sidecar, 1, 10);
    until("an export to fail", || failed(&sidecar) > 0);
    collector.start_again();

    spans_flow_again(&sidecar, &collector);
}

#[test]
fn a_grpc_collector_that_dies_is_found_again() {
    a_collector_that_dies_is_found_again(Otlp::Grpc);
}

#[test]
fn an_http_collector_that_dies_is_found_again() {
    a_collector_that_dies_is_found_again(Otlp::Http);
}

fn a_connection_that_went_dead_is_given_up(otlp: Otlp) {
    let collector = Collector::start(otlp);
    let network = StallProxy::to(collector.address());
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let config = format!("{}{}", collector.traces(1.0), serialized(0));
    let sidecar = Sidecar::in_front_of(&app)
        .with(&config)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{}", network.address()))
        .env(TIMEOUT, "500")
        .start();
    updates(&sidecar, 1, 1);
    collector.wait_for(2);

    network.swallow();
    updates(&sidecar, 1, 1);
    until("an export to be given up", || failed(&sidecar) > 0);
    network.pass();

    spans_flow_again(&sidecar, &collector);
}

#[test]
fn a_grpc_connection_that_went_dead_is_given_up() {
    a_connection_that_went_dead_is_given_up(Otlp::Grpc);
}

#[test]
fn an_http_connection_that_went_dead_is_given_up() {
    a_connection_that_went_dead_is_given_up(Otlp::Http);
}

#[test]
fn a_collector_that_refuses_is_told_of_and_asked_again() {
    for otlp in [Otlp::Grpc, Otlp::Http] {
        let collector = Collector::start(otlp);
        let sidecar = traced(&collector);
        collector.refuse();

        updates(&sidecar, 1, 5);
        until("the spans to be counted", || failed(&sidecar) == 10);
        collector.take();

        spans_flow_again(&sidecar, &collector);
    }
}

#[test]
fn what_waits_is_exported_at_the_end() {
    let collector = Collector::start(Otlp::Grpc);
    let mut sidecar = traced(&collector);

    updates(&sidecar, 2, 100);
    sidecar.terminate();
    assert!(sidecar.wait_for_exit().success());

    assert_eq!(collector.spans().len(), 400);
}

#[test]
fn a_collector_that_hangs_does_not_hold_up_the_end() {
    let collector = Collector::start(Otlp::Http);
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let config = format!("{}{}", collector.traces(1.0), serialized(0));
    let mut sidecar = Sidecar::in_front_of(&app).with(&config).env(TIMEOUT, "3600000").start();
    collector.hang();
    updates(&sidecar, 1, 1);
    collector.wait_for_exports(1);
    updates(&sidecar, 1, 1);

    let start = Instant::now();
    sidecar.terminate();
    assert!(sidecar.wait_for_exit().success());

    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    assert!(sidecar.log().contains("the sidecar ends"), "{}", sidecar.log());
}

#[test]
fn what_lets_spans_in_is_sent_along_once_and_never_shown() {
    for otlp in [Otlp::Grpc, Otlp::Http] {
        let collector = Collector::start(otlp);
        let app = Upstream::running(|exchange| exchange.ok("done"));
        let config = format!("{}{}", collector.traces(1.0), serialized(0));
        let sidecar = Sidecar::in_front_of(&app)
            .with(&config)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%20cret")
            .env("OTEL_SERVICE_NAME", "journeys")
            .env("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p-1")
            .start();

        updates(&sidecar, 1, 1);

        let spans = collector.wait_for(2);
        assert_eq!(spans[0].resource["service.name"], "journeys");
        assert_eq!(spans[0].resource["k8s.pod.name"], "p-1");
        let headers = collector.headers().remove(0);
        let values: Vec<_> = headers.get_all("api-key").iter().collect();
        assert_eq!(values, ["s cret"], "{headers:?}");
        assert!(!sidecar.log().contains("s cret"), "{}", sidecar.log());
    }
}
