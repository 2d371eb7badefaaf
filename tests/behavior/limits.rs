//! Limits: nobody can hold more than their share, and a slow one holds up nobody.

use std::time::{Duration, Instant};

use crate::support::{
    DEADLINE, GLANCE, Raw, ReadError, Sidecar, Upstream, eventually, get, in_parallel, put,
    raise_own_open_files_limit, take_time, until,
};

/// How many idle connections a sidecar is asked to keep.
const IDLE_CONNECTIONS: usize = 10_000;
/// What that many may cost in all.
const IDLE_MEMORY: u64 = 200 << 20;
/// Files that a test needs besides its connections.
const SPARE_FILES: usize = 500;

#[test]
fn a_connection_beyond_the_most_is_not_served_until_one_ends() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("max_connections = 4").start();
    let mut held: Vec<Raw> = (0..4).map(|_| sidecar.client()).collect();
    for client in &mut held {
        assert_eq!(client.call(&get("/within")).status, 200);
    }

    let mut beyond = sidecar.client();
    beyond.set_patience(GLANCE);
    drop(beyond.try_send(&get("/beyond")));
    let refused = beyond.try_response().map_or(true, |response| response.status == 503);

    assert!(refused, "a fifth was served beside four");
    assert!(!upstream.complete_targets().contains(&"/beyond".to_owned()));
    drop(beyond);
    held.pop();
    eventually("a connection to be served again", || {
        let mut client = sidecar.client();
        client.try_send(&get("/again")).ok()?;
        client.try_response().ok().filter(|response| response.status == 200)
    });
    assert!(held.iter_mut().all(|client| client.call(&get("/within")).status == 200));
}

/// Checks that the sidecar ends a connection by itself, with 408 at most.
#[track_caller]
fn assert_cut(client: &mut Raw) {
    match client.try_response() {
        Ok(response) => {
            assert_eq!(response.status, 408, "{response:?}");
            assert!(client.closed());
        }
        Err(error) => assert_eq!(error, ReadError::Closed),
    }
}

#[test]
fn a_header_block_that_is_never_finished_is_cut() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("header_timeout = \"400ms\"").start();
    let mut client = sidecar.client();

    client.send(b"GET /x HTTP/1.1\r\nHost: app.test\r\nX: ");

    assert_cut(&mut client);
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_header_block_that_trickles_in_is_cut_all_the_same() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("header_timeout = \"600ms\"").start();
    let mut client = sidecar.client();
    let start = Instant::now();

    client.send(b"GET /x HTTP/1.1\r\nHost: app.test\r\n");
    // Slow on purpose: each line comes well within the timeout, all of them never do.
    while client.try_send(b"X: y\r\n").is_ok() && start.elapsed() < DEADLINE {
        take_time(Duration::from_millis(100));
    }

    assert!(start.elapsed() < DEADLINE, "still taken after {:?}", start.elapsed());
    assert!(upstream.requests().is_empty());
}

#[test]
fn the_header_timeout_counts_for_a_connections_later_calls_too() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("header_timeout = \"400ms\"").start();
    let mut client = sidecar.client();

    assert_eq!(client.call(&get("/x")).status, 200);
    client.send(b"GET /y HTTP/1.1\r\n");

    assert_cut(&mut client);
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream)
        .proxy("idle_timeout = \"400ms\"\nheader_timeout = \"400ms\"")
        .start();
    let (mut used, mut unused) = (sidecar.client(), sidecar.client());

    assert_eq!(used.call(&get("/x")).status, 200);

    assert_cut(&mut used);
    assert_cut(&mut unused);
}

#[test]
fn an_idle_connection_is_kept_for_its_time() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream)
        .proxy("idle_timeout = \"60s\"\nheader_timeout = \"300ms\"")
        .start();
    let mut client = sidecar.client();

    assert_eq!(client.call(&get("/x")).status, 200);
    // Longer than a header block may take, which has not begun.
    take_time(Duration::from_millis(900));

    assert_eq!(client.call(&get("/y")).text(), "/y");
}

