//! An honest app: each update writes its field alone, at one moment between its arrival and its end. Whatever else happens, nothing
//! of what it shows is an alarm.

use super::*;

/// Words that callers write again and again.
const WORDS: u64 = 4;

/// Callers that update a few entities, several of them one field, and give up, and try again.
#[derive(Clone, Copy)]
pub(super) struct Traffic {
    pub(super) callers: u64,
    /// How many updates each of them makes.
    pub(super) updates: u64,
    pub(super) entities: u64,
    /// The longest that a caller pauses, in milliseconds.
    pub(super) pause: u64,
    /// By way of which sidecars.
    pub(super) sides: (u64, u64),
}

impl Traffic {
    pub(super) fn usual() -> Self {
        Self { callers: 9, updates: 120, entities: 3, pause: 25, sides: (0, u64::MAX) }
    }

    /// By way of the sidecars with these numbers, the second one not among them.
    pub(super) fn by_way_of(self, first: u64, end: u64) -> Self {
        Self { sides: (first, end), ..self }
    }

    /// Begins it; over when all of these have ended.
    pub(super) fn start(self, world: &Rc<World>) -> Vec<tokio::task::JoinHandle<()>> {
        let caller = |_| spawn_local(self.call(Rc::clone(world)));
        (0..self.callers).map(caller).collect()
    }

    /// All of it, until no detector has anything left to do.
    pub(super) async fn pass(self, world: &Rc<World>) {
        for caller in self.start(world) {
            caller.await.unwrap();
        }
        world.calm().await;
    }

    async fn call(self, world: Rc<World>) {
        let dice = &world.dice;
        for _ in 0..self.updates {
            let entity = format!("e{}", dice.below(self.entities));
            let (field, value) = (dice.below(FIELDS as u64) as usize, dice.below(WORDS));
            loop {
                let (first, end) = (self.sides.0, self.sides.1.min(world.sides().len() as u64));
                let side = (first + dice.below(end - first)) as usize;
                let fate = fate(dice);
                world.update(side, &entity, field, value, fate).await;
                // Whoever was not answered tries again, most of the time.
                if !matches!(fate, Fate::GivenUp(_)) || dice.one_in(3) {
                    break;
                }
            }
            match dice.one_in(40) {
                true => dice.pause(20 * self.pause).await,
                false => dice.pause(self.pause).await,
            }
        }
    }
}

fn fate(dice: &Dice) -> Fate {
    let settles = SETTLES.as_millis() as u64;
    match dice.below(20) {
        0 => Fate::Rejected(dice.one_in(2)),
        1 => Fate::GivenUp(None),
        2 | 3 => Fate::GivenUp(Some(dice.below(settles))),
        4 => Fate::Acknowledged(300),
        _ => Fate::Acknowledged(12),
    }
}

#[track_caller]
pub(super) fn assert_honest(world: &World, about: &str, least_verified: usize) {
    world.assert_no_alarm(about);
    let verified = world.verified();
    assert!(verified >= least_verified, "{about}: {verified} verified");
}

#[test]
fn a_sidecar_alone_raises_no_alarm() {
    for seed in 0..15 {
        in_virtual_time(async move {
            let world = Rc::new(World::alone(seed));

            Traffic::usual().pass(&world).await;

            assert_honest(&world, &format!("seed {seed}"), 700);
            assert_eq!(world.count("verify_inconclusive_total"), 0, "seed {seed}");
        });
    }
}

#[test]
fn a_fleet_raises_no_alarm() {
    for seed in 0..8 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));

            Traffic::usual().pass(&world).await;

            assert_honest(&world, &format!("seed {seed}"), 700);
            assert_eq!(world.count("verify_inconclusive_total"), 0, "seed {seed}");
        });
    }
}

#[test]
fn ways_to_the_store_that_are_longer_there_than_back_mislead_nobody() {
    for seed in 0..10 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            world.side(0).link().knobs().takes.set((120, 0));
            world.side(1).link().knobs().takes.set((0, 120));

            Traffic::usual().pass(&world).await;

            assert_honest(&world, &format!("seed {seed}"), 500);
        });
    }
}

#[test]
fn what_others_tell_of_while_an_entity_is_read_is_not_lost_for_it() {
    for seed in 0..10 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 2));
            world.update(0, "e", 0, 1, Fate::Acknowledged(4)).await;
            world.calm().await;

            let (replaced, last) = (world.send(1, "e", 0, 2), world.send(0, "e", 0, 3));
            world.app.write("e", 0, 2);
            world.app.write("e", 0, 3);
            // The other sidecar has its say when the read has begun, and before it has ended.
            world.side(1).link().knobs().cut.set(true);
            world.app.knobs().read_takes.set(20_000);
            replaced.end(Ending::Acknowledged);
            last.end(Ending::Acknowledged);
            let reads = world.app.knobs().reads.get();
            while world.app.knobs().reads.get() == reads {
                sleep(ms(10)).await;
            }
            world.side(1).link().knobs().cut.set(false);
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 3);
        });
    }
}

#[test]
fn an_update_that_ends_while_its_entity_is_read_is_verified_by_the_next_read() {
    for (seed, sidecars) in [(1, 1), (2, 1), (3, 1), (1, 3), (2, 3), (3, 3)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));
            world.update(0, "e", 0, 1, Fate::Acknowledged(4)).await;
            world.calm().await;
            let reads = world.app.knobs().reads.get();
            world.app.knobs().read_takes.set(20_000);

            world.update(0, "e", 0, 2, Fate::Acknowledged(4)).await;
            while world.app.knobs().reads.get() == reads {
                sleep(ms(10)).await;
            }
            world.update(0, "e", 1, 3, Fate::Acknowledged(4)).await;
            world.calm().await;

            assert_honest(&world, &format!("{sidecars} sidecars, seed {seed}"), 3);
        });
    }
}

#[test]
fn an_entity_that_never_falls_quiet_raises_no_alarm() {
    for seed in 0..10 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            let hot = Traffic { entities: 1, pause: 3, ..Traffic::usual() };

            hot.pass(&world).await;

            assert_honest(&world, &format!("seed {seed}"), 700);
        });
    }
}

#[test]
fn an_update_that_was_acknowledged_and_never_happened_is_found() {
    in_virtual_time(async {
        let world = Rc::new(World::fleet(1, 3));

        world.update(0, "e", 0, 1, Fate::Acknowledged(4)).await;
        world.calm().await;
        world.update(1, "e", 0, 2, Fate::Dropped).await;
        world.calm().await;

        assert_eq!((world.lost(), world.unmanaged(), world.verified()), (1, 0, 2));
    });
}
