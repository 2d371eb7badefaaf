//! Header fields: which pass, which don't, and which the sidecar adds.

use crate::support::{
    Headers, JOURNEYS, Recorded, Response, Sidecar, Upstream, get, put, segment_of, serialized,
};

/// Sends one request with these header lines; returns what arrived.
fn upstream_sees(lines: &str) -> Recorded {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let request = format!("GET /x HTTP/1.1\r\nHost: app.test:8080\r\n{lines}\r\n\r\n");
    let response = sidecar.call(request.as_bytes());

    assert_eq!(response.status, 200);
    upstream.only_request()
}

/// Has the upstream answer with these header lines; returns what the client gets.
fn client_sees(lines: &str) -> Response {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\n\r\nok");
    let upstream = Upstream::running(move |exchange| exchange.reply(response.as_bytes()));
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar.call(&get("/x"));

    assert_eq!((response.status, response.text()), (200, "ok".to_owned()));
    response
}

fn assert_none_of(headers: &Headers, names: &[&str]) {
    for name in names {
        assert!(!headers.has(name), "{name}: {:?}", headers.all(name));
    }
}

#[test]
fn hop_by_hop_fields_of_a_request_end_here() {
    let request = upstream_sees(
        "Connection: keep-alive, X-Hop\r\nConnection: x-other-hop\r\nX-Hop: 1\r\nX-Other-Hop: 2\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: deflate\r\nX-End: 3",
    );

    assert_none_of(
        &request.headers,
        &["x-hop", "x-other-hop", "keep-alive", "proxy-connection", "te"],
    );
    assert!(!request.headers.list("connection").iter().any(|o| o.to_lowercase().contains("hop")));
    assert_eq!(request.headers.get("x-end"), Some("3"));
}

#[test]
fn hop_by_hop_fields_of_a_response_end_here() {
    let response = client_sees(
        "Connection: keep-alive, X-Hop\r\nConnection: x-other-hop\r\nX-Hop: 1\r\nX-Other-Hop: 2\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nX-End: 3",
    );

    assert_none_of(&response.headers, &["x-hop", "x-other-hop", "keep-alive", "proxy-connection"]);
    assert!(!response.headers.list("connection").iter().any(|o| o.to_lowercase().contains("hop")));
    assert_eq!(response.headers.get("x-end"), Some("3"));
}

#[test]
fn connection_cannot_name_away_what_a_message_needs() {
    let upstream = Upstream::running(|exchange| exchange.ok("ok"));
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar.call(
        b"POST /x HTTP/1.1\r\nHost: app.test\r\nConnection: Host, Content-Length, X-Forwarded-For\r\n\
          Content-Length: 5\r\n\r\nhello",
    );

    assert_eq!(response.status, 200);
    let request = upstream.only_request();
    assert_eq!(
        (request.headers.get("host"), request.body.as_slice()),
        (Some("app.test"), b"hello".as_slice())
    );
    assert!(request.headers.list("x-forwarded-for").contains(&"127.0.0.1".to_owned()));
}

#[test]
fn an_upgrade_to_h2c_is_not_passed_on() {
    let request = upstream_sees(
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    );

    assert_none_of(&request.headers, &["upgrade", "http2-settings"]);
}

#[test]
fn the_host_stays_as_the_client_wrote_it() {
    assert_eq!(upstream_sees("X: y").headers.get("host"), Some("app.test:8080"));
}

#[test]
fn an_interlock_field_from_a_client_is_removed() {
    let request = upstream_sees(
        "Interlock-Path: fixed\r\ninterlock-shadow: 1\r\nINTERLOCK-FENCING-TOKEN: 9\r\n\
         Interlock-Anything: x\r\nInterlocking: stays",
    );

    assert_none_of(
        &request.headers,
        &["interlock-shadow", "interlock-fencing-token", "interlock-anything"],
    );
    assert!(!request.headers.all("interlock-path").contains(&"fixed"));
    assert_eq!(request.headers.get("interlocking"), Some("stays"));
}

