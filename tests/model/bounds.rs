//! What a run of the model consists of, and what is left out of the protocol in it.

use std::fmt;

use interlock::domain::flag::{Change, Path, Strategy};
use interlock::domain::percent::Percent;

use super::world::ENTITY;

/// What an operator does; the next may come at any time, in the middle of the one before too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Up,
    Down,
    Kill,
    Resume,
    /// Ties the entity to the fixed path.
    PinFixed,
    /// Ties the entity to the legacy path.
    PinLegacy,
    Unpin,
}

impl Asked {
    pub fn change(self) -> Change {
        let pin = |path| Change::Pin { entity: ENTITY.to_owned(), path };
        match self {
            Self::Up => Change::Percent(Percent::FULL),
            Self::Down => Change::Percent(Percent::ZERO),
            Self::Kill => Change::Kill,
            Self::Resume => Change::Resume,
            Self::PinFixed => pin(Some(Path::Fixed)),
            Self::PinLegacy => pin(Some(Path::Legacy)),
            Self::Unpin => pin(None),
        }
    }
}

/// How much happens at most. All of it can happen in any order.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of the entity, at first.
    pub percent: Percent,
    pub changes: &'static [Asked],
    pub sidecars: usize,
    /// The last one of the sidecars starts in the middle of it.
    pub joins: bool,
    /// A process that has ended is started again, in the place of the one before.
    pub restarts: bool,
    pub updates: usize,
    /// Legacy calls that are given up.
    pub timeouts: u8,
    pub crashes: u8,
    /// How often the store is replaced by one that knows of no lease.
    pub failovers: u8,
    /// How often a sidecar loses the store for a time.
    pub cuts: u8,
    /// Steps go on without sidecars that are cut off.
    pub force: bool,
    /// An update is made at one moment and acknowledged at a later one. Otherwise at once, which leaves the least time to the
    /// lease and the barrier.
    pub late_answers: bool,
}

impl Bounds {
    /// Two sidecars, two updates, no faults.
    pub const fn of(changes: &'static [Asked]) -> Self {
        let percent = match changes {
            [Asked::Down | Asked::Kill | Asked::PinLegacy, ..] => Percent::FULL,
            _ => Percent::ZERO,
        };
        Self {
            percent,
            changes,
            sidecars: 2,
            joins: false,
            restarts: false,
            updates: 2,
            timeouts: 0,
            crashes: 0,
            failovers: 0,
            cuts: 0,
            force: false,
            late_answers: false,
        }
    }
}

/// What makes a protocol of it that loses updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// L to F, and back, without anything between.
    DirectFlip,
    /// F to L without G; up as it should be.
    DirectBack,
    /// The barrier asks whether the turn was applied, and not whether calls from before are over.
    NoDrain,
    /// The barrier waits for calls from before that have no lease, and not for those that have one.
    DrainsUnguardedAlone,
    /// The barrier leaves out a sidecar that has fallen silent.
    SilentLeftOut,
    /// A sidecar that leaves is taken off the register while what it sent may still write.
    LeavesAtOnce,
    /// A sidecar reads the flag first, and registers later.
    ReadsThenRegisters,
    /// A sidecar that can't reach the store when it starts decides by what it knew when it ended.
    StartsByOldSnapshot,
    /// A lease is released when its call is given up.
    ReleasedOnTimeout,
    /// A lease may run out under a call.
    LeaseRunsOut,
    /// `upstream` without F'.
    WithoutGuardedFixed,
    /// The edit of `atomic` doesn't look at the lease.
    EditIgnoresLease,
    /// A store that has forgotten the leases grants new ones at once.
    NoQuarantine,
    /// And the same for edits alone.
    EditsInQuarantine,
    /// A store that has forgotten the leases has forgotten the register too.
    RegisterForgotten,
    /// A sidecar that doesn't reach the store goes on by legacy, without the lease.
    LegacyOnStoreLoss,
    /// The same, but in F' without the lease to the fixed app. Of `upstream` it is no flaw.
    FixedOnStoreLoss,
    /// A process that is started again knows of the calls of the one before only while the flag moves.
    SucceedsMovingAlone,
    /// A sidecar that a step went on without counts as back as soon as it is heard of.
    BackWhenHeard,
    /// Whether an update was exposed is looked at when it ends, and not when it began.
    ExposureAtTheEnd,
}

/// What is modelled.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub strategy: Strategy,
    pub bounds: Bounds,
    pub flaw: Option<Flaw>,
}

impl Protocol {
    pub fn lacks(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

/// As the output of a run names it.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { changes, sidecars, joins, restarts, updates, .. } = self.bounds;
        let Bounds { timeouts, crashes, failovers, cuts, force, late_answers, .. } = self.bounds;
        write!(
            f,
            "{} {changes:?}, {sidecars} sidecars, {updates} updates",
            self.strategy.as_str()
        )?;
        let counted = [
            (timeouts, "timeouts"),
            (crashes, "crashes"),
            (failovers, "failovers"),
            (cuts, "cuts"),
        ];
        for (most, name) in counted.into_iter().filter(|(most, _)| *most > 0) {
            write!(f, ", {most} {name}")?;
        }
        let flags = [
            (joins, "one joins"),
            (restarts, "restarts"),
            (force, "force"),
            (late_answers, "late answers"),
        ];
        for (_, name) in flags.into_iter().filter(|(on, _)| *on) {
            write!(f, ", {name}")?;
        }
        self.flaw.map_or(Ok(()), |flaw| write!(f, ", {flaw:?}"))
    }
}
