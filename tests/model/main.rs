//! The transition protocol, every way that it can go.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a model that is wrong fails its test"
)]

mod bounds;
mod flag;
mod protocol;
mod traffic;
mod world;

use bounds::*;
use interlock::domain::flag::Strategy::{self, *};
use stateright::{Checker, HasDiscoveries, Model};
use protocol::*;

fn show(strategy: Strategy, flaw: Option<Flaw>, bounds: Bounds) {
    let t = std::time::Instant::now();
    let p = Protocol { strategy, bounds, flaw };
    let c = p.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!("{flaw:?} {strategy:?} {:?} n{} u{} : states {} {:?}", bounds.changes, bounds.sidecars, bounds.updates, c.unique_state_count(), t.elapsed());
    for (name, path) in c.discoveries() {
        let acts = path.into_actions();
        if [NOTHING_LOST, NOTHING_DENIED, NEIGHBOURS].contains(&name) { println!("   !! {name}: {} {:?}", acts.len(), acts); }
    }
}

#[test]
fn try_it() {
    use Asked::*;
    use Flaw::*;
    const UP: Bounds = Bounds::of(&[Up]);
    const DOWN: Bounds = Bounds::of(&[Down]);
    let s = |flaw, st, b| show(st, Some(flaw), b);
    for st in [Serialize, Atomic, Upstream] {
        s(DirectFlip, st, UP);
        s(DirectFlip, st, DOWN);
        s(DirectBack, st, DOWN);
        s(NoDrain, st, UP);
        s(NoDrain, st, DOWN);
        s(DrainsUnguardedAlone, st, UP);
        s(DrainsUnguardedAlone, st, DOWN);
        s(DrainsUnguardedAlone, st, Bounds { timeouts: 1, ..DOWN });
        s(DrainsUnguardedAlone, st, Bounds { updates: 3, ..DOWN });
        s(SilentLeftOut, st, Bounds { cuts: 1, ..UP });
        s(SilentLeftOut, st, Bounds { cuts: 1, ..DOWN });
        s(LeavesAtOnce, st, Bounds { crashes: 1, ..UP });
        s(LeavesAtOnce, st, Bounds { crashes: 1, ..DOWN });
        s(ReadsThenRegisters, st, Bounds { joins: true, ..UP });
        s(StartsByOldSnapshot, st, Bounds { joins: true, ..UP });
        s(StartsByOldSnapshot, st, Bounds { joins: true, ..DOWN });
        s(ReleasedOnTimeout, st, Bounds { timeouts: 1, ..UP });
        s(LeaseRunsOut, st, UP);
        s(LeaseRunsOut, st, DOWN);
        s(WithoutGuardedFixed, st, UP);
        s(WithoutGuardedFixed, st, DOWN);
        s(EditIgnoresLease, st, UP);
        s(EditIgnoresLease, st, DOWN);
        s(NoQuarantine, st, Bounds { failovers: 1, ..UP });
        s(NoQuarantine, st, Bounds { failovers: 1, ..DOWN });
        s(EditsInQuarantine, st, Bounds { failovers: 1, ..UP });
        s(RegisterForgotten, st, Bounds { failovers: 1, ..UP });
        s(LegacyOnStoreLoss, st, Bounds { cuts: 1, ..UP });
    }
}

#[test]
fn sound() {
    use Asked::*;
    for st in [Serialize, Atomic, Upstream] {
        for changes in [&[Up][..], &[Down], &[Up, Down], &[Down, Up], &[Up, Kill], &[Kill], &[Kill, Resume]] {
            let b = Bounds::of(changes);
            show(st, None, Bounds { joins: true, ..b });
            show(st, None, Bounds { crashes: 1, failovers: 1, ..b });
            show(st, None, Bounds { cuts: 1, late_answers: true, ..b });
            show(st, None, Bounds { cuts: 1, force: true, late_answers: true, ..b });
            show(st, Some(Flaw::BackWhenHeard), Bounds { cuts: 1, force: true, late_answers: true, ..b });
            show(st, Some(Flaw::ExposureAtTheEnd), Bounds { cuts: 1, force: true, late_answers: true, ..b });
        }
    }
}
