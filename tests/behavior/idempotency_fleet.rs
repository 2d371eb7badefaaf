//! `Idempotency-Key` in a fleet: whichever sidecar a key comes to again, and whatever happened to the first one.

use std::time::{Duration, Instant};

use crate::idempotency::{assert_replay_of, counting, keyed, seen};
use crate::support::{
    Flavor, JOURNEYS, JourneyFlag, Loss, Outage, Redis, Response, STATUS, STORE_UNAVAILABLE,
    Sidecar, Upstream, eventually, in_parallel, put, status_of, store_at, until,
};

/// A sidecar of a fleet over this store. A call that runs for longer than a few seconds has nobody any more.
#[track_caller]
fn of_fleet(app: &Upstream, store: &Redis, percent: u8) -> Sidecar {
    let flag =
        JourneyFlag { lease: "wait = \"200ms\"".to_owned(), ..JourneyFlag::serialized(percent) };
    let sidecar = Sidecar::in_front_of(app)
        .legacy("connect_timeout = \"200ms\"\ntimeout = \"1s\"\nsettle_after_timeout = \"200ms\"")
        .with(&store_at(&store.url(), "500ms"))
        .with(&flag.toml())
        .start();
    sidecar.wait_for_leases();
    sidecar.wait_for_metric("interlock_freshness", &[("state", "live")], 1.0);
    sidecar
}

#[test]
fn a_key_that_comes_to_another_sidecar_is_given_the_first_answer() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let (app, store) = (counting(), Redis::start_with(flavor, &[]));
        let (one, two) = (of_fleet(&app, &store, 100), of_fleet(&app, &store, 100));

        let first = one.call(&keyed("k", "J1"));
        let again = two.call(&keyed("k", "J1"));
        let other = two.call(&keyed("k", "J2"));

        assert_replay_of(&first, &again);
        other.assert_problem(422, "safe");
        assert_eq!(app.requests().len(), 1, "{flavor:?}");
        let protected = [("outcome", "replayed"), ("protection", "protected")];
        assert_eq!(two.metrics().sum("interlock_updates_total", &protected), Some(1.0));
    }
}

#[test]
fn many_senders_of_one_key_at_two_sidecars_have_one_effect() {
    let (app, store) = (counting(), Redis::start());
    let sidecars = [of_fleet(&app, &store, 0), of_fleet(&app, &store, 0)];

    let answers = in_parallel(16, |n| {
        let mut client = sidecars[n % 2].client();
        (0..20).map(|_| client.call(&keyed("k", "J1"))).collect::<Vec<_>>()
    });

    assert_eq!(app.requests().len(), 1);
    for answer in answers.iter().flatten() {
        assert!(answer.status == 409 || answer.text() == "call 1", "{answer:?}");
    }
}

#[test]
fn while_the_first_runs_at_one_sidecar_another_says_so() {
    let (app, gate) = Upstream::gated();
    let store = Redis::start();
    let (one, two) = (of_fleet(&app, &store, 0), of_fleet(&app, &store, 0));
    let mut client = one.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    let meanwhile = two.call(&keyed("k", "J1"));
    gate.open();
    let first = client.response();

    meanwhile.assert_problem(409, "safe");
    assert_replay_of(&first, &two.call(&keyed("k", "J1")));
}

