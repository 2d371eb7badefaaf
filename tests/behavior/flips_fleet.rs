//! Flips in a fleet: who is silent holds them up by name, until it is back, forgotten or forced past; and a store that comes back
//! without its memory ends none.

use serde_json::json;

use crate::flips::{explained, operate, reasons, set, step, updates, wait_until_settled};
use crate::serialize::send_update;
use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Redis, Sidecar, Upstream, status_of, to_fixed_app, until,
};

/// Three sidecars over one store.
fn fleet(percent: u8) -> (Redis, Fleet) {
    let store = Redis::start();
    let fleet = FleetPlan::over(percent, &store.url()).start();
    (store, fleet)
}

/// The ids of those who are waited for.
fn waited_for(sidecar: &Sidecar) -> Vec<String> {
    let flag = sidecar.flag(JOURNEYS);
    let waiting = flag["transition"]["waiting_for"].as_array().unwrap().clone();
    waiting.iter().map(|it| it["sidecar"].as_str().unwrap().to_owned()).collect()
}

fn id_of(sidecar: &Sidecar) -> String {
    let fleet = sidecar.admin_get("/api/v1/fleet").json();
    let rows = fleet["sidecars"].as_array().unwrap().clone();
    let own = rows.iter().find(|row| row["this"] == true).expect("itself");
    own["id"].as_str().unwrap().to_owned()
}

fn wait_until_one_is_silent(fleet: &Fleet) {
    until("it to be found silent", || {
        reasons(fleet.sidecar(0)).iter().any(|why| why.starts_with("silent for "))
    });
}

#[test]
fn a_frozen_sidecar_blocks_a_flip_by_name_and_thawed_it_does_no_harm() {
    let (_store, fleet) = fleet(0);
    let frozen = id_of(fleet.sidecar(2));
    fleet.sidecar(2).signal("STOP");

    set(fleet.sidecar(0), 100);

    wait_until_one_is_silent(&fleet);
    assert_eq!(waited_for(fleet.sidecar(0)), [frozen]);
    assert_eq!(step(fleet.sidecar(1)), "guarding");
    let labels = [("flag", JOURNEYS), ("why", "silent")];
    fleet.sidecar(0).wait_for_metric("interlock_transition_waiting", &labels, 1.0);
    let meanwhile = fleet.update(0, &fleet.journeys[0], Part::Journey, "meanwhile");
    assert_eq!((meanwhile.status(), meanwhile.path()), (Some(200), "legacy"));

    fleet.sidecar(2).signal("CONT");

    fleet.sidecars().for_each(wait_until_settled);
    let after = fleet.update(2, &fleet.journeys[0], Part::Journey, "after");
    assert_eq!((after.status(), after.path()), (Some(200), "fixed"));
    assert_eq!(fleet.sum("interlock_exposed_updates_total", &[]), 0.0);
}

#[test]
fn a_forced_flip_goes_on_and_every_update_since_is_exposed_until_the_silent_one_is_back() {
    let (_store, fleet) = fleet(0);
    let frozen = id_of(fleet.sidecar(2));
    fleet.sidecar(2).signal("STOP");
    set(fleet.sidecar(0), 100);
    wait_until_one_is_silent(&fleet);

    operate(fleet.sidecar(0), "force");

    for sidecar in &fleet.stands[..2] {
        wait_until_settled(&sidecar.sidecar);
        let flag = sidecar.sidecar.flag(JOURNEYS);
        assert_eq!(flag["transition"]["forced"], json!([frozen]));
    }
    assert_eq!(fleet.update(0, &fleet.journeys[0], Part::Journey, "exposed").path(), "fixed");
    let exposed = [("flag", JOURNEYS), ("reason", "silent_sidecar")];
    fleet.sidecar(0).wait_for_metric("interlock_exposed_updates_total", &exposed, 1.0);
    let history = fleet.sidecar(1).admin_get(&format!("/api/v1/flags/{JOURNEYS}/history")).json();
    assert_eq!(history["history"][0]["change"], "forced");

    fleet.sidecar(2).signal("CONT");

    until("it to be back", || fleet.sidecar(0).flag(JOURNEYS)["transition"]["forced"].is_null());
    let protected = updates(fleet.sidecar(0), "protected");
    fleet.update(0, &fleet.journeys[0], Part::Journey, "protected");
    assert_eq!(updates(fleet.sidecar(0), "protected"), protected + 1.0);
}

#[test]
fn a_sidecar_that_crashed_holds_up_a_flip_until_an_operator_says_that_it_is_gone() {
    let (_store, mut fleet) = fleet(0);
    let gone = id_of(fleet.sidecar(2));
    let path = format!("/api/v1/fleet/{gone}/forget");
    let forget = |fleet: &Fleet| {
        fleet.sidecar(0).admin_json("POST", &path, &json!({"reason": "its node is gone"}))
    };
    assert_eq!(forget(&fleet).status, 409, "it is there");
    drop(fleet.stands.pop());
    set(fleet.sidecar(0), 100);
    wait_until_one_is_silent(&fleet);

    let answer = forget(&fleet);

    assert_eq!(answer.status, 200, "{}", answer.text());
    fleet.sidecars().for_each(wait_until_settled);
    assert_eq!(forget(&fleet).status, 404);
    assert_eq!(fleet.update(0, &fleet.journeys[0], Part::Journey, "fixed").path(), "fixed");
}

