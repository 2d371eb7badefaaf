//! Bodies stream in both directions with back-pressure; interim answers, trailers and bodiless answers are right.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::support::{Framing, Gate, Next, Sidecar, Upstream, get, stopped, take_time};

const MIB: usize = 1 << 20;
/// The extra memory that a stream of any length may cost.
const EXTRA_MEMORY: u64 = 20 * MIB as u64;
/// What a stalled stream may hold at most: the kernel's buffers of two connections, and little else.
const IN_FLIGHT: usize = 96 * MIB;

/// A piece of a stream, whose bytes tell a lost or doubled one.
fn piece() -> Vec<u8> {
    (0..MIB).map(|n| (n % 251) as u8).collect()
}

/// Counts a stream of [`piece`]s and checks each byte.
#[derive(Default)]
struct Counted {
    bytes: usize,
    wrong: usize,
}

impl Counted {
    fn take(&mut self, mut data: &[u8]) {
        static PIECE: LazyLock<Vec<u8>> = LazyLock::new(piece);
        while !data.is_empty() {
            let expected = &PIECE[self.bytes % MIB..];
            let (here, rest) = data.split_at(data.len().min(expected.len()));
            self.wrong += usize::from(here != &expected[..here.len()]);
            self.bytes += here.len();
            data = rest;
        }
    }
}

