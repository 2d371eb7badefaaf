//! Message framing by RFC 9112 to the letter: what is ambiguous is refused, closes the connection, and reaches nobody.

use crate::support::{Framing, Raw, Sidecar, Upstream, get};

/// A sidecar that is sent what it must refuse.
pub(crate) struct Front {
    pub(crate) upstream: Upstream,
    pub(crate) sidecar: Sidecar,
}

impl Front {
    pub(crate) fn new() -> Self {
        let upstream = Upstream::echoing_targets();
        let sidecar = Sidecar::in_front_of(&upstream).start();
        Self { upstream, sidecar }
    }

    /// Checks that a request is answered with one of `statuses` and that the connection is closed after it.
    #[track_caller]
    pub(crate) fn refuses(&self, request: impl AsRef<[u8]>, statuses: &[u16]) {
        let request = request.as_ref();
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        let mut client = self.sidecar.client();

        // It may be refused, and the connection closed, before its end was sent.
        drop(client.try_send(request));

        let response = client.try_response();
        let response = response.unwrap_or_else(|error| panic!("{error:?} to {shown:?}"));
        assert!(statuses.contains(&response.status), "{} to {shown:?}", response.status);
        assert!(client.closed(), "still open after {shown:?}");
    }

    /// Checks that nothing but what is sent now arrives upstream whole, on whatever connection: had bytes of a refused
    /// request been passed on, they would stand before this one.
    #[track_caller]
    pub(crate) fn has_passed_nothing_on(&self) {
        let response = self.sidecar.call(&get("/afterwards"));

        assert_eq!(response.text(), "/afterwards");
        assert_eq!(self.upstream.complete_targets(), ["/afterwards"]);
    }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n\r\n{body}")
}

#[test]
fn both_content_length_and_transfer_encoding_are_refused_in_either_order() {
    let front = Front::new();
    let body = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";

    front.refuses(post("Content-Length: 5\r\nTransfer-Encoding: chunked", body), &[400]);
    front.refuses(post("Transfer-Encoding: chunked\r\nContent-Length: 5", body), &[400]);
    front.refuses(post("Transfer-Encoding: chunked\r\ncontent-length: 0", body), &[400]);

    front.has_passed_nothing_on();
}

#[test]
fn different_content_lengths_are_refused() {
    let front = Front::new();

    front.refuses(post("Content-Length: 5\r\nContent-Length: 6", "hello!"), &[400]);
    front.refuses(post("Content-Length: 5\r\nX: y\r\ncontent-length: 0", "hello"), &[400]);
    front.refuses(post("Content-Length: 5, 6", "hello!"), &[400]);

    front.has_passed_nothing_on();
}

