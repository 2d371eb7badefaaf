//! Deciding: which calls a flag is about, where their entity stands, and which path they take.

use crate::support::{
    JOURNEYS, Sidecar, Upstream, get, put, segment_of, serialized, status_of, to_fixed_app,
};

/// Two apps that say which they are, and a sidecar in front of both.
struct TwoApps {
    legacy: Upstream,
    fixed: Upstream,
    sidecar: Sidecar,
}

impl TwoApps {
    fn at(percent: u8) -> Self {
        let legacy = Upstream::running(|exchange| exchange.ok("legacy"));
        let fixed = Upstream::running(|exchange| exchange.ok("fixed"));
        let flag = to_fixed_app(percent, &fixed);
        let sidecar = Sidecar::in_front_of(&legacy).with(&flag).start();
        Self { legacy, fixed, sidecar }
    }

    /// Who served, which the answer's header must agree with.
    #[track_caller]
    fn serves(&self, request: &[u8]) -> String {
        let response = self.sidecar.call(request);
        assert_eq!(response.status, 200, "{response:?}");
        let served = response.text();
        if let Some(path) = response.headers.get("interlock-path") {
            assert_eq!(path, served);
        }
        served
    }
}

#[test]
fn at_zero_all_take_the_legacy_path_and_at_a_hundred_the_fixed_one() {
    for (percent, path) in [(0, "legacy"), (100, "fixed")] {
        let apps = TwoApps::at(percent);

        for n in 0..10 {
            assert_eq!(apps.serves(&put(&segment_of(n, 1), "{}")), path);
            assert_eq!(apps.serves(&put(&status_of(n), "{}")), path);
        }
    }
}

#[test]
fn in_between_each_entity_keeps_to_one_path_on_every_route() {
    let apps = TwoApps::at(50);

    let mut fixed = 0;
    for n in 0..100 {
        let path = apps.serves(&put(&status_of(n), "{}"));
        assert_eq!(apps.serves(&put(&status_of(n), "{}")), path, "entity {n}");
        assert_eq!(apps.serves(&put(&segment_of(n, 7), "{}")), path, "entity {n}");
        fixed += usize::from(path == "fixed");
    }

    assert!((30..=70).contains(&fixed), "{fixed} of 100 at 50 %");
}

#[test]
fn two_sidecars_agree_on_every_entity() {
    let (one, other) = (TwoApps::at(30), TwoApps::at(30));

    for n in 0..50 {
        let update = put(&status_of(format!("journey-{n}")), "{}");
        assert_eq!(one.serves(&update), other.serves(&update), "entity {n}");
    }
}

#[test]
fn raising_the_percentage_moves_no_entity_back() {
    let apps = TwoApps::at(0);
    let mut fixed_before: Vec<usize> = Vec::new();

    for percent in [5.0, 25.0, 25.01, 60.0, 100.0] {
        apps.sidecar.set_percent(JOURNEYS, percent);
        let is_fixed = |n: &usize| apps.serves(&put(&status_of(n), "{}")) == "fixed";
        let fixed: Vec<usize> = (0..60).filter(is_fixed).collect();
        assert!(fixed_before.iter().all(|n| fixed.contains(n)), "at {percent}: {fixed:?}");
        fixed_before = fixed;
    }

    assert_eq!(fixed_before.len(), 60);
}

#[test]
fn another_spelling_of_a_path_takes_the_same_route() {
    let apps = TwoApps::at(100);

    for path in [
        "/api/journeys/J1/status",
        "/api//journeys/J1/status",
        "//api/journeys/J1/status/",
        "/api/./journeys/J1/status",
        "/api/x/../journeys/J1/status",
        "/%61pi/journeys/%4a1/statu%73",
        "/API/Journeys/J1/Status",
        "/api/journeys/J1/status?x=y",
        "/api/%2e/journeys/J1/status",
    ] {
        assert_eq!(apps.serves(&put(path, "{}")), "fixed", "{path}");
    }

    // Seen by the app as the client wrote it.
    assert!(apps.fixed.complete_targets().contains(&"/api/x/../journeys/J1/status".to_owned()));
}

#[test]
fn what_no_flag_is_about_passes_untouched() {
    let apps = TwoApps::at(100);

    for request in [
        get("/api/journeys/J1"),
        get(&status_of("J1")),
        put("/api/journeys/J1", "{}"),
        put("/api/journeys/J1/status/x", "{}"),
        put("/x/api/journeys/J1/status", "{}"),
        put("/api/journeys//status", "{}"),
        b"POST /api/journeys/J1/status HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\n{}"
            .to_vec(),
        b"put /api/journeys/J1/status HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\n{}"
            .to_vec(),
        b"BREW /pot HTTP/1.1\r\nHost: app.test\r\n\r\n".to_vec(),
    ] {
        assert_eq!(apps.serves(&request), "legacy", "{}", String::from_utf8_lossy(&request));
    }

    assert!(apps.fixed.requests().is_empty());
    let flagged = |name: &str| apps.legacy.requests().iter().any(|r| r.headers.has(name));
    assert!(!flagged("interlock-flag") && !flagged("interlock-fencing-token"));
}

/// A flag whose entity stands somewhere else in each of its routes.
const SOURCES: &str = r#"
[flags.sources]
entity = "journey:{id}"
percent = 0
fixed = { strategy = "serialize" }
[[flags.sources.routes]]
name = "by-path"
methods = ["PUT"]
path = "/by-path/{id}"
[[flags.sources.routes]]
name = "by-query"
methods = ["PUT", "POST"]
path = "/by-query"
placeholders = { id = "query:journey" }
[[flags.sources.routes]]
name = "by-header"
methods = ["PUT"]
path = "/by-header"
placeholders = { id = "header:X-Journey" }
[[flags.sources.routes]]
name = "by-body"
methods = ["PUT"]
path = "/by-body"
placeholders = { id = "body:/journey/id" }
"#;

