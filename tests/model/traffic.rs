//! The life of an update: decided, sent, made, acknowledged, or given up.

use interlock::domain::flag::{Path, Strategy};
use interlock::domain::transition::Stage;

use super::bounds::{Flaw, Protocol};
use super::world::{Life, Phase, Sidecar, Update, World};

impl Protocol {
    /// Whether an update holds the lease for as long as it runs. An edit of `atomic` in F may: see [`Self::grant`].
    pub(super) fn takes_lease(&self, stage: Stage) -> bool {
        match stage {
            Stage::Legacy => false,
            Stage::Guarded | Stage::GuardedFixed => true,
            Stage::Fixed => self.strategy == Strategy::Serialize,
        }
    }

    /// Whether a decided update has sent nothing yet: it needs a lease first, or is an edit.
    pub(super) fn waits_for_store(&self, update: &Update) -> bool {
        let edits = self.strategy == Strategy::Atomic;
        let needs = |stage| self.takes_lease(stage) || (edits && stage == Stage::Fixed);
        !update.exposed && update.rule.is_some_and(|rule| needs(rule.stage))
    }

    /// Whether an update that was sent runs in the legacy app, which reads and writes all of the entity.
    fn is_legacy(&self, update: &Update) -> bool {
        let Some(rule) = update.rule else { return false };
        let by_stage = rule.stage.path() == Path::Legacy;
        by_stage || update.exposed || self.strategy != Strategy::Upstream
    }

    /// A sidecar decides the next update, by what it has applied.
    pub(super) fn begin(&self, world: &mut World, sidecar: usize) -> bool {
        let Sidecar { life, rule: Some(rule) } = world.sidecars[sidecar] else { return false };
        let next = world.updates.iter().take(self.bounds.updates);
        let Some(place) = next.map(|it| it.phase).position(|it| it == Phase::Idle) else {
            return false;
        };
        let update = Update {
            phase: Phase::Decided,
            by: sidecar,
            rule: Some(rule),
            given_up: false,
            exposed: false,
        };
        let stuck = life == Life::CutOff && self.waits_for_store(&update);
        if !matches!(life, Life::Serving | Life::CutOff)
            || (stuck && !self.lacks(Flaw::LegacyOnStoreLoss))
        {
            return false;
        }
        world.updates[place] = Update { exposed: stuck, ..update };
        true
    }

    /// An update gets the lease, and is sent. One of `atomic` in F gets it as well, when its edit was refused: it goes to
    /// the app then.
    pub(super) fn grant(&self, world: &mut World, place: usize) -> bool {
        let update = &world.updates[place];
        let waits = update.phase == Phase::Decided && self.waits_for_store(update);
        if !waits || world.lease.is_some() || !self.reaches_store(world, update) {
            return false;
        }
        if !world.quarantine.is_empty() && !self.grants_in_quarantine() {
            return false;
        }
        world.lease = Some(place);
        world.updates[place].phase = Phase::Held;
        true
    }

    fn reaches_store(&self, world: &World, update: &Update) -> bool {
        world.sidecars[update.by].life == Life::Serving
    }

    fn grants_in_quarantine(&self) -> bool {
        self.lacks(Flaw::NoQuarantine)
    }

    /// The legacy app reads the entity.
    pub(super) fn read(&self, world: &mut World, place: usize) -> bool {
        let update = &world.updates[place];
        let sent = match update.phase {
            Phase::Decided => !self.waits_for_store(update),
            Phase::Held => true,
            _ => false,
        };
        if !sent || !self.is_legacy(update) {
            return false;
        }
        world.updates[place].phase = Phase::Read(world.entity);
        true
    }

    /// An update is made: what the legacy app has read is written back with it, or it is added to what is there.
    pub(super) fn write(&self, world: &mut World, place: usize) -> bool {
        let update = world.updates[place];
        let found = match update.phase {
            Phase::Read(found) => found,
            Phase::Held if !self.is_legacy(&update) => world.entity,
            Phase::Decided if self.waits_for_store(&update) => {
                if !self.may_edit(world, &update) {
                    return false;
                }
                world.entity
            }
            Phase::Decided if !self.is_legacy(&update) => world.entity,
            _ => return false,
        };
        world.entity = found.with(place);
        match (update.given_up, self.bounds.late_answers) {
            (true, _) => world.end(place, Phase::Landed),
            (false, true) => world.updates[place].phase = Phase::Written,
            (false, false) => self.acknowledge(world, place),
        }
        true
    }

    /// Whether the script of `atomic` makes an edit now.
    fn may_edit(&self, world: &World, update: &Update) -> bool {
        let fixed = update.rule.is_some_and(|rule| rule.stage == Stage::Fixed);
        let free = world.lease.is_none() || self.lacks(Flaw::EditIgnoresLease);
        let quarantined = !world.quarantine.is_empty()
            && !self.grants_in_quarantine()
            && !self.lacks(Flaw::EditsInQuarantine);
        let edits = fixed && self.strategy == Strategy::Atomic;
        edits && free && !quarantined && self.reaches_store(world, update)
    }

    /// The sidecar hears that an update was made.
    pub(super) fn answer(&self, world: &mut World, place: usize) -> bool {
        let heard = world.updates[place].phase == Phase::Written;
        if heard {
            self.acknowledge(world, place);
        }
        heard
    }

    fn acknowledge(&self, world: &mut World, place: usize) {
        let update = world.updates[place];
        let fixed = update.rule.is_some_and(|rule| rule.stage == Stage::Fixed);
        if fixed && !update.exposed {
            if world.document.rule.stage == Stage::Fixed {
                world.protected = world.protected.with(place);
            }
            if !self.is_exposed(world, &update) {
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

    /// The sidecar gives a legacy call up. The app does not hear of that.
    pub(super) fn give_up(&self, world: &mut World, place: usize) -> bool {
        let update = world.updates[place];
        let waits = update.phase == Phase::Decided && self.waits_for_store(&update);
        let sent = matches!(update.phase, Phase::Decided | Phase::Held | Phase::Read(_));
        let left = world.happened.timeouts < self.bounds.timeouts;
        if !left || !sent || waits || update.given_up || !self.is_legacy(&update) {
            return false;
        }
        world.happened.timeouts += 1;
        world.updates[place].given_up = true;
        if self.lacks(Flaw::ReleasedOnTimeout) {
            world.free(place);
        }
        true
    }

    /// D is over: a call that was given up has not written, and will not any more. Its lease runs out.
    pub(super) fn lapse(&self, world: &mut World, place: usize) -> bool {
        let lapses = world.updates[place].is_open() && world.updates[place].given_up;
        if lapses {
            world.end(place, Phase::Over);
        }
        lapses
    }

    /// A lease runs out under its call.
    pub(super) fn run_out(&self, world: &mut World) -> bool {
        self.lacks(Flaw::LeaseRunsOut) && world.lease.take().is_some()
    }
}
