//! What fails shows as failed: no message looks complete that isn't, and nothing that may have been sent is sent again.

use std::thread;
use std::time::Instant;

use crate::support::{
    DEADLINE, Exchange, Gate, Next, ReadError, ReservedPort, Sidecar, Upstream, get, put,
    segment_of, serialized, until,
};

/// Answers with these bytes, then ends the connection in some way.
fn dying_after(bytes: &'static str, end: fn() -> Next) -> Upstream {
    Upstream::running(move |exchange| {
        exchange.reply(bytes.as_bytes());
        end()
    })
}

#[test]
fn an_answer_that_breaks_off_never_looks_complete() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    ] {
        for end in [|| Next::Close, || Next::Reset] {
            let upstream = dying_after(bytes, end);
            let sidecar = Sidecar::in_front_of(&upstream).start();
            let mut client = sidecar.client();

            client.send(&get("/x"));
            match client.try_response() {
                // Where the failure is known before the answer's head is sent, an error may take its place.
                Ok(response) => assert_eq!(response.status, 502, "{response:?} to {bytes:?}"),
                Err(error) => assert_eq!(error, ReadError::Closed, "{bytes:?}"),
            }

            assert_eq!(upstream.requests().len(), 1, "not again after {bytes:?}");
        }
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_complete_to_a_client_of_http_1_0_either() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let upstream = dying_after(bytes, || Next::Close);
        let sidecar = Sidecar::in_front_of(&upstream).start();
        let mut client = sidecar.client();

        client.send(b"GET /x HTTP/1.0\r\nHost: app.test\r\n\r\n");

        // Where the end of the connection is the end of the message, only a reset tells.
        match client.try_response() {
            Ok(response) => assert_eq!(response.status, 502, "{response:?} to {bytes:?}"),
            Err(error) => assert_eq!(error, ReadError::Closed, "{bytes:?}"),
        }
    }
}

#[test]
fn an_upstream_that_refuses_connections_is_a_failure_that_is_safe_to_retry() {
    let nobody = ReservedPort::new();
    let sidecar = Sidecar::at(&format!("http://{}", nobody.address()))
        .legacy("connect_timeout = \"300ms\"")
        .with(&serialized(100))
        .start();

    for request in [get("/x"), put("/x", "body"), put(&segment_of("J1", 1), "{}")] {
        let response = sidecar.call(&request);
        response.assert_problem(503, "safe");
        assert!(response.headers.has("retry-after"));
    }
}

#[test]
fn an_upstream_that_comes_back_within_the_connect_timeout_is_waited_for() {
    let port = ReservedPort::new();
    let sidecar = Sidecar::at(&format!("http://{}", port.address()))
        .legacy("connect_timeout = \"25s\"\ntimeout = \"30s\"")
        .start();
    let mut client = sidecar.client();

    client.send(&put("/x", "hello"));
    sidecar.wait_for_metric("interlock_inflight_requests", &[], 1.0);
    let upstream = Upstream::running_at(&port, |exchange| exchange.ok("back"));
    let response = client.response();

    assert_eq!((response.status, response.text()), (200, "back".to_owned()));
    assert_eq!(upstream.only_request().body, b"hello");
}

#[test]
fn an_upstream_that_closes_without_an_answer_is_asked_only_once() {
    for end in [|| Next::Close, || Next::Reset] {
        let upstream = Upstream::running(move |exchange| {
            exchange.read_body();
            end()
        });
        let sidecar = Sidecar::in_front_of(&upstream).start();

        sidecar.call(&put("/x", "hello")).assert_problem(502, "unknown");
        // What only reads may be tried again; but that is for the client to do.
        sidecar.call(&get("/y")).assert_problem(502, "safe");

        assert_eq!(upstream.complete_targets(), ["/x", "/y"]);
        assert_eq!(upstream.requests().len(), 2);
    }
}

#[test]
fn a_kept_connection_that_dies_under_a_call_is_no_licence_to_send_it_again() {
    let upstream = Upstream::running(|exchange| match exchange.request.target.as_str() {
        "/first" => exchange.ok("ok"),
        _ => {
            exchange.read_body();
            Next::Close
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).proxy("workers = 1").start();
    let mut client = sidecar.client();

    assert_eq!(client.call(&get("/first")).status, 200);
    client.call(&put("/second", "hello")).assert_problem(502, "unknown");

    let seen: Vec<String> = upstream.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(seen, ["/first", "/second"]);
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_given_up() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).legacy("timeout = \"300ms\"").start();
    let start = Instant::now();

    sidecar.call(&put("/x", "hello")).assert_problem(504, "unknown");

    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
    gate.open();
    assert_eq!(upstream.only_request().body, b"hello");
}

#[test]
fn a_late_answer_is_nobody_elses() {
    let gate = Gate::shut();
    let upstream = Upstream::running({
        let gate = gate.clone();
        move |exchange| match exchange.request.target.as_str() {
            "/slow" => {
                gate.pass();
                exchange.ok("late")
            }
            _ => exchange.ok("right"),
        }
    });
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("workers = 1").legacy("timeout = \"300ms\"").start();
    let mut client = sidecar.client();

    assert_eq!(client.call(&get("/slow")).status, 504);
    gate.open();

    for _ in 0..5 {
        assert_eq!(client.call(&get("/x")).text(), "right");
    }
}

#[test]
fn an_answer_that_is_no_http_is_a_bad_gateway() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    ] {
        let upstream = dying_after(answer, || Next::Close);
        let sidecar = Sidecar::in_front_of(&upstream).start();

        let response = sidecar.call(&put("/x", "hello"));

        assert_eq!(response.status, 502, "{answer:?}");
        response.assert_problem(502, "unknown");
        assert_eq!(upstream.requests().len(), 1, "{answer:?}");
    }
}