#[test]
fn a_hundred_megabytes_stream_down_in_little_memory() {
    let upstream = Upstream::running(|exchange| {
        let length = 100 * MIB;
        exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        let piece = piece();
        (0..100).all(|_| exchange.send(&piece));
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let before = sidecar.memory("VmRSS:");
    let mut client = sidecar.client();

    client.send(&get("/big"));
    let head = client.response_head(false).unwrap();
    let mut counted = Counted::default();
    client.body(head.framing, &mut |data| counted.take(data)).unwrap();

    assert_eq!((head.framing, counted.wrong), (Framing::Length(100 * MIB as u64), 0));
    assert_eq!(counted.bytes, 100 * MIB);
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < EXTRA_MEMORY, "{extra} bytes more than before");
}

#[test]
fn a_hundred_megabytes_stream_up_in_little_memory() {
    let upstream = Upstream::running(|exchange| {
        let mut counted = Counted::default();
        exchange.read_body_into(&mut |data| counted.take(data));
        exchange.ok(&format!("{} bytes, {} wrong", counted.bytes, counted.wrong))
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let before = sidecar.memory("VmRSS:");
    let piece = piece();

    let mut client = sidecar.client();
    client.send(b"POST /big HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        client.send(format!("{MIB:x}\r\n").as_bytes());
        client.send(&piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");

    assert_eq!(client.response().text(), format!("{} bytes, 0 wrong", 100 * MIB));
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < EXTRA_MEMORY, "{extra} bytes more than before");
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client() {
    let gate = Gate::shut();
    let upstream = Upstream::running({
        let gate = gate.clone();
        move |exchange| {
            gate.pass();
            let mut counted = Counted::default();
            exchange.read_body_into(&mut |data| counted.take(data));
            exchange.ok(&format!("{} bytes, {} wrong", counted.bytes, counted.wrong))
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).legacy("timeout = \"60s\"").start();
    let before = sidecar.memory("VmRSS:");
    let body: Vec<u8> = piece().repeat(160);
    let mut client = sidecar.client();
    client.send(
        format!("PUT /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", body.len())
            .as_bytes(),
    );

    let sent = client.send_until_stalled(&body, Duration::from_secs(2));

    assert!(sent < IN_FLIGHT, "{sent} bytes were taken although nobody read them");
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < EXTRA_MEMORY, "{extra} bytes more than before");
    gate.open();
    client.send(&body[sent..]);
    assert_eq!(client.response().text(), format!("{} bytes, 0 wrong", body.len()));
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream() {
    let sent = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::running({
        let sent = Arc::clone(&sent);
        move |exchange| {
            if exchange.request.target == "/quick" {
                return exchange.ok("quick");
            }
            let length = 160 * MIB;
            exchange
                .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
            let piece = piece();
            while exchange.send(&piece) {
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Next::Close
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let before = sidecar.memory("VmRSS:");
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = sidecar.client();
            client.send(&get("/big"));
            client.response_head(false).unwrap();
            client
        })
        .collect();

    let taken = stopped("the upstream to be stopped", || sent.load(Ordering::SeqCst));

    assert!(
        taken * MIB < clients.len() * IN_FLIGHT,
        "{taken} MiB were taken although nobody reads"
    );
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < EXTRA_MEMORY, "{extra} bytes more than before");
    assert_eq!(sidecar.call(&get("/quick")).text(), "quick", "others are served meanwhile");
}

#[test]
fn an_answer_arrives_piece_by_piece_as_it_is_made() {
    let (upstream, gate) = Upstream::in_two_pieces();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(&get("/events"));
    let head = client.response_head(false).unwrap();
    let mut text = Vec::new();
    client
        .body(head.framing, &mut |data| {
            text.extend_from_slice(data);
            // Only now is the rest made.
            if text == b"first" {
                gate.open();
            }
        })
        .unwrap();

    assert_eq!(text, b"firstsecond");
}

#[test]
fn a_request_arrives_piece_by_piece_as_it_is_sent() {
    let seen = Gate::shut();
    let upstream = Upstream::running({
        let seen = seen.clone();
        move |exchange| {
            let mut text = Vec::new();
            exchange.read_body_into(&mut |data| {
                text.extend_from_slice(data);
                if text == b"first" {
                    seen.open();
                }
            });
            exchange.ok("whole")
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(
        b"POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
    );
    assert!(seen.pass(), "the first piece never arrived");
    client.send(b"6\r\nsecond\r\n0\r\n\r\n");

    assert_eq!(client.response().text(), "whole");
    assert!(upstream.only_request().complete);
}

#[test]
fn trailers_of_a_request_pass() {
    let upstream = Upstream::running(|exchange| exchange.ok("ok"));
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar.call(
        b"POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
          5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n",
    );

    assert_eq!(response.status, 200);
    let request = upstream.only_request();
    assert_eq!(
        (request.body.as_slice(), request.trailers.get("x-checksum")),
        (b"hello".as_slice(), Some("abc"))
    );
    assert!(!request.headers.has("x-checksum"), "a trailer is no header");
}

#[test]
fn fields_that_frame_or_route_are_no_trailers() {
    let upstream = Upstream::running(|exchange| exchange.ok("ok"));
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let forbidden = [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Connection",
        "Interlock-Path",
        "Authorization",
    ];
    let trailers: String = forbidden.iter().map(|name| format!("{name}: 1\r\n")).collect();

    let response = sidecar.call(
        format!(
            "POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: {}, X-Good\r\n\r\n\
             5\r\nhello\r\n0\r\n{trailers}X-Good: y\r\n\r\n",
            forbidden.join(", ")
        )
        .as_bytes(),
    );

    assert!(matches!(response.status, 200 | 400), "{response:?}");
    for request in upstream.requests() {
        assert!(forbidden.iter().all(|name| !request.trailers.has(name)), "{request:?}");
        assert_eq!(request.headers.all("host"), ["app.test"]);
    }
}

#[test]
fn trailers_of_a_response_pass_to_a_client_that_wants_them() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n",
    );
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar
        .call(b"GET /x HTTP/1.1\r\nHost: app.test\r\nConnection: TE\r\nTE: trailers\r\n\r\n");

    assert_eq!(response.text(), "hello");
    assert_eq!(response.body.trailers.get("x-checksum"), Some("abc"));
    assert!(!response.headers.has("x-checksum"));
}

#[test]
fn a_slow_answer_is_no_stalled_one() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            // Slow on purpose: all in all well beyond the silence that is allowed.
            take_time(Duration::from_millis(200));
            exchange.send(b"x");
        }
        Next::KeepAlive
    });
    let sidecar = Sidecar::in_front_of(&upstream)
        .proxy("body_timeout = \"1500ms\"")
        .legacy("timeout = \"1s\"")
        .start();

    assert_eq!(sidecar.call(&get("/slow")).text(), "x".repeat(10));
}
