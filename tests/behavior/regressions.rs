//! Faults that were found by attack and by reading, and mended: each a rule that must go on holding.

use std::time::Duration;

use crate::support::{
    Exchange, Next, ReservedPort, Sidecar, TempDir, Upstream, get, put, segment_of, serialized,
    status_of, take_time, until,
};

const MIB: usize = 1 << 20;

/// A pause that shows at once in a measured time that has it in it.
const PAUSE: Duration = Duration::from_millis(500);

/// What a measured time stays below without the pause, even on a slow machine.
const WITHOUT_PAUSE: f64 = 0.3;

/// What a measured time exceeds with the pause in it.
const WITH_PAUSE: f64 = 0.4;

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Switches to a protocol in which every byte comes back.
fn switch_and_echo(exchange: &mut Exchange) -> Next {
    exchange.send(SWITCHING.as_bytes());
    exchange.echo_bytes()
}

/// Checks that a client that sends far more than anybody reads still hears the answer. What goes wrong here is a race
/// between the answer and a reset, so one success says little.
#[track_caller]
fn assert_heard_while_sending(sidecar: &Sidecar, status: u16) {
    let body = vec![b'x'; 8 * MIB];
    let head =
        format!("PUT /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", body.len());

    for attempt in 1..=5 {
        let mut client = sidecar.client();
        client.send(head.as_bytes());
        // The answer may come, and the sidecar stop reading, long before the body's end.
        drop(client.try_send(&body));
        take_time(Duration::from_millis(300));

        let heard = client.try_response().map(|response| response.status);

        assert_eq!(heard, Ok(status), "at attempt {attempt}");
    }
}

/// The seconds that a histogram adds up to once `calls` are in it.
#[track_caller]
fn seconds_in(sidecar: &Sidecar, histogram: &str, calls: f64) -> f64 {
    sidecar.wait_for_metric(&format!("{histogram}_count"), &[], calls);
    sidecar.metrics().sum(&format!("{histogram}_sum"), &[]).unwrap()
}

#[test]
fn an_apps_own_error_without_a_body_stays_without_one() {
    for status in [400, 414, 431] {
        let answer = format!("HTTP/1.1 {status} Its Own\r\nContent-Length: 0\r\n\r\n");
        let upstream = Upstream::running(move |exchange| exchange.reply(answer.as_bytes()));
        let sidecar = Sidecar::in_front_of(&upstream).start();

        let response = sidecar.call(&get("/x"));

        assert_eq!((response.status, response.text()), (status, String::new()), "{response:?}");
    }
}

#[test]
fn a_tunnel_carries_bytes_that_look_like_an_answer_of_the_sidecars() {
    let upstream = Upstream::running(switch_and_echo);
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();
    client.send(
        b"GET /x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.response().status, 101);

    let message = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    client.send(message.as_bytes());

    let echoed = client.bytes(message.len() as u64);
    assert_eq!(String::from_utf8_lossy(&echoed), message);
}

#[test]
fn an_apps_early_answer_reaches_a_client_that_is_still_sending() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(b"HTTP/1.1 413 Too Much\r\nContent-Length: 6\r\n\r\nenough");
        take_time(PAUSE);
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();

    assert_heard_while_sending(&sidecar, 413);
}

#[test]
fn a_refusal_for_want_of_an_app_reaches_a_client_that_is_still_sending() {
    let nobody = ReservedPort::new();
    let sidecar = Sidecar::at(&format!("http://{}", nobody.address()))
        .legacy("connect_timeout = \"100ms\"")
        .start();

    assert_heard_while_sending(&sidecar, 503);
}

#[test]
fn an_upgrade_in_http_1_0_is_not_passed_on() {
    let upstream = Upstream::running(|exchange| {
        if exchange.request.headers.has("upgrade") {
            return switch_and_echo(exchange);
        }
        exchange.ok("plain")
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();

    let response = sidecar.call(
        b"GET /x HTTP/1.0\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );

    assert_eq!((response.status, response.text()), (200, "plain".to_owned()));
}

#[test]
fn te_is_passed_on_with_its_connection_option_or_not_at_all() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    sidecar.call(
        b"GET /x HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, TE\r\nTE: trailers\r\n\
          Upgrade: websocket\r\n\r\n",
    );

    let headers = upstream.only_request().headers;
    let options = headers.list("connection");
    let named = options.iter().any(|option| option.eq_ignore_ascii_case("te"));
    assert_eq!(headers.has("te"), named, "{headers:?}");
}

#[test]
fn overhead_has_no_wait_for_a_lease_in_it() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let mut holder = sidecar.client();
    holder.send(&put(&status_of("J1"), "{}"));
    upstream.wait_for(1);
    let mut waiter = sidecar.client();
    waiter.send(&put(&segment_of("J1", 1), "{}"));
    sidecar.wait_for_metric("interlock_lease_waiters", &[], 1.0);

    take_time(PAUSE);
    gate.open();
    assert_eq!((holder.response().status, waiter.response().status), (200, 200));

    let overhead = seconds_in(&sidecar, "interlock_overhead_seconds", 2.0);
    assert!(overhead < WITHOUT_PAUSE, "{overhead} s");
}

#[test]
fn overhead_has_no_slow_client_in_it() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(b"PUT /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\n");
    take_time(PAUSE);
    assert_eq!(client.call(b"{}").status, 200);

    let overhead = seconds_in(&sidecar, "interlock_overhead_seconds", 1.0);
    assert!(overhead < WITHOUT_PAUSE, "{overhead} s");
}

