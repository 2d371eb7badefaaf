//! What the model knows at an instant: the flag's document, the register, the sidecars, the updates, the entity.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use interlock::domain::flag::FlagState;
use interlock::domain::transition::{Stage, Transit, Turn};

/// The one flag.
pub const FLAG: &str = "flag";
/// Its one entity.
pub const ENTITY: &str = "entity";

/// The most sidecars of a run.
pub const MOST_SIDECARS: usize = 3;
/// The most updates of a run.
pub const MOST_UPDATES: usize = 4;

/// The sidecars' ids, by their places.
pub const NAMES: [&str; MOST_SIDECARS] = ["a", "b", "c"];

/// Updates, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Updates(u8);

impl Updates {
    pub fn with(self, update: usize) -> Self {
        Self(self.0 | 1 << update)
    }

    pub fn without(self, update: usize) -> Self {
        Self(self.0 & !(1 << update))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in `self` and not in `other`.
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// What a sidecar decides by: as much of a flag's state as concerns the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub turn: Turn,
    pub stage: Stage,
    /// A kill left out F'.
    pub skipped: bool,
    /// A step went on without a sidecar that was silent.
    pub forced: bool,
}

/// The flag's document in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub state: Arc<FlagState>,
    pub rule: Rule,
}

impl Document {
    pub fn new(state: FlagState) -> Self {
        let rule = Rule {
            turn: state.turn(),
            stage: state.stage_of(FLAG, ENTITY),
            skipped: state.transit.as_ref().is_some_and(|transit| transit.skipped),
            forced: !state.forced.is_empty(),
        };
        Self { state: Arc::new(state), rule }
    }

    pub fn is_settled(&self) -> bool {
        self.state.transit.is_none()
    }
}

/// All that the next states depend on. Who changed it, when and why, and what it was before, is not part of that.
impl Hash for Document {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let state = &self.state;
        let moves = |transit: &Transit| {
            (transit.low, transit.high, transit.stage, transit.entities.get(ENTITY).copied())
        };
        let moving = state.transit.as_deref().map(moves);
        (self.rule, state.percent, state.killed, &state.forced).hash(hasher);
        (state.pins.path_of(ENTITY), moving).hash(hasher);
    }
}

/// What a sidecar said of itself last; `None` in it is what it has not applied yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub applied: Option<Turn>,
    /// No update that it decided by an earlier turn may still write.
    pub clear: Option<Turn>,
}

/// What a sidecar is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    Serving,
    /// It serves, and doesn't reach the store.
    CutOff,
    /// Its process has ended; what it sent goes on in the app.
    Dead,
    /// It has not started. The last of them, so that those that have are in the first places.
    #[default]
    Absent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sidecar {
    pub life: Life,
    pub rule: Option<Rule>,
}

impl Sidecar {
    pub fn is_up(self) -> bool {
        matches!(self.life, Life::Serving | Life::CutOff)
    }
}

/// How far an update is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Idle,
    /// It was sent without a lease, or waits for one.
    Decided,
    /// It was sent under the lease.
    Held,
    /// The legacy app has read these from the entity, and will write them back.
    Read(Updates),
    /// It is done, and the sidecar has not heard of it yet.
    Written,
    Over,
    /// Over, and it was given up before it wrote.
    Landed,
}

/// An update of the entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Update {
    pub phase: Phase,
    /// The sidecar.
    pub by: usize,
    /// What decided it; `None` before that and after its end.
    pub rule: Option<Rule>,
    /// The sidecar doesn't wait for it any more, and will not tell that it was made.
    pub given_up: bool,
    /// It goes without the lease that its stage asks for.
    pub exposed: bool,
    /// Its sidecar's process has ended, and the next one knows nothing of it.
    pub orphaned: bool,
}

impl Update {
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Over | Phase::Landed)
    }
}

/// How often what has a bound has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Happened {
    pub changes: u8,
    pub timeouts: u8,
    pub crashes: u8,
    pub failovers: u8,
    pub cuts: u8,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub document: Document,
    pub register: [Option<Entry>; MOST_SIDECARS],
    pub sidecars: [Sidecar; MOST_SIDECARS],
    pub updates: [Update; MOST_UPDATES],
    /// Which update has the entity's lease.
    pub lease: Option<usize>,
    /// They had it when the store forgot it, and are not over: no lease is granted.
    pub quarantine: Updates,
    /// The entity: the updates that are in it.
    pub entity: Updates,
    /// Acknowledged, decided in F, with the document in F at that moment.
    pub protected: Updates,
    /// Acknowledged, and called protected by the sidecar.
    pub called_protected: Updates,
    pub happened: Happened,
}

impl World {
    /// What a sidecar says of itself when it is asked now.
    pub fn report(&self, sidecar: usize, counts: impl Fn(&Update) -> bool) -> Entry {
        let Some(rule) = self.sidecars[sidecar].rule else { return Entry::default() };
        let mine = |it: &&Update| it.is_open() && it.by == sidecar && !it.orphaned;
        let open = self.updates.iter().filter(mine).filter(|it| counts(it));
        let oldest = open.filter_map(|it| it.rule).map(|it| it.turn).min();
        let clear = oldest.map_or(rule.turn, |oldest| oldest.min(rule.turn));
        Entry { applied: Some(rule.turn), clear: Some(clear) }
    }

    /// The same state with the sidecars in one order for all that differ in nothing but their places.
    pub fn in_order(&self) -> Self {
        let mut order = [0, 1, 2];
        let key = |sidecar: &usize| {
            let mine = |update: &usize| {
                self.updates[*update].is_open() && self.updates[*update].by == *sidecar
            };
            let mine = (0..MOST_UPDATES).filter(mine).fold(Updates::default(), Updates::with);
            (self.sidecars[*sidecar], self.register[*sidecar], mine)
        };
        order.sort_by_key(key);
        let mut world = self.clone();
        world.sidecars = order.map(|place| self.sidecars[place]);
        world.register = order.map(|place| self.register[place]);
        for update in world.updates.iter_mut().filter(|it| it.is_open()) {
            update.by = order.iter().position(|place| *place == update.by).unwrap_or(update.by);
        }
        world
    }

    /// The end of an update, at which its lease is free at the earliest.
    pub fn end(&mut self, update: usize, phase: Phase) {
        self.updates[update] = Update { phase, ..Update::default() };
        self.free(update);
        self.quarantine = self.quarantine.without(update);
    }

    pub fn free(&mut self, update: usize) {
        if self.lease == Some(update) {
            self.lease = None;
        }
    }
}
