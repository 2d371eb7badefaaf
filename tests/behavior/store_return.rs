//! What the store says is checked before it counts: nonsense, a flag that went back, a bucketing that nobody knows. The
//! last good state holds, and everybody is told where to look.

use serde_json::{Value, json};

use crate::support::{Fleet, FleetPlan, JOURNEYS, Redis, Sidecar, put, status_of, until};

/// The hash with the flags, with the default prefix.
const FLAGS: &str = "{interlock}:flags";

/// Grows with every change of a flag.
const REVISION: &str = "{interlock}:revision";

/// A fleet of two with the flag at 42 %, a document that is in the store then, and the store.
fn fleet_at_42() -> (Fleet, Value, Redis) {
    let store = Redis::start();
    let fleet = FleetPlan { sidecars: 2, ..FleetPlan::over(0, &store.url()) }.start();
    for percent in [10.0, 20.0, 42.0] {
        fleet.set_percent(0, percent);
    }
    let document = document(&store);
    (fleet, document, store)
}

#[track_caller]
fn document(store: &Redis) -> Value {
    let reply = store.command(&["HGET", FLAGS, JOURNEYS]);
    serde_json::from_str(reply.text().expect("a document")).expect("JSON")
}

/// Writes something where the flag's document stands, as a careless hand would.
fn plant(store: &Redis, text: &str) {
    store.command(&["HSET", FLAGS, JOURNEYS, text]);
    store.command(&["INCR", REVISION]);
}

fn readiness(sidecar: &Sidecar) -> (u16, String) {
    let response = sidecar.admin_get("/readyz");
    (response.status, response.text())
}

/// Every sidecar has refused what is in the store, says so, and holds what it had.
#[track_caller]
fn assert_refused(fleet: &Fleet, reason: &str) {
    for sidecar in fleet.sidecars() {
        until(&format!("a document to be refused: {reason}"), || {
            let (status, text) = readiness(sidecar);
            assert_eq!(status, 200, "a bad document takes nobody out of service: {text}");
            text.contains(JOURNEYS) && text.contains(&format!("\"{reason}\""))
        });
        let counted = [("reason", reason)];
        assert!(sidecar.metrics().sum("interlock_flags_rejected_total", &counted) >= Some(1.0));
        sidecar.wait_for_metric("interlock_flag_refused", &[("flag", JOURNEYS)], 1.0);
        assert_eq!(sidecar.flag(JOURNEYS)["percent"], 42.0, "{reason}");
        assert_eq!(sidecar.call(&put(&status_of("F1"), r#"{"status":"X"}"#)).status, 200);
    }
}

/// Nobody has anything to complain of any more.
#[track_caller]
fn assert_accepted(fleet: &Fleet) {
    for sidecar in fleet.sidecars() {
        until("no document to be refused", || !readiness(sidecar).1.contains(JOURNEYS));
        sidecar.wait_for_metric("interlock_flag_refused", &[("flag", JOURNEYS)], 0.0);
    }
}

fn with(document: &Value, changes: &Value) -> String {
    let mut document = document.clone();
    let changes = changes.as_object().expect("an object").clone();
    document.as_object_mut().expect("an object").extend(changes);
    document.to_string()
}

#[test]
fn nonsense_in_a_flags_document_is_refused_and_told_and_the_last_good_state_holds() {
    let (fleet, good, store) = fleet_at_42();

    for (text, reason) in [
        ("not even JSON".to_owned(), "parse"),
        ("{}".to_owned(), "parse"),
        (with(&good, &json!({ "version": 100, "surprise": 1 })), "parse"),
        (with(&good, &json!({ "version": 100, "percent": 200 })), "range"),
        (with(&good, &json!({ "version": 100, "strategy": "hope" })), "range"),
        (with(&good, &json!({ "version": 100, "bucketing": "md5" })), "bucketing"),
        (with(&good, &json!({ "version": 2, "percent": 77 })), "backwards"),
    ] {
        plant(&store, &text);
        assert_refused(&fleet, reason);

        plant(&store, &good.to_string());
        assert_accepted(&fleet);
    }
}

#[test]
fn a_flag_that_is_gone_from_the_store_is_written_back() {
    let (fleet, good, store) = fleet_at_42();

    store.command(&["HDEL", FLAGS, JOURNEYS]);
    store.command(&["INCR", REVISION]);

    until("the document to be back", || store.command(&["HGET", FLAGS, JOURNEYS]).text().is_some());
    assert_eq!(document(&store)["percent"], good["percent"]);
    assert_accepted(&fleet);
    assert!(fleet.sidecars().all(|sidecar| sidecar.flag(JOURNEYS)["percent"] == 42.0));
}

#[test]
fn a_store_that_forgot_everything_gets_the_flags_back() {
    let (fleet, good, store) = fleet_at_42();

    store.command(&["FLUSHALL"]);

    until("the document to be back", || store.command(&["HGET", FLAGS, JOURNEYS]).text().is_some());
    assert_eq!(document(&store)["version"], good["version"]);
    fleet.wait_until_whole();
    fleet.set_percent(1, 43.0);
}

#[test]
fn another_thing_at_the_flags_key_is_refused_and_told() {
    let (fleet, _good, store) = fleet_at_42();

    store.command(&["DEL", FLAGS]);
    store.set(FLAGS, "what is this");
    store.command(&["INCR", REVISION]);

    assert_refused(&fleet, "parse");
    store.command(&["DEL", FLAGS]);
    store.command(&["INCR", REVISION]);
    assert_accepted(&fleet);
}

#[test]
fn a_change_mends_a_flag_that_went_back() {
    let (fleet, good, store) = fleet_at_42();
    plant(&store, &with(&good, &json!({ "version": 2, "percent": 77 })));
    assert_refused(&fleet, "backwards");

    fleet.set_percent(0, 50.0);

    assert_accepted(&fleet);
    assert_eq!(document(&store)["percent"], 50.0);
}