#[test]
fn the_duration_of_a_call_lasts_to_the_end_of_its_answer() {
    let upstream = Upstream::running(|exchange| {
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
        take_time(PAUSE);
        exchange.send(b"b");
        Next::KeepAlive
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();

    assert_eq!(sidecar.call(&get("/x")).text(), "ab");

    let duration = seconds_in(&sidecar, "interlock_request_duration_seconds", 1.0);
    assert!(duration > WITH_PAUSE, "{duration} s");
}

#[test]
fn an_app_that_dies_inside_an_answer_is_counted() {
    let upstream = Upstream::running(|exchange| {
        exchange.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx");
        take_time(Duration::from_millis(100));
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&upstream).start();
    let mut client = sidecar.client();

    client.send(&get("/x"));
    assert!(client.try_response().is_err(), "it looked complete");

    sidecar.wait_for_metric("interlock_upstream_errors_total", &[("error_type", "reset")], 1.0);
}

#[test]
fn a_body_of_many_megabytes_counts_once_against_the_memory_for_bodies() {
    let upstream = Upstream::running(|exchange| exchange.ok("taken"));
    let entity_in_the_body = serialized(100).replace(
        "path = \"/api/journeys/{journeyId}/status\"",
        "path = \"/api/held/status\"\nplaceholders = { journeyId = \"body:/id\" }",
    );
    let sidecar = Sidecar::in_front_of(&upstream)
        .proxy("workers = 1\nmax_body = \"200MiB\"")
        .with(&entity_in_the_body)
        .start();
    // More than half of what one worker may hold.
    let body = format!(r#"{{"id":"J1","filler":"{}"}}"#, "y".repeat(150 * MIB));

    let response = sidecar.call(&put("/api/held/status", &body));

    assert_eq!((response.status, response.text()), (200, "taken".to_owned()));
}

#[test]
fn a_held_body_of_many_small_chunks_costs_what_it_weighs() {
    let upstream = Upstream::echoing_targets();
    let sidecar =
        Sidecar::in_front_of(&upstream).proxy("workers = 1").with(&serialized(100)).start();
    let path = status_of("J1");
    let mut client = sidecar.client();
    let before = sidecar.memory("VmRSS:");

    client.send(
        format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            .as_bytes(),
    );
    let chunks = b"1\r\nx\r\n".repeat(10_000);
    (0..100).for_each(|_| client.send(&chunks));
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response().status, 200);

    assert_eq!(upstream.only_request().body.len(), 1_000_000);
    let extra = sidecar.memory("VmHWM:").saturating_sub(before);
    assert!(extra < 8 * MIB as u64, "{extra} bytes more for a body of a megabyte");
}

#[test]
fn a_quiet_sidecar_that_stops_still_serves_those_who_have_not_heard() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    sidecar.terminate();
    until("readiness to go", || sidecar.readiness() == Some(503));

    assert_eq!(sidecar.call(&get("/late")).text(), "/late");
}

#[test]
fn a_rejected_memory_is_told_at_this_start_and_the_next() {
    let directory = TempDir::new();
    let file = directory.write("flags.json", "{").display().to_string();
    let upstream = Upstream::echoing_targets();
    // The log is written by a thread of its own.
    let wait_until_told = |sidecar: &Sidecar, when: &str| {
        until(when, || sidecar.log().contains("flags.json.rejected"));
    };

    let mut sidecar = Sidecar::in_front_of(&upstream)
        .with(&serialized(0))
        .with(&format!("[store]\nsnapshot = {file:?}\n"))
        .start();
    wait_until_told(&sidecar, "the first start to say where the file went");

    // Its log begins anew.
    sidecar.restart();
    wait_until_told(&sidecar, "the next start to say where the file is");
}
