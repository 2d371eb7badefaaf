//! A sidecar that is told to stop: readiness goes first, calls in flight finish, and no accepted call fails.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Raw, Sidecar, Upstream, get, put, segment_of, serialized_with, take_time, until,
};

/// A sidecar that waits for calls for longer than any test lasts, in a drain too.
pub(crate) fn patient(upstream: &Upstream) -> Sidecar {
    Sidecar::in_front_of(upstream)
        .proxy("drain = \"60s\"")
        .legacy("timeout = \"60s\"")
        .with(&serialized_with(100, "wait = \"60s\""))
        .start()
}

#[test]
fn readiness_goes_first_and_calls_in_flight_finish() {
    let (upstream, gate) = Upstream::gated();
    let mut sidecar = patient(&upstream);
    let mut clients: Vec<Raw> = (0..10).map(|_| sidecar.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        // Half of them stand in the queue of one entity when the end is near.
        let path = if n % 2 == 0 { segment_of("J1", n) } else { format!("/other/{n}") };
        client.send(&put(&path, "{}"));
    }
    upstream.wait_for(6);
    sidecar.wait_for_metric("interlock_lease_waiters", &[], 4.0);

    sidecar.terminate();
    until("readiness to go", || sidecar.readiness() == Some(503));
    let alive = sidecar.admin_get("/livez").status;
    let draining = sidecar.metrics().sum("interlock_draining", &[]);
    gate.open();

    assert_eq!((alive, draining), (200, Some(1.0)));
    for client in &mut clients {
        assert_eq!(client.response().text(), "done");
        assert!(client.closed(), "a connection outlived its last answer");
    }
    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
}

#[test]
fn a_terminal_that_is_closed_ends_it_in_order() {
    let (upstream, gate) = Upstream::gated();
    let mut sidecar = Sidecar::in_front_of(&upstream).proxy("drain = \"60s\"").start();
    let mut client = sidecar.client();
    client.send(&get("/x"));
    upstream.wait_for(1);

    sidecar.signal("HUP");
    until("readiness to go", || sidecar.readiness() == Some(503));
    gate.open();

    assert_eq!(client.response().text(), "done");
    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
}

#[test]
fn an_answer_that_streams_when_the_end_comes_is_finished() {
    let (upstream, gate) = Upstream::in_two_pieces();
    let mut sidecar = Sidecar::in_front_of(&upstream).proxy("drain = \"60s\"").start();
    let mut client = sidecar.client();
    client.send(&get("/x"));
    let head = client.response_head(false).unwrap();

    sidecar.terminate();
    until("readiness to go", || sidecar.readiness() == Some(503));
    gate.open();
    let mut text = Vec::new();
    let read = client.body(head.framing, &mut |data| text.extend_from_slice(data));

    assert_eq!((read.is_ok(), text.as_slice()), (true, b"firstsecond".as_slice()));
    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
}

#[test]
fn no_call_that_was_passed_on_goes_unanswered_under_load() {
    let upstream = Upstream::running(|exchange| {
        // Long enough for many calls to be on their way when the end comes.
        take_time(Duration::from_millis(5));
        let target = exchange.request.target.clone();
        exchange.ok(&target)
    });
    let mut sidecar = Sidecar::in_front_of(&upstream).start();
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let address = sidecar.address();
    // Calls until the sidecar takes no more; returns what was answered.
    let load = |worker: usize| {
        let mut targets = Vec::new();
        let mut client = None;
        let mut call = 0;
        while !over.load(Ordering::SeqCst) {
            let Some(connection) = client.take().or_else(|| Raw::try_connect(address).ok()) else {
                break;
            };
            let mut connection: Raw = connection;
            let target = format!("/{worker}/{call}");
            call += 1;
            let sent = connection.try_send(&get(&target)).is_ok();
            let Some(response) = sent.then(|| connection.try_response().ok()).flatten() else {
                continue;
            };
            assert_eq!((response.status, response.text()), (200, target.clone()));
            targets.push(target);
            answered.fetch_add(1, Ordering::SeqCst);
            if !response.headers.list("connection").contains(&"close".to_owned()) {
                client = Some(connection);
            }
        }
        targets
    };

    let targets: HashSet<String> = thread::scope(|scope| {
        let load = &load;
        let workers: Vec<_> = (0..16).map(|n| scope.spawn(move || load(n))).collect();
        until("the load to be under way", || answered.load(Ordering::SeqCst) > 200);
        sidecar.terminate();
        let code = sidecar.wait_for_exit().code();
        over.store(true, Ordering::SeqCst);
        assert_eq!(code, Some(0));
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });

    let unanswered: Vec<String> = upstream
        .requests()
        .into_iter()
        .map(|r| r.target)
        .filter(|t| !targets.contains(t))
        .collect();
    assert!(unanswered.is_empty(), "passed on, and never answered: {unanswered:?}");
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let upstream = Upstream::echoing_targets();
    let mut sidecar = Sidecar::in_front_of(&upstream).proxy("drain = \"60s\"").start();
    let mut idle: Vec<Raw> = (0..20).map(|_| sidecar.client()).collect();
    for client in idle.iter_mut().skip(10) {
        assert_eq!(client.call(&get("/x")).status, 200);
    }

    sidecar.terminate();

    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
    assert!(idle.iter_mut().all(Raw::closed));
}

#[test]
fn a_call_that_is_longer_than_the_drain_is_cut() {
    let (upstream, gate) = Upstream::gated();
    let mut sidecar = Sidecar::in_front_of(&upstream)
        .proxy("drain = \"700ms\"")
        .legacy("timeout = \"60s\"")
        .start();
    let mut client = sidecar.client();
    client.send(&put("/x", "{}"));
    upstream.wait_for(1);

    let start = Instant::now();
    sidecar.terminate();
    sidecar.wait_for_exit();

    assert!(
        start.elapsed() >= Duration::from_millis(600),
        "it did not wait: {:?}",
        start.elapsed()
    );
    assert!(client.try_response().map_or(true, |response| response.status >= 500));
    gate.open();
}

#[test]
fn an_idle_sidecar_stops_at_once() {
    let upstream = Upstream::echoing_targets();
    let mut sidecar = Sidecar::in_front_of(&upstream).proxy("drain = \"60s\"").start();

    sidecar.terminate();

    assert_eq!(sidecar.wait_for_exit().code(), Some(0));
}

#[test]
fn a_tunnel_is_cut_when_the_drain_is_over() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        exchange.echo_bytes()
    });
    let mut sidecar = Sidecar::in_front_of(&upstream).proxy("drain = \"700ms\"").start();
    let mut client = sidecar.client();
    client.send(
        b"GET /x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.response().status, 101);

    sidecar.terminate();
    sidecar.wait_for_exit();

    assert!(client.closed());
}
