//! An app that reads a document, waits, and writes it back whole: what it loses is found, once, and is nothing else than lost.

use super::*;

/// Updates of all fields of an entity at once, with values of their own.
async fn round(world: &Rc<World>, entity: &str, round: u64, window: u64) {
    let update = |field: usize| {
        let (world, entity) = (Rc::clone(world), entity.to_owned());
        let side = field % world.sides().len();
        spawn_local(async move {
            world.race(side, &entity, field, 100 * round + field as u64, window).await;
        })
    };
    let updates: Vec<_> = (0..FIELDS).map(update).collect();
    for update in updates {
        update.await.unwrap();
    }
}

/// How many of a round's updates are not there.
fn gone(world: &World, entity: &str, round: u64) -> usize {
    let document = world.app.document(entity);
    (0..FIELDS).filter(|field| document[*field] != 100 * round + *field as u64).count()
}

#[test]
fn round_after_round_as_many_are_counted_as_are_gone() {
    for (seed, sidecars) in [(1, 1), (2, 3), (3, 3), (4, 1)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));
            let mut expected = 0;

            for number in 1..=30 {
                round(&world, "e", number, 8).await;
                world.calm().await;
                expected += gone(&world, "e", number);
            }

            assert!(expected > 20, "seed {seed}: {expected} lost: the app races");
            assert_eq!((world.lost(), world.unmanaged()), (expected, 0), "seed {seed}");
            assert_eq!(world.verified(), 30 * FIELDS, "seed {seed}");
        });
    }
}

/// With something else in flight all the time, of which nobody knows what it may still undo.
#[test]
fn a_loss_is_counted_once_whatever_else_is_in_flight() {
    for (seed, sidecars) in [(1, 1), (2, 3), (3, 3), (4, 1)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));
            let mut expected = 0;

            let slow = Rc::clone(&world);
            let slow = spawn_local(async move {
                loop {
                    slow.update(0, "another", 0, 1, Fate::Acknowledged(1_500)).await;
                }
            });
            for number in 1..=20 {
                round(&world, "e", number, 8).await;
                sleep(Duration::from_secs(5)).await;
                expected += gone(&world, "e", number);
            }
            slow.abort();

            assert!(expected > 10, "seed {seed}: {expected} lost: the app races");
            assert_eq!((world.lost(), world.unmanaged()), (expected, 0), "seed {seed}");
        });
    }
}

/// The sidecar that has found it can't say so for longer than its claim lasts, and another one checks the entity meanwhile.
#[test]
fn a_loss_is_counted_once_whoever_finds_it_twice() {
    let found_again = Rc::new(Cell::new(0));
    for seed in 0..30 {
        let found_again = Rc::clone(&found_again);
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 2));
            let link = world.side(0).link().clone();
            world.update(0, "e", 0, 1, Fate::Acknowledged(4)).await;
            world.calm().await;

            world.update(0, "e", 0, 2, Fate::Dropped).await;
            sleep(ms(40 * seed)).await;
            link.knobs().cut.set(true);
            sleep(Duration::from_secs(16)).await;
            world.update(1, "e", 1, 3, Fate::Acknowledged(4)).await;
            sleep(Duration::from_secs(2)).await;
            link.knobs().cut.set(false);
            world.calm().await;
            let by_the_other = world.side(1).count("lost_updates_total");

            assert_eq!((world.lost(), world.unmanaged()), (1, 0), "seed {seed}");
            found_again.set(found_again.get() + by_the_other);
        });
    }
    assert!(found_again.get() > 0, "the other sidecar never came to it");
}

/// Each field has one writer, who waits for an answer before the next.
#[test]
fn under_load_without_end_no_more_are_counted_than_were_put_back_and_nobody_else_is_suspected() {
    for (seed, sidecars) in [(1, 1), (2, 3), (3, 3), (4, 1), (5, 3)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));

            let writer = |field: usize| {
                let world = Rc::clone(&world);
                spawn_local(async move {
                    for number in 1..400 {
                        let side = world.dice.below(world.sides().len() as u64) as usize;
                        let value = 1_000 * number + field as u64;
                        // Some are slow: what they put back is old.
                        let window = if world.dice.one_in(20) { 600 } else { 10 };
                        world.race(side, "e", field, value, window).await;
                        world.dice.pause(if world.dice.one_in(10) { 900 } else { 30 }).await;
                    }
                })
            };
            let writers: Vec<_> = (0..FIELDS).map(writer).collect();
            for writer in writers {
                writer.await.unwrap();
            }
            world.calm().await;

            let (lost, put_back) = (world.lost(), world.app.knobs().put_back.get());
            assert!(lost > 20 && lost <= put_back, "seed {seed}: {lost} of {put_back}");
            assert_eq!(world.unmanaged(), 0, "seed {seed}");
            assert_eq!(world.count("verify_inconclusive_total"), 0, "seed {seed}");
        });
    }
}

#[test]
fn a_strangers_value_is_told_once_and_never_a_loss() {
    for sidecars in [1, 3] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(7, sidecars));
            let slow = Rc::clone(&world);
            let slow = spawn_local(async move {
                loop {
                    slow.update(0, "another", 0, 1, Fate::Acknowledged(1_500)).await;
                }
            });

            // The first look sees the field as nobody has written it.
            world.update(0, "e", 3, 1, Fate::Acknowledged(4)).await;
            sleep(Duration::from_secs(5)).await;
            world.update(0, "e", 0, 5, Fate::Acknowledged(4)).await;
            world.app.write("e", 0, 77);
            for number in 0..5 {
                sleep(ms(2_500)).await;
                world.update(0, "e", 1, number, Fate::Acknowledged(4)).await;
            }
            sleep(ms(2_500)).await;
            slow.abort();

            assert_eq!((world.lost(), world.unmanaged()), (0, 1), "{sidecars} sidecars");
        });
    }
}

#[test]
fn what_a_call_puts_back_that_was_given_up_elsewhere_is_found_by_few_reads() {
    for seed in 0..5 {
        in_virtual_time(async move {
            let world = Rc::new(World { settles: ms(2_000), ..World::fleet(seed, 2) });
            world.update(0, "e", 2, 1, Fate::Acknowledged(4)).await;
            world.calm().await;
            let reads = world.app.knobs().reads.get();

            // A call reads all of it, is given up, and writes all of it when the other sidecar's update has long been seen.
            let copy = world.app.document("e");
            world.send(0, "e", 1, 5).end(Ending::Unknown);
            sleep(ms(500)).await;
            world.update(1, "e", 0, 7, Fate::Acknowledged(4)).await;
            sleep(ms(1_300)).await;
            world.app.write_back("e", copy, 1, 5);
            world.calm().await;

            assert_eq!((world.lost(), world.unmanaged()), (1, 0), "seed {seed}");
            let reads = world.app.knobs().reads.get() - reads;
            assert!(reads <= 6, "seed {seed}: {reads} reads");
        });
    }
}
