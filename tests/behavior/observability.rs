//! What an operator sees: health, metrics and logs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{
    JOURNEYS, Next, SEGMENT, STATUS, Sidecar, Upstream, get, put, segment_of, serialized,
    status_of, until,
};

/// Metrics that users rely on and that exist without a shared store.
const PROMISED: [&str; 15] = [
    "interlock_requests_total",
    "interlock_request_duration_seconds",
    "interlock_upstream_duration_seconds",
    "interlock_overhead_seconds",
    "interlock_inflight_requests",
    "interlock_connections",
    "interlock_decisions_total",
    "interlock_updates_total",
    "interlock_lease_wait_seconds",
    "interlock_lease_hold_seconds",
    "interlock_lease_waiters",
    "interlock_flag_percent",
    "interlock_flag_version",
    "interlock_draining",
    "interlock_build_info",
];

fn sidecar(percent: u8) -> Sidecar {
    Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(percent)).start()
}

/// Every metric that the catalogue's page names.
fn documented() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(page).expect("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let first_cells = rows.filter_map(|row| row.split('|').nth(1));
    let names = first_cells.flat_map(|cell| cell.split('`')).map(str::trim);
    names.filter(|name| name.starts_with("interlock_")).map(str::to_owned).collect()
}

#[test]
fn a_sidecar_that_serves_is_live_and_ready() {
    let sidecar = sidecar(0);

    assert_eq!(sidecar.admin_get("/livez").status, 200);
    assert_eq!(sidecar.admin_get("/readyz").status, 200);
    assert_eq!(sidecar.admin_get("/no-such-page").status, 404);
}

#[test]
fn every_documented_metric_is_there_before_the_first_call() {
    let metrics = sidecar(0).metrics();
    let documented = documented();

    assert!(PROMISED.iter().all(|name| documented.contains(*name)), "{documented:?}");
    let absent: Vec<&String> = documented.iter().filter(|name| !metrics.has(name)).collect();
    assert!(absent.is_empty(), "documented and absent: {absent:?}");
}

#[test]
fn every_metric_that_is_there_is_documented() {
    let documented = documented();

    for sample in sidecar(0).metrics().samples() {
        let name = sample.name.as_str();
        let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
        let known = documented.contains(name) || histogram.is_some_and(|n| documented.contains(n));
        assert!(known || !name.starts_with("interlock_"), "{name} is in no catalogue");
    }
}

#[test]
fn counters_start_at_zero() {
    let metrics = sidecar(0).metrics();

    for sample in metrics.samples() {
        let counts = sample.name.ends_with("_total") || sample.name.ends_with("_count");
        if counts && sample.name.starts_with("interlock_") {
            assert_eq!(sample.value, 0.0, "{sample:?}");
        }
    }
    let labels = [("route", SEGMENT), ("flag", JOURNEYS), ("path", "fixed"), ("code_class", "2xx")];
    assert_eq!(metrics.sum("interlock_requests_total", &labels), Some(0.0));
}

#[test]
fn the_scrape_says_which_format_it_has() {
    let response = sidecar(0).admin_get("/metrics");

    let kind = response.headers.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain") && kind.contains("version=0.0.4"), "{kind}");
}

#[test]
fn calls_are_counted_by_route_and_path() {
    let sidecar = sidecar(100);

    for n in 0..3 {
        sidecar.call(&put(&segment_of("J1", n), "{}"));
    }
    sidecar.call(&put(&status_of("J1"), "{}"));
    sidecar.call(&get("/elsewhere"));

    let requests = "interlock_requests_total";
    let flagged =
        |route| [("route", route), ("flag", JOURNEYS), ("path", "fixed"), ("code_class", "2xx")];
    sidecar.wait_for_metric(requests, &flagged(SEGMENT), 3.0);
    sidecar.wait_for_metric(requests, &flagged(STATUS), 1.0);
    sidecar.wait_for_metric(requests, &[("route", "unmatched"), ("code_class", "2xx")], 1.0);
    sidecar.wait_for_metric(
        "interlock_decisions_total",
        &[("flag", JOURNEYS), ("reason", "static")],
        4.0,
    );
    let applied =
        [("flag", JOURNEYS), ("path", "fixed"), ("protection", "local"), ("outcome", "applied")];
    sidecar.wait_for_metric("interlock_updates_total", &applied, 4.0);
    sidecar.wait_for_metric("interlock_lease_wait_seconds_count", &[("flag", JOURNEYS)], 4.0);
    sidecar.wait_for_metric("interlock_request_duration_seconds_count", &[("route", SEGMENT)], 3.0);
    sidecar.wait_for_metric(
        "interlock_upstream_duration_seconds_count",
        &[("role", "serving")],
        5.0,
    );
}

