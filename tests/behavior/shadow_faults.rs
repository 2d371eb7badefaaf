//! Candidates that misbehave, and bounds that are reached: the control knows nothing of it, and each is counted.

use crate::shadow::{
    COMPARISONS, MISMATCHES, SKIPPED, app, shadowed, shadowed_at, sum, wait_for_verdict,
};
use crate::support::{
    Framing, Gate, Next, ReservedPort, Sidecar, Upstream, in_parallel, put, status_of,
};

const MIB: usize = 1 << 20;
/// The extra memory that a misbehaving candidate may cost: what is read ahead of its connections, and held up to the bound.
const EXTRA_MEMORY: u64 = 40 * MIB as u64;
const DEPTH: &str = "interlock_shadow_queue_depth";

/// Calls the sidecar over several connections at once and checks each answer; then every shadow ends as a mismatch for
/// `cause`, nothing of it shows among the calls that serve, and little memory was taken.
fn controls_are_untouched(candidate: &str, shadow: &str, cause: &str) {
    let (callers, each) = (4, 5);
    let legacy = app("{\"from\": \"legacy\"}");
    let flag = shadowed_at(0, candidate, shadow);
    let limits = "connect_timeout = \"300ms\"";
    let sidecar = Sidecar::in_front_of(&legacy).legacy(limits).with(&flag).start();
    let before = sidecar.memory("VmRSS:");

    in_parallel(callers, |caller| {
        let mut client = sidecar.client();
        for n in 0..each {
            let response = client.call(&put(&status_of(format!("{caller}-{n}")), "{}"));
            assert_eq!((response.status, &*response.text()), (200, "{\"from\": \"legacy\"}"));
        }
    });

    let calls = (callers * each) as f64;
    wait_for_verdict(&sidecar, "mismatched", calls);
    sidecar.wait_for_metric(DEPTH, &[], 0.0);
    let metrics = sidecar.metrics();
    assert_eq!(sum(&metrics, MISMATCHES, &[("cause", cause)]), calls);
    assert_eq!(sum(&metrics, SKIPPED, &[]), 0.0);
    assert_eq!(sum(&metrics, "interlock_upstream_errors_total", &[]), 0.0);
    assert_eq!(sum(&metrics, "interlock_requests_total", &[("code_class", "2xx")]), calls);
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < EXTRA_MEMORY, "{extra} bytes more at the peak");
}

#[test]
fn a_candidate_that_hangs_times_out() {
    let (candidate, _shut) = Upstream::gated();

    controls_are_untouched(&candidate.url(), r#"timeout = "1s", max_inflight = 100"#, "timeout");
}

#[test]
fn a_candidate_that_hangs_inside_its_answer_times_out() {
    let (candidate, _shut) = Upstream::in_two_pieces();

    controls_are_untouched(&candidate.url(), r#"timeout = "1s", max_inflight = 100"#, "timeout");
}

#[test]
fn a_candidate_that_trickles_its_answer_times_out() {
    let candidate = Upstream::running(|exchange| {
        exchange.read_body();
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while exchange.send(b"x") {
            crate::support::take_time(std::time::Duration::from_millis(20));
        }
        Next::Close
    });

    controls_are_untouched(&candidate.url(), r#"timeout = "1s", max_inflight = 100"#, "timeout");
}

#[test]
fn a_candidate_that_resets_is_an_error() {
    let candidate = Upstream::running(|exchange| {
        exchange.read_body();
        Next::Reset
    });

    controls_are_untouched(&candidate.url(), "", "error");
}

#[test]
fn a_candidate_that_breaks_off_is_an_error() {
    let candidate = Upstream::running(|exchange| {
        exchange.read_body();
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"from\":");
        Next::Close
    });

    controls_are_untouched(&candidate.url(), "", "error");
}

#[test]
fn a_candidate_that_resets_while_it_is_sent_the_call_has_not_ended_its_answer() {
    const CALLS: usize = 8;
    let candidate = Upstream::running(|exchange| {
        // As far as it goes it is the control's, and only the connection could tell its end.
        exchange.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}");
        Next::Reset
    });
    let legacy = app("{}");
    let flag = shadowed(0, &candidate, "");
    let sidecar = Sidecar::in_front_of(&legacy).proxy("max_body = \"16MiB\"").with(&flag).start();
    let large = "x".repeat(10 * MIB);

    for n in 1..=CALLS {
        assert_eq!(sidecar.call(&put(&status_of(n), &large)).status, 200);
        wait_for_verdict(&sidecar, "mismatched", n as f64);
    }

    assert_eq!(sum(&sidecar.metrics(), MISMATCHES, &[("cause", "error")]), CALLS as f64);
}

#[test]
fn a_candidate_that_refuses_connections_is_an_error() {
    let nobody = ReservedPort::new();

    let url = format!("http://{}", nobody.address());
    controls_are_untouched(&url, "max_inflight = 100", "error");
}

#[test]
fn a_candidate_that_sends_garbage_is_an_error() {
    for garbage in [
        "\0\0\0 this is not HTTP\r\n\r\n",
        "HTTP/1.1 two hundred\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let candidate = Upstream::running(move |exchange| {
            exchange.read_body();
            exchange.send(garbage.as_bytes());
            Next::Close
        });

        controls_are_untouched(&candidate.url(), "", "error");
    }
}

