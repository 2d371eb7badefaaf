//! Flips while calls are under way: what moves goes by guarded stages, each step waits for the calls from before, and whoever is
//! waited for is named.

use serde_json::{Value, json};

use crate::serialize::send_update;
use crate::support::{
    Gate, JOURNEYS, Sidecar, TempDir, Upstream, serialized, status_of, to_fixed_app, until,
};

/// Sets the percentage and gives what the answer says.
pub(crate) fn set(sidecar: &Sidecar, percent: u8) -> Value {
    let body = json!({"percent": percent, "reason": "a test"});
    sidecar.admin_json("PATCH", &format!("/api/v1/flags/{JOURNEYS}"), &body).json()
}

/// What an operator does to the flag beside that.
pub(crate) fn operate(sidecar: &Sidecar, verb: &str) -> Value {
    let path = format!("/api/v1/flags/{JOURNEYS}/{verb}");
    sidecar.admin_json("POST", &path, &json!({"reason": "a test"})).json()
}

pub(crate) fn step(sidecar: &Sidecar) -> String {
    sidecar.flag(JOURNEYS)["transition"]["step"].as_str().unwrap().to_owned()
}

pub(crate) fn wait_until_settled(sidecar: &Sidecar) {
    until("the flip to be over", || step(sidecar) == "settled");
}