#[test]
fn an_answer_with_two_framings_is_refused_or_made_unambiguous() {
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let upstream = Upstream::running(move |exchange| {
            exchange.reply(answer.as_bytes());
            Next::Close
        });
        let sidecar = Sidecar::in_front_of(&upstream).start();

        // The client's reader takes no message that is framed in two ways, or in one that it doesn't know.
        let response = sidecar.call(&get("/x"));

        match response.status {
            200 => assert_eq!(response.text(), "hello", "{framing:?}"),
            status => assert_eq!(status, 502, "{framing:?}"),
        }
    }
}

#[test]
fn an_answer_in_a_coding_that_would_be_lost_on_the_way_is_a_bad_gateway() {
    for coding in ["gzip, chunked", "chunked, chunked", "gzip", "chunked, gzip"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let upstream = Upstream::running(move |exchange| {
            exchange.reply(answer.as_bytes());
            Next::Close
        });
        let sidecar = Sidecar::in_front_of(&upstream).start();

        assert_eq!(sidecar.call(&get("/x")).status, 502, "{coding:?}");
    }
}

#[test]
fn a_folded_or_spaced_header_of_an_answer_is_refused_or_put_right() {
    for line in ["X: a\r\n b", "X : a"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\nok");
        let upstream = Upstream::running(move |exchange| exchange.reply(answer.as_bytes()));
        let sidecar = Sidecar::in_front_of(&upstream).start();

        // The client's reader takes neither.
        let response = sidecar.call(&get("/x"));

        assert!(matches!(response.status, 200 | 502), "{response:?} to {line:?}");
    }
}

#[test]
fn an_answer_with_an_endless_head_is_cut() {
    let upstream = Upstream::running(|exchange: &mut Exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\n");
        let line = format!("X: {}\r\n", "y".repeat(1000));
        // Far beyond any limit, if it were taken.
        for _ in 0..100_000 {
            if !exchange.send(line.as_bytes()) {
                break;
            }
        }
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let before = sidecar.memory("VmRSS:");

    assert_eq!(sidecar.call(&get("/x")).status, 502);

    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < 20 << 20, "{extra} bytes more than before");
}

#[test]
fn an_upstream_that_says_too_much_does_not_poison_the_next_call() {
    let upstream = Upstream::running(|exchange| {
        match exchange.request.target.as_str() {
        "/first" => exchange.reply(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        _ => exchange.ok("right"),
    }
    });
    let sidecar = Sidecar::in_front_of(&upstream).proxy("workers = 1").start();
    let mut client = sidecar.client();

    assert_eq!(client.call(&get("/first")).text(), "ok");
    for _ in 0..3 {
        let response = client.call(&get("/next"));
        assert_ne!(response.text(), "poison", "{response:?}");
    }
}

#[test]
fn an_upstream_that_falls_silent_inside_an_answer_is_given_up() {
    let gate = Gate::shut();
    let upstream = Upstream::running({
        let gate = gate.clone();
        move |exchange| {
            exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
            gate.pass();
            Next::Close
        }
    });
    let sidecar = Sidecar::in_front_of(&upstream).proxy("body_timeout = \"500ms\"").start();
    let mut client = sidecar.client();

    client.send(&get("/x"));

    assert_eq!(client.try_response().map(|r| r.status), Err(ReadError::Closed));
    gate.open();
}

#[test]
fn a_sidecar_outlives_its_upstream() {
    let port = ReservedPort::new();
    let sidecar = Sidecar::at(&format!("http://{}", port.address()))
        .legacy("connect_timeout = \"100ms\"")
        .start();

    assert_eq!(sidecar.call(&get("/x")).status, 503);
    let _upstream = Upstream::running_at(&port, |exchange| exchange.ok("back"));

    until("the upstream to be found", || sidecar.call(&get("/x")).status == 200);
}

#[test]
fn many_failures_at_once_leave_nothing_behind() {
    let upstream = Upstream::running(|exchange| {
        exchange.read_body();
        Next::Reset
    });
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let calls: Vec<_> = (0..50)
        .map(|n| {
            let mut client = sidecar.client();
            thread::spawn(move || client.call(&put(&segment_of(format!("J{n}"), 1), "{}")).status)
        })
        .collect();

    assert!(calls.into_iter().all(|call| call.join().unwrap() == 502));
    assert_eq!(upstream.requests().len(), 50);
    sidecar.wait_for_metric("interlock_inflight_requests", &[], 0.0);
}
