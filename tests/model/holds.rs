//! The protocol as it is.

use interlock::domain::flag::Strategy;

use super::bounds::{Asked, Bounds, Flaw, Protocol};
use super::checking::{ALL, STRATEGIES, holds, is_large, keeps};
use super::protocol::{NOTHING_DENIED, NOTHING_LOST};

/// Up, and down.
const ONCE: [Bounds; 2] = [Bounds::of(&[Asked::Up]), Bounds::of(&[Asked::Down])];

/// And the other way round in the middle of it.
const TWICE: [Bounds; 2] =
    [Bounds::of(&[Asked::Up, Asked::Down]), Bounds::of(&[Asked::Down, Asked::Up])];

/// Those, and in large runs the second ones too.
fn sized(always: &[Bounds], in_large: &[Bounds]) -> Vec<Bounds> {
    let more = if is_large() { in_large } else { &[] };
    [always, more].concat()
}

fn hold(flips: &[Bounds], with: impl Fn(Bounds) -> Bounds, promises: &[&'static str]) {
    for strategy in STRATEGIES {
        for bounds in flips {
            holds(strategy, with(*bounds), promises);
        }
    }
}

/// With a fault among it.
fn hold_all(with: impl Fn(Bounds) -> Bounds) {
    hold(&sized(&ONCE, &TWICE), with, ALL);
}

#[test]
fn flips_lose_nothing_though_calls_are_given_up() {
    hold(&ONCE, |bounds| Bounds { timeouts: 2, ..bounds }, ALL);
    hold(&TWICE, |bounds| Bounds { timeouts: 1, ..bounds }, ALL);
}

#[test]
fn a_flip_loses_nothing_of_more_updates_or_sidecars() {
    let timeouts = u8::from(is_large());
    hold_all(|bounds| Bounds { updates: 3, timeouts, ..bounds });
    hold_all(|bounds| Bounds { sidecars: 3, timeouts: 1, ..bounds });
}

#[test]
fn flips_lose_nothing_while_a_sidecar_starts() {
    hold_all(|bounds| Bounds { joins: true, ..bounds });
}

#[test]
fn flips_lose_nothing_when_a_sidecar_crashes_and_starts_again() {
    hold_all(|bounds| Bounds { crashes: 1, restarts: true, ..bounds });
}

#[test]
fn flips_lose_nothing_when_the_store_forgets_the_leases() {
    hold_all(|bounds| Bounds { failovers: 1, timeouts: 1, ..bounds });
}

#[test]
fn flips_lose_nothing_while_a_sidecar_is_cut_off() {
    hold_all(|bounds| Bounds { cuts: 1, late_answers: true, ..bounds });
}

#[test]
fn everything_at_once() {
    let all = |bounds| Bounds { timeouts: 1, crashes: 1, failovers: 1, ..bounds };
    match is_large() {
        true => {
            hold(&[Bounds::of(&[Asked::Up, Asked::Down, Asked::Up])], all, ALL);
            hold(&TWICE[..1], |it| all(Bounds { sidecars: 3, updates: 3, ..it }), ALL);
        }
        false => hold(&ONCE, all, ALL),
    }
}

#[test]
fn a_pin_moves_its_entity_as_a_flip_does() {
    let over_a_flip = [Bounds::of(&[Asked::Up, Asked::PinLegacy])];
    let and_back = [Bounds::of(&[Asked::PinFixed, Asked::Unpin])];
    let pins = sized(&over_a_flip, &and_back);
    hold(&pins, |bounds| Bounds { timeouts: 1, ..bounds }, ALL);
}

/// Who goes on without a silent sidecar loses updates, and says so of each.
#[test]
fn what_a_forced_step_may_undo_is_not_called_protected() {
    let forced = |bounds| Bounds { cuts: 1, force: true, late_answers: true, ..bounds };
    hold(&sized(&ONCE, &TWICE), forced, &[NOTHING_DENIED]);
}

/// Of `serialize` and `atomic` a kill goes back like any other change.
#[test]
fn a_kill_is_an_orderly_way_back_where_the_fixed_path_looks_at_the_lease() {
    let kills = [Bounds::of(&[Asked::Kill]), Bounds::of(&[Asked::Kill, Asked::Resume])];
    let in_the_middle = [Bounds::of(&[Asked::Up, Asked::Kill])];
    for strategy in [Strategy::Serialize, Strategy::Atomic] {
        for bounds in sized(&kills, &in_the_middle) {
            holds(strategy, Bounds { timeouts: 1, ..bounds }, ALL);
        }
    }
}

/// Of `upstream` it stops at once, so that it undoes what ends after it. What ended before it stays.
#[test]
fn a_kill_of_upstream_undoes_nothing_that_was_acknowledged_before_it() {
    let kills = [Bounds::of(&[Asked::Kill])];
    let and_back = [Bounds::of(&[Asked::Kill, Asked::Resume])];
    for bounds in sized(&kills, &and_back) {
        let bounds = Bounds { timeouts: 1, late_answers: true, ..bounds };
        holds(Strategy::Upstream, bounds, &[NOTHING_LOST]);
    }
}

/// In F' a call that can't have the lease endangers nobody but itself, if it still goes to the fixed app.
#[test]
fn a_guarded_fixed_call_may_go_on_without_the_store_to_the_fixed_app() {
    for bounds in sized(&ONCE, &TWICE) {
        let (strategy, flaw) = (Strategy::Upstream, Some(Flaw::FixedOnStoreLoss));
        let bounds = Bounds { cuts: 1, ..bounds };
        keeps(Protocol { strategy, bounds, flaw }, ALL);
    }
}