#[test]
fn a_candidate_that_sends_a_hundred_megabytes_is_cut_off_at_the_bound() {
    for framing in [format!("Content-Length: {}", 100 * MIB), "Connection: close".to_owned()] {
        let candidate = Upstream::running(move |exchange| {
            exchange.read_body();
            exchange.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes());
            let piece = vec![b'x'; MIB];
            (0..100).all(|_| exchange.send(&piece));
            Next::Close
        });

        controls_are_untouched(&candidate.url(), "", "error");
    }
}

#[test]
fn a_candidate_that_never_ends_its_interim_answers_is_an_error() {
    let candidate = Upstream::running(|exchange| {
        exchange.read_body();
        while exchange.send(&b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100)) {}
        Next::Close
    });

    controls_are_untouched(&candidate.url(), "", "error");
}

#[test]
fn a_lane_that_is_full_skips_and_comes_to_what_waits() {
    let gate = Gate::shut();
    let shut = gate.clone();
    let legacy = app("{}");
    let fixed = Upstream::running(move |exchange| {
        exchange.read_body();
        shut.pass();
        exchange.ok("{}")
    });
    let flag = shadowed(0, &fixed, "max_inflight = 2, queue = 3");
    let sidecar = Sidecar::in_front_of(&legacy).proxy("workers = 1").with(&flag).start();

    for n in 0..10 {
        assert_eq!(sidecar.call(&put(&status_of(n), "{}")).status, 200);
    }
    sidecar.wait_for_metric(SKIPPED, &[("reason", "queue_full")], 5.0);
    assert_eq!(sum(&sidecar.metrics(), DEPTH, &[]), 5.0);
    assert_eq!(fixed.wait_for(2).len(), 2);
    gate.open();

    wait_for_verdict(&sidecar, "matched", 5.0);
    sidecar.wait_for_metric(DEPTH, &[], 0.0);
    assert_eq!(sum(&sidecar.metrics(), SKIPPED, &[]), 5.0);
}

#[test]
fn a_shadow_that_waits_for_too_long_is_skipped() {
    let legacy = app("{}");
    let (fixed, _hangs) = Upstream::gated();
    let flag = shadowed(0, &fixed, r#"max_inflight = 1, timeout = "300ms""#);
    let sidecar = Sidecar::in_front_of(&legacy).proxy("workers = 1").with(&flag).start();

    let mut client = sidecar.client();
    for n in 0..5 {
        assert_eq!(client.call(&put(&status_of(n), "{}")).status, 200);
    }

    sidecar.wait_for_metric(DEPTH, &[], 0.0);
    let metrics = sidecar.metrics();
    let timed_out = sum(&metrics, MISMATCHES, &[("cause", "timeout")]);
    let skipped = sum(&metrics, SKIPPED, &[("reason", "deadline")]);
    assert_eq!(timed_out + skipped, 5.0);
    assert!(timed_out >= 1.0 && skipped >= 1.0, "{timed_out} timed out, {skipped} skipped");
}

#[test]
fn a_call_with_a_body_over_the_bound_streams_on_without_a_shadow() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let flag = shadowed(0, &fixed, "");
    let sidecar = Sidecar::in_front_of(&legacy).proxy("max_body = \"64KiB\"").with(&flag).start();
    let large = "x".repeat(10 * MIB);

    assert_eq!(sidecar.call(&put(&status_of("J1"), &large)).status, 200);

    sidecar.wait_for_metric(SKIPPED, &[("reason", "body_too_large")], 1.0);
    assert_eq!(legacy.only_request().body.len(), large.len());
    assert_eq!(fixed.connections(), 0);
    assert_eq!(sum(&sidecar.metrics(), "interlock_client_errors_total", &[]), 0.0);
}

