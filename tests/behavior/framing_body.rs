//! Bodies: what a client breaks off or garbles never arrives upstream as a whole message.

use crate::framing::Front;
use crate::support::{Framing, Sidecar, Upstream, until};

const CHUNKED: &str = "POST /x HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_malformed_chunk_size_is_refused() {
    let front = Front::new();

    for size in [
        "g",
        "-1",
        "+5",
        "0x5",
        "",
        " 5",
        "5 5",
        "5.",
        "\"5\"",
        "5\nhello\r\n",
        "5;a\nb",
        "5\rx",
        "\u{e9}",
    ] {
        front.refuses(format!("{CHUNKED}{size}\r\nhello\r\n0\r\n\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_chunk_size_beyond_any_number_is_refused() {
    let front = Front::new();

    for size in ["10000000000000005", "fffffffffffffffff", &"f".repeat(100)] {
        front.refuses(format!("{CHUNKED}{size}\r\nhello\r\n0\r\n\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_chunk_that_does_not_end_where_it_says_is_refused() {
    let front = Front::new();

    for body in [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rx0\r\n\r\n",
    ] {
        front.refuses(format!("{CHUNKED}{body}"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn malformed_trailers_are_refused() {
    let front = Front::new();

    for trailer in ["no colon", "X : y", "X: a\0b", "X: a\rb", " X: folded"] {
        front.refuses(format!("{CHUNKED}5\r\nhello\r\n0\r\n{trailer}\r\n\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn chunk_extensions_are_ignored() {
    let front = Front::new();

    let request = format!("{CHUNKED}5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n");
    let response = front.sidecar.call(request.as_bytes());

    assert_eq!(response.status, 200);
    assert_eq!(front.upstream.only_request().body, b"hello");
}

#[test]
fn a_chunked_body_arrives_as_it_was_sent() {
    let front = Front::new();

    let request = format!("{CHUNKED}5\r\nhello\r\n0001\r\n \r\n00B\r\nupstream up\r\n000\r\n\r\n");
    let response = front.sidecar.call(request.as_bytes());

    assert_eq!(response.status, 200);
    let request = front.upstream.only_request();
    assert_eq!(
        (request.body.as_slice(), request.complete),
        (b"hello upstream up".as_slice(), true)
    );
}

#[test]
fn a_body_with_a_length_keeps_it() {
    let front = Front::new();

    let head = "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\r\n";
    let response = front.sidecar.call(format!("{head}hello").as_bytes());

    assert_eq!(response.status, 200);
    let request = front.upstream.only_request();
    assert_eq!(request.headers.framing(), Ok(Some(Framing::Length(5))));
    assert_eq!(request.body, b"hello");
}

#[test]
fn an_empty_body_stays_empty() {
    let front = Front::new();

    for (target, headers) in [("/zero", "Content-Length: 0\r\n"), ("/none", "")] {
        let request = format!("POST {target} HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n");
        assert_eq!(front.sidecar.call(request.as_bytes()).text(), target);
    }

    assert!(front.upstream.requests().iter().all(|r| r.complete && r.body.is_empty()));
}

#[test]
fn a_body_that_is_broken_off_never_arrives_whole() {
    let upstream = Upstream::running(|exchange| exchange.ok("whole"));
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let with_length = "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 50\r\n\r\n".to_owned();
    let broken_off = [
        format!("{CHUNKED}5\r\nhello\r\n"),
        format!("{CHUNKED}5\r\nhel"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\n"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\nX: y\r\n"),
        with_length + "only this",
    ];

    for (number, request) in broken_off.iter().enumerate() {
        let mut client = sidecar.client();
        client.send(request.as_bytes());
        upstream.wait_for(number + 1);
        client.finish_sending();

        let answer = client.try_response();

        assert!(answer.as_ref().is_ok_and(|r| r.status != 200) || answer.is_err(), "{answer:?}");
        until("the upstream to see the end", || {
            sidecar.metrics().sum("interlock_inflight_requests", &[]) == Some(0.0)
        });
        assert!(upstream.requests().iter().all(|request| !request.complete), "{request}");
    }
}