#[test]
fn an_upload_that_stalls_is_cut_and_never_arrives_whole() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("body_timeout = \"400ms\"").start();
    let mut client = sidecar.client();

    client.send(b"PUT /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100\r\n\r\nonly this");

    assert_cut(&mut client);
    upstream.wait_until_left_alone();
    assert!(upstream.requests().iter().all(|request| !request.complete));
}

#[test]
fn an_answer_that_nobody_takes_is_cut() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 1 << 20], b"\r\n".to_vec()].concat();
        while exchange.send(&chunk) {}
        crate::support::Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).proxy("body_timeout = \"500ms\"").start();
    let mut client = sidecar.client();

    client.send(&get("/endless"));
    client.response_head(false).unwrap();

    upstream.wait_until_left_alone();
    until("the client to be forgotten", || {
        sidecar.metrics().sum("interlock_connections", &[]) == Some(0.0)
    });
}

/// A flag whose entity stands in the body.
const IN_BODY: &str = r#"
[flags.in-body]
entity = "journey:{journeyId}"
percent = 100
fixed = { strategy = "serialize" }
[[flags.in-body.routes]]
name = "in-body"
methods = ["PUT"]
path = "/in-body"
placeholders = { journeyId = "body:/id" }
[flags.in-path]
entity = "other:{id}"
percent = 100
fixed = { strategy = "serialize" }
[[flags.in-path.routes]]
name = "in-path"
methods = ["PUT"]
path = "/in-path/{id}"
"#;

#[test]
fn a_body_that_must_be_held_whole_is_bounded_and_no_other() {
    let upstream = Upstream::echoing_targets();
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("max_body = \"1KiB\"").with(IN_BODY).start();
    let body = format!(r#"{{"id":"J1","pad":"{}"}}"#, "x".repeat(2048));
    let length = body.len();

    let held = sidecar.call(&put("/in-body", &body));
    let chunked = sidecar.call(
        format!("PUT /in-body HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
            .as_bytes(),
    );
    let streamed = sidecar.call(&put("/in-path/J1", &body));
    let within = sidecar.call(&put("/in-body", r#"{"id":"J1"}"#));

    held.assert_problem(413, "safe");
    chunked.assert_problem(413, "safe");
    assert_eq!((streamed.status, within.status), (200, 200));
    assert_eq!(upstream.complete_targets(), ["/in-path/J1", "/in-body"]);
}

#[test]
fn ten_thousand_idle_connections_are_cheap() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("idle_timeout = \"300s\"").start();
    let files = raise_own_open_files_limit().min(sidecar.open_files_limit());
    // Where the system grants fewer files, fewer connections are held to the same share.
    let count = IDLE_CONNECTIONS.min(files.saturating_sub(SPARE_FILES));
    let bound = IDLE_MEMORY * count as u64 / IDLE_CONNECTIONS as u64;

    let mut held: Vec<Raw> = (0..count)
        .map(|_| {
            let mut client = sidecar.client();
            assert_eq!(client.call(&get("/idle")).status, 200);
            client
        })
        .collect();

    sidecar.wait_for_metric("interlock_connections", &[], count as f64);
    let memory = sidecar.memory("VmRSS:");
    assert!(memory < bound, "{memory} bytes for {count} connections, {bound} are allowed");
    assert_eq!(held[0].call(&get("/first")).text(), "/first", "the oldest still serves");
}

#[test]
fn slow_clients_hold_up_nobody() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let slow: Vec<Raw> = (0..300)
        .map(|n| {
            let mut client = sidecar.client();
            client.send(match n % 3 {
                0 => b"GET /slow HTTP/1.1\r\nHo".as_slice(),
                1 => b"PUT /slow HTTP/1.1\r\nHost: app.test\r\nContent-Length: 9\r\n\r\nab",
                _ => b"PUT /slow HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            });
            client
        })
        .collect();

    let served = in_parallel(8, |n| {
        let mut client = sidecar.client();
        (0..25).all(|_| client.call(&get(&format!("/quick/{n}"))).status == 200)
    });

    assert!(served.into_iter().all(|all| all));
    assert_eq!(slow.len(), 300, "and they were there all the time");
}
