//! Whatever fails beside an honest app, it is no alarm: the store, a read, a sidecar, a journal that is full.

use super::honest::{Traffic, assert_honest};
use super::*;

#[test]
fn a_store_that_fails_now_and_then() {
    for seed in 0..6 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            world.sides().iter().for_each(|side| side.link().knobs().failing.set(4));

            Traffic::usual().pass(&world).await;

            assert_honest(&world, &format!("seed {seed}"), 500);
        });
    }
}

#[test]
fn a_store_out_of_reach_of_one_sidecar_or_all_for_longer_than_a_claim_lasts() {
    for seed in 0..2 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            let cut = |all: bool, is_cut: bool| {
                for side in world.sides().iter().take(if all { 3 } else { 1 }) {
                    side.link().knobs().cut.set(is_cut);
                }
            };

            let traffic = Traffic { pause: 300, ..Traffic::usual() }.start(&world);
            for (all, seconds) in [(false, 1), (true, 2), (false, 20), (true, 17)] {
                sleep(ms(700 + 100 * seed)).await;
                cut(all, true);
                sleep(Duration::from_secs(seconds)).await;
                cut(all, false);
            }
            for caller in traffic {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 200);
        });
    }
}

#[test]
fn a_store_that_forgets_or_is_replaced() {
    for seed in 0..6 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));

            let traffic = Traffic { updates: 300, ..Traffic::usual() }.start(&world);
            for replaced in 0..6 {
                sleep(ms(800 + world.dice.below(300))).await;
                world.store().replace(replaced % 2 == 0);
                for side in world.sides() {
                    let (link, dice) = (side.link().clone(), world.dice.clone());
                    spawn_local(async move {
                        dice.pause(1_000).await;
                        link.join();
                    });
                }
            }
            for caller in traffic {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 100);
        });
    }
}

#[test]
fn reads_that_fail() {
    for seed in 0..8 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            let hot = Traffic { entities: 1, pause: 20, updates: 200, ..Traffic::usual() };

            let traffic = hot.start(&world);
            for one_in in [1, 0, 2] {
                world.app.knobs().failing_reads.set(one_in);
                sleep(Duration::from_secs(4)).await;
            }
            world.app.knobs().failing_reads.set(0);
            for caller in traffic {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 100);
            assert!(world.inconclusive("read_failed") > 0, "seed {seed}");
        });
    }
}

#[test]
fn a_journal_that_is_full() {
    for (seed, sidecars) in [(1, 1), (2, 3), (3, 3), (4, 1)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));
            // Reads that take long let the journal fill up.
            world.app.knobs().read_takes.set(900);
            let hot =
                Traffic { callers: 30, updates: 150, entities: 1, pause: 5, ..Traffic::usual() };

            let traffic = hot.start(&world);
            sleep(ms(2_500)).await;
            world.app.knobs().read_takes.set(3);
            for caller in traffic {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 100);
            assert!(world.inconclusive("journal_full") > 0, "seed {seed}");
        });
    }
}

#[test]
fn a_sidecar_that_crashes() {
    for seed in 0..2 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));

            let traffic = Traffic { pause: 50, ..Traffic::usual() }.start(&world);
            sleep(ms(2_000 + world.dice.below(500))).await;
            // What went through it last nobody has been told of, and what was in flight lands all the same.
            world.side(0).crash();
            sleep(ms(20)).await;
            traffic.iter().for_each(tokio::task::JoinHandle::abort);
            let others = Traffic { callers: 6, pause: 1_000, ..Traffic::usual() };
            let others = others.by_way_of(1, 3).start(&world);
            for caller in others {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 100);
        });
    }
}

#[test]
fn a_store_whose_clock_is_set() {
    for seed in 0..2 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));

            let traffic = Traffic { updates: 900, ..Traffic::usual() }.start(&world);
            for millis in [-9_000, 9_000, -500] {
                sleep(Duration::from_secs(12)).await;
                world.store().set_clock(millis);
            }
            for caller in traffic {
                caller.await.unwrap();
            }
            world.calm().await;

            assert_honest(&world, &format!("seed {seed}"), 500);
        });
    }
}
