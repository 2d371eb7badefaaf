//! Shadows: the path that does not serve gets the same call, marked, and what both answer is compared.

use crate::support::{
    Gate, JOURNEYS, JourneyFlag, Metrics, Next, Recorded, Sidecar, Upstream, put, segment_of,
    status_of, stays, until,
};

pub(crate) const COMPARISONS: &str = "interlock_comparisons_total";
pub(crate) const MISMATCHES: &str = "interlock_mismatches_total";
pub(crate) const SKIPPED: &str = "interlock_shadow_skipped_total";
const CONTENDED: &str = "interlock_contended_comparisons_total";
const NOISE: &str = "interlock_noise_comparisons_total";

/// The flag with shadows under `dry_run`, the fixed path being another app; `shadow` is more of the table's inside.
pub(crate) fn shadowed(percent: u8, fixed: &Upstream, shadow: &str) -> String {
    shadowed_at(percent, &fixed.url(), shadow)
}

/// The same with the fixed app at a URL.
pub(crate) fn shadowed_at(percent: u8, fixed: &str, shadow: &str) -> String {
    let fixed = format!(r#"strategy = "upstream", url = "{fixed}""#);
    let more = format!(r#"shadow = {{ mode = "dry_run", {shadow} }}"#);
    JourneyFlag { fixed, more, ..JourneyFlag::serialized(percent) }.toml()
}

/// The flag that serialises, with `shadow` as the inside of that table.
fn serialized_and(percent: u8, shadow: &str) -> String {
    let more = format!("shadow = {{ {shadow} }}");
    JourneyFlag { more, ..JourneyFlag::serialized(percent) }.toml()
}

/// An app that answers everything with this.
pub(crate) fn app(body: &'static str) -> Upstream {
    Upstream::running(move |exchange| exchange.ok(body))
}

/// A sum of one scrape.
pub(crate) fn sum(metrics: &Metrics, name: &str, labels: &[(&str, &str)]) -> f64 {
    metrics.sum(name, labels).unwrap_or_else(|| panic!("no series {name}{labels:?}"))
}

/// Waits until so many shadows came to a verdict.
pub(crate) fn wait_for_verdict(sidecar: &Sidecar, verdict: &str, count: f64) {
    sidecar.wait_for_metric(COMPARISONS, &[("verdict", verdict)], count);
}

/// The lines of a head but for those that tell a candidate from a control.
fn common_lines(request: &Recorded) -> Vec<String> {
    let head = String::from_utf8(request.head.clone()).unwrap();
    let own = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("interlock-path:") || line.starts_with("interlock-shadow:")
    };
    let mut lines: Vec<_> = head.lines().filter(|line| !own(line)).map(str::to_owned).collect();
    lines[1..].sort();
    lines
}

fn assert_shadow_of(candidate: &Recorded, control: &Recorded, path: &str) {
    assert_eq!(common_lines(candidate), common_lines(control));
    assert_eq!((&candidate.body, &candidate.trailers), (&control.body, &control.trailers));
    assert!(candidate.complete);
    assert_eq!(candidate.headers.get("interlock-shadow"), Some("1"));
    assert_eq!(candidate.headers.get("interlock-path"), Some(path));
    assert_eq!(control.headers.get("interlock-shadow"), None);
}

#[test]
fn a_candidate_gets_the_same_call_marked_as_a_shadow() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    let request = format!(
        "PUT {}?q=1&q=%20 HTTP/1.1\r\nHost: app.test\r\nX-Two: a\r\nX-Two: b\r\nCookie: c=d\r\n\
         Interlock-Shadow: no\r\nInterlock-Path: fixed\r\nContent-Length: 3\r\n\r\n\0\u{7f}x",
        status_of("J1")
    );
    let response = sidecar.call(request.as_bytes());

    assert_eq!((response.status, response.headers.get("interlock-path")), (200, Some("legacy")));
    let candidate = fixed.wait_for(1);
    assert_shadow_of(&candidate[0], &legacy.only_request(), "fixed");
    assert_eq!(candidate[0].headers.all("x-two"), ["a", "b"]);
    assert_eq!(candidate[0].headers.get("interlock-flag"), Some(JOURNEYS));
    wait_for_verdict(&sidecar, "matched", 1.0);
}

