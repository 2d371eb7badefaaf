//! How a flag moves entities from one path to the other, so that no entity is ever written by both at once.
//!
//! For every entity a flag's state gives one [`Stage`]. L and F never meet: between them lie stages in which an update holds
//! the entity's lease. Taking the lease on more calls needs no waiting. Leaving a guarded stage does: it needs the
//! [`barrier`], after which no call from before may still write. The word is RCU's grace period; the rule that no two
//! stages but neighbours are in force at once is that of F1's schema changes (Rae et al., VLDB 2013).
//!
//! [`Transit`] is the part of a flag's state that moves: one band of buckets, and entities that move by themselves. It is
//! begun or joined by a change (`Transit::after_change`), and goes on by steps (`Transit::stepped`).

mod barrier;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use barrier::{Report, SILENT_AFTER_MS, Waiting, Why, barrier, waits};

use super::bucket::Bucket;
use super::flag::{Change, FlagState, Path, Strategy};
use super::percent::Percent;

/// What an update of an entity does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// L: calls legacy, unguarded.
    Legacy,
    /// G: calls legacy while it holds the entity's lease.
    Guarded,
    /// F': runs the fixed path while it holds the entity's lease.
    GuardedFixed,
    /// F: runs the fixed path as the strategy does.
    Fixed,
}

impl Stage {
    /// All of them, from legacy to fixed.
    pub const ALL: [Self; 4] = [Self::Legacy, Self::Guarded, Self::GuardedFixed, Self::Fixed];

    /// The word for it in answers and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Guarded => "guarded",
            Self::GuardedFixed => "guarded_fixed",
            Self::Fixed => "fixed",
        }
    }

    /// Which path serves in it.
    pub const fn path(self) -> Path {
        match self {
            Self::Legacy | Self::Guarded => Path::Legacy,
            Self::GuardedFixed | Self::Fixed => Path::Fixed,
        }
    }

    /// Whether an entity can stay in it.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Legacy | Self::Fixed)
    }

    /// The stage in which an entity stays on a path.
    pub const fn at_rest(path: Path) -> Self {
        match path {
            Path::Legacy => Self::Legacy,
            Path::Fixed => Self::Fixed,
        }
    }

    /// The next stage on the way to a path that needs no barrier: the lease is taken on more calls. The same one where
    /// there is none.
    pub const fn guarded_towards(self, path: Path, strategy: Strategy) -> Self {
        match (self, path) {
            (Self::Legacy, Path::Fixed) => Self::Guarded,
            (Self::Fixed, Path::Legacy) => Self::retreat(strategy),
            _ => self,
        }
    }

    /// The next stage on the way to a path once the barrier is passed.
    pub const fn released_towards(self, path: Path, strategy: Strategy) -> Self {
        match (self, path) {
            (Self::Guarded, Path::Legacy) => Self::Legacy,
            (Self::Guarded, Path::Fixed) => match strategy {
                // The fixed app can't see whether somebody holds the lease.
                Strategy::Upstream => Self::GuardedFixed,
                Strategy::Serialize | Strategy::Atomic => Self::Fixed,
            },
            (Self::GuardedFixed, Path::Legacy) => Self::Guarded,
            (Self::GuardedFixed, Path::Fixed) => Self::Fixed,
            (Self::Legacy | Self::Fixed, _) => self.guarded_towards(path, strategy),
        }
    }

    /// Where a settled fixed entity goes first on its way back.
    const fn retreat(strategy: Strategy) -> Self {
        match strategy {
            Strategy::Upstream => Self::GuardedFixed,
            Strategy::Serialize | Strategy::Atomic => Self::Guarded,
        }
    }
}

/// Where a flag's state stands: changes of people count the version, each step of a transition the step.
#[derive(
    serde::Serialize,
    serde::Deserialize,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
)]
#[serde(from = "(u64, u32)", into = "(u64, u32)")]
pub struct Turn {
    /// Grows with every change.
    pub version: u64,
    /// Grows with every step since; 0 after a change.
    pub step: u32,
}

impl Turn {
    /// The most steps that one version takes: far more than any transition has.
    pub const MAX_STEP: u32 = 1_000;
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.step)
    }
}

impl From<(u64, u32)> for Turn {
    fn from((version, step): (u64, u32)) -> Self {
        Self { version, step }
    }
}

impl From<Turn> for (u64, u32) {
    fn from(turn: Turn) -> Self {
        (turn.version, turn.step)
    }
}

/// The part of a flag that moves. Buckets below `low` are fixed, from `high` on legacy, whatever the percentage says by then:
/// it is where they go once they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transit {
    /// Where the band begins.
    pub low: Percent,
    /// Where it ends; the same as `low` where no bucket moves at present.
    pub high: Percent,
    /// What the band's updates do: G or F'.
    pub stage: Stage,
    /// Entities that move by themselves, and what their updates do. They stay in here until all is settled.
    pub entities: BTreeMap<String, Stage>,
    /// When the first change of it was made, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// The next steps go on without sidecars that are silent.
    pub force: bool,
    /// A kill left out F', so that calls that were at the fixed app may be undone.
    pub skipped: bool,
}

