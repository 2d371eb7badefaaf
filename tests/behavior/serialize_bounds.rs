//! The bounds of `serialize`: how long calls wait, how many, and what happens to the lease when a call goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::serialize::{send_update, wait_for_waiters};
use crate::support::{
    DEADLINE, Gate, Next, Sidecar, Upstream, put, segment_of, serialized, serialized_with,
    status_of, stays, until,
};

#[test]
fn a_queue_that_is_full_refuses_more_at_once() {
    let (upstream, gate) = Upstream::gated();
    let flag = serialized_with(100, "max_waiters = 2, wait = \"25s\"");
    let sidecar = Sidecar::in_front_of(&upstream).with(&flag).start();

    let mut within = vec![send_update(&sidecar, &segment_of("J1", 0))];
    upstream.wait_for(1);
    within.extend((1..3).map(|n| send_update(&sidecar, &segment_of("J1", n))));
    wait_for_waiters(&sidecar, 2);
    let beyond = sidecar.call(&put(&segment_of("J1", 3), "{}"));

    beyond.assert_problem(503, "safe");
    assert!(beyond.headers.get("retry-after").is_some_and(|after| after.parse::<u32>().is_ok()));
    gate.open();
    assert!(within.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(upstream.requests().len(), 3, "what was refused was not sent");
}

#[test]
fn a_wait_that_is_too_long_is_refused() {
    let (upstream, gate) = Upstream::gated();
    let flag = serialized_with(100, "wait = \"300ms\"");
    let sidecar = Sidecar::in_front_of(&upstream).legacy("timeout = \"25s\"").with(&flag).start();

    let mut holder = send_update(&sidecar, &segment_of("J1", 0));
    upstream.wait_for(1);
    let refused = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    refused.assert_problem(503, "safe");
    assert!(refused.headers.has("retry-after"));
    gate.open();
    assert_eq!(holder.response().status, 200);
    assert_eq!(upstream.requests().len(), 1, "what was refused was not sent");
}

#[test]
fn a_client_that_leaves_does_not_cancel_the_call_nor_let_the_next_one_in() {
    let gate = Gate::shut();
    let abandoned = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::running({
        let (gate, abandoned) = (gate.clone(), Arc::clone(&abandoned));
        move |exchange| {
            exchange.read_body();
            gate.pass();
            abandoned.fetch_add(usize::from(exchange.abandoned()), Ordering::SeqCst);
            exchange.ok("done")
        }
    });
    let sidecar =
        Sidecar::in_front_of(&upstream).with(&serialized_with(100, "wait = \"25s\"")).start();

    let leaving = send_update(&sidecar, &segment_of("J1", 0));
    upstream.wait_for(1);
    drop(leaving);
    let mut next = send_update(&sidecar, &segment_of("J1", 1));
    wait_for_waiters(&sidecar, 1);
    stays("the next one waits", || upstream.requests().len() == 1);

    gate.open();
    assert_eq!(next.response().status, 200);
    assert_eq!((upstream.requests().len(), abandoned.load(Ordering::SeqCst)), (2, 0));
}

#[test]
fn a_client_that_leaves_the_queue_holds_up_nobody() {
    let (upstream, gate) = Upstream::gated();
    let sidecar =
        Sidecar::in_front_of(&upstream).with(&serialized_with(100, "wait = \"25s\"")).start();

    let mut first = send_update(&sidecar, &segment_of("J1", 0));
    upstream.wait_for(1);
    let leaving = send_update(&sidecar, &segment_of("J1", 1));
    wait_for_waiters(&sidecar, 1);
    let mut last = send_update(&sidecar, &segment_of("J1", 2));
    wait_for_waiters(&sidecar, 2);
    drop(leaving);
    gate.open();

    assert_eq!((first.response().status, last.response().status), (200, 200));
}

#[test]
fn a_call_that_timed_out_keeps_the_lease_until_its_write_can_land_no_more() {
    let settle = Duration::from_millis(2_000);
    let gate = Gate::shut();
    let upstream = Upstream::running({
        let gate = gate.clone();
        move |exchange| {
            exchange.read_body();
            if exchange.request.target.contains("/never/") {
                gate.pass();
                return Next::Close;
            }
            exchange.ok("done")
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream)
        .legacy("timeout = \"300ms\"\nsettle_after_timeout = \"2s\"")
        .with(&serialized_with(100, "wait = \"25s\""))
        .start();

    let given_up = sidecar.call(&put(&segment_of("J1", "never"), "{}"));
    let since = Instant::now();
    let other = sidecar.call(&put(&segment_of("J2", 1), "{}"));
    let other_took = since.elapsed();
    let next = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    given_up.assert_problem(504, "unknown");
    assert_eq!((other.status, next.status), (200, 200));
    let waited = upstream.requests()[2].at.duration_since(upstream.requests()[0].at);
    assert!(waited >= settle, "the next update went out after {waited:?}");
    assert!(other_took < DEADLINE / 2, "another entity waited too: {other_took:?}");
    gate.open();
}

#[test]
fn a_broken_call_keeps_the_lease_as_well() {
    let upstream = Upstream::running(|exchange| {
        exchange.read_body();
        if exchange.request.target.contains("/never/") {
            return Next::Reset;
        }
        exchange.ok("done")
    });
    let sidecar = Sidecar::in_front_of(&upstream)
        .legacy("settle_after_timeout = \"1s\"")
        .with(&serialized_with(100, "wait = \"25s\""))
        .start();

    sidecar.call(&put(&segment_of("J1", "never"), "{}")).assert_problem(502, "unknown");
    let next = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    assert_eq!(next.status, 200);
    let requests = upstream.requests();
    let waited = requests[1].at.duration_since(requests[0].at);
    assert!(waited >= Duration::from_secs(1), "the next update went out after {waited:?}");
}

#[test]
fn a_refused_update_gives_the_lease_back_at_once() {
    let upstream = Upstream::answering("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
    let sidecar = Sidecar::in_front_of(&upstream)
        .legacy("settle_after_timeout = \"25s\"")
        .with(&serialized_with(100, "wait = \"20s\""))
        .start();
    let start = Instant::now();

    for n in 0..3 {
        assert_eq!(sidecar.call(&put(&segment_of("J1", n), "{}")).status, 409);
    }

    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn memory_goes_back_when_entities_fall_quiet() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let round = |round: usize| {
        let mut client = sidecar.client();
        for n in 0..2_000 {
            client.call(&put(&status_of(format!("{round}-{n}-{}", "x".repeat(500))), "{}"));
        }
        sidecar.memory("VmRSS:")
    };

    let (first, second) = (round(0), round(1));
    let third = round(2);

    // Each round names entities of a megabyte in all that nobody will name again.
    let grown = third.saturating_sub(first.max(second));
    assert!(grown < 1 << 20, "{first}, {second}, then {third} bytes");
    until("no call to be left", || {
        sidecar.metrics().sum("interlock_inflight_requests", &[]) == Some(0.0)
    });
}