#[test]
fn while_the_fixed_path_serves_legacy_is_the_candidate() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(100, &fixed, "")).start();

    let response = sidecar.call(&put(&status_of("J1"), "body"));

    assert_eq!(response.headers.get("interlock-path"), Some("fixed"));
    assert_shadow_of(&legacy.wait_for(1)[0], &fixed.only_request(), "legacy");
    wait_for_verdict(&sidecar, "matched", 1.0);
}

#[test]
fn a_candidate_at_a_url_of_its_own_stands_for_the_path_that_does_not_serve() {
    for (percent, served, other) in [(0, "legacy", "fixed"), (100, "fixed", "legacy")] {
        let (legacy, isolated) = (app("{}"), app("{}"));
        let url = format!(r#"mode = "isolated", url = "{}""#, isolated.url());
        let sidecar = Sidecar::in_front_of(&legacy).with(&serialized_and(percent, &url)).start();

        let response = sidecar.call(&put(&status_of("J1"), "body"));

        assert_eq!(response.headers.get("interlock-path"), Some(served));
        let candidate = &isolated.wait_for(1)[0];
        assert_eq!(candidate.headers.get("interlock-path"), Some(other));
        // The number belongs to the control's lease.
        assert!(!candidate.headers.has("interlock-fencing-token"));
        assert_eq!(legacy.only_request().headers.has("interlock-fencing-token"), percent == 100);
        wait_for_verdict(&sidecar, "matched", 1.0);
    }
}

#[test]
fn a_body_in_chunks_arrives_with_its_trailers() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    let request = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
        status_of("J1")
    );
    assert_eq!(sidecar.call(request.as_bytes()).status, 200);

    let candidate = &fixed.wait_for(1)[0];
    until("the candidate to have it whole", || fixed.requests()[0].complete);
    assert_shadow_of(&fixed.requests()[0], &legacy.only_request(), "fixed");
    assert_eq!(fixed.requests()[0].body, b"hello world");
    assert_eq!(candidate.headers.get("transfer-encoding"), Some("chunked"));
    assert_eq!(fixed.requests()[0].trailers.get("x-sum"), Some("11"));
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked_and_the_candidate_is_not() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();
    let mut client = sidecar.client();

    let path = status_of("J1");
    client.send(
        format!(
            "PUT {path} HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        .as_bytes(),
    );
    assert_eq!(client.interim(), 100);
    client.send(b"body");

    assert_eq!(client.response().status, 200);
    let candidate = &fixed.wait_for(1)[0];
    assert!(!candidate.headers.has("expect"));
    wait_for_verdict(&sidecar, "matched", 1.0);
    assert_eq!(fixed.only_request().body, b"body");
}

#[test]
fn shadows_move_none_of_the_metrics_of_calls_that_serve() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    for n in 0..20 {
        assert_eq!(sidecar.call(&put(&status_of(n), "{}")).status, 200);
    }
    wait_for_verdict(&sidecar, "matched", 20.0);

    let metrics = sidecar.metrics();
    let sum = |name, labels: &[(&str, &str)]| sum(&metrics, name, labels);
    let duration = "interlock_upstream_duration_seconds_count";
    assert_eq!(sum(duration, &[("role", "shadow"), ("upstream", "fixed")]), 20.0);
    assert_eq!(sum(duration, &[("role", "shadow"), ("upstream", "legacy")]), 0.0);
    assert_eq!(sum(duration, &[("role", "serving"), ("upstream", "legacy")]), 20.0);
    assert_eq!(sum(duration, &[("role", "serving"), ("upstream", "fixed")]), 0.0);
    assert_eq!(sum("interlock_requests_total", &[]), 20.0);
    assert_eq!(sum("interlock_request_duration_seconds_count", &[]), 20.0);
    assert_eq!(sum("interlock_updates_total", &[]), 20.0);
    assert_eq!(sum("interlock_decisions_total", &[]), 20.0);
    assert_eq!(sum("interlock_upstream_connections", &[("upstream", "fixed")]), 0.0);
    assert_eq!(sum("interlock_upstream_errors_total", &[]), 0.0);
    assert_eq!(sum("interlock_inflight_requests", &[]), 0.0);
    assert_eq!(sum("interlock_shadow_queue_depth", &[]), 0.0);
}