impl Transit {
    /// The most entities that move by themselves: every pin may, and be taken back.
    pub const MAX_ENTITIES: usize = 2 * super::flag::Pins::MAX;

    /// The most steps that are taken in a row: more than any transition has.
    pub const MAX_STEPS: usize = 16;

    fn still(at: Percent, since_ms: u64) -> Self {
        let entities = BTreeMap::new();
        let stage = Stage::Guarded;
        Self { low: at, high: at, stage, entities, since_ms, force: false, skipped: false }
    }

    /// What a bucket's updates do, unless its entity is pinned or moves by itself.
    pub fn stage_of(&self, bucket: Bucket) -> Stage {
        if self.low.admits(bucket) {
            Stage::Fixed
        } else if self.high.admits(bucket) {
            self.stage
        } else {
            Stage::Legacy
        }
    }

    /// Which stages are in force among what moves.
    pub fn has(&self, stage: Stage) -> bool {
        let band = self.low < self.high && self.stage == stage;
        band || self.entities.values().any(|it| *it == stage)
    }

    /// What moves after a change; `None` where all is settled. `after` has the change in it but for this.
    pub(super) fn after_change(
        before: &FlagState,
        after: &FlagState,
        change: &Change,
        (flag, strategy): (&str, Strategy),
    ) -> Option<Self> {
        let still = || Self::still(before.aim(), after.changed_at_ms);
        let mut transit = before.transit.as_deref().cloned().unwrap_or_else(still);
        let mut moves = |entity: &str| {
            let stage = before.stage_of(flag, entity);
            transit.entities.entry(entity.to_owned()).or_insert(stage);
        };
        match change {
            Change::Pin { entity, .. } => moves(entity),
            // Pins count for as long as it is not killed.
            Change::Kill | Change::Resume => after.pins.fixed.iter().for_each(|it| moves(it)),
            Change::Percent(_) | Change::Force => {}
        }
        transit.force = *change == Change::Force;
        if *change == Change::Kill {
            transit.kill(strategy);
        }
        transit.guard(flag, after, strategy);
        transit.unless_settled(flag, after)
    }

    /// What moves after a step, for which the barrier has to be passed; `None` where all is settled.
    pub(super) fn stepped(
        &self,
        flag: &str,
        state: &FlagState,
        strategy: Strategy,
    ) -> Option<Self> {
        let mut next = self.clone();
        let middle = state.aim().clamp(self.low, self.high);
        let up = self.stage.released_towards(Path::Fixed, strategy);
        let down = self.stage.released_towards(Path::Legacy, strategy);
        // One part goes on and the other arrives, or both arrive: both are one step away from where they were.
        if up == Stage::Fixed {
            next.low = middle;
        }
        if down == Stage::Legacy {
            next.high = middle;
        }
        next.stage = if up.is_settled() { down } else { up };
        if next.stage.is_settled() {
            next.stage = Stage::Guarded;
        }
        for (entity, stage) in &mut next.entities {
            *stage = stage.released_towards(state.path_at_rest(flag, entity), strategy);
        }
        next.skipped = false;
        next.guard(flag, state, strategy);
        next.unless_settled(flag, state)
    }

    /// Takes the lease on what has to move and does not yet. The band moves in one stage, so what would have to begin in
    /// another one waits where it is.
    fn guard(&mut self, flag: &str, state: &FlagState, strategy: Strategy) {
        let aim = state.aim();
        let is_empty = self.low == self.high;
        if aim > self.high && (is_empty || self.stage == Stage::Guarded) {
            (self.high, self.stage) = (aim, Stage::Guarded);
        }
        let retreat = Stage::retreat(strategy);
        if aim < self.low && (is_empty || self.stage == retreat) {
            (self.low, self.stage) = (aim, retreat);
        }
        for (entity, stage) in &mut self.entities {
            *stage = stage.guarded_towards(state.path_at_rest(flag, entity), strategy);
        }
    }

    /// Stops admission to the fixed path at once.
    fn kill(&mut self, strategy: Strategy) {
        let fixed = |stage: Stage| stage.path() == Path::Fixed;
        let were_fixed = self.low > Percent::ZERO
            || (self.low < self.high && fixed(self.stage))
            || self.entities.values().any(|stage| fixed(*stage));
        self.skipped |= were_fixed && Stage::retreat(strategy) != Stage::Guarded;
        (self.low, self.stage) = (Percent::ZERO, Stage::Guarded);
        for stage in self.entities.values_mut().filter(|stage| fixed(**stage)) {
            *stage = Stage::Guarded;
        }
    }

    fn unless_settled(self, flag: &str, state: &FlagState) -> Option<Self> {
        let band = self.low == self.high && self.low == state.aim();
        let arrived = |(entity, stage): (&String, &Stage)| {
            *stage == Stage::at_rest(state.path_at_rest(flag, entity))
        };
        let settled = band && self.entities.iter().all(arrived);
        (!settled).then_some(self)
    }
}
