//! How sidecars come and go, and what breaks.

use super::bounds::{Flaw, Protocol};
use super::world::{Entry, Life, Phase, World};

impl Protocol {
    /// A sidecar starts: it registers, and decides nothing before it has read the document.
    pub fn join(&self, world: &World, sidecar: usize) -> Option<World> {
        if !self.bounds.joins || world.sidecars[sidecar].life != Life::Absent {
            return None;
        }
        let mut next = world.clone();
        let joining = &mut next.sidecars[sidecar];
        joining.life = Life::Serving;
        if self.lacks(Flaw::ReadsThenRegisters) {
            joining.rule = Some(world.document.rule);
        } else if self.lacks(Flaw::StartsByOldSnapshot) {
            joining.life = Life::CutOff;
            joining.rule = Some(self.first_document().rule);
        } else {
            next.register[sidecar] = Some(Entry::default());
        }
        Some(next)
    }

    /// A sidecar's process ends.
    pub fn crash(&self, world: &World, sidecar: usize) -> Option<World> {
        if world.happened.crashes == self.bounds.crashes || !world.sidecars[sidecar].is_up() {
            return None;
        }
        let mut next = world.clone();
        next.happened.crashes += 1;
        next.sidecars[sidecar].life = Life::Dead;
        next.sidecars[sidecar].rule = None;
        for place in 0..next.updates.len() {
            let update = next.updates[place];
            if !update.is_open() || update.by != sidecar {
                continue;
            }
            match update.phase == Phase::Written || self.is_unsent(&update) {
                true => next.end(place, Phase::Over),
                false => next.updates[place].given_up = true,
            }
        }
        Some(next)
    }

    /// A sidecar that is gone is taken off the register, once what it sent is over.
    pub fn bury(&self, world: &World, sidecar: usize) -> Option<World> {
        let mut mine = world.updates.iter().filter(|it| it.by == sidecar && it.is_open());
        let over = self.lacks(Flaw::LeavesAtOnce) || mine.next().is_none();
        let dead = world.sidecars[sidecar].life == Life::Dead;
        if !dead || !over || world.register[sidecar].is_none() {
            return None;
        }
        let mut next = world.clone();
        next.register[sidecar] = None;
        Some(next)
    }

    /// A process is started again in the place of one that has ended. What that one sent counts as its own.
    pub fn restart(&self, world: &World, sidecar: usize) -> Option<World> {
        if !self.bounds.restarts || world.sidecars[sidecar].life != Life::Dead {
            return None;
        }
        let mut next = world.clone();
        next.sidecars[sidecar].life = Life::Serving;
        next.register[sidecar] = Some(Entry::default());
        if self.lacks(Flaw::SucceedsMovingAlone) && world.document.is_settled() {
            next.updates.iter_mut().filter(|it| it.by == sidecar).for_each(|it| it.orphaned = true);
        }
        Some(next)
    }

    /// A sidecar loses the store, or has it again.
    pub fn cut(&self, world: &World, sidecar: usize) -> Option<World> {
        let life = match world.sidecars[sidecar].life {
            Life::Serving if world.happened.cuts < self.bounds.cuts => Life::CutOff,
            Life::CutOff => Life::Serving,
            _ => return None,
        };
        let mut next = world.clone();
        next.happened.cuts += u8::from(life == Life::CutOff);
        next.sidecars[sidecar].life = life;
        Some(next)
    }

    /// The store is replaced by one that has forgotten the leases.
    pub fn fail_over(&self, world: &World) -> Option<World> {
        if world.happened.failovers == self.bounds.failovers {
            return None;
        }
        let mut next = world.clone();
        next.happened.failovers += 1;
        if let Some(holder) = next.lease.take() {
            next.quarantine = next.quarantine.with(holder);
        }
        if self.lacks(Flaw::RegisterForgotten) {
            next.register = Default::default();
        }
        Some(next)
    }

    /// A lease runs out under its call.
    pub fn run_out(&self, world: &World) -> Option<World> {
        if !self.lacks(Flaw::LeaseRunsOut) || world.lease.is_none() {
            return None;
        }
        Some(World { lease: None, ..world.clone() })
    }
}