#[test]
fn with_shadows_off_no_candidate_is_called_and_nothing_of_them_is_there() {
    for off in ["", r#"shadow = { mode = "off" }"#] {
        let (legacy, fixed) = (app("{}"), app("{}"));
        let to_fixed = format!(r#"strategy = "upstream", url = "{}""#, fixed.url());
        let flag =
            JourneyFlag { fixed: to_fixed, more: off.to_owned(), ..JourneyFlag::serialized(0) };
        let sidecar = Sidecar::in_front_of(&legacy).with(&flag.toml()).start();

        for n in 0..5 {
            assert_eq!(sidecar.call(&put(&status_of(n), "{}")).status, 200);
        }

        stays("the fixed app alone", || fixed.connections() == 0);
        assert_eq!(sum(&sidecar.metrics(), SKIPPED, &[]), 0.0);
        assert_eq!(sum(&sidecar.metrics(), COMPARISONS, &[]), 0.0);
        assert!(!sidecar.threads().contains(&"compare".to_owned()));
    }
}

#[test]
fn there_is_one_thread_that_compares() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    // A thread names itself when it first runs.
    until("the comparing thread", || {
        sidecar.threads().iter().filter(|name| *name == "compare").count() == 1
    });
}

#[test]
fn of_a_sample_each_call_is_either_compared_or_counted_as_left_out() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let flag = shadowed(0, &fixed, r#"sample = "50%""#);
    let sidecar = Sidecar::in_front_of(&legacy).with(&flag).start();

    for n in 0..100 {
        assert_eq!(sidecar.call(&put(&status_of(n), "{}")).status, 200);
    }

    let unsampled = sum(&sidecar.metrics(), SKIPPED, &[("reason", "unsampled")]);
    assert!((20.0..=80.0).contains(&unsampled), "{unsampled}");
    wait_for_verdict(&sidecar, "matched", 100.0 - unsampled);
    assert_eq!(fixed.requests().len() as f64, 100.0 - unsampled);
}

#[test]
fn a_call_that_no_route_matches_has_no_shadow() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    assert_eq!(sidecar.call(&put("/other", "{}")).status, 200);

    stays("the candidate alone", || fixed.connections() == 0);
    assert_eq!(sum(&sidecar.metrics(), SKIPPED, &[]), 0.0);
}

