//! Edits and the entity's lease: calls of the app that come between, and callers that leave.

use crate::atomic_outcomes::{FIRST, JOURNEY, Scene, UPDATES, edit_of, edited};
use crate::support::{Fate, Gate, JourneyFlag, Part, Raw, SEGMENT, Upstream, key_of, stays, until};

const GONE: &str = "interlock_client_gone_total";
const QUEUED: &str = "interlock_edits_queued_total";
const WAITERS: &str = "interlock_lease_waiters";

/// Longer than a test has to hold an edit back.
const PATIENT: (&str, &str) = ("10s", "25s");

#[test]
fn an_edit_whose_caller_leaves_in_the_middle_of_it_is_made_once_and_counted() {
    let (store, call) = PATIENT;
    let (scene, held) = (Scene::with_timeouts(store, call, &edited("reject")), Gate::shut());
    scene.outage.relay.lie_in_wait("Departed", Fate::Held(held.clone()));

    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.outage.relay.wait_for_request();
    drop(caller);
    scene.sidecar().wait_for_metric(GONE, &[], 1.0);
    held.open();

    scene.sidecar().wait_for_metric(UPDATES, &[("outcome", "applied")], 2.0);
    assert_eq!((scene.stored(FIRST).as_str(), scene.updates("unknown")), ("Departed", 0.0));
    let next = scene.set(FIRST, "Arrived");
    assert_eq!((next.status, scene.stored(FIRST).as_str()), (200, "Arrived"), "{next:?}");
    scene.wait_for_free_lease();
    assert!(scene.app.requests().is_empty());
}

#[test]
fn an_edit_whose_caller_has_left_and_whose_answer_is_lost_is_counted_as_unknown() {
    let scene = Scene::with_timeouts("2s", "5s", &edited("reject"));
    scene.outage.relay.lie_in_wait("Departed", Fate::AnswerLost);

    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.outage.relay.wait_for_answer();
    drop(caller);

    scene.sidecar().wait_for_metric(UPDATES, &[("outcome", "unknown")], 1.0);
    assert_eq!((scene.stored(FIRST).as_str(), scene.updates("applied")), ("Departed", 1.0));
    until("its connection to be given up, and the next edit to be made", || {
        scene.set(FIRST, "Arrived").status == 200
    });
    assert_eq!(scene.stored(FIRST), "Arrived");
    assert!(scene.app.requests().is_empty());
}

/// Where the store has who holds the journey's lease.
fn holder() -> String {
    format!("interlock:lease:{{{}}}:holder", key_of(JOURNEY))
}

/// A scene in which the app is at a call to the journey, under its lease, and stays there until the gate opens; who called it is
/// another caller.
fn with_the_lease_held() -> (Scene, Gate, Raw) {
    let (app, gate) = Upstream::gated();
    let segments = JourneyFlag { edits: &[SEGMENT], ..edited("reject") };
    let scene = Scene::in_front_of(app, PATIENT, &segments);
    let mut other = scene.sidecar().client();
    other.send(&edit_of(Part::Journey, "Off"));
    scene.app.wait_for(1);
    (scene, gate, other)
}

#[test]
fn an_edit_whose_caller_leaves_the_lease_s_queue_is_not_made_and_nobody_is_stuck() {
    let (scene, gate, mut other) = with_the_lease_held();

    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.sidecar().wait_for_metric(WAITERS, &[], 1.0);
    drop(caller);
    scene.sidecar().wait_for_metric(WAITERS, &[], 0.0);
    gate.open();

    assert_eq!(other.response().status, 200);
    scene.wait_for_free_lease();
    assert_eq!(scene.stored(FIRST), "Planned");
    let next = scene.set(FIRST, "Arrived");
    assert_eq!((next.status, scene.stored(FIRST).as_str()), (200, "Arrived"), "{next:?}");
    assert_eq!(scene.updates("unknown"), 0.0);
}

