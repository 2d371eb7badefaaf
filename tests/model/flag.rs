//! What happens to the flag: changes, steps past the barrier, and how sidecars hear of them.

use std::collections::BTreeSet;

use interlock::domain::flag::{Author, FlagState, Strategy};
use interlock::domain::transition::{Report, SILENT_AFTER_MS, Stage, barrier};

use super::bounds::{Asked, Flaw, Protocol};
use super::world::{Document, Entry, FLAG, Life, NAMES, Phase, World};

impl Protocol {
    /// The strategy by which the flag moves: of one that leaves out F' it is another one's.
    fn moves_as(&self) -> Strategy {
        match self.lacks(Flaw::WithoutGuardedFixed) {
            true => Strategy::Atomic,
            false => self.strategy,
        }
    }

    /// An operator makes the next change.
    pub(super) fn change(&self, world: &mut World) -> bool {
        let Some(asked) = self.bounds.changes.get(usize::from(world.happened.changes)) else {
            return false;
        };
        let author = Author { by: "ann".into(), reason: "to see".into(), at_ms: 0 };
        let changed = world.document.state.changed(FLAG, self.moves_as(), &asked.change(), author);
        let Ok(mut state) = changed else { return false };
        if self.lacks(Flaw::DirectFlip) || (self.lacks(Flaw::DirectBack) && *asked == Asked::Down) {
            state.transit = None;
        }
        world.document = Document::new(state);
        world.happened.changes += 1;
        true
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
        let waiting = barrier(world.document.rule.turn, &reports);
        let place = |id: &str| NAMES.iter().position(|name| *name == id);
        waiting.iter().filter_map(|it| place(&it.sidecar)).collect()
    }

    /// Somebody takes the next step of the transition; with `force` without those that are silent.
    pub(super) fn step(&self, world: &mut World, force: bool) -> bool {
        if world.document.is_settled() {
            return false;
        }
        let waited_for = self.waited_for(world);
        let silent = |place: &usize| matches!(world.sidecars[*place].life, Life::CutOff | Life::Dead);
        if force == waited_for.is_empty() || !waited_for.iter().all(silent) {
            return false;
        }
        let silent: BTreeSet<String> = waited_for.iter().map(|it| NAMES[*it].to_owned()).collect();
        let next = world.document.state.stepped(FLAG, self.moves_as(), silent);
        next.is_some_and(|state| replace(world, state))
    }

    /// Somebody sees that a sidecar is back that a step went on without.
    pub(super) fn catch_up(&self, world: &mut World, sidecar: usize) -> bool {
        let life = world.sidecars[sidecar].life;
        let back = match world.register[sidecar] {
            Some(_) if self.lacks(Flaw::BackWhenHeard) => life == Life::Serving,
            Some(entry) => entry.clear.is_some_and(|clear| clear >= world.document.rule.turn),
            // It was taken off: it is known to be gone.
            None => life == Life::Dead,
        };
        if world.document.state.forced.is_empty() || !back {
            return false;
        }
        let back = BTreeSet::from([NAMES[sidecar].to_owned()]);
        world.document.state.caught_up(&back).is_some_and(|state| replace(world, state))
    }

    /// A sidecar hears of the document as it is now.
    pub(super) fn apply(&self, world: &mut World, sidecar: usize) -> bool {
        let rule = Some(world.document.rule);
        let news = world.sidecars[sidecar].life == Life::Serving;
        if !news || world.sidecars[sidecar].rule == rule {
            return false;
        }
        world.sidecars[sidecar].rule = rule;
        true
    }

    /// A sidecar's beat: the register has what it says of itself now.
    pub(super) fn beat(&self, world: &mut World, sidecar: usize) -> bool {
        let unguarded = |stage: Stage| !self.takes_lease(stage);
        let entry = world.report(sidecar, |update| {
            !self.lacks(Flaw::DrainsUnguardedAlone)
                || update.rule.is_some_and(|rule| unguarded(rule.stage))
        });
        let same = world.register[sidecar] == Some(entry);
        if world.sidecars[sidecar].life != Life::Serving || same {
            return false;
        }
        world.register[sidecar] = Some(entry);
        true
    }

    /// A sidecar starts: it registers, and decides nothing before it has read the document.
    pub(super) fn join(&self, world: &mut World, sidecar: usize) -> bool {
        let here = self.bounds.joins && sidecar + 1 == self.bounds.sidecars;
        if !here || world.sidecars[sidecar].life != Life::Absent {
            return false;
        }
        let start = &mut world.sidecars[sidecar];
        start.life = Life::Serving;
        if self.lacks(Flaw::ReadsThenRegisters) {
            start.rule = Some(world.document.rule);
        } else if self.lacks(Flaw::StartsByOldSnapshot) {
            start.life = Life::CutOff;
            start.rule = Some(self.first_document().rule);
        } else {
            world.register[sidecar] = Some(Entry::default());
        }
        true
    }

    /// The document before the first change.
    pub(super) fn first_document(&self) -> Document {
        Document::new(FlagState::initial(self.bounds.percent, 0))
    }

    /// A sidecar that is gone is taken off the register, once what it sent is over.
    pub(super) fn bury(&self, world: &mut World, sidecar: usize) -> bool {
        let mine = world.updates.iter().filter(|it| it.by == sidecar && it.is_open());
        let over = self.lacks(Flaw::LeavesAtOnce) || mine.count() == 0;
        let dead = world.sidecars[sidecar].life == Life::Dead;
        dead && over && world.register[sidecar].take().is_some()
    }

    /// A sidecar's process ends.
    pub(super) fn crash(&self, world: &mut World, sidecar: usize) -> bool {
        if world.happened.crashes == self.bounds.crashes || !world.sidecars[sidecar].is_up() {
            return false;
        }
        world.happened.crashes += 1;
        world.sidecars[sidecar].life = Life::Dead;
        for place in 0..world.updates.len() {
            let update = &world.updates[place];
            if !update.is_open() || update.by != sidecar {
                continue;
            }
            let waits = update.phase == Phase::Decided && self.waits_for_store(update);
            match waits || update.phase == Phase::Written {
                // Nothing was sent, or nothing is left to do.
                true => world.end(place, Phase::Over),
                false => world.updates[place].given_up = true,
            }
        }
        world.sidecars[sidecar].rule = None;
        true
    }

    /// A sidecar loses the store, or has it again.
    pub(super) fn cut(&self, world: &mut World, sidecar: usize) -> bool {
        match world.sidecars[sidecar].life {
            Life::Serving if world.happened.cuts < self.bounds.cuts => {
                world.happened.cuts += 1;
                world.sidecars[sidecar].life = Life::CutOff;
            }
            Life::CutOff => world.sidecars[sidecar].life = Life::Serving,
            _ => return false,
        }
        true
    }

    /// The store is replaced by one that has forgotten the leases.
    pub(super) fn fail_over(&self, world: &mut World) -> bool {
        if world.happened.failovers == self.bounds.failovers {
            return false;
        }
        world.happened.failovers += 1;
        if let Some(holder) = world.lease.take() {
            world.quarantine = world.quarantine.with(holder);
        }
        if self.lacks(Flaw::RegisterForgotten) {
            world.register = Default::default();
        }
        true
    }
}

fn replace(world: &mut World, state: FlagState) -> bool {
    world.document = Document::new(state);
    true
}
