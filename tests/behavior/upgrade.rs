//! Upgrades: a tunnel where both sides agree, an ordinary answer where they don't.

use crate::support::{Exchange, Next, Raw, Sidecar, Upstream, get, put, until};

const UPGRADE: &[u8] = b"GET /socket HTTP/1.1\r\nHost: app.test\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn echo(exchange: &mut Exchange) -> Next {
    exchange.send(SWITCHING.as_bytes());
    exchange.echo_bytes()
}

fn upgraded(sidecar: &Sidecar) -> Raw {
    let mut client = sidecar.client();
    client.send(UPGRADE);
    let response = client.response();
    assert_eq!(response.status, 101, "{response:?}");
    client
}

#[test]
fn a_websocket_handshake_passes_both_ways() {
    let upstream = Upstream::running(echo);
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(UPGRADE);
    let response = client.response();

    assert_eq!(response.status, 101);
    assert_eq!(response.headers.get("upgrade"), Some("websocket"));
    assert_eq!(response.headers.list("connection").join(",").to_lowercase(), "upgrade");
    assert_eq!(response.headers.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let request = upstream.only_request();
    assert_eq!(request.headers.get("upgrade"), Some("websocket"));
    assert!(request.headers.list("connection").iter().any(|o| o.eq_ignore_ascii_case("upgrade")));
    assert_eq!(request.headers.get("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
}

#[test]
fn an_upgraded_connection_carries_any_bytes_both_ways() {
    let upstream = Upstream::running(echo);
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = upgraded(&sidecar);

    for message in
        [b"\x81\x05hello".to_vec(), b"GET / HTTP/1.1\r\n\r\n\0".to_vec(), vec![0xFF; 100_000]]
    {
        client.send(&message);
        assert_eq!(client.bytes(message.len() as u64), message);
    }
}

#[test]
fn bytes_sent_along_with_the_handshake_are_not_lost() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(format!("{SWITCHING}server first").as_bytes());
        exchange.echo_bytes()
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(&[UPGRADE, b"client first"].concat());

    assert_eq!(client.response().status, 101);
    assert_eq!(client.bytes(24), b"server firstclient first");
}

#[test]
fn the_end_of_a_tunnel_passes_from_the_client() {
    let upstream = Upstream::running(echo);
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = upgraded(&sidecar);

    client.send(b"last words");
    client.finish_sending();

    assert_eq!(client.bytes(10), b"last words");
    assert!(client.closed());
    upstream.wait_until_left_alone();
}

#[test]
fn the_end_of_a_tunnel_passes_from_the_upstream() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(format!("{SWITCHING}bye").as_bytes());
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = upgraded(&sidecar);

    assert_eq!(client.bytes(3), b"bye");
    assert!(client.closed());
}

#[test]
fn a_client_that_leaves_a_tunnel_takes_the_upstreams_connection_along() {
    let upstream = Upstream::running(echo);
    let sidecar = Sidecar::in_front_of(&upstream).start();

    drop(upgraded(&sidecar));

    upstream.wait_until_left_alone();
    until("the connection to be forgotten", || {
        sidecar.metrics().sum("interlock_connections", &[]) == Some(0.0)
    });
}

#[test]
fn an_upgrade_that_the_upstream_declines_is_an_ordinary_call() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    assert_eq!(client.call(UPGRADE).text(), "/socket");
    assert_eq!(client.call(&get("/next")).text(), "/next");
}

#[test]
fn a_switch_that_nobody_asked_for_is_a_bad_answer() {
    let upstream = Upstream::answering(SWITCHING);
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar.call(&put("/x", "hello"));

    response.assert_problem(502, "unknown");
}