#[test]
fn what_became_of_an_update_is_counted() {
    let upstream = Upstream::running(|exchange| {
        exchange.read_body();
        match exchange.request.target.as_str() {
            "/api/journeys/refused/status" => {
                exchange.reply(b"HTTP/1.1 409 No\r\nContent-Length: 0\r\n\r\n")
            }
            "/api/journeys/broken/status" => Next::Close,
            _ => exchange.ok("ok"),
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).start();

    for journey in ["fine", "refused", "broken"] {
        sidecar.call(&put(&status_of(journey), "{}"));
    }

    for outcome in ["applied", "rejected", "unknown"] {
        let labels =
            [("flag", JOURNEYS), ("path", "legacy"), ("protection", "none"), ("outcome", outcome)];
        sidecar.wait_for_metric("interlock_updates_total", &labels, 1.0);
    }
}

#[test]
fn a_flip_shows_in_the_gauges() {
    let sidecar = sidecar(10);
    let flag = [("flag", JOURNEYS)];
    let before = sidecar.metrics().sum("interlock_flag_version", &flag).unwrap();

    sidecar.set_percent(JOURNEYS, 42.5);

    sidecar.wait_for_metric("interlock_flag_percent", &flag, 42.5);
    sidecar.wait_for_metric("interlock_flag_version", &flag, before + 1.0);
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let sidecar = sidecar(0);
    let mut clients = vec![sidecar.client(), sidecar.client()];

    for client in &mut clients {
        assert_eq!(client.call(&get("/x")).status, 200);
    }
    sidecar.wait_for_metric("interlock_connections", &[], 2.0);
    clients.pop();

    sidecar.wait_for_metric("interlock_connections", &[], 1.0);
}

#[test]
fn no_label_shows_what_a_client_wrote() {
    let sidecar = sidecar(100);

    sidecar.call(&put(&segment_of("zebra-1", "zebra-2"), "{}"));
    sidecar.call(b"ZEBRA /zebra-3?zebra-4 HTTP/1.1\r\nHost: zebra-5.test\r\nX: zebra-6\r\n\r\n");

    let flag = [("flag", JOURNEYS), ("path", "fixed")];
    sidecar.wait_for_metric("interlock_updates_total", &flag, 1.0);
    let scrape = sidecar.admin_get("/metrics").text().to_lowercase();
    assert!(!scrape.contains("zebra"), "a client's word in a label");
}

#[test]
fn the_log_is_one_json_object_a_line() {
    let upstream = Upstream::running(|exchange| {
        exchange.read_body();
        Next::Close
    });
    let mut sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    sidecar.call(&put(&segment_of("J1", 1), "{}"));
    drop(sidecar.client().try_send(b"no http\r\n\r\n"));
    sidecar.set_percent(JOURNEYS, 0.0);
    sidecar.terminate();
    sidecar.wait_for_exit();

    let log = sidecar.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(!lines.is_empty(), "nothing was logged");
    for line in lines {
        let object = serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
        assert!(object, "no JSON object: {line}");
    }
    assert!(log.contains(JOURNEYS), "the flip is logged: {log}");
}

#[test]
fn secrets_of_a_call_are_not_logged() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets())
        .with("[telemetry]\nlog = \"interlock=debug\"\n")
        .with(&serialized(100))
        .start();

    sidecar.call(
        b"PUT /api/journeys/J1/status?token=s3cret HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer s3cret\r\n\
          Cookie: a=s3cret\r\nContent-Length: 8\r\n\r\n\"s3cret\"",
    );

    until("the call to be logged", || sidecar.log().contains("request_answered"));
    assert!(!sidecar.log().contains("s3cret"), "{}", sidecar.log());
}