#[test]
fn an_answer_of_the_control_over_the_bound_streams_on_without_a_comparison() {
    let legacy = Upstream::running(|exchange| exchange.ok(&"x".repeat(10 * MIB)));
    let fixed = app("{}");
    let flag = shadowed(0, &fixed, "");
    let sidecar = Sidecar::in_front_of(&legacy).proxy("max_body = \"64KiB\"").with(&flag).start();

    let response = sidecar.call(&put(&status_of("J1"), "{}"));

    assert_eq!(response.framing, Framing::Length(10 * MIB as u64));
    sidecar.wait_for_metric(SKIPPED, &[("reason", "body_too_large")], 1.0);
    assert_eq!(fixed.connections(), 0);
}

#[test]
fn answers_up_to_the_bound_are_compared_in_whatever_pieces_they_come() {
    let body = "0123456789abcdef".repeat(MIB / 16);
    let (whole, chunked) = (body.clone(), body.clone());
    let legacy = Upstream::running(move |exchange| exchange.ok(&whole));
    let fixed = Upstream::running(move |exchange| {
        exchange.read_body();
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for piece in chunked.as_bytes().chunks(1000) {
            exchange.send(format!("{:x}\r\n", piece.len()).as_bytes());
            exchange.send(piece);
            exchange.send(b"\r\n");
        }
        exchange.send(b"0\r\n\r\n");
        Next::KeepAlive
    });
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    for n in 0..3 {
        assert_eq!(sidecar.call(&put(&status_of(n), &body)).text(), body);
    }

    wait_for_verdict(&sidecar, "matched", 3.0);
    assert_eq!(sum(&sidecar.metrics(), COMPARISONS, &[]), 3.0);
    assert!(fixed.requests().iter().all(|request| request.body == body.as_bytes()));
}

#[test]
fn the_faults_of_a_client_remain_its_faults_where_its_body_is_held_for_a_shadow() {
    let (legacy, fixed) = (app("{}"), app("{}"));
    let sidecar = Sidecar::in_front_of(&legacy).with(&shadowed(0, &fixed, "")).start();

    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        status_of("J1")
    );
    let broken = sidecar.call(format!("{head}zz\r\n").as_bytes());

    broken.assert_problem(400, "safe");
    assert_eq!((legacy.connections(), fixed.connections()), (0, 0));
    assert_eq!(sum(&sidecar.metrics(), SKIPPED, &[]), 0.0);
}

#[test]
fn a_drain_waits_for_no_shadow() {
    let gate = Gate::shut();
    let shut = gate.clone();
    let legacy = Upstream::running(move |exchange| {
        if exchange.request.target.contains("slow") {
            exchange.read_body();
            shut.pass();
        }
        exchange.ok("{}")
    });
    let (fixed, _hangs) = Upstream::gated();
    let flag = shadowed(0, &fixed, r#"max_inflight = 1, timeout = "1h""#);
    let mut sidecar = Sidecar::in_front_of(&legacy)
        .proxy("workers = 1\ndrain = \"60s\"")
        .legacy("timeout = \"60s\"")
        .with(&flag)
        .start();
    for n in 0..3 {
        assert_eq!(sidecar.call(&put(&status_of(n), "{}")).status, 200);
    }
    sidecar.wait_for_metric("interlock_shadow_queue_depth", &[], 3.0);
    let mut slow = sidecar.client();
    slow.send(&put(&status_of("slow"), "{}"));
    legacy.wait_for(4);

    sidecar.terminate();
    sidecar.wait_for_metric(SKIPPED, &[("reason", "draining")], 2.0);
    gate.open();

    assert_eq!(slow.response().text(), "{}");
    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
    assert_eq!(fixed.requests().len(), 1);
}
