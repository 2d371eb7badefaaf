//! What is different where a fleet shares the flags: the store is asked for changes, and there are others to show.

use super::*;
use crate::domain::flag::{Author, Change};
use crate::fleet::SidecarView;
use crate::store::{FleetRequests, Place, StoreChangeError};
use crate::telemetry::labels::LeaseGate;

/// A plane of a fleet, and the end on which the store's thread would be.
fn plane() -> (Plane, FleetRequests) {
    let (flags, requests) = FleetFlags::new();
    let mut plane = Plane::new();
    Arc::get_mut(&mut plane.state).unwrap().changes = Changes::Fleet(flags);
    (plane, requests)
}

/// The answer to a change that the store's thread ends so.
async fn answered(outcome: StoreChangeError) -> Answer {
    let (plane, mut requests) = plane();
    let change = plane.send("PATCH", FLAG, json!({"percent": 10, "reason": "step"}));
    let (answer, ()) = tokio::join!(change, requests.play(Err(outcome), || {}));
    assert_eq!(plane.percent(), "5%");
    answer
}

#[tokio::test]
async fn a_change_is_made_by_the_store() {
    let (plane, mut requests) = plane();
    let before = plane.state.store.flag("journey-updates").unwrap().1;
    let after = Arc::new(FlagState { version: 7, ..(*before).clone() });

    let change = plane.send("PATCH", FLAG, json!({"percent": 10, "reason": "step"}));
    let made = requests.play(Ok(Applied { before, after }), || {});
    let (answer, ()) = tokio::join!(change, made);

    assert_eq!((answer.status, answer.header("etag")), (200, "\"7\""));
}

#[tokio::test]
async fn of_two_changes_at_once_the_second_is_told_to_read_again() {
    let answer = answered(StoreChangeError::VersionConflict { current: 4 }).await;

    assert_eq!((answer.status, answer.header("etag")), (412, "\"4\""));
}

#[tokio::test]
async fn without_the_store_nothing_changes_and_the_answer_says_so() {
    let gone = || StoreChangeError::StoreUnreachable("no connection".into());
    let busy = StoreChangeError::StoreBusy { waiting: 64 };
    for outcome in [gone(), busy, StoreChangeError::Ending] {
        let why = outcome.to_string();
        let answer = answered(outcome).await;

        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"), "{why}");
        let problem = answer.json();
        assert_eq!(problem["type"], json!("urn:interlock:problem:store-unavailable"));
        assert_eq!(problem["retry"], json!("safe"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("nothing has changed") && detail.contains(&why), "{detail}");
        assert!(detail.contains("A kill waits for it too"), "{detail}");
    }
}

#[tokio::test]
async fn a_change_whose_outcome_is_unknown_is_not_called_safe_to_retry() {
    let answer = answered(StoreChangeError::OutcomeUnknown).await;

    assert_eq!((answer.status, &answer.json()["retry"]), (504, &json!("unknown")));
}

#[tokio::test]
async fn what_is_in_the_way_in_the_store_is_named_with_its_remedy() {
    let field = Some("journey-updates".to_owned());
    let place = Place { key: "{interlock}:flags".into(), field };

    let answer = answered(StoreChangeError::Unreadable { place }).await;

    assert_eq!(answer.status, 409);
    let problem = answer.json();
    assert_eq!(problem["type"], json!("urn:interlock:problem:unreadable-document"));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("HDEL \"{interlock}:flags\" \"journey-updates\""), "{detail}");
}

#[tokio::test]
async fn a_flag_too_large_for_the_fleet_is_no_room() {
    let answer = answered(StoreChangeError::TooLarge { bytes: 2_000_000, most: 1_048_576 }).await;

    let problem = answer.json();
    assert_eq!((answer.status, &problem["retry"]), (409, &json!("safe")));
    assert!(problem["detail"].as_str().unwrap().contains("2000000 bytes"), "{problem}");
}

#[tokio::test]
async fn a_version_that_is_not_known_here_yet_is_looked_for_in_the_store() {
    let (plane, mut requests) = plane();
    let store = &plane.state.store;
    let body = r#"{"percent": 10, "reason": "step"}"#;
    let conditional = request("PATCH", FLAG, &[JSON, ("if-match", "\"2\"")], body);
    let before = store.flag("journey-updates").unwrap().1;
    let after = Arc::new(FlagState { version: 3, ..(*before).clone() });

    let made = requests.play(Ok(Applied { before, after }), || {
        let author = Author { by: "ann".into(), reason: "elsewhere".into(), at_ms: 7 };
        store.change("journey-updates", None, &Change::Kill, author).unwrap();
    });
    let (answer, ()) = tokio::join!(plane.call(conditional), made);

    assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""));
}

#[tokio::test]
async fn a_version_that_the_store_does_not_have_either_is_stale() {
    let (plane, mut requests) = plane();
    let body = r#"{"percent": 10, "reason": "step"}"#;
    let conditional = request("PATCH", FLAG, &[JSON, ("if-match", "\"2\"")], body);

    let asked_to_change = requests.play(Err(StoreChangeError::Ending), || {});
    let answer = tokio::select! {
        answer = plane.call(conditional) => answer,
        () = asked_to_change => panic!("a stale change must not get to the store"),
    };

    assert_eq!((answer.status, answer.header("etag")), (412, "\"1\""));
}

#[tokio::test]
async fn of_a_sidecar_that_said_nothing_it_is_said_that_nothing_is_known() {
    let (plane, _requests) = plane();
    let unknown = SidecarView {
        id: "a".into(),
        this: false,
        build: String::new(),
        started_ms: 0,
        silent_ms: 9_000,
        leases: LeaseGate::Lost,
        flags: std::collections::BTreeMap::new(),
        updates: std::collections::BTreeMap::new(),
    };
    plane.state.fleet.store(Arc::new(FleetView {
        sidecars: vec![unknown],
        at_ms: 1,
        ..FleetView::default()
    }));

    let row = plane.get("/api/v1/fleet").await.json()["sidecars"][0].clone();

    assert_eq!((&row["build"], &row["started_at"]), (&json!("unknown"), &json!(null)));
    assert_eq!(row["in_step"], false);
}

#[tokio::test]
async fn the_sidecars_are_listed_with_who_is_behind() {
    let (plane, _requests) = plane();
    let sidecar = |id: &str, this, version| SidecarView {
        id: id.into(),
        this,
        build: "0.1.0 (abc)".into(),
        started_ms: 0,
        silent_ms: 250,
        leases: LeaseGate::Open,
        flags: [("journey-updates".to_owned(), version), ("seats".to_owned(), 1)].into(),
        updates: std::collections::BTreeMap::new(),
    };
    let sidecars = vec![sidecar("a", true, 3), sidecar("b", false, 2)];
    plane.state.fleet.store(Arc::new(FleetView {
        sidecars,
        at_ms: 1_700_000_000_000,
        ..FleetView::default()
    }));

    let answer = plane.get("/api/v1/fleet").await;

    let row = |id: &str, this, version, in_step| {
        json!({"id": id, "this": this, "build": "0.1.0 (abc)",
               "started_at": "1970-01-01T00:00:00.000Z", "silent_ms": 250, "leases": "open",
               "flags": {"journey-updates": version, "seats": 1}, "in_step": in_step})
    };
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"sidecars": [row("a", true, 3, true), row("b", false, 2, false)],
               "at": "2023-11-14T22:13:20.000Z"})
    );
    assert_eq!(plane.get("/api/v1/fleet?all=1").await.status, 400);
    assert_eq!(plane.send("POST", "/api/v1/fleet", json!({})).await.status, 405);
}
