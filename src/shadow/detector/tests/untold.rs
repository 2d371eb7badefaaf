//! What somebody tells late, or never: it may explain what the others see.

use super::*;

/// Two sidecars, and an entity of which all is known: 1 was written, and then 2.
async fn two_that_know(seed: u64) -> Rc<World> {
    let world = Rc::new(World::fleet(seed, 2));
    for value in [1, 2] {
        world.update(0, "e", 0, value, Fate::Acknowledged(2)).await;
        sleep(ms(5)).await;
    }
    world.calm().await;
    world
}

/// Makes a sidecar look at the entity.
async fn look(world: &World, side: usize) {
    world.update(side, "e", 1, 9, Fate::Acknowledged(2)).await;
}

#[test]
fn a_newcomer_knows_that_one_died_before_its_time() {
    in_virtual_time(async {
        let world = two_that_know(1).await;
        let untold = world.send(1, "e", 0, 1);
        world.side(1).crash();
        world.app.write("e", 0, 1);
        drop(untold);

        sleep(Duration::from_secs(70)).await;
        world.start();
        sleep(Duration::from_secs(2)).await;
        // Its first look, which would show the field as it is, fails.
        world.app.knobs().failing_reads.set(1);
        look(&world, 2).await;
        sleep(ms(20)).await;
        world.app.knobs().failing_reads.set(0);
        world.calm().await;

        world.assert_no_alarm("what the dead had under way is not known");
    });
}

#[test]
fn one_that_missed_updates_is_not_taken_at_its_word_by_anybody() {
    in_virtual_time(async {
        let world = two_that_know(1).await;
        world.side(1).misses.set(true);
        world.app.write("e", 0, 1);

        sleep(Duration::from_secs(110)).await;
        look(&world, 0).await;
        world.calm().await;

        world.assert_no_alarm("what was missed is not known");
    });
}

#[test]
fn one_that_ends_tells_all_of_it_first() {
    in_virtual_time(async {
        let world = Rc::new(World::fleet(1, 2));
        let entities: Vec<String> = (0..100).map(|number| format!("e{number}")).collect();
        for value in [1, 2] {
            for entity in &entities {
                world.update(0, entity, 0, value, Fate::Acknowledged(0)).await;
            }
        }
        world.calm().await;

        // More than goes into one exchange, and the first one fails.
        for entity in &entities {
            world.update(1, entity, 0, 1, Fate::Acknowledged(0)).await;
        }
        world.side(1).link().knobs().cut.set(true);
        world.side(1).stop.set(true);
        sleep(ms(40)).await;
        world.side(1).link().knobs().cut.set(false);
        sleep(Duration::from_secs(2)).await;
        for entity in &entities {
            world.update(0, entity, 1, 9, Fate::Acknowledged(0)).await;
        }
        world.calm().await;

        world.assert_no_alarm("it was told of");
        assert_eq!(world.inconclusive("silent_sidecar"), 0, "it has left");
    });
}

#[test]
fn whoever_has_not_come_to_the_stores_successor_is_waited_for() {
    for by_another_server in [true, false] {
        in_virtual_time(async move {
            let world = two_that_know(1).await;
            world.side(1).link().knobs().cut.set(true);
            world.store().replace(by_another_server);
            world.side(0).link().join();
            sleep(Duration::from_secs(12)).await;

            for (side, value) in [(0, 1), (0, 2), (1, 1)] {
                world.update(side, "e", 0, value, Fate::Acknowledged(2)).await;
                sleep(ms(5)).await;
            }
            look(&world, 0).await;
            sleep(Duration::from_secs(5)).await;
            world.assert_no_alarm("the other one has not told");
            world.side(1).link().join();
            world.side(1).link().knobs().cut.set(false);
            world.calm().await;

            world.assert_no_alarm("it has told");
        });
    }
}

#[test]
fn a_clock_that_is_set_while_one_is_away_misleads_nobody() {
    for (millis, order) in [(9_000, [0, 1]), (-9_000, [1, 0])] {
        in_virtual_time(async move {
            let world = two_that_know(1).await;
            let link = world.side(1).link().clone();
            link.knobs().cut.set(true);
            sleep(ms(500)).await;
            world.store().set_clock(millis);
            sleep(Duration::from_secs(12)).await;

            for side in order {
                let value = 3 + side as u64;
                world.update(side, "e", 0, value, Fate::Acknowledged(2)).await;
                sleep(Duration::from_secs(1)).await;
            }
            sleep(Duration::from_secs(12)).await;
            look(&world, 0).await;
            sleep(Duration::from_secs(2)).await;
            link.knobs().cut.set(false);
            // The other one looks all the while.
            for _ in 0..40 {
                look(&world, 0).await;
                sleep(ms(25)).await;
            }
            world.calm().await;

            world.assert_no_alarm(&format!("{millis} ms"));
        });
    }
}

#[test]
fn whoever_was_away_for_longer_than_others_wait_accuses_nobody() {
    in_virtual_time(async {
        let world = two_that_know(1).await;
        let link = world.side(1).link().clone();
        link.knobs().cut.set(true);
        sleep(Duration::from_secs(75)).await;

        world.update(1, "e", 0, 3, Fate::Acknowledged(2)).await;
        sleep(Duration::from_secs(1)).await;
        world.update(0, "e", 0, 4, Fate::Acknowledged(2)).await;
        sleep(Duration::from_secs(5)).await;
        link.knobs().cut.set(false);
        world.calm().await;

        world.assert_no_alarm("nobody waited for what it had to say");
    });
}