/// Why each sidecar is waited for.
pub(crate) fn reasons(sidecar: &Sidecar) -> Vec<String> {
    let flag = sidecar.flag(JOURNEYS);
    let waiting = flag["transition"]["waiting_for"].as_array().unwrap().clone();
    waiting.iter().map(|it| it["why"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn explained(sidecar: &Sidecar, entity: &str) -> Value {
    sidecar.admin_get(&format!("/api/v1/flags/{JOURNEYS}/explain?entity={entity}")).json()
}

pub(crate) fn updates(sidecar: &Sidecar, protection: &str) -> f64 {
    let labels = [("protection", protection), ("outcome", "applied")];
    sidecar.metrics().sum("interlock_updates_total", &labels).unwrap_or(0.0)
}

/// A sidecar of its own, in front of an app that answers once the gate is open.
fn gated(percent: u8) -> (Sidecar, Upstream, Gate) {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(percent)).start();
    (sidecar, app, gate)
}

#[test]
fn a_flip_waits_for_the_calls_from_before_and_guards_what_moves_meanwhile() {
    let (sidecar, app, gate) = gated(0);
    let mut before = send_update(&sidecar, &status_of("A"));
    app.wait_for(1);

    let flag = set(&sidecar, 100);

    assert_eq!(flag["transition"]["step"], "guarding", "{flag}");
    assert!(reasons(&sidecar)[0].starts_with("a call running for "), "{:?}", reasons(&sidecar));
    let labels = [("flag", JOURNEYS), ("step", "guarding")];
    assert_eq!(sidecar.metrics().sum("interlock_flag_transition", &labels), Some(1.0));
    let calls = [("flag", JOURNEYS), ("why", "calls")];
    sidecar.wait_for_metric("interlock_transition_waiting", &calls, 1.0);
    let mut meanwhile = send_update(&sidecar, &status_of("B"));
    app.wait_for(2);
    assert_eq!(explained(&sidecar, "journey:B")["state"], "guarded");

    gate.open();

    assert_eq!(before.response().headers.get("interlock-path"), Some("legacy"));
    assert_eq!(meanwhile.response().headers.get("interlock-path"), Some("legacy"));
    wait_until_settled(&sidecar);
    sidecar.wait_for_metric("interlock_transition_waiting", &calls, 0.0);
    let after = sidecar.call(&crate::support::put(&status_of("B"), "{}"));
    assert_eq!(after.headers.get("interlock-path"), Some("fixed"));
    let had = ["none", "guarded", "local"].map(|protection| updates(&sidecar, protection));
    assert_eq!(had, [1.0, 1.0, 1.0]);
}

#[test]
fn what_goes_back_to_legacy_takes_the_lease_until_the_calls_from_before_have_ended() {
    let (sidecar, app, gate) = gated(100);
    let mut before = send_update(&sidecar, &status_of("A"));
    app.wait_for(1);

    set(&sidecar, 0);
    let mut behind = send_update(&sidecar, &status_of("A"));

    crate::serialize::wait_for_waiters(&sidecar, 1);
    assert_eq!(app.requests().len(), 1, "it waits for the lease");
    gate.open();
    assert_eq!(before.response().headers.get("interlock-path"), Some("fixed"));
    assert_eq!(behind.response().headers.get("interlock-path"), Some("legacy"));
    wait_until_settled(&sidecar);
    assert_eq!(explained(&sidecar, "journey:A")["state"], "legacy");
}

#[test]
fn a_flip_in_the_middle_of_one_turns_round() {
    let (sidecar, app, gate) = gated(0);
    let mut before = send_update(&sidecar, &status_of("A"));
    app.wait_for(1);
    set(&sidecar, 100);

    let back = set(&sidecar, 0);

    assert_eq!((&back["percent"], &back["transition"]["step"]), (&json!(0), &json!("guarding")));
    gate.open();
    before.response();
    wait_until_settled(&sidecar);
    assert_eq!(explained(&sidecar, "journey:A")["state"], "legacy");
}

#[test]
fn a_call_that_was_given_up_holds_a_flip_up_for_as_long_as_it_may_write() {
    let (app, _shut) = Upstream::gated();
    let legacy = "timeout = \"300ms\"\nsettle_after_timeout = \"700ms\"";
    let sidecar = Sidecar::in_front_of(&app).legacy(legacy).with(&serialized(0)).start();
    let began = std::time::Instant::now();
    let given_up = send_update(&sidecar, &status_of("A")).response();
    assert_eq!(given_up.status, 504);

    set(&sidecar, 100);

    assert!(
        reasons(&sidecar)[0].ends_with("was given up and may still write"),
        "{:?}",
        reasons(&sidecar)
    );
    wait_until_settled(&sidecar);
    assert!(began.elapsed().as_millis() >= 1_000, "{:?}", began.elapsed());
}

#[test]
fn on_its_way_to_a_fixed_app_and_back_an_entity_is_never_at_both() {
    let (fixed, fixed_gate) = Upstream::gated();
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&to_fixed_app(0, &fixed)).start();
    let mut first = send_update(&sidecar, &status_of("A"));
    app.wait_for(1);
    set(&sidecar, 100);
    let mut guarded = send_update(&sidecar, &status_of("B"));
    app.wait_for(2);

    // Once the first has ended, what moves goes to the fixed app, under the lease that the second one holds.
    gate.open();
    first.response();
    guarded.response();
    wait_until_settled(&sidecar);
    let mut at_fixed = send_update(&sidecar, &status_of("B"));
    fixed.wait_for(1);
    let down = set(&sidecar, 0);

    assert_eq!(down["transition"]["step"], "switching", "{down}");
    let mut behind = send_update(&sidecar, &status_of("B"));
    fixed.wait_for(2);
    assert_eq!(explained(&sidecar, "journey:B")["state"], "guarded_fixed");
    fixed_gate.open();
    at_fixed.response();
    assert_eq!(behind.response().headers.get("interlock-path"), Some("fixed"));
    wait_until_settled(&sidecar);
    let after = sidecar.call(&crate::support::put(&status_of("B"), "{}"));
    assert_eq!(after.headers.get("interlock-path"), Some("legacy"));
    assert_eq!(app.requests().len(), 3);
}

#[test]
fn a_kill_acts_at_once_and_counts_what_it_may_have_undone() {
    let (fixed, fixed_gate) = Upstream::gated();
    let app = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let sidecar = Sidecar::in_front_of(&app).with(&to_fixed_app(100, &fixed)).start();
    let mut at_fixed = send_update(&sidecar, &status_of("A"));
    fixed.wait_for(1);

    let killed = operate(&sidecar, "kill");

    assert_eq!(killed["transition"]["step"], "guarding", "{killed}");
    let next = sidecar.call(&crate::support::put(&status_of("A"), "{}"));
    assert_eq!(next.headers.get("interlock-path"), Some("legacy"));
    fixed_gate.open();
    let answer = at_fixed.response();
    assert_eq!((answer.status, answer.headers.get("interlock-degraded")), (200, None));
    wait_until_settled(&sidecar);
    let exposed = [("flag", JOURNEYS), ("reason", "flip_forced")];
    sidecar.wait_for_metric("interlock_exposed_updates_total", &exposed, 1.0);
}

/// Without a fleet nobody else knows of the calls of the process that was there before.
fn assert_that_a_crash_is_waited_for(flips_before: bool) {
    let directory = TempDir::new();
    let (app, _shut) = Upstream::gated();
    let snapshot = format!("[store]\nsnapshot = {:?}\n", directory.file("flags.json"));
    let legacy =
        "connect_timeout = \"200ms\"\ntimeout = \"1600ms\"\nsettle_after_timeout = \"1700ms\"";
    let builder = Sidecar::in_front_of(&app).legacy(legacy).with(&snapshot);
    let mut sidecar = builder.with(&serialized(0)).start();
    // A restart knows of flags that were changed.
    set(&sidecar, 0);
    let _before = send_update(&sidecar, &status_of("A"));
    app.wait_for(1);
    if flips_before {
        set(&sidecar, 100);
    }
    sidecar.signal("KILL");
    sidecar.wait_for_exit();
    let died = std::time::Instant::now();

    sidecar.start_again();
    if !flips_before {
        set(&sidecar, 100);
    }

    assert_eq!(step(&sidecar), "guarding");
    assert!(reasons(&sidecar)[0].ends_with("was given up and may still write"));
    wait_until_settled(&sidecar);
    assert!(died.elapsed().as_millis() >= 3_500, "{:?}", died.elapsed());
    assert_eq!(explained(&sidecar, "journey:A")["state"], "fixed");
}

#[test]
fn a_flip_that_a_crash_interrupts_goes_on_when_no_call_from_before_can_write_any_more() {
    assert_that_a_crash_is_waited_for(true);
}

#[test]
fn the_first_flip_after_a_crash_waits_until_no_call_from_before_can_write_any_more() {
    assert_that_a_crash_is_waited_for(false);
}
