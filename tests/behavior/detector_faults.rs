//! Whatever fails beside an app that loses nothing, the detector raises no alarm, and it sees again afterwards: the store stands still,
//! crashes and forgets, is cut off or swallows everything; a sidecar crashes.
//!
//! Each fault meets two deployments of three sidecars. In one the app is right by itself, and its answers are late, missing or wrong
//! now and then. In the other it loses updates unless they come one after the other, and the flag at 100 % sees to that.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{
    Attempt, Figures, LONE_EVERY, Manner, Redis, Sidecar, Stage, StagePlan, eventually_within,
    until,
};

/// So many updates are sent at most while something fails.
const MOST: usize = 40_000;

/// Verified before the fault, and again after it: the detector looks.
const LOOKS: usize = 300;

/// So many calls at a sidecar meet a fault.
const CALLS: usize = 300;

/// The longest until a true loss is found after a fault: what a sidecar that crashed had under way is waited for, longest of all.
const SEES_AGAIN_WITHIN: Duration = Duration::from_secs(150);

/// Updates are dropped so far apart.
const PACE: Duration = Duration::from_millis(250);

/// Callers at each sidecar.
const EACH: usize = 4;

/// The honest app at 0 %, its answers troubled.
fn honest() -> StagePlan {
    StagePlan { percent: 0, serialize: true, lone: 1_000, ..StagePlan::fleet() }
}

/// The racy app at 100 %.
fn serialized() -> StagePlan {
    StagePlan { percent: 100, manner: Manner::racy(), ..honest() }
}

fn store(stage: &mut Stage) -> &mut Redis {
    stage.store.as_mut().expect("a stage over a store")
}

/// Waits until this many more updates are verified, whoever counts them.
#[track_caller]
fn wait_for_looks(stage: &Stage) {
    let before = stage.figures().verified;
    let looks = || stage.figures().verified >= before + LOOKS;
    eventually_within(SEES_AGAIN_WITHIN, "updates to be verified", || looks().then_some(()));
}

/// Waits until each of these sidecars has answered some more calls.
#[track_caller]
fn wait_for_calls(what: &str, sidecars: &[Sidecar]) {
    let answered = |sidecar: &Sidecar| {
        sidecar.metrics().sum("interlock_requests_total", &[]).unwrap_or(0.0) as usize
    };
    let before: Vec<_> = sidecars.iter().map(answered).collect();
    until(what, || {
        sidecars.iter().zip(&before).all(|(one, before)| answered(one) >= before + CALLS)
    });
}

/// Waits until these sidecars have found the store gone, and until calls have met that.
#[track_caller]
fn wait_for_calls_without_store(sidecars: &[Sidecar]) {
    for sidecar in sidecars {
        sidecar.wait_for_metric("interlock_store_up", &[], 0.0);
    }
    wait_for_calls("calls to meet a store that is gone", sidecars);
}

/// Loads a stage while it is struck, and finds no alarm; then the app drops updates, and that is found.
#[track_caller]
fn assert_no_false_alarm(plan: &StagePlan, mut strike: impl FnMut(&mut Stage)) {
    let mut stage = plan.start();
    let (addresses, callers) = (stage.addresses(), stage.callers("fault", EACH));

    let begun = Instant::now();
    let attempts = callers.during(&addresses, MOST, || {
        wait_for_looks(&stage);
        strike(&mut stage);
        wait_for_looks(&stage);
    });
    let next_lone = attempts.len() / LONE_EVERY + 1;
    eprintln!("{} sent, {:?} after {:.1?}", attempts.len(), stage.figures(), begun.elapsed());

    assert_nothing_is_lost(&stage, &attempts);
    assert_a_loss_is_found(&stage, next_lone);
    eprintln!("seen again after {:.1?}", begun.elapsed());
}

#[track_caller]
fn assert_nothing_is_lost(stage: &Stage, attempts: &[Attempt]) {
    assert_eq!(stage.app.put_back(), 0, "what was serialised met nobody");
    assert_eq!(stage.lost(attempts), BTreeSet::new(), "the app is honest");
    let figures = stage.figures();
    assert_eq!(figures, Figures { lost: 0, unmanaged: 0, ..figures });
    // A sidecar that crashed has forgotten what it counted; records are the fleet's.
    assert_eq!(stage.recorded("lost_update"), BTreeSet::new());
    assert_eq!(stage.recorded("unmanaged_writer"), BTreeSet::new());
}

