//! Answers without a body, and what comes before the final answer: `HEAD`, 204, 304, 1xx, `Expect: 100-continue`.

use crate::support::{Next, Sidecar, Upstream, get, put, serialized, status_of};

#[test]
fn an_answer_to_head_has_the_length_and_no_body() {
    for framing in ["Content-Length: 12345", "Transfer-Encoding: chunked", "X: y"] {
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n");
        let upstream = Upstream::running(move |exchange| match exchange.request.method.as_str() {
            "HEAD" => exchange.reply(head.as_bytes()),
            _ => exchange.ok("next"),
        });
        let sidecar = Sidecar::in_front_of(&upstream).start();
        let mut client = sidecar.client();

        client.send(b"HEAD /x HTTP/1.1\r\nHost: app.test\r\n\r\n");
        let response = client.response_to_head();

        assert_eq!(response.status, 200);
        if let Some(length) = framing.strip_prefix("Content-Length: ") {
            assert_eq!(response.headers.get("content-length"), Some(length));
        }
        assert_eq!(client.call(&get("/next")).text(), "next", "after {framing}");
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_in_step() {
    for (bodiless, status) in [
        ("HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n", 304),
        ("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nContent-Length: 100\r\n\r\n", 304),
    ] {
        let upstream = Upstream::running(move |exchange| match exchange.request.target.as_str() {
            "/bodiless" => exchange.reply(bodiless.as_bytes()),
            _ => exchange.ok("next"),
        });
        let sidecar = Sidecar::in_front_of(&upstream).start();
        let mut client = sidecar.client();

        let response = client.call(&get("/bodiless"));

        assert_eq!(response.status, status);
        assert!(!response.headers.has("transfer-encoding"), "{response:?}");
        assert!(status != 204 || !response.headers.has("content-length"), "{response:?}");
        assert_eq!(client.call(&get("/next")).text(), "next");
    }
}

#[test]
fn a_status_that_nobody_knows_passes() {
    for status in [200, 226, 299, 404, 418, 451, 499, 503, 599] {
        let response = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 4\r\n\r\nbody");
        let upstream = Upstream::running(move |exchange| exchange.reply(response.as_bytes()));
        let sidecar = Sidecar::in_front_of(&upstream).start();

        let response = sidecar.call(&get("/x"));

        assert_eq!((response.status, response.text()), (status, "body".to_owned()));
    }
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n");
        exchange.ok("whole")
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(
        b"PUT /x HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let interim = client.interim();
    client.send(b"hello");
    let response = client.response();

    assert_eq!(interim, 100);
    assert_eq!((response.status, response.text()), (200, "whole".to_owned()));
    assert_eq!(upstream.only_request().body, b"hello");
}

#[test]
fn a_client_that_waits_for_100_is_served_by_an_app_that_never_says_it() {
    let upstream = Upstream::running(|exchange| exchange.ok("whole"));
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(
        b"PUT /x HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    let interim = client.interim();
    client.send(b"hello");
    let response = client.response();

    assert_eq!((interim, response.text()), (100, "whole".to_owned()));
    assert_eq!(upstream.only_request().body, b"hello");
}

#[test]
fn an_update_may_wait_for_100_as_well() {
    let upstream = Upstream::running(|exchange| exchange.ok("whole"));
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let mut client = sidecar.client();

    let path = status_of("J1");
    client.send(
        format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            .as_bytes(),
    );
    let interim = client.interim();
    client.send(b"hello");
    let response = client.response();

    assert_eq!((interim, response.text()), (100, "whole".to_owned()));
    assert_eq!(upstream.only_request().body, b"hello");
}

#[test]
fn a_refusal_reaches_a_client_that_waits_for_100_before_its_body() {
    let upstream = Upstream::running(|exchange| {
        exchange
            .send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(b"PUT /x HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 50000\r\n\r\n");
    let response = client.response();

    assert_eq!((response.status, response.text()), (403, "no".to_owned()));
}

#[test]
fn an_answer_that_comes_before_the_request_is_whole_passes() {
    let upstream = Upstream::running(|exchange| {
        exchange
            .send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        // Reading on lets the answer arrive: closing now would reset the connection.
        exchange.read_body();
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(b"PUT /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 50000\r\n\r\nonly this");
    let response = client.response();

    assert_eq!((response.status, response.text()), (413, "no".to_owned()));
}

#[test]
fn interim_answers_do_not_stand_in_the_way_of_the_final_one() {
    let upstream = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal",
    );
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    for _ in 0..2 {
        assert_eq!(client.call(&put("/x", "y")).text(), "final");
    }
}
