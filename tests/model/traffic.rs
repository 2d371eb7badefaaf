//! The life of an update: decided, sent, made, acknowledged, or given up.

use interlock::domain::flag::{Path, Strategy};
use interlock::domain::transition::Stage;

use super::bounds::{Flaw, Protocol};
use super::world::{Life, NAMES, Phase, Sidecar, Update, World};

impl Protocol {
    /// Whether an update holds the lease for as long as it runs. An edit of `atomic` in F may: see [`Self::grant`].
    pub fn takes_lease(&self, stage: Stage) -> bool {
        match stage {
            Stage::Legacy => false,
            Stage::Guarded | Stage::GuardedFixed => true,
            Stage::Fixed => self.strategy == Strategy::Serialize,
        }
    }

    /// Whether a stage's updates need the store: for the lease, or as they are edits in it.
    fn needs_store(&self, stage: Stage) -> bool {
        let edits = self.strategy == Strategy::Atomic && stage == Stage::Fixed;
        edits || self.takes_lease(stage)
    }

    /// Whether an update was decided, and nothing of it was sent.
    pub fn is_unsent(&self, update: &Update) -> bool {
        let waits = update.rule.is_some_and(|rule| self.needs_store(rule.stage));
        update.phase == Phase::Decided && waits && !update.exposed
    }

    /// Whether an update that was sent runs in the legacy app, which reads all of the entity and writes all of it back.
    fn is_legacy(&self, update: &Update) -> bool {
        let Some(rule) = update.rule else { return false };
        let falls_back = update.exposed && !self.lacks(Flaw::FixedOnStoreLoss);
        rule.stage.path() == Path::Legacy || falls_back || self.strategy != Strategy::Upstream
    }

    /// A sidecar decides the next update, by what it has applied.
    pub fn begin(&self, world: &World, sidecar: usize) -> Option<World> {
        let Sidecar { life, rule } = world.sidecars[sidecar];
        let rule = rule.filter(|_| world.sidecars[sidecar].is_up())?;
        let mut updates = world.updates.iter().take(self.bounds.updates);
        let place = updates.position(|it| it.phase == Phase::Idle)?;
        let exposed = life == Life::CutOff && self.needs_store(rule.stage);
        let falls_back = self.lacks(Flaw::LegacyOnStoreLoss) || self.lacks(Flaw::FixedOnStoreLoss);
        if exposed && !falls_back {
            return None;
        }
        let mut next = world.clone();
        next.updates[place] = Update {
            phase: Phase::Decided,
            by: sidecar,
            rule: Some(rule),
            exposed,
            ..Update::default()
        };
        Some(next)
    }

    /// An update gets the lease, and is sent. One of `atomic` in F gets it as well, when its edit was refused: it goes to
    /// the app then.
    pub fn grant(&self, world: &World, place: usize) -> Option<World> {
        let update = &world.updates[place];
        let quarantined = !world.quarantine.is_empty() && !self.lacks(Flaw::NoQuarantine);
        let free = world.lease.is_none() && !quarantined;
        if !self.is_unsent(update) || !free || world.sidecars[update.by].life != Life::Serving {
            return None;
        }
        let mut next = world.clone();
        next.lease = Some(place);
        next.updates[place].phase = Phase::Held;
        Some(next)
    }

    /// The legacy app reads the entity.
    pub fn read(&self, world: &World, place: usize) -> Option<World> {
        let update = &world.updates[place];
        let sent = matches!(update.phase, Phase::Decided | Phase::Held) && !self.is_unsent(update);
        if !sent || !self.is_legacy(update) {
            return None;
        }
        let mut next = world.clone();
        next.updates[place].phase = Phase::Read(world.entity);
        Some(next)
    }

    /// An update is made: what the legacy app has read is written back with it, or it is added to what is there.
    pub fn write(&self, world: &World, place: usize) -> Option<World> {
        let update = &world.updates[place];
        let found = match update.phase {
            Phase::Read(found) => found,
            Phase::Decided if self.is_unsent(update) => {
                self.may_edit(world, update).then_some(world.entity)?
            }
            Phase::Decided | Phase::Held if !self.is_legacy(update) => world.entity,
            _ => return None,
        };
        let mut next = world.clone();
        next.entity = found.with(place);
        match (update.given_up, self.bounds.late_answers) {
            (true, _) => next.end(place, Phase::Landed),
            (false, true) => next.updates[place].phase = Phase::Written,
            (false, false) => self.acknowledge(&mut next, place),
        }
        Some(next)
    }

    /// Whether the script of `atomic` makes an edit now.
    fn may_edit(&self, world: &World, update: &Update) -> bool {
        let edits = self.strategy == Strategy::Atomic
            && update.rule.is_some_and(|rule| rule.stage == Stage::Fixed);
        let free = world.lease.is_none() || self.lacks(Flaw::EditIgnoresLease);
        let anyway = self.lacks(Flaw::NoQuarantine) || self.lacks(Flaw::EditsInQuarantine);
        let reaches = world.sidecars[update.by].life == Life::Serving;
        edits && free && reaches && (anyway || world.quarantine.is_empty())
    }

    /// The sidecar hears that an update was made.
    pub fn answer(&self, world: &World, place: usize) -> Option<World> {
        if world.updates[place].phase != Phase::Written {
            return None;
        }
        let mut next = world.clone();
        self.acknowledge(&mut next, place);
        Some(next)
    }

    fn acknowledge(&self, world: &mut World, place: usize) {
        let update = world.updates[place];
        let fixed = update.rule.is_some_and(|rule| rule.stage == Stage::Fixed);
        if fixed && !update.exposed {
            if world.document.rule.stage == Stage::Fixed {
                world.protected = world.protected.with(place);
            }
            // Who was gone past can't know.
            let gone_past = world.document.state.forced.contains(NAMES[update.by]);
            if !gone_past && !self.is_exposed(world, &update) {
                world.called_protected = world.called_protected.with(place);
            }
        }
        world.end(place, Phase::Over);
    }

    /// Whether the sidecar knows, when an update ends, that its guarantee may not have held.
    fn is_exposed(&self, world: &World, update: &Update) -> bool {
        let (Some(then), Some(now)) = (update.rule, world.sidecars[update.by].rule) else {
            return true;
        };
        let forced = now.forced || (then.forced && !self.lacks(Flaw::ExposureAtTheEnd));
        let passed = now.turn > then.turn;
        forced || (passed && now.skipped && !self.takes_lease(then.stage))
    }

    /// The sidecar gives a legacy call up. The app does not hear of that. (A fixed call that is given up undoes nothing.)
    pub fn give_up(&self, world: &World, place: usize) -> Option<World> {
        let update = &world.updates[place];
        let runs = update.is_open() && update.phase != Phase::Written && !self.is_unsent(update);
        let left = world.happened.timeouts < self.bounds.timeouts;
        if !left || !runs || update.given_up || !self.is_legacy(update) {
            return None;
        }
        let mut next = world.clone();
        next.happened.timeouts += 1;
        next.updates[place].given_up = true;
        if self.lacks(Flaw::ReleasedOnTimeout) {
            next.free(place);
        }
        Some(next)
    }

    /// D is over: a call that was given up has not written, and will not any more. Its lease runs out.
    pub fn lapse(&self, world: &World, place: usize) -> Option<World> {
        let update = &world.updates[place];
        if !update.is_open() || !update.given_up {
            return None;
        }
        let mut next = world.clone();
        next.end(place, Phase::Over);
        Some(next)
    }
}
