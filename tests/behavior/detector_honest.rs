//! Over a hundred thousand updates by an app that loses none, the detector raises no alarm; and where the same app drops some, it finds
//! exactly those.
//!
//! The app writes one field at a time, whatever else happens: calls time out and land late or never, connections break before and
//! after the update, errors are answered to updates that took effect, and their senders try again. One in 16 goes to the
//! four fields of one document. One in 200 goes to a field of its own, which is what the app drops in the second kind of run.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::support::{Attempt, Figures, Knowledge, LONE_EVERY, Stage, StagePlan};

/// Callers at a sidecar that is alone, and at each of three.
const ALONE: usize = 24;
const OF_THREE: usize = 10;

/// How many updates make sure that none is accused wrongly: together more than 100,000.
const HONEST_ALONE: usize = 60_000;
const HONEST_OF_FLEET: usize = 45_000;

/// How many of which one in 200 is dropped.
const WITH_DROPS: usize = 8_000;

/// Sends updates and waits until every one that was acknowledged is verified.
#[track_caller]
fn run(stage: &Stage, each: usize, updates: usize) -> Vec<Attempt> {
    let begun = Instant::now();
    let attempts = stage.callers("run", each).send(&stage.addresses(), updates);
    let sent = begun.elapsed();
    let of = |knew: Knowledge| attempts.iter().filter(|attempt| attempt.knew == knew).count();

    let acknowledged = of(Knowledge::Acknowledged);
    eprintln!("{} sent in {sent:.1?}, {acknowledged} acknowledged", attempts.len());
    stage.wait_until_verified(acknowledged);
    eprintln!("{:?} after {:.1?}", stage.figures(), begun.elapsed());

    assert!(attempts.len() >= updates, "{} sent", attempts.len());
    let unknown = of(Knowledge::Unknown);
    assert!(unknown > updates / 100, "{unknown} without a good answer: the app gives trouble");
    attempts
}

/// Each update that was acknowledged is verified, once; as many are lost as were dropped, and there is nothing else to say.
#[track_caller]
fn assert_exact(stage: &Stage, attempts: &[Attempt], lost: usize) {
    let verified =
        attempts.iter().filter(|attempt| attempt.knew == Knowledge::Acknowledged).count();
    let expected = Figures { lost, unmanaged: 0, verified, inconclusive: 0 };
    assert_eq!(stage.figures(), expected);
    for path in ["legacy", "fixed"] {
        let by_path = stage.sum("interlock_verified_updates_total", &[("path", path)]);
        assert!(by_path > verified / 10, "{by_path} verified on the {path} path");
    }
}

#[track_caller]
fn assert_no_alarm(plan: &StagePlan, each: usize, updates: usize) {
    let stage = plan.start();

    let attempts = run(&stage, each, updates);

    assert_eq!(stage.lost(&attempts), BTreeSet::new(), "the app is honest");
    assert_exact(&stage, &attempts, 0);
    assert_eq!(stage.recorded("lost_update"), BTreeSet::new());
    assert_eq!(stage.recorded("unmanaged_writer"), BTreeSet::new());
}

#[track_caller]
fn assert_drops_are_found(plan: &StagePlan, each: usize) {
    let stage = plan.start();
    stage.app.drop_lone_ones();

    let attempts = run(&stage, each, WITH_DROPS);

    let lost = stage.lost(&attempts);
    assert_eq!(lost.len(), WITH_DROPS / LONE_EVERY);
    assert_exact(&stage, &attempts, lost.len());
    let recorded = stage.recorded("lost_update");
    // So many are recorded even where all of them are found at once; all of them are counted.
    assert!(recorded.len() >= 20 && recorded.is_subset(&lost), "{recorded:?} of {lost:?}");
    assert_eq!(stage.recorded("unmanaged_writer"), BTreeSet::new());
}

#[test]
fn heavy_an_honest_app_behind_one_sidecar_is_never_accused() {
    assert_no_alarm(&StagePlan::alone(), ALONE, HONEST_ALONE);
}

#[test]
fn heavy_an_honest_app_behind_a_fleet_is_never_accused() {
    assert_no_alarm(&StagePlan::fleet(), OF_THREE, HONEST_OF_FLEET);
}

#[test]
fn heavy_what_it_drops_behind_one_sidecar_is_found_exactly() {
    assert_drops_are_found(&StagePlan::alone(), ALONE);
}

#[test]
fn heavy_what_it_drops_behind_a_fleet_is_found_exactly() {
    assert_drops_are_found(&StagePlan::fleet(), OF_THREE);
}