/// The app drops one update after the other until one of them is found, and nothing else is.
#[track_caller]
fn assert_a_loss_is_found(stage: &Stage, next_lone: usize) {
    stage.app.drop_lone_ones();
    let mut dropped = Vec::new();
    let (addresses, begun) = (stage.addresses(), Instant::now());
    eventually_within(SEES_AGAIN_WITHIN, "a true loss to be found", || {
        let count = dropped.len();
        if begun.elapsed() >= PACE * u32::try_from(count).unwrap() {
            let callers = stage.callers("drop", 1).from(next_lone + count);
            dropped.extend(callers.send(&[addresses[count % addresses.len()]], 1));
        }
        let seen = stage.figures();
        (seen.lost > 0).then_some(())
    });

    let figures = stage.figures();
    let lost = stage.lost(&dropped);
    assert!(figures.lost <= lost.len(), "{figures:?} of {lost:?}");
    assert_eq!(figures.unmanaged, 0);
    until("the loss to be recorded", || !stage.recorded("lost_update").is_empty());
    let recorded = stage.recorded("lost_update");
    assert!(recorded.is_subset(&lost), "{recorded:?} of {lost:?}");
}

/// The store stands still: what was sent to it meanwhile is carried out later.
fn pause(stage: &mut Stage) {
    store(stage).pause();
    wait_for_calls_without_store(&stage.sidecars);
    store(stage).resume();
}

/// The store crashes, and another one that knows nothing takes its place.
fn replace(stage: &mut Stage) {
    store(stage).kill();
    wait_for_calls_without_store(&stage.sidecars);
    store(stage).start_again();
}

/// Connections are cut again and again, then nothing comes through on one way, then on none.
fn cut_and_stall(stage: &mut Stage) {
    for _ in 0..5 {
        for relay in &stage.relays {
            let exchanges = || stage.sum("interlock_store_operations_total", &[("result", "ok")]);
            let before = exchanges();
            relay.cut();
            until("the store to be spoken to again", || exchanges() > before);
        }
    }
    stage.relays[0].swallow();
    wait_for_calls_without_store(&stage.sidecars[..1]);
    stage.relays.iter().for_each(|relay| relay.swallow());
    wait_for_calls_without_store(&stage.sidecars);
    stage.relays.iter().for_each(|relay| relay.pass());
}

/// A sidecar crashes with calls under way, and is started again.
fn crash(stage: &mut Stage) {
    stage.sidecars[0].signal("KILL");
    stage.sidecars[0].wait_for_exit();
    wait_for_calls("the others to go on", &stage.sidecars[1..]);
    stage.sidecars[0].start_again();
}

#[test]
fn heavy_a_store_that_stands_still_beside_an_honest_app() {
    assert_no_false_alarm(&honest(), pause);
}

#[test]
fn heavy_a_store_that_stands_still_beside_a_serialised_app() {
    assert_no_false_alarm(&serialized(), pause);
}

#[test]
fn heavy_a_store_that_is_replaced_beside_an_honest_app() {
    assert_no_false_alarm(&honest(), replace);
}

#[test]
fn heavy_a_store_that_is_replaced_beside_a_serialised_app() {
    assert_no_false_alarm(&serialized(), replace);
}

#[test]
fn heavy_ways_to_the_store_that_are_cut_and_stall_beside_an_honest_app() {
    assert_no_false_alarm(&honest(), cut_and_stall);
}

#[test]
fn heavy_ways_to_the_store_that_are_cut_and_stall_beside_a_serialised_app() {
    assert_no_false_alarm(&serialized(), cut_and_stall);
}

#[test]
fn heavy_a_sidecar_that_crashes_beside_an_honest_app() {
    assert_no_false_alarm(&honest(), crash);
}

#[test]
fn heavy_a_sidecar_that_crashes_beside_a_serialised_app() {
    assert_no_false_alarm(&serialized(), crash);
}
