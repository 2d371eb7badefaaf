//! Connections: how long they are kept, on both sides.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Framing, Sidecar, Upstream, get, put, serialized, status_of, until};

#[test]
fn connections_are_kept_alive_on_both_sides() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("workers = 1").start();
    let mut client = sidecar.client();

    for n in 0..20 {
        assert_eq!(client.call(&get(&format!("/{n}"))).text(), format!("/{n}"));
    }

    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_client_that_wants_to_close_is_obeyed() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    let response =
        client.call(b"GET /last HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");

    assert_eq!(response.text(), "/last");
    assert_eq!(response.headers.list("connection"), ["close"]);
    assert!(client.closed());
}

#[test]
fn an_upstream_that_closes_after_each_answer_is_connected_to_again() {
    for connection in ["Connection: close\r\n", ""] {
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{connection}\r\nok");
        let upstream = Upstream::running(move |exchange| {
            exchange.reply(response.as_bytes());
            crate::support::Next::Close
        });
        let sidecar = Sidecar::in_front_of(&upstream).proxy("workers = 1").start();
        let mut client = sidecar.client();

        for _ in 0..3 {
            assert_eq!(client.call(&get("/x")).status, 200);
            upstream.wait_until_left_alone();
        }

        assert_eq!((upstream.requests().len(), upstream.connections()), (3, 3));
    }
}

#[test]
fn an_upstream_that_has_closed_a_kept_connection_fails_no_call() {
    let closed = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::running({
        let closed = Arc::clone(&closed);
        move |exchange| {
            exchange.ok("kept, as far as anybody was told");
            exchange.reader.stream.shutdown(Shutdown::Both).unwrap();
            closed.fetch_add(1, Ordering::SeqCst);
            crate::support::Next::Close
        }
    });
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("workers = 1").with(&serialized(100)).start();
    let mut client = sidecar.client();

    for calls in 1..=20 {
        let path = if calls % 2 == 0 { "/x".to_owned() } else { status_of("J1") };
        assert_eq!(client.call(&put(&path, "{}")).status, 200, "call {calls}");
        until("the connection to be closed", || closed.load(Ordering::SeqCst) == calls);
    }

    assert_eq!(upstream.complete_targets().len(), 20, "and sends none twice");
}

#[test]
fn an_answer_that_ends_with_the_upstreams_connection_arrives_whole() {
    let upstream = Upstream::running(|exchange| {
        exchange.reply(b"HTTP/1.0 200 OK\r\nX: y\r\n\r\nuntil the end");
        crate::support::Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    let first = client.call(&get("/x"));

    assert_eq!((first.version.as_str(), first.text()), ("HTTP/1.1", "until the end".to_owned()));
    assert_ne!(first.framing, Framing::Close, "a client of HTTP/1.1 can tell the end");
    assert_eq!(client.call(&get("/x")).status, 200, "and its connection serves on");
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_then_the_end() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    let response = client.call(b"GET /x HTTP/1.0\r\nHost: app.test\r\n\r\n");

    assert_eq!(response.text(), "hello");
    assert_ne!(response.framing, Framing::Chunked);
    assert!(!response.headers.has("transfer-encoding"));
    assert!(client.closed());
}
