//! Edits that are not made: what the store refuses, what the document or the call leaves in doubt, and where new values may stand.

use serde_json::Value;

use crate::atomic::{document, doubts, planned};
use crate::support::{
    JOURNEYS, JourneyFlag, Part, Redis, Response, STORE_UNAVAILABLE, Sidecar, Upstream, key_of,
    put, segment_of, set_to, status_of, store_at,
};

const REFUSED: &str = "interlock_edits_refused_total";
const EXPOSED: &str = "interlock_exposed_updates_total";

/// A sidecar that edits journey `A`, in front of an app that remembers what it is sent.
struct Stage {
    sidecar: Sidecar,
    app: Upstream,
    store: Redis,
}

impl Stage {
    /// With the rest of the flag's table; `user` is how the store's URL names who asks.
    fn new(store: Redis, user: &str, more: &str) -> Self {
        let fixed = r#"refused = "serialize", max_document = "64KiB""#;
        let flag = JourneyFlag { more: more.to_owned(), ..JourneyFlag::edited(100, fixed) };
        Self::of(store, user, &flag.toml())
    }

    fn of(store: Redis, user: &str, flag: &str) -> Self {
        store.set(&key_of("A"), &document(planned));
        let app = Upstream::echoing_targets();
        let url = format!("redis://{user}{}", store.address());
        let sidecar = Sidecar::in_front_of(&app).with(&store_at(&url, "2s")).with(flag).start();
        sidecar.wait_for_leases();
        Self { sidecar, app, store }
    }

    fn put(&self, path: &str, body: &str) -> Response {
        self.sidecar.call(&put(path, body))
    }

    fn set_first(&self, status: &str) -> Response {
        self.put(&segment_of("A", Part::Segment(1)), &set_to(status))
    }

    fn stored(&self) -> Option<String> {
        self.store.get(&key_of("A"))
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecar.sum(name, labels)
    }

    /// An answer of the app, which was called for the only time so far under the entity's lease.
    #[track_caller]
    fn assert_served_under_the_lease(&self, answer: &Response, target: &str) {
        assert_eq!((answer.status, answer.text()), (200, target.to_owned()), "{answer:?}");
        assert_eq!(answer.headers.get("interlock-path"), Some("fixed"));
        assert!(!answer.headers.has("interlock-degraded"), "{answer:?}");
        let call = self.app.only_request();
        assert!(call.headers.has("interlock-fencing-token"), "{call:?}");
        assert_eq!(self.sum("interlock_lease_hold_seconds_count", &[]), 1.0);
        assert_eq!(self.sum(EXPOSED, &[]), 0.0);
    }

    /// The next edit is made, without the app.
    #[track_caller]
    fn assert_edits(&self) {
        let called = self.app.requests().len();
        let answer = self.set_first("Arrived");
        assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()), "{answer:?}");
        assert!(self.stored().unwrap().contains("Arrived"));
        assert_eq!(self.app.requests().len(), called);
    }
}

#[test]
fn a_user_that_may_not_touch_the_documents_edits_none_and_the_app_serves_under_the_lease() {
    for policy in ["legacy", "reject"] {
        let store = Redis::start();
        let all_but_documents = ["~{interlock}:*", "~interlock:*", "&*", "+@all"];
        let user = ["ACL", "SETUSER", "sidecar", "reset", "on", ">secret"];
        store.command(&[&user[..], &all_but_documents[..]].concat());
        let more = format!("on_store_loss = \"{policy}\"");
        let stage = Stage::new(store, "sidecar:secret@", &more);

        let answer = stage.set_first("Departed");

        stage.assert_served_under_the_lease(&answer, &segment_of("A", Part::Segment(1)));
        assert_eq!(stage.sum(REFUSED, &[("reason", "store")]), 1.0, "{policy}");
        assert_eq!(stage.stored(), Some(document(planned)), "{policy}");

        stage.store.command(&["ACL", "SETUSER", "sidecar", "~journey:*"]);
        stage.assert_edits();
    }
}

#[test]
fn a_store_that_is_out_of_memory_makes_no_edit_and_grants_no_lease() {
    for (policy, status, calls) in [("legacy", 200, 1), ("reject", 503, 0)] {
        let more = format!("on_store_loss = \"{policy}\"");
        let stage = Stage::new(Redis::start(), "", &more);
        stage.assert_edits();
        stage.store.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        stage.store.command(&["CONFIG", "SET", "maxmemory", "1"]);

        let answer = stage.set_first("Departed");

        assert_eq!(answer.status, status, "{policy}: {answer:?}");
        let degraded = answer.headers.list("interlock-degraded");
        assert!(degraded.iter().any(|word| word == STORE_UNAVAILABLE), "{policy}: {degraded:?}");
        assert_eq!(stage.app.requests().len(), calls, "{policy}");
        assert_eq!(stage.sum(EXPOSED, &[]), calls as f64, "{policy}");
        assert_eq!(stage.sum("interlock_updates_total", &[("outcome", "unknown")]), 0.0);
        assert!(!stage.stored().unwrap().contains("Departed"), "{policy}");

        stage.store.command(&["CONFIG", "SET", "maxmemory", "0"]);
        stage.sidecar.wait_for_leases();
        stage.assert_edits();
    }
}

