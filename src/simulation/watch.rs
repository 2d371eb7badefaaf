//! What must always hold, and what must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::app::UpdateId;
use super::audit;
use super::documents::PREFIX;
use super::plan::Weather;
use super::settings::FLAGS;
use super::sidecar::Sidecar;
use super::world::World;
use crate::domain::transition::{Stage, Turn};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks at how the sidecars decide, all the time.
pub(super) async fn stages(world: World) {
    let mut turns = BTreeMap::new();
    let mut told = BTreeSet::new();
    loop {
        sleep(LOOK_EVERY).await;
        let sidecars = world.alive();
        for (flag, (name, entities)) in FLAGS.iter().enumerate() {
            backwards(&world, &sidecars, flag, &mut turns);
            for entity in *entities {
                if let Some(breach) = both_paths(&sidecars, flag, name, entity)
                    && told.insert((flag, breach.clone()))
                {
                    world.history.breach(breach);
                }
            }
        }
    }
}

fn backwards(
    world: &World,
    sidecars: &[Rc<Sidecar>],
    flag: usize,
    turns: &mut BTreeMap<(String, usize), Turn>,
) {
    for sidecar in sidecars {
        let now = sidecar.state(flag).turn();
        let before = turns.insert((sidecar.id.clone(), flag), now);
        if before.is_some_and(|before| before > now) {
            world.history.breach(format!("{} goes back from {before:?} to {now:?}", sidecar.id));
        }
    }
}

/// One sidecar may not write by legacy without a lease what another one writes by the fixed path, unless a step was forced past
/// one that lives.
fn both_paths(sidecars: &[Rc<Sidecar>], flag: usize, name: &str, entity: &str) -> Option<String> {
    let serving = sidecars.iter().filter(|it| it.serves.get());
    let stages: Vec<_> = serving.map(|it| (it, it.state(flag).stage_of(name, entity))).collect();
    let legacy = stages.iter().find(|(_, stage)| *stage == Stage::Legacy)?;
    let fixed = [Stage::GuardedFixed, Stage::Fixed];
    let fixed = stages.iter().find(|(_, stage)| fixed.contains(stage))?;
    let forced: BTreeSet<String> =
        sidecars.iter().flat_map(|it| it.state(flag).forced.clone()).collect();
    if sidecars.iter().any(|it| forced.contains(&it.id)) {
        return None;
    }
    let shown = |(sidecar, stage): &(&Rc<Sidecar>, Stage)| {
        format!("{} at {} in {}", sidecar.id, sidecar.state(flag).turn(), stage.as_str())
    };
    Some(format!("{entity}: {} and {}", shown(legacy), shown(fixed)))
}

/// Waits until every sidecar is well, and all have settled on one state.
pub(super) async fn settled(world: &World) {
    loop {
        let sidecars = world.alive();
        let is_settled = |flag: usize| {
            let first = sidecars.first().map(|it| it.state(flag));
            sidecars.iter().all(|it| {
                let state = it.state(flag);
                state.transit.is_none()
                    && first.as_ref().is_some_and(|it| it.turn() == state.turn())
            })
        };
        let is_well = |it: &Rc<Sidecar>| it.is_well() && it.serves.get();
        if sidecars.iter().all(is_well) && (0..FLAGS.len()).all(is_settled) {
            return world.history.note(format_args!("all is settled"));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until no update is under way.
pub(super) async fn ended(world: &World) {
    while world.alive().iter().any(|it| it.calls() > 0) {
        sleep(LOOK_EVERY).await;
    }
}

/// Compares what callers were told with what the apps have. An update that goes on without the store, since its flag says so,
/// may undo what others promised: it is shown as exposed. And so may one that a kill sent to legacy at once, before others heard of
/// the kill.
pub(super) fn accounts(world: &World) {
    let mut tally = world.tally.borrow_mut();
    audit::accounts(world, &mut tally);
    let entities = FLAGS.iter().flat_map(|(_, entities)| *entities);
    for entity in entities.filter(|entity| !entity.starts_with(PREFIX)) {
        let list: BTreeSet<_> = world.apps.list(entity).into_iter().collect();
        let missing = |ids: &BTreeMap<String, Vec<UpdateId>>| {
            let ids = ids.get(*entity).into_iter().flatten();
            ids.filter(|id| !list.contains(id)).copied().collect::<Vec<_>>()
        };
        tally.lost += missing(&tally.all).len() as u64;
        for id in missing(&tally.promised) {
            let by = world.apps.overwriter(id);
            if by.as_ref().is_some_and(|by| by.is_exposed) {
                tally.undone_without_store += 1;
            } else if by.as_ref().is_some_and(|by| by.is_after_kill) {
                tally.undone_by_kill += 1;
            } else {
                let by = by.map_or_else(|| "nobody".to_owned(), |by| by.to_string());
                let breach = format!("{entity}: protected #{id} is lost, overwritten by {by}");
                world.history.breach(breach);
            }
        }
    }
    let excused = |why: &&str| match world.plan.weather {
        Weather::Calm => false,
        // Entities are left alone after calls that were given up.
        Weather::SlowApp => *why == "waited too long",
        Weather::Rough => true,
    };
    let refused: Vec<_> = tally.refused.iter().filter(|(why, _)| !excused(why)).collect();
    if !refused.is_empty() {
        world.history.breach(format!("updates are refused, and nothing went wrong: {refused:?}"));
    }
}
