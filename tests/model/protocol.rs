//! The model: which states there are at first, what can happen in each, and what must hold in all of them.

use interlock::domain::flag::Strategy;
use interlock::domain::transition::Stage;
use stateright::{Model, Property};

use super::bounds::Protocol;
use super::world::{Document, ENTITY, Entry, FLAG, Happened, Life, Phase, Sidecar, Updates, World};

/// No acknowledged update that was protected, by the document, is missing in the entity.
pub const NOTHING_LOST: &str = "no protected update is undone";
/// The same of those that the sidecar calls protected, which may not have heard of the document.
pub const NOTHING_DENIED: &str = "no update that is called protected is undone";
/// At every instant the sidecars decide by two neighbouring stages at most.
pub const NEIGHBOURS: &str = "two neighbouring stages at most";
/// Everybody is where the last change wanted to go.
pub const ARRIVED: &str = "settled at the target";
/// There is something that could be lost.
pub const PROTECTED: &str = "a protected update";
/// A call that was given up has written.
pub const LANDED: &str = "a late write";

/// What can happen. Sidecars and updates are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Change,
    Step,
    ForcedStep,
    Apply(usize),
    Beat(usize),
    CatchUp(usize),
    Join(usize),
    Crash(usize),
    Bury(usize),
    Restart(usize),
    Cut(usize),
    FailOver,
    RunOut,
    Begin(usize),
    Grant(usize),
    Read(usize),
    Write(usize),
    Answer(usize),
    GiveUp(usize),
    Lapse(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        let document = self.first_document();
        let turn = Some(document.rule.turn);
        let mut world = World {
            register: Default::default(),
            sidecars: Default::default(),
            updates: Default::default(),
            lease: None,
            quarantine: Updates::default(),
            entity: Updates::default(),
            protected: Updates::default(),
            called_protected: Updates::default(),
            happened: Happened::default(),
            document,
        };
        for place in 0..self.bounds.sidecars - usize::from(self.bounds.joins) {
            world.register[place] = Some(Entry { applied: turn, clear: turn });
            world.sidecars[place] =
                Sidecar { life: Life::Serving, rule: Some(world.document.rule) };
        }
        vec![world]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        events.extend([Event::Change, Event::Step, Event::FailOver, Event::RunOut]);
        if self.bounds.force {
            events.push(Event::ForcedStep);
        }
        for sidecar in 0..self.bounds.sidecars {
            let kinds: &[fn(usize) -> Event] = match world.sidecars[sidecar].life {
                Life::Absent => &[Event::Join],
                Life::Dead => &[Event::Bury, Event::Restart, Event::CatchUp],
                Life::CutOff => &[Event::Begin, Event::CatchUp, Event::Crash, Event::Cut],
                Life::Serving => &[
                    Event::Apply,
                    Event::Beat,
                    Event::Begin,
                    Event::CatchUp,
                    Event::Crash,
                    Event::Cut,
                ],
            };
            events.extend(kinds.iter().map(|kind| kind(sidecar)));
        }
        for update in (0..self.bounds.updates).filter(|it| world.updates[*it].is_open()) {
            let kinds: [fn(usize) -> Event; 6] = [
                Event::Grant,
                Event::Read,
                Event::Write,
                Event::Answer,
                Event::GiveUp,
                Event::Lapse,
            ];
            events.extend(kinds.map(|kind| kind(update)));
        }
    }

    fn next_state(&self, world: &World, event: Event) -> Option<World> {
        match event {
            Event::Change => self.change(world),
            Event::Step => self.step(world, false),
            Event::ForcedStep => self.step(world, true),
            Event::Apply(sidecar) => self.apply(world, sidecar),
            Event::Beat(sidecar) => self.beat(world, sidecar),
            Event::CatchUp(sidecar) => self.catch_up(world, sidecar),
            Event::Join(sidecar) => self.join(world, sidecar),
            Event::Crash(sidecar) => self.crash(world, sidecar),
            Event::Bury(sidecar) => self.bury(world, sidecar),
            Event::Restart(sidecar) => self.restart(world, sidecar),
            Event::Cut(sidecar) => self.cut(world, sidecar),
            Event::FailOver => self.fail_over(world),
            Event::RunOut => self.run_out(world),
            Event::Begin(sidecar) => self.begin(world, sidecar),
            Event::Grant(update) => self.grant(world, update),
            Event::Read(update) => self.read(world, update),
            Event::Write(update) => self.write(world, update),
            Event::Answer(update) => self.answer(world, update),
            Event::GiveUp(update) => self.give_up(world, update),
            Event::Lapse(update) => self.lapse(world, update),
        }
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NOTHING_LOST, |_, world: &World| {
                world.protected.minus(world.entity).is_empty()
            }),
            Property::always(NOTHING_DENIED, |_, world: &World| {
                world.called_protected.minus(world.entity).is_empty()
            }),
            Property::always(NEIGHBOURS, Protocol::are_neighbours),
            Property::sometimes(ARRIVED, Protocol::has_arrived),
            Property::sometimes(PROTECTED, |_, world: &World| !world.protected.is_empty()),
        ];
        if self.bounds.timeouts > 0 || self.bounds.crashes > 0 {
            properties.push(Property::sometimes(LANDED, |_, world: &World| {
                world.updates.iter().any(|it| it.phase == Phase::Landed)
            }));
        }
        properties
    }
}

impl Protocol {
    fn are_neighbours(&self, world: &World) -> bool {
        let way: &[Stage] = match self.strategy {
            Strategy::Upstream => &Stage::ALL,
            _ => &[Stage::Legacy, Stage::Guarded, Stage::Fixed],
        };
        let up = world.sidecars.iter().filter(|it| it.is_up()).filter_map(|it| it.rule);
        let places = || up.clone().filter_map(|it| way.iter().position(|stage| *stage == it.stage));
        places().max().unwrap_or(0) - places().min().unwrap_or(0) <= 1
    }

    fn has_arrived(&self, world: &World) -> bool {
        let Document { state, rule } = &world.document;
        let target = Stage::at_rest(state.path_at_rest(FLAG, ENTITY));
        usize::from(world.happened.changes) == self.bounds.changes.len()
            && world.document.is_settled()
            && rule.stage == target
            && world.sidecars.iter().all(|it| !it.is_up() || it.rule == Some(*rule))
    }
}