#[test]
fn answers_that_differ_are_a_mismatch_with_its_cause() {
    let cases: [(&'static str, &str); 2] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": 99}", "body"),
        ("HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\n{\"a\": 1}", "status"),
    ];
    for (candidate, cause) in cases {
        let (legacy, fixed) = (app("{\"a\": 1}"), Upstream::answering(candidate));
        let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

        assert_eq!(sidecar.call(&put(&status_of("J1"), "{}")).text(), "{\"a\": 1}");

        wait_for_verdict(&sidecar, "mismatched", 1.0);
        assert_eq!(sum(&sidecar.metrics(), MISMATCHES, &[("cause", cause)]), 1.0);
        assert_eq!(sum(&sidecar.metrics(), CONTENDED, &[]), 0.0);
    }
}

#[test]
fn a_mismatch_with_another_update_of_the_entity_in_flight_is_a_concurrent_write() {
    let gate = Gate::shut();
    let shut = gate.clone();
    let legacy = app("legacy");
    let fixed = Upstream::running(move |exchange| {
        exchange.read_body();
        shut.pass();
        exchange.ok("fixed")
    });
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    // The second update comes and goes while the first one's candidate is at work; the third is of another entity.
    for path in [segment_of("J1", 1), segment_of("J1", 2), segment_of("J2", 1)] {
        assert_eq!(sidecar.call(&put(&path, "{}")).status, 200);
    }
    fixed.wait_for(3);
    gate.open();

    wait_for_verdict(&sidecar, "mismatched", 3.0);
    let metrics = sidecar.metrics();
    assert_eq!(sum(&metrics, MISMATCHES, &[("cause", "concurrent_write")]), 1.0);
    assert_eq!(sum(&metrics, MISMATCHES, &[("cause", "body")]), 2.0);
    assert_eq!(sum(&metrics, CONTENDED, &[("verdict", "mismatched")]), 1.0);
}

#[test]
fn for_noise_legacy_is_asked_twice_and_no_comparison_is_counted() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let legacy = Upstream::running(move |exchange| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        exchange.ok(&format!(r#"{{"at": {n}}}"#))
    });
    let fixed = app("{}");
    let flag = shadowed(0, &fixed, r#"noise = "100%""#);
    let sidecar = Sidecar::in_front_of(&legacy).with(&flag).start();

    assert_eq!(sidecar.call(&put(&status_of("J1"), "body")).text(), r#"{"at": 0}"#);

    sidecar.wait_for_metric(NOISE, &[("verdict", "mismatched")], 1.0);
    let asked = legacy.requests();
    assert_shadow_of(&asked[1], &asked[0], "legacy");
    assert_eq!((asked.len(), fixed.connections()), (2, 0));
    let metrics = sidecar.metrics();
    assert_eq!(sum(&metrics, COMPARISONS, &[]), 0.0);
    assert_eq!(sum(&metrics, MISMATCHES, &[]), 0.0);
}

#[test]
fn the_candidate_is_called_when_the_controls_answer_has_passed() {
    let (legacy, gate) = Upstream::in_two_pieces();
    let fixed = app("firstsecond");
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();
    let mut client = sidecar.client();

    client.send(format!("PUT {} HTTP/1.1\r\nHost: app.test\r\n\r\n", status_of("J1")).as_bytes());
    legacy.wait_for(1);
    stays("the candidate alone", || fixed.connections() == 0);
    gate.open();

    assert_eq!(client.response().text(), "firstsecond");
    wait_for_verdict(&sidecar, "matched", 1.0);
}

#[test]
fn a_control_without_a_whole_answer_has_nothing_to_compare_with() {
    let legacy = Upstream::running(|exchange| {
        exchange.read_body();
        match exchange.request.target.contains("J1") {
            true => Next::Reset,
            false => {
                exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                Next::Close
            }
        }
    });
    let fixed = app("{}");
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    sidecar.call(&put(&status_of("J1"), "{}")).assert_problem(502, "unknown");
    let mut client = sidecar.client();
    client.send(&put(&status_of("J2"), "{}"));
    assert!(client.try_response().is_err());

    sidecar.wait_for_metric(SKIPPED, &[("reason", "control_failed")], 2.0);
    assert_eq!(fixed.connections(), 0);
}

#[test]
fn a_client_that_leaves_before_its_answer_has_passed_leaves_nothing_to_compare_with() {
    let (legacy, gate) = Upstream::gated();
    let fixed = app("done");
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    let mut client = sidecar.client();
    client.send(&put(&status_of("J1"), "{}"));
    legacy.wait_for(1);
    drop(client);
    sidecar.wait_for_metric(SKIPPED, &[("reason", "control_failed")], 1.0);
    gate.open();

    sidecar.wait_for_metric("interlock_updates_total", &[("outcome", "applied")], 1.0);
    assert_eq!(fixed.connections(), 0);
}
