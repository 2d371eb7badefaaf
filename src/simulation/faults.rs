//! What goes wrong: networks fall silent, sidecars freeze and die, the store stands still, and comes back without its memory.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::dice::Dice;
use super::plan::Weather;
use super::process::Life;
use super::redis::{Data, Mode};
use super::settings::entities_with_documents;
use super::sidecar::Sidecar;
use super::world::World;

/// Between two strokes, on average.
const STRIKE_EVERY_MS: f64 = 900.0;

/// Strikes without end, where the weather is rough.
pub(super) async fn strike(world: World) {
    if world.plan.weather != Weather::Rough {
        return pending().await;
    }
    let dice = world.dice.fork();
    let replica = Rc::new(RefCell::new(Data::default()));
    world.run(replicate(world.clone(), Rc::clone(&replica)));
    loop {
        sleep(dice.around(STRIKE_EVERY_MS)).await;
        let alive = world.alive();
        let Some(victim) = dice.choose(&alive).cloned() else { continue };
        let serving = alive.iter().filter(|it| it.serves.get()).count();
        let may_end = serving > 1 && !world.plan.forgets_flags;
        match dice.number(0..13) {
            0 | 1 => world.run(silence(world.clone(), victim, dice.fork())),
            2 | 3 => {
                note(&world, "reset", &victim.id);
                world.network.link(&victim.id).reset();
            }
            4 | 5 => world.run(freeze(world.clone(), victim, dice.fork())),
            6 if may_end => world.run(crash(world.clone(), victim, dice.fork())),
            7 if may_end => world.run(replace(world.clone(), victim, dice.fork())),
            8 => world.run(stall(world.clone(), dice.fork())),
            9 | 10 => world.run(fail_over(world.clone(), replica.borrow().clone(), dice.fork())),
            11 => {
                for it in alive {
                    world.run(silence(world.clone(), it, dice.fork()));
                }
            }
            _ => {}
        }
    }
}

/// Ends all that goes wrong.
pub(super) async fn clear(world: &World) {
    for sidecar in world.alive() {
        let link = world.network.link(&sidecar.id);
        link.there.send_replace(true);
        link.back.send_replace(true);
        sidecar.life.send_if_modified(|life| {
            let frozen = *life == Life::Frozen;
            if frozen {
                *life = Life::Running;
            }
            frozen
        });
    }
    // What is down or stands still comes back by itself, within this time.
    sleep(LONGEST).await;
}

/// Nothing lasts longer.
const LONGEST: Duration = Duration::from_secs(4);

fn note(world: &World, what: &'static str, whom: &str) {
    world.tally.borrow_mut().fault(what);
    world.history.note(format_args!("FAULT {what} {whom}"));
}

/// Mostly short, now and then long.
fn lasts(dice: &Dice) -> Duration {
    match dice.one_in(3) {
        true => dice.millis(500..3_900),
        false => dice.millis(20..500),
    }
}

async fn silence(world: World, victim: Rc<Sidecar>, dice: Dice) {
    let link = world.network.link(&victim.id);
    let (what, ways) = match dice.number(0..4) {
        0 => ("unheard", vec![&link.there]),
        1 => ("deaf", vec![&link.back]),
        _ => ("cut off", vec![&link.there, &link.back]),
    };
    note(&world, what, &victim.id);
    ways.iter().for_each(|way| way.send_modify(|is_well| *is_well = false));
    sleep(lasts(&dice)).await;
    ways.iter().for_each(|way| way.send_modify(|is_well| *is_well = true));
}

async fn freeze(world: World, victim: Rc<Sidecar>, dice: Dice) {
    if !victim.is_running() {
        return;
    }
    note(&world, "freeze", &victim.id);
    victim.life.send_replace(Life::Frozen);
    sleep(lasts(&dice)).await;
    if victim.is_alive() {
        victim.life.send_replace(Life::Running);
    }
}

async fn crash(world: World, victim: Rc<Sidecar>, dice: Dice) {
    note(&world, "crash", &victim.id);
    victim.kill();
    sleep(lasts(&dice)).await;
    world.start(host(&victim));
}

async fn replace(world: World, victim: Rc<Sidecar>, dice: Dice) {
    if !victim.serves.get() {
        return;
    }
    note(&world, "end", &victim.id);
    victim.stop().await;
    sleep(Duration::from_millis(100)).await;
    victim.kill();
    sleep(lasts(&dice)).await;
    world.start(host(&victim));
}

fn host(sidecar: &Sidecar) -> &str {
    sidecar.id.split('-').next().unwrap_or_default()
}

async fn stall(world: World, dice: Dice) {
    if *world.redis.mode().borrow() != Mode::Running {
        return;
    }
    note(&world, "stall", "the store");
    world.redis.set_mode(Mode::Stalled);
    sleep(lasts(&dice)).await;
    if *world.redis.mode().borrow() == Mode::Stalled {
        world.redis.set_mode(Mode::Running);
    }
}

async fn fail_over(world: World, replica: Data, dice: Dice) {
    if *world.redis.mode().borrow() == Mode::Down {
        return;
    }
    world.redis.set_mode(Mode::Down);
    let (what, data) = match dice.number(0..5) {
        0 if world.plan.forgets_flags => ("emptied", Data::default()),
        1 | 2 => ("restarted", world.redis.copy()),
        _ if world.plan.forgets_flags => ("failed over", replica),
        _ => ("lost leases", replica.with_flags_of(&world.redis.copy())),
    };
    note(&world, what, "the store");
    sleep(lasts(&dice)).await;
    world.redis.start_with(data);
    // The app looks after its documents.
    sleep(dice.millis(0..50)).await;
    world.apps.make_documents(entities_with_documents());
}

async fn replicate(world: World, replica: Rc<RefCell<Data>>) {
    loop {
        let copy = world.redis.copy();
        sleep(Duration::from_millis(world.plan.lag_ms)).await;
        replica.replace(copy);
    }
}
