//! Faults of the store under load: whatever happens to it, a fleet that refuses what it can't protect loses no acknowledged
//! update, and one that lets it pass refuses none and counts each.
//!
//! All of these are slow and heavy: both fleets go through a fault at once, and one test runs at a time.

use std::time::Duration;

use serde_json::json;

use crate::support::{FleetPlan, GLANCE, JOURNEYS, Redis, Sentinels, Trial, take_time};

/// Longer than a lease lasts, and than anybody's patience.
const LONG: Duration = Duration::from_secs(10);

/// Longer than it takes to notice a loss.
const SHORT: Duration = Duration::from_secs(2);

fn plan(store: &Redis) -> FleetPlan {
    FleetPlan::over(100, &store.url())
}

#[test]
fn heavy_a_store_that_crashes_and_comes_back_empty() {
    let mut store = Redis::start();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        store.kill();
        take_time(SHORT);
        store.start_again();
    });

    verdict.assert_promises(&trial);
    verdict.assert_that_it_was_felt();
}

#[test]
fn heavy_a_store_that_crashes_and_is_back_at_once_with_all_that_it_had() {
    let mut store = Redis::start_durable();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        store.kill();
        store.start_again();
    });

    verdict.assert_promises(&trial);
}

#[test]
fn heavy_a_store_that_stands_still_for_ten_seconds_and_then_goes_on() {
    let store = Redis::start();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        store.pause();
        take_time(LONG);
        store.resume();
    });

    verdict.assert_promises(&trial);
    verdict.assert_that_it_was_felt();
}

#[test]
fn heavy_a_store_that_stutters() {
    let store = Redis::start();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        for _ in 0..8 {
            store.pause();
            take_time(GLANCE);
            store.resume();
            take_time(GLANCE);
        }
    });

    verdict.assert_promises(&trial);
}

#[test]
fn heavy_one_sidecar_behind_a_black_hole() {
    let store = Redis::start();
    let trial = Trial::of(&FleetPlan::relayed(100, &store));

    let verdict = trial.through(|trial| {
        let relays = || trial.fleets().map(|fleet| fleet.stands[1].relay());
        relays().iter().for_each(|relay| relay.swallow());
        take_time(SHORT);
        relays().iter().for_each(|relay| relay.pass());
    });

    verdict.assert_promises(&trial);
    verdict.assert_that_it_was_felt();
}

#[test]
fn heavy_all_sidecars_behind_black_holes() {
    let store = Redis::start();
    let trial = Trial::of(&FleetPlan::relayed(100, &store));

    let verdict = trial.through(|trial| {
        let relays = || trial.fleets().into_iter().flat_map(|fleet| fleet.relays());
        relays().for_each(|relay| relay.swallow());
        take_time(SHORT);
        relays().for_each(|relay| relay.pass());
    });

    verdict.assert_promises(&trial);
    verdict.assert_that_it_was_felt();
}

#[test]
fn heavy_connections_that_are_cut_again_and_again() {
    let store = Redis::start();
    let trial = Trial::of(&FleetPlan::relayed(100, &store));

    let verdict = trial.through(|trial| {
        for round in 0..6 {
            for fleet in trial.fleets() {
                fleet.stands[round % 3].relay().cut();
            }
            take_time(GLANCE);
        }
    });

    verdict.assert_promises(&trial);
}

#[test]
fn heavy_a_failover_in_good_order() {
    let sentinels = Sentinels::start();
    let trial = Trial::of(&FleetPlan::over(100, &sentinels.url()));

    let verdict = trial.through(|_| sentinels.fail_over());

    verdict.assert_promises(&trial);
}

#[test]
fn heavy_a_failover_after_the_master_crashed() {
    let mut sentinels = Sentinels::start();
    let trial = Trial::of(&FleetPlan::over(100, &sentinels.url()));

    let verdict = trial.through(|_| sentinels.kill_master());

    verdict.assert_promises(&trial);
    verdict.assert_that_it_was_felt();
}

#[test]
fn heavy_a_store_that_is_emptied() {
    let store = Redis::start();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        for _ in 0..3 {
            store.command(&["FLUSHALL"]);
            take_time(GLANCE);
        }
        take_time(SHORT);
    });

    verdict.assert_promises(&trial);
}

#[test]
fn heavy_nonsense_in_the_flags_that_nobody_feels() {
    let store = Redis::start();
    let trial = Trial::of(&plan(&store));

    let verdict = trial.through(|_| {
        for prefix in ["legacy", "reject"] {
            let (flags, revision) =
                (format!("{{{prefix}}}:flags"), format!("{{{prefix}}}:revision"));
            for text in ["nonsense", "{}", &json!({ "format": 1, "percent": 0 }).to_string()] {
                store.command(&["HSET", &flags, JOURNEYS, text]);
                store.command(&["INCR", &revision]);
                take_time(GLANCE);
            }
            store.command(&["DEL", &flags]);
            store.set(&flags, "what is this");
            store.command(&["INCR", &revision]);
            take_time(GLANCE);
            store.command(&["DEL", &flags]);
            store.command(&["INCR", &revision]);
        }
    });

    verdict.assert_promises(&trial);
    verdict.assert_that_nobody_felt_it();
}