#[test]
fn every_doubt_goes_to_the_app_under_the_lease_as_it_came_with_nothing_written() {
    for (found, body, reason) in doubts() {
        let stage = Stage::new(Redis::start(), "", "");
        stage.store.set(&key_of("A"), &found);
        let path = segment_of("A", Part::Segment(1));

        let answer = stage.put(&path, &body);

        stage.assert_served_under_the_lease(&answer, &path);
        assert_eq!(stage.app.only_request().body, body.as_bytes(), "{reason}");
        assert_eq!(stage.sum(REFUSED, &[("reason", reason)]), 1.0, "{reason}");
        assert_eq!(stage.sum(REFUSED, &[]), 1.0, "{reason}");
        assert_eq!(stage.stored(), Some(found), "{reason}");
    }
}

#[test]
fn a_hash_goes_to_the_app_under_the_lease() {
    let stage = Stage::new(Redis::start(), "", "");
    stage.store.command(&["DEL", &key_of("A")]);
    stage.store.command(&["HSET", &key_of("A"), "data", "{}"]);

    let answer = stage.set_first("Departed");

    stage.assert_served_under_the_lease(&answer, &segment_of("A", Part::Segment(1)));
    assert_eq!(stage.sum(REFUSED, &[("reason", "document_type")]), 1.0);
    assert_eq!(stage.store.command(&["HGET", &key_of("A"), "data"]).text(), Some("{}"));
}

#[test]
fn a_route_that_declares_no_edit_is_served_under_the_lease() {
    let fixed = r#"refused = "reject""#;
    let segments = JourneyFlag { edits: &["segment-status"], ..JourneyFlag::edited(100, fixed) };
    let stage = Stage::of(Redis::start(), "", &segments.toml());

    let answer = stage.put(&status_of("A"), &set_to("Departed"));

    stage.assert_served_under_the_lease(&answer, &status_of("A"));
    assert_eq!(stage.sum(REFUSED, &[]), 0.0, "it is no edit");
    stage.assert_edits();
}

/// Routes that take a new value from elsewhere than the body.
fn elsewhere() -> String {
    let route = |name: &str, path: &str, pointer: &str, value: &str| {
        format!(
            r#"
            [[flags.{JOURNEYS}.routes]]
            name = "{name}"
            methods = ["PUT"]
            path = "{path}"
            atomic = {{ document = "journey:{{journeyId}}", pointer = "{pointer}", value = "{value}", answer = '{{"now":"{{value}}"}}' }}
            "#
        )
    };
    format!(
        r#"
        [flags.{JOURNEYS}]
        entity = "journey:{{journeyId}}"
        percent = 100
        fixed = {{ strategy = "atomic", refused = "reject" }}
        {}{}{}{}"#,
        route("by-path", "/journeys/{journeyId}/to/{status}", "/Status", "path:status"),
        route("by-header", "/journeys/{journeyId}/by-header", "/Status", "header:X-Status"),
        route("by-query", "/journeys/{journeyId}/by-query", "/TotalPrice", "query:price"),
        route("boolean", "/journeys/{journeyId}/open", "/Open", "query:open"),
    )
}

#[test]
fn a_value_of_the_path_the_query_or_a_header_becomes_what_the_field_is() {
    let stage = Stage::of(Redis::start(), "", &elsewhere());
    let with_header = |value: &str| {
        let path = "/journeys/A/by-header";
        let head = "Host: a\r\nContent-Length: 0";
        stage.sidecar.call(format!("PUT {path} HTTP/1.1\r\n{head}\r\n{value}\r\n\r\n").as_bytes())
    };
    let put = |path: &str| stage.put(path, "");
    let field = |name: &str| {
        let stored: Value = serde_json::from_str(&stage.stored().unwrap()).unwrap();
        stored[name].clone()
    };
    stage.store.set(&key_of("A"), r#"{"Status":"Booked","TotalPrice":850.50,"Open":false}"#);

    let by_path = put("/journeys/A/to/On%20%22time%22%20%C3%A9");
    assert_eq!((by_path.status, by_path.text()), (200, r#"{"now":"On \"time\" é"}"#.to_owned()));
    assert_eq!(field("Status"), "On \"time\" é");
    let by_header = with_header("X-Status: Late \\ ");
    assert_eq!((by_header.status, by_header.text()), (200, r#"{"now":"Late \\"}"#.to_owned()));
    assert_eq!(field("Status"), "Late \\");
    let (price, open) = (put("/journeys/A/by-query?price=1e2"), put("/journeys/A/open?open=true"));
    assert_eq!((price.text(), open.text()), (r#"{"now":1e2}"#.into(), r#"{"now":true}"#.into()));
    let whole = r#"{"Status":"Late \\","TotalPrice":1e2,"Open":true}"#;
    assert_eq!(stage.stored().as_deref(), Some(whole));

    for (answer, reason) in [
        (put("/journeys/A/by-query?price=much"), "wrong_type"),
        (put("/journeys/A/open?open=1"), "wrong_type"),
        (put("/journeys/A/by-query"), "no_value"),
        (put("/journeys/A/by-query?price=1&price=2"), "no_value"),
        (with_header("X-Other: Late"), "no_value"),
        (with_header("X-Status: a\r\nX-Status: b"), "no_value"),
    ] {
        answer.assert_problem(422, "safe");
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
    assert_eq!(stage.stored().as_deref(), Some(whole), "nothing was written");
    assert!(stage.app.requests().is_empty());
}
