//! Answers that come before a body's end: an app's reach their client whole, and so do the sidecar's own.

use std::sync::LazyLock;

use crate::atomic::{document, planned};
use crate::support::{
    Exchange, JOURNEYS, JourneyFlag, Next, ReadError, Redis, ReservedPort, Response, Sidecar,
    Upstream, get, key_of, segment_of, serialized, status_of, to_fixed_app,
};

const MIB: usize = 1 << 20;

/// So that whoever holds bodies holds all of these tests.
const HOLDS_ALL: &str = "workers = 1\nmax_body = \"32MiB\"";

/// What goes wrong here is a race, so that one success says little.
const ATTEMPTS: usize = 4;

/// What an app says that has no need of a body, in every way to tell an answer's end; its status and body.
const ANSWERS: [(&str, u16, &str); 4] = [
    (
        "HTTP/1.1 413 Too Much\r\nConnection: close\r\nContent-Length: 6\r\n\r\nenough",
        413,
        "enough",
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
        200,
        "yes",
    ),
    ("HTTP/1.1 401 Who\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 401, ""),
    ("HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 500, "no"),
];

/// The bodies that these tests send: how long, and whether in chunks.
const BODIES: [(usize, bool); 4] = [(MIB, false), (MIB, true), (16 * MIB, false), (8 * MIB, true)];

static FILLER: LazyLock<Vec<u8>> = LazyLock::new(|| vec![b'x'; 16 * MIB]);

/// A request with a body, ready to send.
fn with_body(path: &str, length: usize, chunked: bool) -> Vec<u8> {
    let body = &FILLER[..length];
    let head = format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\n");
    if chunked {
        let framing = format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n");
        return [framing.as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
    }
    [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), body].concat()
}

/// How an app ends the connection on which it has answered early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At once: what it had not read makes that a reset.
    Dropped,
    /// As RFC 9112 section 9.6 has it: it stops sending, and reads on.
    Lingering,
    /// By a reset in any case, as of an app that dies.
    Reset,
}

impl End {
    fn of(self, exchange: &mut Exchange) -> Next {
        match self {
            Self::Dropped => Next::Drop,
            Self::Lingering => exchange.linger(),
            Self::Reset => Next::Reset,
        }
    }
}

/// An app that reads so many bytes of a body, and gives the answer whose index stands in the query.
fn early(read: u64, end: End) -> Upstream {
    Upstream::running(move |exchange| {
        exchange.read_some(read);
        let index =
            exchange.request.target.rsplit_once('?').map(|(_, index)| index.parse::<usize>());
        let (answer, ..) = ANSWERS[index.unwrap().unwrap()];
        exchange.send(answer.as_bytes());
        end.of(exchange)
    })
}

/// An app that reads some of a body, says this, and ends the connection.
fn saying(answer: Vec<u8>, end: End) -> Upstream {
    Upstream::running(move |exchange| {
        exchange.read_some(8 * 1024);
        exchange.send(&answer);
        end.of(exchange)
    })
}

/// Calls with every body and for every answer, by clients that send all before they read: nobody is reset, and everybody gets
/// the app's answer.
#[track_caller]
fn assert_heard(sidecar: &Sidecar, path: &str, check: impl Fn(&Response)) {
    for (length, chunked) in BODIES {
        for (index, (_, status, body)) in ANSWERS.iter().enumerate() {
            let request = with_body(&format!("{path}?{index}"), length, chunked);
            for attempt in 1..=ATTEMPTS {
                let case = format!("{length} bytes, chunked {chunked}, {status}, try {attempt}");
                let mut client = sidecar.client();

                client.try_send(&request).expect(&case);
                let heard = client.try_response().unwrap_or_else(|e| panic!("{e:?}: {case}"));

                assert_eq!((heard.status, &*heard.text()), (*status, *body), "{case}");
                assert!(!heard.headers.has("interlock-outcome"), "{case}");
                check(&heard);
            }
        }
    }
    let failed = sidecar.metrics().sum("interlock_upstream_errors_total", &[]);
    assert_eq!(failed, Some(0.0));
}

/// The path that an answer says has served.
fn assert_path(answer: &Response, path: &str) {
    assert_eq!(answer.headers.get("interlock-path"), Some(path), "{answer:?}");
}

#[test]
fn an_app_that_answers_before_it_has_read_is_heard() {
    for end in [End::Dropped, End::Lingering] {
        for read in [0, 8 * 1024] {
            let app = early(read, end);
            let sidecar = Sidecar::in_front_of(&app).start();

            assert_heard(&sidecar, "/x", |_| {});
        }
    }
}

#[test]
fn it_is_heard_on_the_legacy_path_and_on_that_of_a_fixed_app() {
    let app = early(8 * 1024, End::Dropped);
    for (percent, path) in [(0, "legacy"), (100, "fixed")] {
        let flag = to_fixed_app(percent, &app);
        let sidecar = Sidecar::in_front_of(&app).with(&flag).start();

        assert_heard(&sidecar, &segment_of("J1", 1), |answer| assert_path(answer, path));
    }
}

#[test]
fn it_is_heard_under_a_lease_whether_the_body_was_held_or_streams() {
    for proxy in [HOLDS_ALL, "max_body = \"1KiB\""] {
        let app = early(8 * 1024, End::Dropped);
        let sidecar = Sidecar::in_front_of(&app).proxy(proxy).with(&serialized(100)).start();

        assert_heard(&sidecar, &status_of("J1"), |answer| assert_path(answer, "fixed"));

        let calls = (BODIES.len() * ANSWERS.len() * ATTEMPTS) as f64;
        // One that was not released would have held the next call up for longer than that.
        sidecar.wait_for_metric("interlock_lease_hold_seconds_count", &[], calls);
    }
}

#[test]
fn it_is_heard_where_an_edit_is_left_to_the_app() {
    let store = Redis::start();
    store.set(&key_of("A"), &document(planned));
    let app = early(8 * 1024, End::Dropped);
    let flag = JourneyFlag::edited(100, r#"refused = "serialize""#).toml();
    let sidecar = Sidecar::in_front_of(&app)
        .proxy(HOLDS_ALL)
        .with(&format!("[store]\nurl = \"{}\"\ntimeout = \"2s\"\n{flag}", store.url()))
        .start();
    sidecar.wait_for_metric("interlock_lease_gate", &[("state", "open")], 1.0);

    assert_heard(&sidecar, &status_of("A"), |answer| assert_path(answer, "fixed"));

    let refused = sidecar.metrics().sum("interlock_edits_refused_total", &[("flag", JOURNEYS)]);
    assert_eq!(refused, Some((BODIES.len() * ANSWERS.len() * ATTEMPTS) as f64));
}

#[test]
fn an_answer_that_is_cut_never_looks_whole() {
    let body = "y".repeat(4 * MIB);
    let head = "HTTP/1.1 200 OK\r\n";
    for answer in [
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
        format!("{head}Content-Length: 100\r\n\r\nonly this"),
        format!("{head}Connection: close\r\n\r\nonly this, as far as anybody can tell"),
    ] {
        let app = saying(answer.clone().into_bytes(), End::Reset);
        let sidecar = Sidecar::in_front_of(&app).start();
        let shown = &answer[..answer.len().min(80)];

        for _ in 0..ATTEMPTS * 8 {
            let mut client = sidecar.client();
            drop(client.try_send(&with_body("/x", MIB, false)));
            match client.try_response() {
                Ok(response) if response.status == 200 => {
                    assert_eq!(response.body.bytes.len(), body.len(), "{shown:?}");
                }
                Ok(response) => response.assert_problem(502, "unknown"),
                Err(error) => assert_eq!(error, ReadError::Closed, "{shown:?}"),
            }
        }
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole_where_that_ends_in_order() {
    let answer = b"HTTP/1.1 413 Too Much\r\nConnection: close\r\n\r\nenough".to_vec();
    let app = saying(answer, End::Lingering);
    let sidecar = Sidecar::in_front_of(&app).start();

    for _ in 0..ATTEMPTS {
        let mut client = sidecar.client();
        client.send(&with_body("/x", 16 * MIB, false));
        let heard = client.response();
        assert_eq!((heard.status, &*heard.text()), (413, "enough"));
    }
}

#[test]
fn an_app_that_breaks_off_without_an_answer_is_given_up_at_once_and_not_called_again() {
    for said in ["", "HTTP/1.1 200 O"] {
        let app = saying(said.as_bytes().to_vec(), End::Dropped);
        let sidecar = Sidecar::in_front_of(&app).legacy("timeout = \"60s\"").start();

        for call in 1..=ATTEMPTS {
            let mut client = sidecar.client();
            // Within a patience that is shorter than the app's.
            client.send(&with_body("/x", 16 * MIB, false));
            client.response().assert_problem(502, "unknown");

            let reset = [("error_type", "reset")];
            sidecar.wait_for_metric("interlock_upstream_errors_total", &reset, call as f64);
            assert_eq!(app.requests().len(), call);
        }
    }
}

#[test]
fn a_connection_on_which_an_app_answered_early_serves_nobody_else() {
    let app = Upstream::running(|exchange| {
        if exchange.request.method == "GET" {
            return exchange.ok("read");
        }
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        Next::Drop
    });
    let flag = serialized(100);
    let sidecar = Sidecar::in_front_of(&app).proxy(HOLDS_ALL).with(&flag).start();
    let mut client = sidecar.client();

    // Far more than sockets hold. Of a shorter body all may be on its way before the app closes, and one that closes without a
    // word may do so under the next call.
    for length in [8 * MIB, 16 * MIB].repeat(ATTEMPTS) {
        // Its body is held, so that the client's connection goes on.
        let update = client.call(&with_body(&status_of("J1"), length, false));
        assert_eq!((update.status, &*update.text()), (200, "early"), "{length} bytes");
        assert_eq!(client.call(&get("/x")).text(), "read", "after {length} bytes");
    }
}

#[test]
fn a_client_whose_body_is_not_read_to_its_end_is_told_that_its_connection_ends() {
    for end in [End::Dropped, End::Lingering] {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly".to_vec();
        let app = saying(answer, end);
        let sidecar = Sidecar::in_front_of(&app).start();
        let mut client = sidecar.client();

        let body = with_body("/x", 2 * MIB, false);
        let (first, rest) = body.split_at(MIB);
        client.send(first);
        let heard = client.response();
        client.send(rest);

        assert_eq!(heard.text(), "early");
        assert_eq!(heard.headers.get("connection"), Some("close"), "{heard:?}");
        assert!(client.closed());
    }
}

#[test]
fn a_client_that_sends_all_before_it_reads_hears_the_sidecars_own_answers() {
    let app = Upstream::echoing_targets();
    let nobody = ReservedPort::new();
    let in_body = serialized(100).replace(
        "path = \"/api/journeys/{journeyId}/status\"",
        "path = \"/api/held/status\"\nplaceholders = { journeyId = \"body:/id\" }",
    );
    let refusing = Sidecar::in_front_of(&app).with(&in_body).start();
    let without_app = Sidecar::at(&format!("http://{}", nobody.address()))
        .legacy("connect_timeout = \"100ms\"")
        .start();

    for (length, chunked) in [(8 * MIB, false), (8 * MIB, true), (16 * MIB, false)] {
        for _ in 0..ATTEMPTS {
            let mut client = refusing.client();
            client.send(&with_body("/api/held/status", length, chunked));
            client.response().assert_problem(413, "safe");

            let mut client = without_app.client();
            client.send(&with_body("/x", length, chunked));
            client.response().assert_problem(503, "safe");
        }
    }
    assert!(app.requests().is_empty());
}

#[test]
fn a_client_that_stays_is_not_lingered_on_for_ever() {
    let app = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&app).proxy("header_timeout = \"300ms\"").start();
    let mut slow = sidecar.client();
    let mut refused = sidecar.client();

    slow.send(b"GET /x HTTP/1.1\r\nHost: app");
    refused.send(
        b"PUT /x HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\nContent-Length: 100\r\n\r\n",
    );

    slow.response().assert_problem(408, "safe");
    refused.response().assert_problem(400, "safe");
    sidecar.wait_for_metric("interlock_connections", &[], 0.0);
}