#[test]
fn a_content_length_that_is_no_plain_number_is_refused() {
    let front = Front::new();

    for value in
        ["+5", "-5", "-0", "0x5", "5x", "x", "5 5", "5.0", "5;", "\"5\"", "", "5,", ",5", "\u{b2}"]
    {
        front.refuses(post(&format!("Content-Length: {value}"), "hello"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_content_length_beyond_any_number_is_refused() {
    let front = Front::new();

    for value in ["18446744073709551615", "18446744073709551621", &"9".repeat(64)] {
        front.refuses(post(&format!("Content-Length: {value}"), "hello"), &[400, 413, 431]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn the_same_content_length_twice_is_refused_or_passed_on_once() {
    for headers in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"] {
        let front = Front::new();

        let response = front.sidecar.call(post(headers, "hello").as_bytes());

        match response.status {
            200 => {
                let request = front.upstream.only_request();
                assert_eq!(request.headers.framing(), Ok(Some(Framing::Length(5))));
                assert_eq!(request.body, b"hello");
            }
            status => assert_eq!((status, front.upstream.requests().len()), (400, 0)),
        }
    }
}

#[test]
fn a_transfer_encoding_other_than_chunked_is_refused() {
    let front = Front::new();
    let chunked = "5\r\nhello\r\n0\r\n\r\n";

    front.refuses(post("Transfer-Encoding: gzip, chunked", chunked), &[501]);
    for value in [
        "chunked, chunked",
        "chunked, gzip",
        "chunked, identity",
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "\"chunked\"",
        "chunked;q=1",
        "\u{b}chunked",
        "chunked\u{b}",
        "",
    ] {
        front.refuses(post(&format!("Transfer-Encoding: {value}"), chunked), &[400, 501]);
    }
    for lines in ["chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity"]
    {
        front.refuses(post(&format!("Transfer-Encoding: {lines}"), chunked), &[400, 501]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_transfer_encoding_in_http_1_0_is_refused() {
    let front = Front::new();

    front.refuses(
        "POST /x HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400, 501],
    );

    front.has_passed_nothing_on();
}

#[test]
fn control_bytes_in_a_header_are_refused() {
    let front = Front::new();

    for line in ["X: a\rb", "X: a\r", "X: \rb", "X: a\0b", "X: \0", "X\0: a", "X\r: a"] {
        front.refuses(post(line, ""), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_folded_header_is_refused() {
    let front = Front::new();

    for lines in [
        "X: a\r\n b",
        "X: a\r\n\tb",
        " X: a",
        "X: a\r\n \r\nY: b",
        "Transfer-Encoding:\r\n chunked",
    ] {
        front.refuses(post(lines, ""), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_malformed_field_name_is_refused() {
    let front = Front::new();

    for line in [
        "X : a",
        "X\t: a",
        "Content-Length : 5",
        ": a",
        "X a",
        "X Y: a",
        "X(Y): a",
        "\u{e9}: a",
        "X",
    ] {
        front.refuses(post(line, "hello"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn exactly_one_host_is_demanded() {
    let front = Front::new();
    let request = |hosts: &str| format!("GET /x HTTP/1.1\r\n{hosts}\r\n");

    front.refuses(request(""), &[400]);
    front.refuses(request("Host: app.test\r\nHost: other.test\r\n"), &[400]);
    front.refuses(request("Host: app.test\r\nHost: app.test\r\n"), &[400]);

    front.has_passed_nothing_on();
}

#[test]
fn a_host_that_is_no_host_and_port_is_refused() {
    let front = Front::new();

    for host in [
        "a b",
        "a/b",
        "user@app.test",
        "http://app.test",
        "[::1",
        "a\\b",
        "a?b",
        "a#b",
        "<a>",
        "app.test:x",
        "app.test:1:2",
    ] {
        front.refuses(format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn an_absolute_target_does_not_excuse_a_bad_host() {
    let front = Front::new();

    for hosts in ["", "Host: a b\r\n", "Host: app.test\r\nHost: app.test\r\n"] {
        front.refuses(format!("GET http://app.test/x HTTP/1.1\r\n{hosts}\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn http_1_0_needs_no_host() {
    let front = Front::new();

    let response = front.sidecar.call(b"GET /old HTTP/1.0\r\n\r\n");

    assert_eq!((response.status, response.text()), (200, "/old".to_owned()));
}

#[test]
fn a_bare_line_feed_is_never_passed_on() {
    let front = Front::new();

    for request in [
        "GET /lf HTTP/1.1\nHost: app.test\n\n",
        "GET /lf HTTP/1.1\r\nHost: app.test\nX: y\r\n\r\n",
        "GET /lf HTTP/1.1\nHost: app.test\r\n\n",
    ] {
        let status = front.sidecar.call(request.as_bytes()).status;
        assert!(matches!(status, 200 | 400), "{status} to {request:?}");
    }

    // The upstream's reader takes CRLF alone, and would have complained.
    assert!(front.upstream.complete_targets().iter().all(|target| target == "/lf"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let front = Front::new();
    let targets: Vec<String> = (0..10).map(|n| format!("/pipelined/{n}")).collect();
    let mut client = front.sidecar.client();

    client.send(&targets.iter().flat_map(|target| get(target)).collect::<Vec<u8>>());

    let answers: Vec<String> = targets.iter().map(|_| client.response().text()).collect();
    assert_eq!(answers, targets);
    assert_eq!(front.upstream.complete_targets(), targets);
}

#[test]
fn a_malformed_request_after_a_good_one_leaves_the_good_answer_alone() {
    let front = Front::new();
    let mut client = front.sidecar.client();

    client.send(&[get("/good"), get("/bad\0")].concat());

    assert_eq!(client.response().text(), "/good");
    assert_eq!(client.response().status, 400);
    assert!(client.closed());
    assert_eq!(front.upstream.complete_targets(), ["/good"]);
}

#[test]
fn a_body_that_looks_like_a_request_is_none() {
    let front = Front::new();
    let inner = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let mut client: Raw = front.sidecar.client();

    let first = client.call(
        format!(
            "GET /outer HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        )
        .as_bytes(),
    );
    let second = client.call(&get("/next"));

    assert_eq!((first.text(), second.text()), ("/outer".to_owned(), "/next".to_owned()));
    assert_eq!(front.upstream.complete_targets(), ["/outer", "/next"]);
}
