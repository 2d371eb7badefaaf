//! People at their flags: they flip, and they clear away what died.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::dice::Dice;
use super::settings::{self, CALL, CONNECT, FLAGS, SETTLE};
use super::sidecar::Sidecar;
use super::world::World;
use crate::clock;
use crate::domain::flag::{Change, Path};
use crate::domain::percent::Percent;
use crate::domain::transition::{Waiting, Why};

/// Flips flags, without end.
pub(super) async fn flips(world: World) {
    let dice = world.dice.fork();
    loop {
        sleep(dice.around(world.plan.change_every_ms)).await;
        let flag = settings::any_flag(&dice);
        let change = match dice.number(0..14) {
            0 => Change::Kill,
            1 | 2 => Change::Resume,
            3..=5 => Change::Percent(Percent::ZERO),
            6..=8 => Change::Percent(Percent::FULL),
            9 | 10 => pin(FLAGS[flag].1, &dice),
            _ => {
                let hundredths = u16::try_from(dice.number(0..10_001)).unwrap();
                Change::Percent(Percent::from_hundredths(hundredths).unwrap())
            }
        };
        if let Some(sidecar) = dice.choose(&world.alive()) {
            world.run(make(world.clone(), Rc::clone(sidecar), flag, change));
        }
    }
}

/// Ties one of the entities to a path, or lets it go.
fn pin(entities: &[&str], dice: &Dice) -> Change {
    let entity = dice.choose(entities).map(|it| (*it).to_owned()).unwrap_or_default();
    let paths = [Some(Path::Legacy), Some(Path::Fixed), None, None];
    Change::Pin { entity, path: dice.choose(&paths).copied().flatten() }
}

async fn make(world: World, sidecar: Rc<Sidecar>, flag: usize, change: Change) {
    let made = sidecar.change(flag, change.clone()).await;
    let name = FLAGS[flag].0;
    match made {
        Ok(version) => {
            world.tally.borrow_mut().flips += 1;
            world
                .history
                .note(format_args!("{} changes {name} to {version}: {change:?}", sidecar.id));
        }
        Err(error) => {
            world
                .history
                .note(format_args!("{} can't change {name}, {change:?}: {error}", sidecar.id));
        }
    }
}

/// Clears away sidecars that are dead for so long that nothing of theirs can write any more, where flips wait for them: the
/// flip is forced past them, or the register forgets them.
pub(super) async fn janitor(world: World) {
    let dice = world.dice.fork();
    loop {
        sleep(Duration::from_millis(500)).await;
        let well = world.alive().into_iter().find(|it| it.is_running() && it.is_well());
        let Some(sidecar) = well else { continue };
        for flag in 0..FLAGS.len() {
            thaw(&world, flag, dice.one_in(4)).await;
            if sidecar.state(flag).transit.as_ref().is_none_or(|it| it.force) {
                continue;
            }
            let waiting = sidecar.waits_for(flag);
            let is_silent = |it: &Waiting| matches!(it.why, Why::Silent { .. });
            let dead: Vec<&Waiting> =
                waiting.iter().filter(|it| is_silent(it) && is_over(&world, it)).collect();
            if !dead.is_empty() && dead.len() == waiting.len() && dice.one_in(3) {
                world.tally.borrow_mut().fault("forced past the dead");
                make(world.clone(), Rc::clone(&sidecar), flag, Change::Force).await;
            } else if let Some(dead) = dice.choose(&dead) {
                world.tally.borrow_mut().fault("forgot the dead");
                let forgotten = sidecar.flags.forget(&dead.sidecar).await;
                world.history.note(format_args!("forgets {}: {forgotten:?}", dead.sidecar));
            }
        }
    }
}

/// A flag that the store knows an earlier version of is frozen until somebody changes it. In the evening somebody does, where it
/// is the latest.
async fn thaw(world: &World, flag: usize, hurries: bool) {
    let alive = world.alive();
    let is_frozen = alive.iter().any(|it| it.is_frozen_flag(flag));
    let latest = alive.into_iter().filter(|it| it.is_well()).max_by_key(|it| it.state(flag).turn());
    if let Some(sidecar) = latest.filter(|_| is_frozen && (hurries || world.is_evening())) {
        world.tally.borrow_mut().fault("thawed");
        make(world.clone(), sidecar, flag, Change::Resume).await;
    }
}

fn is_over(world: &World, waiting: &Waiting) -> bool {
    let died = world.sidecar(&waiting.sidecar).and_then(|it| it.died.get());
    died.is_some_and(|at| clock::now() - at > CONNECT + CALL + SETTLE)
}
