//! `Idempotency-Key` in front of one sidecar: a key takes effect once, and whoever comes again has the first answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{
    JOURNEYS, JourneyFlag, Next, Raw, ReservedPort, Response, Sidecar, Upstream, put, serialized,
    status_of, until,
};

pub(crate) const SEEN: &str = "interlock_idempotent_requests_total";
const UPDATES: &str = "interlock_updates_total";

/// A `PUT` with a key, and more header lines, each with its end.
pub(crate) fn put_with(key: &str, path: &str, body: &str, more: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "PUT {path} HTTP/1.1\r\nHost: app.test\r\nIdempotency-Key: {key}\r\n{more}Content-Length: {length}\r\n\r\n{body}"
    )
    .into()
}

/// An update of a journey with a key.
pub(crate) fn keyed(key: &str, journey: &str) -> Vec<u8> {
    put_with(key, &status_of(journey), r#"{"status":"Departed"}"#, "")
}

/// An app that answers with a number that grows with each call.
pub(crate) fn counting() -> Upstream {
    let calls = Arc::new(AtomicUsize::new(0));
    Upstream::running(move |exchange| {
        let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
        exchange.read_body();
        let body = format!("call {number}");
        let length = body.len();
        exchange.reply(
            format!(
                "HTTP/1.1 201 Created\r\nContent-Type: text/x-count\r\nETag: \"v{number}\"\r\n\
                 Set-Cookie: a=b\r\nX-Own: 1\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )
    })
}

/// How many calls with keys came to this.
#[track_caller]
pub(crate) fn seen(sidecar: &Sidecar, result: &str) -> f64 {
    sidecar.metrics().sum(SEEN, &[("flag", JOURNEYS), ("result", result)]).expect(SEEN)
}

#[track_caller]
pub(crate) fn assert_replay_of(first: &Response, again: &Response) {
    assert_eq!(again.headers.get("interlock-replayed"), Some("true"), "{again:?}");
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    for name in ["content-type", "etag", "interlock-path"] {
        assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
    }
}

#[test]
fn a_key_that_comes_again_is_given_the_first_answer_and_the_app_is_not_called() {
    let app = counting();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();

    let first = sidecar.call(&keyed("\"k-1\"", "J1"));
    let again = sidecar.call(&keyed("k-1", "J1"));
    let other_key = sidecar.call(&keyed("k-2", "J1"));

    assert_eq!((first.status, first.text()), (201, "call 1".to_owned()));
    assert_eq!(first.headers.get("interlock-replayed"), None);
    assert_replay_of(&first, &again);
    assert_eq!((again.headers.get("set-cookie"), again.headers.get("x-own")), (None, None));
    assert_eq!(other_key.text(), "call 2");
    assert_eq!(app.requests()[0].headers.get("idempotency-key"), Some("\"k-1\""));
    assert_eq!((seen(&sidecar, "first"), seen(&sidecar, "replayed")), (2.0, 1.0));
    let replayed = [("outcome", "replayed"), ("path", "legacy"), ("protection", "none")];
    assert_eq!(sidecar.metrics().sum(UPDATES, &replayed), Some(1.0));
}

#[test]
fn without_a_key_and_for_reads_and_where_it_is_turned_off_every_call_runs() {
    let app = counting();
    let reads =
        JourneyFlag::serialized(0).toml().replace("[\"PUT\"]", "[\"PUT\", \"GET\", \"HEAD\"]");
    let sidecar = Sidecar::in_front_of(&app).with(&reads).start();
    let path = status_of("J1");
    for _ in 0..2 {
        sidecar.call(&put(&path, "{}"));
        sidecar.call(
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\n\r\n").as_bytes(),
        );
        // No route's: nobody's business here.
        sidecar.call(&put_with("k", "/elsewhere", "{}", ""));
    }
    assert_eq!(app.requests().len(), 6);
    assert_eq!(sidecar.metrics().sum(SEEN, &[]), Some(0.0));

    let app = counting();
    let more = "idempotency = { keep = \"0s\" }".to_owned();
    let off = JourneyFlag { more, ..JourneyFlag::serialized(0) };
    let sidecar = Sidecar::in_front_of(&app).with(&off.toml()).start();
    for _ in 0..2 {
        // Not even a key that is none is looked at.
        assert_eq!(sidecar.call(&keyed("a b", "J1")).status, 201);
    }
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn what_is_no_key_is_refused_and_nothing_is_sent() {
    let app = counting();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    let too_long = "k".repeat(256);

    for key in ["", "a b", "\"open", &too_long] {
        sidecar.call(&keyed(key, "J1")).assert_problem(400, "safe");
    }
    let twice = put_with("k", &status_of("J1"), "{}", "Idempotency-Key: k\r\n");
    sidecar.call(&twice).assert_problem(400, "safe");

    assert!(app.requests().is_empty());
    let refused = [("reason", "idempotency_key")];
    assert_eq!(sidecar.metrics().sum("interlock_client_errors_total", &refused), Some(5.0));
}

#[test]
fn while_the_first_runs_the_others_are_told_so() {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(100)).start();
    let mut client = sidecar.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    let meanwhile = sidecar.call(&keyed("k", "J1"));
    gate.open();
    let first = client.response();
    let again = sidecar.call(&keyed("k", "J1"));

    meanwhile.assert_problem(409, "safe");
    assert_eq!(meanwhile.headers.get("retry-after"), Some("1"));
    assert_replay_of(&first, &again);
    assert_eq!((app.requests().len(), seen(&sidecar, "running")), (1, 1.0));
}

#[test]
fn another_call_with_the_same_key_is_refused() {
    let app = counting();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    let path = status_of("J1");
    let call = |path: &str, body: &str, caller: &str| {
        let more = format!("Authorization: {caller}\r\n");
        sidecar.call(&put_with("k", path, body, &more))
    };

    assert_eq!(call(&path, "{}", "me").status, 201);
    call(&path, "{ }", "me").assert_problem(422, "safe");
    call(&format!("{path}?x=1"), "{}", "me").assert_problem(422, "safe");
    call(&status_of("J2"), "{}", "me").assert_problem(422, "safe");
    call(&path, "{}", "somebody else").assert_problem(422, "safe");
    sidecar.call(&put_with("k", &path, "{}", "")).assert_problem(422, "safe");

    assert_eq!((app.requests().len(), seen(&sidecar, "other_payload")), (1, 5.0));
    assert_eq!(call(&path, "{}", "me").text(), "call 1");
}

#[test]
fn a_call_that_was_not_sent_leaves_nothing_and_the_next_one_runs() {
    let port = ReservedPort::new();
    let sidecar = Sidecar::at(&format!("http://{}", port.address()))
        .legacy("connect_timeout = \"200ms\"")
        .with(&serialized(100))
        .start();
    sidecar.call(&keyed("k", "J1")).assert_problem(503, "safe");

    let app = Upstream::running_at(&port, |exchange| exchange.ok("there"));
    let next = sidecar.call(&keyed("k", "J1"));

    assert_eq!((next.status, next.text()), (200, "there".to_owned()));
    assert_eq!((app.requests().len(), seen(&sidecar, "first")), (1, 2.0));
}

#[test]
fn a_call_that_left_the_queue_leaves_nothing() {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(100)).start();
    let mut first = sidecar.client();
    first.send(&keyed("one", "J1"));
    app.wait_for(1);
    let mut second = sidecar.client();
    second.send(&keyed("two", "J1"));
    sidecar.wait_for_metric("interlock_lease_waiters", &[("flag", JOURNEYS)], 1.0);

    drop(second);
    sidecar.wait_for_metric("interlock_lease_waiters", &[("flag", JOURNEYS)], 0.0);
    gate.open();
    let next = sidecar.call(&keyed("two", "J1"));

    assert_eq!((first.response().status, next.status), (200, 200));
    assert_eq!(next.headers.get("interlock-replayed"), None);
    assert_eq!(app.requests().len(), 2);
}

#[test]
fn what_the_app_answers_is_given_again_be_it_an_error() {
    let app =
        Upstream::answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops");
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(100)).start();

    let (first, again) = (sidecar.call(&keyed("k", "J1")), sidecar.call(&keyed("k", "J1")));

    assert_eq!(first.status, 500);
    assert_replay_of(&first, &again);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_call_whose_outcome_is_unknown_is_never_run_again() {
    let silent = Upstream::gated().0;
    let breaking = Upstream::running(|exchange| {
        exchange.read_body();
        Next::Reset
    });
    let gateway = Upstream::answering("HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n");
    for (app, status) in [(silent, 504), (breaking, 502), (gateway, 504)] {
        let sidecar = Sidecar::in_front_of(&app)
            .legacy("timeout = \"300ms\"\nsettle_after_timeout = \"100ms\"")
            .with(&serialized(100))
            .start();

        let first = sidecar.call(&keyed("k", "J1"));
        let again = sidecar.call(&keyed("k", "J1"));

        assert_eq!(
            (first.status, first.headers.get("interlock-outcome")),
            (status, Some("unknown"))
        );
        again.assert_problem(504, "unknown");
        assert_eq!((app.requests().len(), seen(&sidecar, "unknown")), (1, 1.0));
    }
}

#[test]
fn a_client_that_leaves_has_its_answer_kept() {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(100)).start();
    let mut client = sidecar.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    drop(client);
    sidecar.wait_for_metric("interlock_client_gone_total", &[("flag", JOURNEYS)], 1.0);
    gate.open();
    let mut again = sidecar.call(&keyed("k", "J1"));
    until("the first call to end", || {
        if again.status == 409 {
            again = sidecar.call(&keyed("k", "J1"));
        }
        again.status != 409
    });

    assert_eq!((again.status, again.text()), (200, "done".to_owned()));
    assert_eq!(again.headers.get("interlock-replayed"), Some("true"));
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_client_that_waits_for_the_word_is_asked_for_its_body() {
    let app = counting();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    let mut client = sidecar.client();
    let path = status_of("J1");

    client.send(
        format!("PUT {path} HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(client.interim(), 100);
    client.send(b"{}");

    assert_eq!(client.response().text(), "call 1");
    assert_eq!(sidecar.call(&put_with("k", &path, "{}", "")).text(), "call 1");
}

#[test]
fn a_key_and_a_shadow_go_together_and_a_replay_has_none() {
    let (app, candidate) = (counting(), counting());
    let flag = crate::shadow::shadowed(0, &candidate, "");
    let sidecar = Sidecar::in_front_of(&app).with(&flag).start();

    let first = sidecar.call(&keyed("k", "J1"));
    crate::shadow::wait_for_verdict(&sidecar, "matched", 1.0);
    let again = sidecar.call(&keyed("k", "J1"));
    sidecar.call(&keyed("other", "J1"));
    crate::shadow::wait_for_verdict(&sidecar, "matched", 2.0);

    assert_replay_of(&first, &again);
    assert_eq!((app.requests().len(), candidate.requests().len()), (2, 2));
}

#[test]
fn a_flip_in_between_changes_nothing() {
    let (app, fixed) = (counting(), Upstream::echoing_targets());
    let flag = crate::support::to_fixed_app(0, &fixed);
    let sidecar = Sidecar::in_front_of(&app).with(&flag).start();

    let first = sidecar.call(&keyed("k", "J1"));
    sidecar.set_percent(JOURNEYS, 100.0);
    let again = sidecar.call(&keyed("k", "J1"));
    let new = sidecar.call(&keyed("new", "J1"));

    assert_replay_of(&first, &again);
    assert_eq!(again.headers.get("interlock-path"), Some("legacy"));
    assert_eq!((new.headers.get("interlock-path"), fixed.requests().len()), (Some("fixed"), 1));
}

#[test]
fn a_thousand_senders_of_one_key_have_one_effect() {
    let app = counting();
    let sidecar = Sidecar::in_front_of(&app).proxy("workers = 4").with(&serialized(0)).start();

    let answers = crate::support::in_parallel(20, |_| {
        let mut client: Raw = sidecar.client();
        (0..50).map(|_| client.call(&keyed("k", "J1"))).collect::<Vec<_>>()
    });

    assert_eq!(app.requests().len(), 1);
    for answer in answers.iter().flatten() {
        assert!(answer.status == 409 || answer.text() == "call 1", "{answer:?}");
    }
}
