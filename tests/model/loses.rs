//! Each rule of the protocol broken once: the checker has to find what is lost by it.

use interlock::domain::flag::Strategy::{Atomic, Serialize, Upstream};

use super::bounds::{Asked, Bounds, Flaw, Protocol};
use super::checking::{STRATEGIES, breaks, holds, loses};
use super::protocol::{NEIGHBOURS, NOTHING_DENIED, NOTHING_LOST};

const UP: Bounds = Bounds::of(&[Asked::Up]);
const DOWN: Bounds = Bounds::of(&[Asked::Down]);

#[test]
fn a_direct_flip() {
    loses(Flaw::DirectFlip, &STRATEGIES, UP, &[NOTHING_LOST, NEIGHBOURS]);
}

#[test]
fn a_direct_way_back() {
    loses(Flaw::DirectBack, &STRATEGIES, DOWN, &[NOTHING_DENIED, NEIGHBOURS]);
}

#[test]
fn a_barrier_that_asks_whether_the_turn_was_applied_alone() {
    loses(Flaw::NoDrain, &STRATEGIES, UP, &[NOTHING_LOST]);
    loses(Flaw::NoDrain, &STRATEGIES, DOWN, &[NOTHING_DENIED]);
}

/// Of `serialize` on the way down, calls that F decided; of `upstream` on the way up, calls that G decided.
#[test]
fn a_barrier_that_does_not_wait_for_guarded_calls() {
    loses(Flaw::DrainsUnguardedAlone, &[Serialize], DOWN, &[NOTHING_DENIED]);
    loses(Flaw::DrainsUnguardedAlone, &[Upstream], UP, &[NOTHING_LOST]);
}

#[test]
fn a_silent_sidecar_left_out() {
    let up = Bounds { cuts: 1, ..UP };
    loses(Flaw::SilentLeftOut, &STRATEGIES, up, &[NOTHING_LOST, NEIGHBOURS]);
}

#[test]
fn a_sidecar_that_leaves_while_its_calls_may_write() {
    loses(Flaw::LeavesAtOnce, &STRATEGIES, Bounds { crashes: 1, ..UP }, &[NOTHING_LOST]);
}

#[test]
fn a_process_that_does_not_count_the_calls_of_the_one_before() {
    let restarted = Bounds { crashes: 1, restarts: true, ..UP };
    loses(Flaw::SucceedsMovingAlone, &STRATEGIES, restarted, &[NOTHING_LOST]);
}

#[test]
fn a_sidecar_that_reads_the_flag_before_it_registers() {
    let joined = Bounds { joins: true, ..UP };
    loses(Flaw::ReadsThenRegisters, &STRATEGIES, joined, &[NOTHING_LOST]);
}

#[test]
fn a_sidecar_that_starts_by_an_old_snapshot() {
    let joined = Bounds { joins: true, ..UP };
    loses(Flaw::StartsByOldSnapshot, &STRATEGIES, joined, &[NOTHING_LOST]);
}

/// `upstream` promises nothing by its leases: F has none, and what runs under one is not called protected.
#[test]
fn a_lease_that_is_released_when_its_call_is_given_up() {
    let late = Bounds { timeouts: 1, ..UP };
    loses(Flaw::ReleasedOnTimeout, &[Serialize, Atomic], late, &[NOTHING_LOST]);
}

#[test]
fn a_lease_that_runs_out_under_its_call() {
    loses(Flaw::LeaseRunsOut, &[Serialize, Atomic], UP, &[NOTHING_LOST]);
}

#[test]
fn upstream_without_guarded_calls_to_the_fixed_app() {
    loses(Flaw::WithoutGuardedFixed, &[Upstream], UP, &[NOTHING_LOST]);
    loses(Flaw::WithoutGuardedFixed, &[Upstream], DOWN, &[NOTHING_DENIED]);
}

#[test]
fn an_edit_that_does_not_look_at_the_lease() {
    loses(Flaw::EditIgnoresLease, &[Atomic], UP, &[NOTHING_LOST]);
}

#[test]
fn a_store_that_forgot_the_leases_and_grants_at_once() {
    let replaced = Bounds { failovers: 1, ..UP };
    loses(Flaw::NoQuarantine, &[Serialize, Atomic], replaced, &[NOTHING_LOST]);
    loses(Flaw::EditsInQuarantine, &[Atomic], replaced, &[NOTHING_LOST]);
}

#[test]
fn a_store_that_forgot_the_register() {
    let replaced = Bounds { failovers: 1, ..UP };
    loses(Flaw::RegisterForgotten, &STRATEGIES, replaced, &[NOTHING_LOST, NEIGHBOURS]);
}

/// `on_store_loss = "legacy"`: availability, at this price.
#[test]
fn a_sidecar_that_goes_on_by_legacy_without_the_store() {
    loses(Flaw::LegacyOnStoreLoss, &STRATEGIES, Bounds { cuts: 1, ..UP }, &[NOTHING_LOST]);
}

#[test]
fn a_silent_sidecar_that_counts_as_back_when_it_is_heard_of() {
    let forced = Bounds { cuts: 1, force: true, late_answers: true, ..UP };
    for strategy in STRATEGIES {
        let flaw = Some(Flaw::BackWhenHeard);
        breaks(Protocol { strategy, bounds: forced, flaw }, NOTHING_DENIED);
    }
}

#[test]
fn an_update_whose_exposure_is_forgotten_before_it_ends() {
    let forced = Bounds { cuts: 1, force: true, late_answers: true, ..UP };
    for strategy in STRATEGIES {
        let flaw = Some(Flaw::ExposureAtTheEnd);
        breaks(Protocol { strategy, bounds: forced, flaw }, NOTHING_DENIED);
    }
}

/// That is no flaw, but a limit: a sidecar that has not heard of the kill can't know of it.
#[test]
fn a_kill_of_upstream_that_has_not_spread_yet() {
    let bounds = Bounds { late_answers: true, ..Bounds::of(&[Asked::Kill]) };
    breaks(Protocol { strategy: Upstream, bounds, flaw: None }, NOTHING_DENIED);
    breaks(Protocol { strategy: Upstream, bounds, flaw: None }, NEIGHBOURS);
}

/// Without a broken rule, none of the ways above is found: it is the rule that makes the difference.
#[test]
fn a_promise_that_is_kept_is_not_found_broken() {
    let unbroken = || holds(Serialize, UP, &[NOTHING_LOST]);
    unbroken();
    let protocol = Protocol { strategy: Serialize, bounds: UP, flaw: None };
    let found = std::panic::catch_unwind(|| breaks(protocol, NOTHING_LOST));
    assert!(found.is_err());
}