#[test]
fn while_the_store_is_gone_nobody_leaves_the_register_and_nobody_is_forgotten() {
    let (mut store, mut fleet) = fleet(0);
    let mut leaves = fleet.stands.pop().unwrap();
    let id = id_of(&leaves.sidecar);
    store.kill();
    fleet.sidecar(0).wait_for_metric("interlock_freshness", &[("state", "stale")], 1.0);

    leaves.sidecar.terminate();
    assert_eq!(leaves.sidecar.wait_for_exit().code(), Some(0));
    let path = format!("/api/v1/fleet/{id}/forget");
    let answer = fleet.sidecar(0).admin_json("POST", &path, &json!({"reason": "it was stopped"}));

    let log = leaves.sidecar.log();
    let left: Vec<&str> = log.lines().filter(|line| line.contains("leave_failed")).collect();
    assert!(left.len() == 1 && left[0].contains(&id), "{left:?}");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.json()["type"].as_str().unwrap().ends_with("store-unavailable"));
}

#[test]
fn a_flip_goes_on_when_the_store_is_back_whatever_it_has_forgotten() {
    let (mut store, fleet) = fleet(0);
    let frozen = id_of(fleet.sidecar(2));
    fleet.sidecar(2).signal("STOP");
    set(fleet.sidecar(0), 100);
    until("the flip to have begun", || step(fleet.sidecar(1)) == "guarding");

    store.kill();
    store.start_again();
    fleet.sidecar(0).wait_for_metric("interlock_store_up", &[], 1.0);

    // The register is new, and the frozen one is waited for all the same.
    let open = [("state", "open")];
    fleet.stands[..2]
        .iter()
        .for_each(|it| it.sidecar.wait_for_metric("interlock_lease_gate", &open, 1.0));
    until("the frozen one to be missed", || waited_for(fleet.sidecar(0)) == [frozen.clone()]);
    wait_until_one_is_silent(&fleet);
    assert_eq!(step(fleet.sidecar(0)), "guarding");
    fleet.sidecar(2).signal("CONT");
    fleet.sidecars().for_each(wait_until_settled);
    for sidecar in 0..3 {
        let sent = fleet.update(sidecar, &fleet.journeys[0], Part::Journey, &format!("u{sidecar}"));
        assert_eq!(sent.path(), "fixed");
    }
}

#[test]
fn a_sidecar_that_has_not_joined_its_fleet_yet_promises_nothing() {
    let (fixed, gate) = Upstream::gated();
    let app = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut store = Redis::start();
    store.kill();
    let url = format!("[store]\nurl = \"{}\"\n", store.url());
    let flag = to_fixed_app(100, &fixed);
    let sidecar = Sidecar::in_front_of(&app).with(&url).with(&flag).start();
    let protection = || explained(&sidecar, "journey:A")["protection"].clone();

    let picture = sidecar.admin_get("/api/v1/fleet").json();
    assert_eq!(picture["at"], json!(null), "there is none");
    // Nobody waits for it, so it may be the last to believe in this percentage, also of an update that ends later.
    assert_eq!(protection(), "exposed");
    let mut early = send_update(&sidecar, &status_of("A"));
    fixed.wait_for(1);
    store.start_again();
    sidecar.wait_for_metric("interlock_freshness", &[("state", "live")], 1.0);
    gate.open();
    assert_eq!(early.response().status, 200);
    let exposed = [("reason", "store_unreachable")];
    sidecar.wait_for_metric("interlock_exposed_updates_total", &exposed, 1.0);

    assert_eq!(protection(), "protected");
    sidecar.call(&crate::support::put(&status_of("A"), "{}"));
    assert_eq!((updates(&sidecar, "exposed"), updates(&sidecar, "protected")), (1.0, 1.0));
}

#[test]
fn a_pin_moves_its_entity_by_the_same_stages() {
    let (_store, fleet) = fleet(0);
    let entity = format!("journey:{}", fleet.journeys[0]);
    let pin = json!({"pin": {"entity": entity, "path": "fixed"}, "reason": "a test"});

    fleet.sidecar(0).admin_json("PATCH", &format!("/api/v1/flags/{JOURNEYS}"), &pin);

    fleet.sidecars().for_each(wait_until_settled);
    until("all to have it", || {
        fleet.sidecars().all(|sidecar| explained(sidecar, &entity)["state"] == "fixed")
    });
    let other = format!("journey:{}", fleet.journeys[1]);
    assert_eq!(explained(fleet.sidecar(1), &other)["state"], "legacy");
}
