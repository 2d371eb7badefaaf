//! Request lines, targets and sizes of heads.

use crate::framing::Front;
use crate::support::{ReadError, Sidecar, Upstream, get, until};

#[test]
fn a_malformed_request_line_is_refused() {
    let front = Front::new();

    for line in [
        "G(T /x HTTP/1.1",
        "G\u{e9}T /x HTTP/1.1",
        " GET /x HTTP/1.1",
        "GET  /x HTTP/1.1",
        "GET /x  HTTP/1.1",
        "GET /x HTTP/1.1 ",
        "GET /x y HTTP/1.1",
        "GET\t/x HTTP/1.1",
        "GET /x\tHTTP/1.1",
        "GET /x\rHTTP/1.1",
        "GET /\r/x HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /x",
        "GET x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /x HTTP/1.1\r",
        "\u{16}\u{3}\u{1}\u{2}",
    ] {
        front.refuses(format!("{line}\r\nHost: app.test\r\n\r\n"), &[400]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn another_protocol_is_refused() {
    let front = Front::new();

    for version in [
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/3",
        "HTTP/1",
        "HTTP/1.x",
        "HTTP/11.1",
        "http/1.1",
        "ICY/1.1",
        "HTTP/ 1.1",
    ] {
        front.refuses(format!("GET /x {version}\r\nHost: app.test\r\n\r\n"), &[400, 505]);
    }

    front.has_passed_nothing_on();
}

#[test]
fn a_client_that_assumes_http_2_is_turned_away() {
    let front = Front::new();
    let mut client = front.sidecar.client();

    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");

    // It could make nothing of an answer in HTTP/1.1, so there may be none.
    match client.try_response() {
        Ok(response) => assert!(matches!(response.status, 400 | 505), "{response:?}"),
        Err(error) => assert_eq!(error, ReadError::Closed),
    }
    assert!(client.closed());
    front.has_passed_nothing_on();
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let front = Front::new();

    let response = front.sidecar.call(&[b"\r\n".to_vec(), get("/late")].concat());

    assert_eq!(response.text(), "/late");
}

#[test]
fn an_absolute_target_decides_the_host() {
    for (target, path, host) in [
        ("http://target.test:81/x?y=1", "/x?y=1", "target.test:81"),
        ("http://target.test/", "/", "target.test"),
        ("http://target.test", "/", "target.test"),
        ("http://target.test?y=1", "/?y=1", "target.test"),
    ] {
        let front = Front::new();

        let request = format!("GET {target} HTTP/1.1\r\nHost: header.test\r\n\r\n");
        let response = front.sidecar.call(request.as_bytes());

        assert_eq!(response.status, 200, "{target}");
        let request = front.upstream.only_request();
        assert_eq!((request.target.as_str(), request.headers.get("host")), (path, Some(host)));
    }
}

#[test]
fn user_information_in_a_target_is_never_passed_on() {
    let front = Front::new();

    let response =
        front.sidecar.call(b"GET http://user:pw@target.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n");

    assert!(matches!(response.status, 200 | 400), "{response:?}");
    for request in front.upstream.requests() {
        assert!(!String::from_utf8_lossy(&request.head).contains("user:pw"));
    }
}

#[test]
fn a_target_passes_as_it_came() {
    let front = Front::new();

    for target in [
        "/",
        "//",
        "/a//b/./c/../d",
        "/%41%2f%2e%zz",
        "/a;b=c,d",
        "/?",
        "/?a?b/c",
        "/a+b?c+d=%20",
        "/~a!$&'()*",
    ] {
        assert_eq!(front.sidecar.call(&get(target)).text(), target);
    }
}

#[test]
fn connect_is_refused() {
    let front = Front::new();

    front.refuses(
        "CONNECT target.test:443 HTTP/1.1\r\nHost: target.test:443\r\n\r\n",
        &[400, 405, 501],
    );

    front.has_passed_nothing_on();
}

#[test]
fn trace_shows_nobody_what_the_sidecar_adds() {
    let front = Front::new();

    let response =
        front.sidecar.call(b"TRACE /x HTTP/1.1\r\nHost: app.test\r\nCookie: secret\r\n\r\n");

    assert!(matches!(response.status, 200 | 405 | 501), "{response:?}");
    assert!(!response.text().contains("secret"), "{}", response.text());
}

#[test]
fn options_may_be_about_the_server_as_a_whole() {
    let front = Front::new();

    let response = front.sidecar.call(b"OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n");

    assert_eq!((response.status, response.text()), (200, "*".to_owned()));
}

#[test]
fn max_forwards_is_counted_down_and_ends_here_at_zero() {
    let front = Front::new();
    let options = |left: &str| {
        format!("OPTIONS /x HTTP/1.1\r\nHost: app.test\r\nMax-Forwards: {left}\r\n\r\n")
    };

    let ended = front.sidecar.call(options("0").as_bytes());
    front.sidecar.call(options("5").as_bytes());

    assert!(ended.status < 500, "{ended:?}");
    assert_eq!(front.upstream.only_request().headers.get("max-forwards"), Some("4"));
}

#[test]
fn a_request_line_of_8000_octets_passes() {
    let front = Front::new();
    let target = format!("/{}", "x".repeat(8_000));

    assert_eq!(front.sidecar.call(&get(&target)).text(), target);
}

#[test]
fn a_target_that_is_far_too_long_is_refused() {
    let front = Front::new();

    front.refuses(get(&format!("/{}", "x".repeat(70 * 1024))), &[414, 431]);

    front.has_passed_nothing_on();
}

#[test]
fn a_target_and_a_header_that_are_too_long_are_told_apart_in_the_answer_and_in_the_count() {
    let front = Front::new();
    let counted = |reason| {
        let count =
            front.sidecar.metrics().sum("interlock_client_errors_total", &[("reason", reason)]);
        count.unwrap_or_else(|| panic!("no {reason}"))
    };
    let target = get(&format!("/{}", "x".repeat(40 * 1024)));
    let header =
        format!("GET /x HTTP/1.1\r\nHost: app.test\r\nX: {}\r\n\r\n", "y".repeat(40 * 1024));

    front.refuses(&target, &[414]);
    until("the target to be counted", || counted("uri_too_long") == 1.0);
    assert_eq!(counted("headers_too_large"), 0.0);
    front.refuses(header, &[431]);
    until("the header to be counted", || counted("headers_too_large") == 1.0);
    assert_eq!(counted("uri_too_long"), 1.0);
    // The next call on a connection is read as the first one is.
    let mut client = front.sidecar.client();
    client.send(&get("/first"));
    assert_eq!(client.response().status, 200);
    drop(client.try_send(&target));
    assert_eq!(client.response().status, 414);
    until("the second target to be counted", || counted("uri_too_long") == 2.0);
}

#[test]
fn a_header_block_beyond_the_limit_is_refused() {
    let front = Front::new();
    let request = |headers: &str| format!("GET /x HTTP/1.1\r\nHost: app.test\r\n{headers}\r\n");

    front.refuses(request(&format!("X: {}\r\n", "y".repeat(40 * 1024))), &[431]);
    front.refuses(request(&format!("X: {}\r\n", "y".repeat(1024)).repeat(40)), &[431]);

    front.has_passed_nothing_on();
}

#[test]
fn the_limit_of_a_header_block_is_the_configured_one() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).proxy("max_headers = \"16KiB\"").start();
    let request = |size: usize| {
        format!("GET /x HTTP/1.1\r\nHost: app.test\r\nX: {}\r\n\r\n", "y".repeat(size)).into_bytes()
    };

    let (within, beyond) = (sidecar.call(&request(12 * 1024)), sidecar.call(&request(20 * 1024)));

    assert_eq!((within.status, beyond.status), (200, 431));
}