fn with_header(path: &str, header: &str) -> Vec<u8> {
    format!("PUT {path} HTTP/1.1\r\nHost: app.test\r\n{header}\r\nContent-Length: 2\r\n\r\n{{}}")
        .into()
}

#[test]
fn one_entity_is_found_in_path_query_header_and_body() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(SOURCES).start();
    sidecar.set_percent("sources", 100.0);

    let mut holder = sidecar.client();
    holder.send(&put("/by-path/J%201", "{}"));
    upstream.wait_for(1);
    let same = [
        put("/by-query?x=y&journey=J+1", "{}"),
        put("/by-query?journey=J%201", "{}"),
        with_header("/by-header", "x-journey: J 1"),
        put("/by-body", r#"{"other":1,"journey":{"id":"J 1"}}"#),
    ];
    let mut waiting: Vec<_> = (1..)
        .zip(&same)
        .map(|(count, request)| {
            let mut client = sidecar.client();
            client.send(request);
            sidecar.wait_for_metric("interlock_lease_waiters", &[], f64::from(count));
            client
        })
        .collect();
    assert_eq!(upstream.requests().len(), 1, "all wait for one entity");
    gate.open();

    assert_eq!(holder.response().status, 200);
    assert!(waiting.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(upstream.requests()[4].body, br#"{"other":1,"journey":{"id":"J 1"}}"#);
}

#[test]
fn an_update_whose_entity_cannot_be_made_out_goes_to_legacy_and_is_counted() {
    let upstream = Upstream::running(|exchange| exchange.ok("legacy"));
    let sidecar = Sidecar::in_front_of(&upstream).with(SOURCES).start();
    sidecar.set_percent("sources", 100.0);
    let bodies =
        ["", "{}", "no json", "[1]", r#"{"journey":{"id":""}}"#, r#"{"journey":{"id":{}}}"#];
    let mut requests: Vec<Vec<u8>> = bodies.iter().map(|body| put("/by-body", body)).collect();
    requests.extend([
        put("/by-query", "{}"),
        put("/by-query?journey=", "{}"),
        put("/by-query?journey=1&journey=2", "{}"),
        with_header("/by-header", "X: y"),
        put(&format!("/by-path/{}", "x".repeat(2000)), "{}"),
    ]);

    for request in &requests {
        let response = sidecar.call(request);
        let shown = String::from_utf8_lossy(&request[..60]).into_owned();
        assert_eq!((response.status, response.text().as_str()), (200, "legacy"), "{shown}");
        assert_ne!(response.headers.get("interlock-path"), Some("fixed"), "{shown}");
    }

    let arrived = upstream.requests();
    assert!(arrived.iter().all(|request| !request.headers.has("interlock-fencing-token")));
    for (body, request) in bodies.iter().zip(&arrived) {
        assert_eq!(request.body, body.as_bytes(), "untouched");
    }
    let labels = [("flag", "sources"), ("reason", "no_entity")];
    sidecar.wait_for_metric("interlock_decisions_total", &labels, requests.len() as f64);
}

#[test]
fn the_clients_word_does_not_decide_its_path() {
    let apps = TwoApps::at(0);

    let request = with_header(&status_of("J1"), "Interlock-Path: fixed");

    assert_eq!(apps.serves(&request), "legacy");
    assert!(apps.fixed.requests().is_empty());
}

#[test]
fn the_fixed_app_gets_the_update_as_it_is() {
    let apps = TwoApps::at(100);

    assert_eq!(apps.serves(&put(&segment_of("J1", 2), r#"{"status":"Departed"}"#)), "fixed");

    let request = apps.fixed.only_request();
    assert_eq!(request.target, segment_of("J1", 2));
    assert_eq!(request.body, br#"{"status":"Departed"}"#);
    assert_eq!(request.headers.get("host"), Some("app.test"));
    assert_eq!(request.headers.get("interlock-path"), Some("fixed"));
    assert_eq!(request.headers.get("interlock-flag"), Some(JOURNEYS));
}

#[test]
fn an_update_that_may_have_reached_the_fixed_app_is_never_run_on_the_legacy_one() {
    let legacy = Upstream::running(|exchange| exchange.ok("legacy"));
    let fixed = Upstream::running(|exchange| {
        exchange.read_body();
        crate::support::Next::Close
    });
    let sidecar = Sidecar::in_front_of(&legacy).with(&to_fixed_app(100, &fixed)).start();

    sidecar.call(&put(&status_of("J1"), "{}")).assert_problem(502, "unknown");

    assert_eq!((legacy.requests().len(), fixed.requests().len()), (0, 1));
}

#[test]
fn without_flags_everything_passes() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).start();

    assert_eq!(sidecar.call(&put("/api/journeys/J1/status", "{}")).status, 200);
    assert_eq!(sidecar.admin_get("/api/v1/flags").json()["flags"], serde_json::json!([]));
}

#[test]
fn a_serialized_flag_needs_no_second_app() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let response = sidecar.call(&put(&status_of("J1"), "{}"));

    assert_eq!(response.text(), status_of("J1"));
    assert_eq!(response.headers.get("interlock-path"), Some("fixed"));
}