#[test]
fn an_edit_under_the_lease_keeps_it_until_it_is_made_though_its_caller_leaves() {
    let ((scene, gate, mut other), held) = (with_the_lease_held(), Gate::shut());
    scene.outage.relay.lie_in_wait("Departed", Fate::Held(held.clone()));

    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.sidecar().wait_for_metric(WAITERS, &[], 1.0);
    gate.open();
    assert_eq!(other.response().status, 200);
    scene.outage.relay.wait_for_request();
    drop(caller);
    scene.sidecar().wait_for_metric(GONE, &[], 1.0);
    stays("the lease is held", || scene.outage.store.get(&holder()).is_some());
    held.open();

    scene.sidecar().wait_for_metric(UPDATES, &[("outcome", "applied")], 3.0);
    assert_eq!(scene.stored(FIRST), "Departed");
    scene.wait_for_free_lease();
    let next = scene.set(FIRST, "Arrived");
    assert_eq!((next.status, scene.stored(FIRST).as_str()), (200, "Arrived"), "{next:?}");
}

/// An edit that was planned and sent, and has not arrived at the store yet.
fn with_an_edit_on_its_way(app: Upstream) -> (Scene, Gate, Raw) {
    let segments = JourneyFlag { edits: &[SEGMENT], ..edited("reject") };
    let (scene, held) = (Scene::in_front_of(app, PATIENT, &segments), Gate::shut());
    scene.outage.relay.lie_in_wait("Departed", Fate::Held(held.clone()));
    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.outage.relay.wait_for_request();
    (scene, held, caller)
}

#[test]
fn an_edit_that_arrives_after_a_call_of_the_app_came_and_went_is_planned_anew() {
    let (scene, held, mut caller) = with_an_edit_on_its_way(Upstream::echoing_targets());

    let other = scene.set(Part::Journey, "Off");
    scene.wait_for_free_lease();
    held.open();
    let answer = caller.response();

    assert_eq!((other.status, answer.status), (200, 200), "{answer:?}");
    assert_eq!(scene.sum("interlock_edit_conflicts_total", &[]), 1.0);
    assert_eq!((scene.stored(FIRST).as_str(), scene.updates("applied")), ("Departed", 3.0));
}

#[test]
fn an_edit_that_arrives_while_the_app_is_at_a_call_waits_for_its_end() {
    let (app, gate) = Upstream::gated();
    let (scene, held, mut caller) = with_an_edit_on_its_way(app);

    let mut other = scene.sidecar().client();
    other.send(&edit_of(Part::Journey, "Off"));
    scene.app.wait_for(1);
    held.open();
    scene.sidecar().wait_for_metric(QUEUED, &[("reason", "lease_held")], 1.0);
    stays("nothing is written beside the app", || scene.stored(FIRST) == "Planned");
    gate.open();

    assert_eq!((other.response().status, caller.response().status), (200, 200));
    assert_eq!(scene.sum("interlock_edit_conflicts_total", &[]), 0.0, "nothing had changed");
    assert_eq!((scene.stored(FIRST).as_str(), scene.updates("applied")), ("Departed", 3.0));
}

#[test]
fn an_edit_whose_lease_ran_out_on_its_way_is_planned_anew() {
    let ((scene, gate, mut other), held) = (with_the_lease_held(), Gate::shut());
    scene.outage.relay.lie_in_wait("Departed", Fate::Held(held.clone()));
    let mut caller = scene.sidecar().client();
    caller.send(&edit_of(FIRST, "Departed"));
    scene.sidecar().wait_for_metric(WAITERS, &[], 1.0);
    gate.open();
    scene.outage.relay.wait_for_request();

    // As the store would do it itself, much later.
    scene.outage.store.command(&["DEL", &holder()]);
    held.open();

    assert_eq!((other.response().status, caller.response().status), (200, 200));
    assert_eq!(scene.sum("interlock_edit_conflicts_total", &[]), 1.0);
    assert_eq!((scene.stored(FIRST).as_str(), scene.updates("applied")), ("Departed", 3.0));
}
