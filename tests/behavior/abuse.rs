//! What hostile or merely odd peers do: it costs them something, and nobody else.

use std::time::{Duration, Instant};

use crate::support::{
    Next, Raw, Sidecar, Upstream, get, in_parallel, put, segment_of, serialized, take_time,
};

/// Longer than a first read, so that the sidecar sees what comes after in another one.
const BETWEEN_READS: Duration = Duration::from_millis(50);

#[test]
fn an_app_that_closes_after_each_answer_keeps_no_call_waiting_in_vain() {
    let upstream = Upstream::running(|exchange| {
        exchange.ok("ok");
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).legacy("timeout = \"1s\"").start();

    let late: Vec<String> = in_parallel(8, |thread| {
        let mut client = sidecar.client();
        let paths = (0..40).map(|call| format!("/{thread}/{call}"));
        paths.filter(|path| client.call(&get(path)).status == 504).collect::<Vec<_>>()
    })
    .concat();

    let arrived = upstream.requests();
    let seen = late.iter().filter(|path| arrived.iter().any(|request| request.target == **path));
    assert_eq!((late.len(), seen.count()), (0, 0), "calls that timed out, and were ever sent");
}

#[test]
fn a_chunked_body_reaches_the_app_whatever_the_method() {
    for method in ["GET", "DELETE", "OPTIONS"] {
        let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let sidecar = Sidecar::in_front_of(&upstream).start();
        let request = format!(
            "{method} /search HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        );

        assert_eq!(sidecar.client().call(request.as_bytes()).status, 200);

        assert_eq!(upstream.only_request().body, b"hello", "{method}");
    }
}

#[test]
fn a_body_that_arrives_byte_by_byte_is_held_in_little_more_than_its_length() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 40000\r\n\r\n",
        segment_of(1, 1)
    );
    let mut clients: Vec<Raw> = (0..20).map(|_| sidecar.client()).collect();
    clients.iter_mut().for_each(|client| client.send(head.as_bytes()));
    let before = sidecar.memory("VmRSS");

    for _ in 0..1000 {
        clients.iter_mut().for_each(|client| client.send(b"x"));
        take_time(Duration::from_millis(1));
    }
    take_time(BETWEEN_READS);

    let grown = sidecar.memory("VmRSS").saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more for 20,000 bytes held");
}

#[test]
fn a_length_padded_out_of_sight_ends_the_connection() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();
    let body = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n";
    let padding = " ".repeat(80);

    client.send(format!("PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length:{padding}").as_bytes());
    take_time(BETWEEN_READS);
    // It may be refused, and the connection closed, before its end was sent.
    drop(client.try_send(format!("{}\r\n\r\n{body}", body.len()).as_bytes()));

    client.response().assert_problem(400, "safe");
    assert!(client.closed(), "still open after a length that stood out of sight");
    assert_eq!(upstream.complete_targets(), Vec::<String>::new());
}

#[test]
fn an_expectation_that_the_app_ignores_holds_up_nobody_else() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let mut client = sidecar.client();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        segment_of(1, 1)
    );
    client.send(head.as_bytes());
    assert_eq!(client.interim(), 100);

    let asked = Instant::now();
    client.send(b"hi");
    assert_eq!(client.response().status, 200);

    // The body was here before the lease was taken: nothing is left to wait for.
    assert!(asked.elapsed() < Duration::from_millis(700), "{:?}", asked.elapsed());
    assert_eq!(upstream.only_request().headers.get("expect"), None);
}

#[test]
fn a_switch_that_nobody_asked_for_leaves_the_outcome_open_for_the_lease_too() {
    let upstream = Upstream::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    );
    let sidecar = Sidecar::in_front_of(&upstream)
        .legacy("settle_after_timeout = \"1s\"")
        .with(&serialized(100))
        .start();
    let call = || sidecar.client().call(&put(&segment_of(1, 1), ""));

    call().assert_problem(502, "unknown");
    let told = Instant::now();
    call();

    let waited = told.elapsed();
    assert!(waited >= Duration::from_millis(900), "the entity was free after {waited:?}");
}

#[test]
fn an_app_that_floods_with_interim_answers_is_given_up_in_time() {
    let upstream = Upstream::running(|exchange| {
        let flood = "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(4000);
        while exchange.send(flood.as_bytes()) {}
        Next::Close
    });
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("workers = 1").legacy("timeout = \"1s\"").start();

    let asked = Instant::now();
    let answers = in_parallel(4, |_| sidecar.client().call(&get("/")).status);

    assert!(answers.iter().all(|status| matches!(status, 502 | 504)), "{answers:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_client_that_trickles_empty_lines_is_cut_off_like_any_slow_one() {
    let upstream = Upstream::echoing_targets();
    let limits = "header_timeout = \"500ms\"\nidle_timeout = \"500ms\"";
    let sidecar = Sidecar::in_front_of(&upstream).proxy(limits).start();
    let mut client = sidecar.client();

    let cut = (0..40).any(|_| {
        take_time(Duration::from_millis(100));
        client.try_send(b"\r\n").is_err()
    });

    assert!(cut, "still there after 4 s");
}

#[test]
fn probes_are_answered_while_others_hold_connections_to_the_admin_plane() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let address = sidecar.admin_url().trim_start_matches("http://").parse().unwrap();
    let holding: Vec<Raw> = (0..300).map(|_| Raw::connect(address)).collect();
    take_time(BETWEEN_READS);

    assert_eq!(sidecar.readiness(), Some(200));
    drop(holding);
}
