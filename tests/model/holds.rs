//! The protocol as it is.

use interlock::domain::flag::Strategy;

use super::bounds::{Asked, Bounds, Flaw, Protocol};
use super::checking::{ALL, STRATEGIES, holds, is_large, keeps};
use super::protocol::{NOTHING_DENIED, NOTHING_LOST};

/// Up, down, and the other way round in the middle of it.
const FLIPS: [Bounds; 4] = [
    Bounds::of(&[Asked::Up]),
    Bounds::of(&[Asked::Down]),
    Bounds::of(&[Asked::Up, Asked::Down]),
    Bounds::of(&[Asked::Down, Asked::Up]),
];

fn hold(flips: &[Bounds], with: impl Fn(Bounds) -> Bounds, promises: &[&'static str]) {
    for strategy in STRATEGIES {
        for bounds in flips {
            holds(strategy, with(*bounds), promises);
        }
    }
}

#[test]
fn flips_lose_nothing_though_calls_are_given_up() {
    hold(&FLIPS, |bounds| Bounds { timeouts: 1, ..bounds }, ALL);
}

#[test]
fn a_flip_loses_nothing_of_more_updates_or_sidecars() {
    hold(&FLIPS[..2], |bounds| Bounds { updates: 3, timeouts: 2, ..bounds }, ALL);
    hold(&FLIPS[..2], |bounds| Bounds { sidecars: 3, timeouts: 1, ..bounds }, ALL);
}

#[test]
fn flips_lose_nothing_while_a_sidecar_starts() {
    hold(&FLIPS, |bounds| Bounds { joins: true, ..bounds }, ALL);
}

#[test]
fn flips_lose_nothing_when_a_sidecar_crashes_and_starts_again() {
    hold(&FLIPS[..2], |bounds| Bounds { crashes: 1, restarts: true, ..bounds }, ALL);
    hold(&FLIPS[2..], |bounds| Bounds { crashes: 1, ..bounds }, ALL);
}

#[test]
fn flips_lose_nothing_when_the_store_forgets_the_leases() {
    hold(&FLIPS, |bounds| Bounds { failovers: 1, timeouts: 1, ..bounds }, ALL);
}

#[test]
fn flips_lose_nothing_while_a_sidecar_is_cut_off() {
    hold(&FLIPS[..2], |bounds| Bounds { cuts: 1, late_answers: true, ..bounds }, ALL);
    hold(&FLIPS[2..], |bounds| Bounds { cuts: 1, ..bounds }, ALL);
}

#[test]
fn everything_at_once() {
    let all = Bounds { timeouts: 1, crashes: 1, failovers: 1, ..FLIPS[2] };
    for strategy in STRATEGIES {
        match is_large() {
            true => holds(strategy, Bounds { sidecars: 3, updates: 3, ..all }, ALL),
            false => holds(strategy, all, ALL),
        }
    }
}

/// Who goes on without a silent sidecar loses updates, and says so of each.
#[test]
fn what_a_forced_step_may_undo_is_not_called_protected() {
    let forced = |bounds| Bounds { cuts: 1, force: true, late_answers: true, ..bounds };
    hold(&FLIPS[..2], forced, &[NOTHING_DENIED]);
}

/// Of `serialize` and `atomic` a kill goes back like any other change.
#[test]
fn a_kill_is_an_orderly_way_back_where_the_fixed_path_looks_at_the_lease() {
    let kills: [&[Asked]; 3] =
        [&[Asked::Kill], &[Asked::Up, Asked::Kill], &[Asked::Kill, Asked::Resume]];
    for strategy in [Strategy::Serialize, Strategy::Atomic] {
        for changes in kills {
            holds(strategy, Bounds { timeouts: 1, ..Bounds::of(changes) }, ALL);
        }
    }
}

/// Of `upstream` it stops at once, so that it undoes what ends after it. What ended before it stays.
#[test]
fn a_kill_of_upstream_undoes_nothing_that_was_acknowledged_before_it() {
    let kills: [&[Asked]; 2] = [&[Asked::Kill], &[Asked::Kill, Asked::Resume]];
    for changes in kills {
        let bounds = Bounds { timeouts: 1, late_answers: true, ..Bounds::of(changes) };
        holds(Strategy::Upstream, bounds, &[NOTHING_LOST]);
    }
}

/// In F' a call that can't have the lease endangers nobody but itself, if it still goes to the fixed app.
#[test]
fn a_guarded_fixed_call_may_go_on_without_the_store_to_the_fixed_app() {
    for bounds in FLIPS {
        let (strategy, flaw) = (Strategy::Upstream, Some(Flaw::FixedOnStoreLoss));
        let bounds = Bounds { cuts: 1, ..bounds };
        keeps(Protocol { strategy, bounds, flaw }, ALL);
    }
}
