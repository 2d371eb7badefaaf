//! Bodies of calls with an `Idempotency-Key`, and of their answers.

use crate::idempotency::{assert_replay_of, counting, keyed, put_with};
use crate::support::{JourneyFlag, Next, Sidecar, Upstream, serialized, status_of};

/// The flag with room for so many bytes of an answer.
fn with_room(bytes: usize) -> String {
    let more = format!("idempotency = {{ max_body = {bytes} }}");
    JourneyFlag { more, ..JourneyFlag::serialized(100) }.toml()
}

#[test]
fn of_an_answer_that_is_too_long_the_head_alone_is_kept_and_the_first_client_has_all_of_it() {
    let body = "x".repeat(200_000);
    let whole = body.clone();
    let app = Upstream::running(move |exchange| exchange.ok(&whole));
    let sidecar = Sidecar::in_front_of(&app).with(&with_room(1000)).start();

    let first = sidecar.call(&keyed("k", "J1"));
    let again = sidecar.call(&keyed("k", "J1"));

    assert_eq!(first.text(), body);
    assert_eq!((again.status, again.text().len()), (200, 0));
    assert_eq!(again.headers.get("interlock-replayed"), Some("true"));
    assert_eq!(again.headers.get("interlock-body"), Some("missing"));
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn an_answer_in_chunks_with_trailers_passes_whole_and_is_given_again() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n",
    );
    let sidecar = Sidecar::in_front_of(&app).with(&with_room(6)).start();

    let first =
        sidecar.call(&put_with("k", &status_of("J1"), "{}", "TE: trailers\r\nConnection: TE\r\n"));
    let again = sidecar.call(&put_with("k", &status_of("J1"), "{}", ""));

    assert_eq!((first.text(), first.body.trailers.get("x-sum")), ("onetwo".to_owned(), Some("6")));
    assert_replay_of(&first, &again);
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_first_client_and_its_head_is_kept() {
    let breaking = Upstream::running(|exchange| {
        exchange.read_body();
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        Next::Close
    });
    let sidecar = Sidecar::in_front_of(&breaking).with(&serialized(100)).start();
    let mut client = sidecar.client();

    client.send(&keyed("k", "J1"));
    let broken = client.try_response();
    let again = sidecar.call(&keyed("k", "J1"));

    assert!(broken.is_err(), "{broken:?}");
    assert_eq!((again.status, again.headers.get("interlock-body")), (200, Some("missing")));
    assert_eq!(breaking.requests().len(), 1);
}

#[test]
fn a_body_in_chunks_is_the_same_payload_and_one_that_is_too_large_is_refused() {
    let app = counting();
    let sidecar =
        Sidecar::in_front_of(&app).proxy("max_body = \"1KiB\"").with(&serialized(0)).start();
    let path = status_of("J1");
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nTransfer-Encoding: chunked\r\n\r\n"
    );

    let first = sidecar.call(format!("{head}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").as_bytes());
    let again = sidecar.call(&put_with("k", &path, "onetwo", ""));
    let large = sidecar.call(&put_with("l", &path, &"x".repeat(1025), ""));

    assert_replay_of(&first, &again);
    assert_eq!(app.requests()[0].body, b"onetwo");
    large.assert_problem(413, "safe");
    assert_eq!(app.requests().len(), 1);
}