#[test]
fn a_restart_of_the_sidecar_forgets_no_key() {
    let (app, store) = (counting(), Redis::start());
    let mut sidecar = of_fleet(&app, &store, 0);

    let first = sidecar.call(&keyed("k", "J1"));
    sidecar.restart();
    let again = sidecar.call(&keyed("k", "J1"));

    assert_replay_of(&first, &again);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_flip_in_between_changes_nothing_in_a_fleet() {
    let (app, store) = (counting(), Redis::start());
    let (one, two) = (of_fleet(&app, &store, 0), of_fleet(&app, &store, 0));

    let first = one.call(&keyed("k", "J1"));
    one.set_percent(JOURNEYS, 100.0);
    until("the flip to reach the other", || two.flag(JOURNEYS)["percent"] == 100.0);
    let again = two.call(&keyed("k", "J1"));

    assert_eq!(first.headers.get("interlock-path"), Some("legacy"));
    assert_replay_of(&first, &again);
    assert_eq!(two.call(&keyed("new", "J1")).headers.get("interlock-path"), Some("fixed"));
}

#[test]
fn a_sidecar_that_dies_under_a_call_leaves_an_outcome_that_nobody_knows() {
    let (app, _gate) = Upstream::gated();
    let store = Redis::start();
    let (one, two) = (of_fleet(&app, &store, 0), of_fleet(&app, &store, 0));
    let mut client = one.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    one.signal("KILL");
    assert!(client.closed());
    let meanwhile = two.call(&keyed("k", "J1"));
    let after = eventually("nobody to run it any more", || {
        Some(two.call(&keyed("k", "J1"))).filter(|answer| answer.status != 409)
    });

    meanwhile.assert_problem(409, "safe");
    after.assert_problem(504, "unknown");
    assert_eq!(app.requests().len(), 1, "it is run nowhere else");
}

#[test]
fn a_call_that_was_not_sent_leaves_nothing_in_the_store() {
    let (app, gate) = Upstream::gated();
    let store = Redis::start();
    let (one, two) = (of_fleet(&app, &store, 100), of_fleet(&app, &store, 100));
    let mut holder = one.client();
    holder.send(&put(&status_of("J1"), "{}"));
    app.wait_for(1);

    two.call(&keyed("k", "J1")).assert_problem(503, "safe");
    gate.open();
    assert_eq!(holder.response().status, 200);
    // It is taken back beside the answer; who comes back ahead of that is told to come once more.
    until("the record to be gone", || {
        store.command(&["KEYS", "interlock:idempotency:*"]).list().is_empty()
    });
    let next = one.call(&keyed("k", "J1"));

    assert_eq!((next.status, next.headers.get("interlock-replayed")), (200, None));
    assert_eq!(app.requests().len(), 2);
}

/// Whether the only record of a store is an answer.
fn has_an_answer(store: &Redis) -> bool {
    let found = store.command(&["KEYS", "interlock:idempotency:*"]);
    let key = found.list().first().and_then(|key| key.text().map(str::to_owned));
    key.and_then(|key| store.get(&key)).is_some_and(|record| record.starts_with("answered "))
}

fn flag(policy: &str) -> JourneyFlag {
    let more = format!("on_store_loss = \"{policy}\"\n");
    JourneyFlag { more, ..JourneyFlag::serialized(0) }
}

fn is_degraded(response: &Response) -> bool {
    response.headers.list("interlock-degraded").iter().any(|word| word == STORE_UNAVAILABLE)
}

#[test]
fn without_the_store_a_call_runs_unrecorded_or_is_refused() {
    for loss in Loss::ALL {
        let app = counting();
        let mut outage = Outage::of(&flag("legacy"), &app);
        outage.lose_noticed(loss);
        let (first, again) =
            (outage.sidecar.call(&keyed("k", "J1")), outage.sidecar.call(&keyed("k", "J1")));

        assert_eq!((first.status, again.status), (201, 201), "{loss:?}");
        assert!(is_degraded(&first) && is_degraded(&again), "{loss:?}");
        assert_eq!((app.requests().len(), seen(&outage.sidecar, "unrecorded")), (2, 2.0));

        let app = counting();
        let mut outage = Outage::of(&flag("reject"), &app);
        outage.lose_noticed(loss);
        let refused = outage.sidecar.call(&keyed("k", "J1"));
        let without_a_key = outage.sidecar.call(&put(&status_of("J1"), "{}"));

        refused.assert_problem(503, "safe");
        assert!(is_degraded(&refused), "{loss:?}");
        assert_eq!((without_a_key.status, app.requests().len()), (201, 1), "{loss:?}");
        outage.restore_noticed(loss);
        let next = outage.sidecar.call(&keyed("k", "J1"));
        assert_eq!((next.status, next.headers.get("interlock-replayed")), (201, None), "{loss:?}");
    }
}

#[test]
fn a_store_that_is_lost_unnoticed_costs_one_timeout_a_step_and_learns_the_answer_when_it_is_back() {
    let app = counting();
    let mut outage = Outage::of(&flag("legacy"), &app);

    outage.lose(Loss::Pause);
    let since = Instant::now();
    let first = outage.sidecar.call(&keyed("k", "J1"));
    let took = since.elapsed();
    outage.restore_noticed(Loss::Pause);
    until("the answer to be in the store", || has_an_answer(&outage.store));
    let again = outage.sidecar.call(&keyed("k", "J1"));

    assert!(is_degraded(&first));
    // 250 ms to begin, 250 ms to keep the answer, and a busy machine.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_replay_of(&first, &again);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn an_answer_that_the_store_was_not_told_of_in_time_is_given_and_told_later() {
    let (app, gate) = Upstream::gated();
    let mut outage = Outage::of(&flag("legacy"), &app);
    let mut client = outage.sidecar.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    outage.lose_noticed(Loss::Refusal);
    gate.open();
    let first = client.response();
    outage.restore_noticed(Loss::Refusal);
    until("the answer to be in the store", || has_an_answer(&outage.store));
    let again = outage.sidecar.call(&keyed("k", "J1"));

    assert_eq!(first.status, 200);
    assert!(is_degraded(&first));
    assert_replay_of(&first, &again);
    assert_eq!(app.requests().len(), 1);
}

#[test]
fn a_sidecar_that_ends_under_a_call_says_that_nobody_knows() {
    let (app, _gate) = Upstream::gated();
    let store = Redis::start();
    let flag = JourneyFlag::serialized(0).toml();
    let table = store_at(&store.url(), "500ms");
    let start = || {
        let plan = Sidecar::in_front_of(&app).proxy("drain = \"300ms\"").with(&table).with(&flag);
        let sidecar = plan.start();
        sidecar.wait_for_leases();
        sidecar
    };
    let (mut one, two) = (start(), start());
    let mut client = one.client();
    client.send(&keyed("k", "J1"));
    app.wait_for(1);

    one.terminate();
    one.wait_for_exit();

    // At once: a call may run for longer than any test, by the bounds of this configuration.
    two.call(&keyed("k", "J1")).assert_problem(504, "unknown");
    assert_eq!(app.requests().len(), 1, "it is run nowhere else");
}

/// A store, and a flag whose journeys' status is edited in it.
fn edited(store: &Redis) -> String {
    let edit = r#"answer = '{"journey":"{journeyId}","status":"{value}"}'"#;
    let flag = JourneyFlag { edits: &[STATUS], edit, ..JourneyFlag::edited(100, "") };
    store_at(&store.url(), "500ms") + &flag.toml()
}

/// Makes of an answered record what a sidecar leaves that dies between an edit and its answer, seen once its time is over.
fn forget_answer(store: &Redis) {
    let found = store.command(&["KEYS", "interlock:idempotency:*"]);
    let key = found.list()[0].text().unwrap().to_owned();
    let record = store.get(&key).unwrap();
    let head = record.lines().next().unwrap();
    store.set(&key, &head.replacen("answered ", "running ", 1));
}

#[test]
fn of_an_edit_whose_answer_nobody_kept_its_receipt_tells() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let (app, store) = (counting(), Redis::start_with(flavor, &[]));
        store.set("journey:J1", r#"{"Status":"Booked","TotalPrice":850.50}"#);
        let toml = edited(&store);
        let start = || Sidecar::in_front_of(&app).with(&toml).start();
        let (mut one, two) = (start(), start());

        let first = one.call(&keyed("k", "J1"));
        forget_answer(&store);
        one.restart();
        let later = one.call(&put(&status_of("J1"), r#"{"status":"Arrived"}"#));
        let again = two.call(&keyed("k", "J1"));
        let once_more = one.call(&keyed("k", "J1"));

        assert_eq!((first.status, later.status), (200, 200), "{flavor:?}");
        assert_eq!(first.text(), r#"{"journey":"J1","status":"Departed"}"#);
        assert_replay_of(&first, &again);
        assert_replay_of(&first, &once_more);
        let stored = store.get("journey:J1").unwrap();
        assert_eq!(stored, r#"{"Status":"Arrived","TotalPrice":850.50}"#, "it is not made again");
        assert!(app.requests().is_empty(), "{flavor:?}");
        let found = [("result", "applied")];
        assert_eq!(two.metrics().sum("interlock_receipts_found_total", &found), Some(1.0));
        assert_eq!(one.metrics().sum("interlock_receipts_found_total", &found), Some(0.0));
        assert_eq!(seen(&two, "replayed"), 1.0);
    }
}

#[test]
fn of_an_edit_without_a_receipt_nobody_knows_and_it_is_not_made() {
    let (app, store) = (counting(), Redis::start());
    store.set("journey:J1", r#"{"Status":"Booked"}"#);
    let sidecar = Sidecar::in_front_of(&app).with(&edited(&store)).start();

    assert_eq!(sidecar.call(&keyed("k", "J1")).status, 200);
    forget_answer(&store);
    let receipts = store.command(&["KEYS", "interlock:receipt:*"]);
    store.command(&["DEL", receipts.list()[0].text().unwrap()]);
    store.set("journey:J1", r#"{"Status":"Booked"}"#);

    for _ in 0..2 {
        sidecar.call(&keyed("k", "J1")).assert_problem(504, "unknown");
    }
    assert_eq!(store.get("journey:J1").unwrap(), r#"{"Status":"Booked"}"#);
    assert!(app.requests().is_empty());
    assert_eq!(seen(&sidecar, "unknown"), 2.0);
}
