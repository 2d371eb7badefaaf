//! What happens to the flag: changes, steps past the barrier, and how sidecars hear of them.

use std::collections::BTreeSet;

use interlock::domain::flag::{Author, FlagState, Strategy};
use interlock::domain::transition::{Report, SILENT_AFTER_MS, Stage, barrier};

use super::bounds::{Asked, Flaw, Protocol};
use super::world::{Document, Entry, FLAG, Life, NAMES, Sidecar, World};

/// What every state's fingerprint is.
const ONE_STATE: u32 = 0;

impl Protocol {
    /// The document before the first change.
    pub fn first_document(&self) -> Document {
        Document::new(FlagState::initial(self.bounds.percent, 0))
    }

    /// The strategy by which the flag moves: of one that leaves out F' it is another one's.
    fn moves_as(&self) -> Strategy {
        match self.lacks(Flaw::WithoutGuardedFixed) {
            true => Strategy::Atomic,
            false => self.strategy,
        }
    }

    /// An operator makes the next change.
    pub fn change(&self, world: &World) -> Option<World> {
        let asked = self.bounds.changes.get(usize::from(world.happened.changes))?;
        let author = Author { by: "ann".into(), reason: "to see".into(), at_ms: 0 };
        let state = &world.document.state;
        let mut state = state.changed(FLAG, self.moves_as(), &asked.change(), author).ok()?;
        if self.lacks(Flaw::DirectFlip) || (self.lacks(Flaw::DirectBack) && *asked == Asked::Down) {
            state.transit = None;
        }
        let mut next = replaced(world, state);
        next.happened.changes += 1;
        Some(next)
    }

    /// Somebody takes the next step of the transition; with `force` without those that are silent.
    pub fn step(&self, world: &World, force: bool) -> Option<World> {
        if world.document.is_settled() {
            return None;
        }
        let waited_for = self.waited_for(world);
        let silent =
            |place: &usize| matches!(world.sidecars[*place].life, Life::CutOff | Life::Dead);
        if force == waited_for.is_empty() || !waited_for.iter().all(silent) {
            return None;
        }
        let silent: BTreeSet<String> = waited_for.iter().map(|it| NAMES[*it].to_owned()).collect();
        let state = world.document.state.stepped(FLAG, self.moves_as(), silent)?;
        Some(replaced(world, state))
    }

    /// Whom the next step waits for, by their places.
    fn waited_for(&self, world: &World) -> Vec<usize> {
        let report = |sidecar: usize, entry: Entry| Report {
            sidecar: NAMES[sidecar].to_owned(),
            silent_ms: match world.sidecars[sidecar].life {
                Life::CutOff | Life::Dead => SILENT_AFTER_MS + 1,
                Life::Serving | Life::Absent => 0,
            },
            applied: entry.applied,
            // The document never goes back here, so that a turn names one state.
            state: ONE_STATE,
            clear: if self.lacks(Flaw::NoDrain) { entry.applied } else { entry.clear },
            calls: 0,
            oldest_ms: 0,
        };
        let left_out = |sidecar: usize| {
            self.lacks(Flaw::SilentLeftOut) && world.sidecars[sidecar].life == Life::CutOff
        };
        let entries = world.register.iter().enumerate();
        let entries = entries.filter_map(|(sidecar, entry)| Some((sidecar, (*entry)?)));
        let heard = entries.filter(|(sidecar, _)| !left_out(*sidecar));
        let reports: Vec<Report> = heard.map(|(sidecar, entry)| report(sidecar, entry)).collect();
        let waiting = barrier((world.document.rule.turn, ONE_STATE), &reports);
        let place = |id: &str| NAMES.iter().position(|name| *name == id);
        waiting.iter().filter_map(|it| place(&it.sidecar)).collect()
    }

    /// Somebody sees that a sidecar is back that a step went on without.
    pub fn catch_up(&self, world: &World, sidecar: usize) -> Option<World> {
        let life = world.sidecars[sidecar].life;
        let back = match world.register[sidecar] {
            Some(_) if self.lacks(Flaw::BackWhenHeard) => life == Life::Serving,
            Some(entry) => entry.clear.is_some_and(|clear| clear >= world.document.rule.turn),
            // It was taken off: it is known to be gone.
            None => life == Life::Dead,
        };
        if world.document.state.forced.is_empty() || !back {
            return None;
        }
        let back = BTreeSet::from([NAMES[sidecar].to_owned()]);
        Some(replaced(world, world.document.state.caught_up(&back)?))
    }

    /// A sidecar hears of the document as it is now.
    pub fn apply(&self, world: &World, sidecar: usize) -> Option<World> {
        let rule = Some(world.document.rule);
        let Sidecar { life, rule: known } = world.sidecars[sidecar];
        if life != Life::Serving || known == rule {
            return None;
        }
        let mut next = world.clone();
        next.sidecars[sidecar].rule = rule;
        Some(next)
    }

    /// A sidecar's beat: the register has what it says of itself now.
    pub fn beat(&self, world: &World, sidecar: usize) -> Option<World> {
        let unguarded = |stage: Stage| !self.takes_lease(stage);
        let entry = world.report(sidecar, |update| {
            !self.lacks(Flaw::DrainsUnguardedAlone)
                || update.rule.is_some_and(|rule| unguarded(rule.stage))
        });
        let same = world.register[sidecar] == Some(entry);
        if world.sidecars[sidecar].life != Life::Serving || same {
            return None;
        }
        let mut next = world.clone();
        next.register[sidecar] = Some(entry);
        Some(next)
    }
}

/// The world with another document in the store.
fn replaced(world: &World, state: FlagState) -> World {
    World { document: Document::new(state), ..world.clone() }
}
