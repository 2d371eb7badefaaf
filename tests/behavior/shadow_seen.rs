//! What is seen of shadows besides their metrics: traces, divergence records, and places that differ by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shadow::{COMPARISONS, MISMATCHES, app, shadowed, sum, wait_for_verdict};
use crate::support::{
    Collector, JOURNEYS, Otlp, SEGMENT, Sidecar, Span, Upstream, eventually, only, put, segment_of,
    status_of,
};

/// A sidecar whose candidate is `fixed`, and which sends this share of its calls to the collector.
fn traced(legacy: &Upstream, fixed: &Upstream, collector: &Collector, ratio: f64) -> Sidecar {
    let config = format!("{}{}", collector.traces(ratio), shadowed(0, fixed, ""));
    Sidecar::in_front_of(legacy).with(&config).start()
}

fn is_shadow(span: &Span) -> bool {
    span.get("interlock.role") == "shadow"
}

/// The place of the span under which an app was called.
fn place_in(app: &Upstream) -> (String, String) {
    let request = app.only_request();
    let traceparent = request.headers.get("traceparent").expect("a traceparent").to_owned();
    let mut parts = traceparent.split('-').skip(1).map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn a_shadow_has_a_trace_of_its_own_that_is_linked_to_the_call_s() {
    let (legacy, fixed, collector) = (app("{}"), app("{}"), Collector::start(Otlp::Http));
    let sidecar = traced(&legacy, &fixed, &collector, 1.0);

    let request = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nTracestate: a=b\r\n\
         Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
        segment_of("J1", 1)
    );
    assert_eq!(sidecar.call(request.as_bytes()).status, 200);

    let spans = collector.wait_for(3);
    let server = only(&spans, |span| !span.get("http.route").is_empty());
    let shadow = only(&spans, is_shadow);
    assert_ne!(shadow.trace, server.trace);
    assert_eq!((shadow.parent.as_str(), shadow.failed), ("", false));
    assert_eq!(shadow.links, [(server.trace.clone(), server.id.clone())]);
    assert_eq!(shadow.get("http.response.status_code"), "200");
    assert_eq!(place_in(&fixed), (shadow.trace, shadow.id));
    assert_eq!(place_in(&legacy).0, server.trace);
    assert!(!fixed.only_request().headers.has("tracestate"));
    assert_eq!(legacy.only_request().headers.get("tracestate"), Some("a=b"));
}

#[test]
fn the_span_of_a_shadow_without_an_answer_says_why() {
    let legacy = app("{}");
    let (hangs, _shut) = Upstream::gated();
    for (fixed, error, shadow) in [
        (&hangs, "timeout", r#"timeout = "300ms""#),
        (&Upstream::answering("garbage\r\n\r\n"), "protocol", ""),
    ] {
        let collector = Collector::start(Otlp::Http);
        let config = format!("{}{}", collector.traces(1.0), shadowed(0, fixed, shadow));
        let sidecar = Sidecar::in_front_of(&legacy).with(&config).start();

        assert_eq!(sidecar.call(&put(&status_of("J1"), "{}")).status, 200);

        let spans = collector.wait_for(4);
        let shadow = only(&spans, is_shadow);
        assert_eq!((shadow.failed, shadow.get("error.type")), (true, error));
    }
}

#[test]
fn a_mismatch_is_recorded_and_exported_though_nothing_is_sampled() {
    let legacy = app(r#"{"status": "Departed", "price": 1}"#);
    let fixed = app(r#"{"status": "Arrived", "price": 1}"#);
    let collector = Collector::start(Otlp::Http);
    let sidecar = traced(&legacy, &fixed, &collector, 0.0);

    assert_eq!(sidecar.call(&put(&segment_of("J1", 1), "{}")).status, 200);
    wait_for_verdict(&sidecar, "mismatched", 1.0);

    let compared = only(&collector.wait_for(1), |span| span.name == "interlock.compare");
    let [(event, attributes)] = &compared.events[..] else { panic!("{compared:#?}") };
    assert_eq!((event.as_str(), attributes["interlock.cause"].as_str()), ("divergence", "body"));
    assert_eq!(compared.get("feature_flag.key"), JOURNEYS);
    let listed = eventually("a record", || {
        let listed = sidecar.admin_get("/api/v1/divergences").json();
        listed["divergences"].get(0).cloned()
    });
    assert_eq!(listed["cause"], "body");
    assert_eq!(listed["flag"], JOURNEYS);
    assert_eq!(listed["route"], SEGMENT);
    assert_eq!(listed["entity"], "journey:J1");
    assert_eq!(listed["path"], "legacy");
    assert_eq!(listed["pointers"], serde_json::json!(["/status"]));
    let traces: Vec<_> = listed["trace_ids"].as_array().unwrap().iter().collect();
    assert!(traces.iter().any(|trace| **trace == compared.trace), "{listed}");
    // The link leads to the call, which has an id though it is not traced.
    assert!(traces.iter().any(|trace| **trace == compared.links[0].0), "{listed}");
    let id = listed["id"].as_str().unwrap();
    let shown = sidecar.admin_get(&format!("/api/v1/divergences/{id}")).text();
    assert!(!shown.contains("Departed") && !shown.contains("Arrived"), "{shown}");
}

#[test]
fn a_place_that_differs_by_itself_is_excused_once_that_is_known_and_others_are_not() {
    // Both apps stamp their answers; what the fixed one gets wrong at last is the price.
    let stamp = Arc::new(AtomicUsize::new(0));
    let stamping = |price: fn(&str) -> u32| {
        let stamp = Arc::clone(&stamp);
        Upstream::running(move |exchange| {
            let (at, price) =
                (stamp.fetch_add(1, Ordering::SeqCst), price(&exchange.request.target));
            exchange.ok(&format!(r#"{{"at": {at}, "price": {price}}}"#))
        })
    };
    let legacy = stamping(|_| 1);
    let fixed = stamping(|target| if target.contains("wrong") { 2 } else { 1 });
    let flag = shadowed(0, &fixed, r#"noise = "50%""#);
    let sidecar = Sidecar::in_front_of(&legacy).with(&flag).start();

    let mut client = sidecar.client();
    eventually("noise to be excused", || {
        for n in 0..20 {
            assert_eq!(client.call(&put(&status_of(n), "{}")).status, 200);
        }
        let metrics = sidecar.metrics();
        (sum(&metrics, COMPARISONS, &[("verdict", "ignored")]) > 0.0).then_some(())
    });
    sidecar.wait_for_metric("interlock_shadow_queue_depth", &[], 0.0);
    let before = sum(&sidecar.metrics(), MISMATCHES, &[]);
    eventually("the price to be noticed", || {
        assert_eq!(client.call(&put(&status_of("wrong"), "{}")).status, 200);
        (sum(&sidecar.metrics(), MISMATCHES, &[("cause", "body")]) > before).then_some(())
    });

    let record = sidecar.admin_get("/api/v1/divergences?limit=1").json();
    assert_eq!(record["divergences"][0]["entity"], "journey:wrong", "{record}");
}