#[test]
fn the_client_is_appended_to_x_forwarded_for() {
    let none_before = upstream_sees("X: y").headers;
    let some_before =
        upstream_sees("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2").headers;

    assert_eq!(none_before.list("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(some_before.list("x-forwarded-for"), ["192.0.2.1", "192.0.2.2", "127.0.0.1"]);
}

#[test]
fn x_forwarded_proto_and_host_say_what_the_client_used() {
    let headers = upstream_sees("X: y").headers;

    assert_eq!(headers.get("x-forwarded-proto"), Some("http"));
    assert_eq!(headers.get("x-forwarded-host"), Some("app.test:8080"));
}

#[test]
fn forwarded_keeps_what_earlier_proxies_said() {
    let headers = upstream_sees("Forwarded: for=192.0.2.1;proto=https").headers;

    assert_eq!(
        headers.list("forwarded").first().map(String::as_str),
        Some("for=192.0.2.1;proto=https")
    );
}

#[test]
fn via_is_appended_with_the_version_that_came_in() {
    let http_1_1 = upstream_sees("Via: 1.0 fred").headers.list("via");

    assert_eq!((http_1_1.len(), http_1_1[0].as_str()), (2, "1.0 fred"));
    assert!(http_1_1[1].starts_with("1.1 "), "{http_1_1:?}");
}

#[test]
fn a_forwarded_request_has_the_sidecars_own_version() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    sidecar.call(b"GET /old HTTP/1.0\r\nHost: app.test\r\n\r\n");

    let request = upstream.only_request();
    assert_eq!(request.version, "HTTP/1.1");
    assert!(request.headers.list("via").last().is_some_and(|via| via.starts_with("1.0 ")));
}

#[test]
fn end_to_end_fields_pass_unchanged_and_in_order() {
    let lines = "X-A: 1\r\nX-B: 2\r\nX-A: 3, 4\r\nX-Empty:\r\nCookie: a=b; c=d\r\nX-A: 5\r\n\
                 Authorization: Basic eDp5\r\nIdempotency-Key: \"k 1\"\r\n\
                 traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                 tracestate: a=1,b=2\r\nAccept-Encoding: gzip;q=0.5";
    let headers = upstream_sees(lines).headers;

    assert_eq!(headers.all("x-a"), ["1", "3, 4", "5"]);
    for line in lines.split("\r\n").filter(|line| !line.starts_with("X-A")) {
        let (name, value) = line.split_once(':').unwrap();
        assert_eq!(headers.get(name), Some(value.trim()), "{name}");
    }
    assert!(!headers.has("user-agent") && !headers.has("accept"), "{headers:?}");
}

#[test]
fn bytes_beyond_ascii_pass_in_values() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    sidecar.call(b"GET /x HTTP/1.1\r\nHost: app.test\r\nX: caf\xE9 \xF0\x9F\x9A\x82\r\n\r\n");

    assert_eq!(
        upstream.only_request().headers.get("x"),
        Some("caf\u{e9} \u{f0}\u{9f}\u{9a}\u{82}")
    );
}

#[test]
fn fields_of_a_response_pass_unchanged_and_in_order() {
    let headers = client_sees(
        "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\nServer: legacy/1.0\r\nSet-Cookie: a=1\r\n\
         Content-Type: text/x; a=b\r\nSet-Cookie: b=2; Path=/\r\nETag: \"v1\"\r\nX-Empty:",
    )
    .headers;

    assert_eq!(headers.get("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert_eq!(headers.get("server"), Some("legacy/1.0"));
    assert_eq!(headers.all("set-cookie"), ["a=1", "b=2; Path=/"]);
    assert_eq!(headers.get("content-type"), Some("text/x; a=b"));
    assert_eq!((headers.get("etag"), headers.get("x-empty")), (Some("\"v1\""), Some("")));
}

#[test]
fn nobody_is_told_of_a_server_that_the_app_did_not_name() {
    assert_none_of(&client_sees("X: y").headers, &["server", "x-powered-by"]);
}

#[test]
fn a_legacy_update_says_so_upstream_and_to_the_client() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).start();

    let response = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    assert_eq!(response.headers.get("interlock-path"), Some("legacy"));
    let headers = upstream.only_request().headers;
    assert_eq!(headers.get("interlock-path"), Some("legacy"));
    assert_eq!(headers.get("interlock-flag"), Some(JOURNEYS));
    assert_none_of(&headers, &["interlock-fencing-token"]);
}

#[test]
fn a_fixed_update_says_so_and_carries_its_leases_number() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let response = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    assert_eq!(response.headers.get("interlock-path"), Some("fixed"));
    let headers = upstream.only_request().headers;
    assert_eq!(headers.get("interlock-path"), Some("fixed"));
    assert_eq!(headers.get("interlock-flag"), Some(JOURNEYS));
    let token = headers.get("interlock-fencing-token").expect("a fencing token");
    assert!(token.parse::<u64>().is_ok(), "{token:?}");
}

#[test]
fn the_app_cannot_say_which_path_served() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nInterlock-Path: fixed\r\nInterlock-Outcome: unknown\r\n\r\n",
    );
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).start();

    let response = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    assert_eq!(response.headers.all("interlock-path"), ["legacy"]);
}

#[test]
fn the_path_may_be_kept_from_clients() {
    let upstream = Upstream::echoing_targets();
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("path_header = false").with(&serialized(100)).start();

    let response = sidecar.call(&put(&segment_of("J1", 1), "{}"));

    assert_none_of(&response.headers, &["interlock-path"]);
    assert_eq!(upstream.only_request().headers.get("interlock-path"), Some("fixed"));
}
