//! Who has to have told what before an alarm is raised, one rule after the other.

use super::*;

/// One that is noted and goes on until it is told to end.
fn open(world: &World, side: usize, field: usize, value: u64) -> Noted {
    world.send(side, "e", field, value)
}

#[test]
fn a_finding_waits_until_every_sidecar_has_told_of_what_may_explain_it() {
    in_virtual_time(async {
        let world = Rc::new(World::fleet(1, 2));
        world.update(0, "e", 0, 1, Fate::Acknowledged(2)).await;
        world.calm().await;

        // The other sidecar's update is in flight while the first one reads, and is told of late.
        let late = open(&world, 1, 0, 2);
        world.update(0, "e", 0, 3, Fate::Acknowledged(2)).await;
        world.app.write("e", 0, 2);
        sleep(Duration::from_secs(10)).await;
        world.assert_no_alarm("one in flight elsewhere may explain it");
        late.end(Ending::Acknowledged);
        world.calm().await;

        world.assert_no_alarm("it does");
        assert_eq!(world.verified(), 3);
    });
}

#[test]
fn a_sidecar_that_falls_silent_leaves_no_conclusion() {
    in_virtual_time(async {
        let world = Rc::new(World::fleet(1, 2));
        world.update(0, "e", 0, 1, Fate::Acknowledged(2)).await;
        world.calm().await;

        world.update(1, "e", 0, 2, Fate::Acknowledged(2)).await;
        world.side(1).crash();
        world.update(0, "e", 1, 3, Fate::Acknowledged(2)).await;
        world.update(0, "e", 0, 4, Fate::Acknowledged(2)).await;
        // As the crashed one was about to write when it died.
        world.app.write("e", 0, 9);
        world.calm().await;

        world.assert_no_alarm("nobody knows what it had in flight");
        assert_eq!(world.inconclusive("silent_sidecar"), 1);
    });
}

#[test]
fn without_a_look_ahead_of_the_first_update_nobody_can_tell_whose_value_it_was() {
    in_virtual_time(async {
        let world = Rc::new(World::alone(1));
        world.app.write("e", 0, 7);

        // The first look is what makes it a loss.
        world.update(0, "e", 0, 1, Fate::Dropped).await;
        world.calm().await;

        assert_eq!((world.lost(), world.unmanaged()), (1, 0));
        assert_eq!(world.inconclusive("no_baseline"), 0);
        assert_eq!(world.app.knobs().reads.get(), 2, "the look and the check");
    });
}

#[test]
fn two_that_are_quiet_at_once_check_once() {
    for seed in 0..10 {
        in_virtual_time(async move {
            let world = Rc::new(World::fleet(seed, 3));
            for side in 0..3 {
                world.update(side, "e", side, 1, Fate::Acknowledged(2)).await;
            }
            world.calm().await;
            let before = world.app.knobs().reads.get();

            let pairs = [(0, 0), (1, 1), (2, 2)].map(|(side, field)| {
                let world = Rc::clone(&world);
                spawn_local(async move {
                    world.update(side, "e", field, 50 + seed, Fate::Dropped).await;
                })
            });
            for update in pairs {
                update.await.unwrap();
            }
            world.calm().await;

            assert_eq!(world.lost(), 3, "seed {seed}");
            assert!(world.app.knobs().reads.get() <= before + 3, "seed {seed}");
        });
    }
}

#[test]
fn an_update_that_was_given_up_may_land_until_it_has_settled() {
    in_virtual_time(async {
        let world = Rc::new(World::alone(1));
        world.update(0, "e", 0, 1, Fate::Acknowledged(2)).await;
        world.calm().await;

        // It is given up, the next one is acknowledged, and then it lands.
        world.update(0, "e", 0, 2, Fate::GivenUp(Some(300))).await;
        world.update(0, "e", 0, 3, Fate::Acknowledged(2)).await;
        world.calm().await;

        assert_eq!(world.app.document("e")[0], 2);
        world.assert_no_alarm("it may still write");
        assert_eq!(world.verified(), 2, "both that were acknowledged");
    });
}

#[test]
fn an_entity_is_read_once_a_quiet_period() {
    for (seed, sidecars) in [(1, 1), (2, 3)] {
        in_virtual_time(async move {
            let world = Rc::new(World::of(seed, sidecars));

            for number in 0..10 {
                for field in 0..FIELDS {
                    let fate = Fate::Acknowledged(2);
                    world.update(number % sidecars, "e", field, number as u64, fate).await;
                }
                world.calm().await;
            }

            let reads = world.app.knobs().reads.get();
            assert!(
                reads <= 10 + sidecars,
                "{reads} reads: one a quiet period and the first looks"
            );
            assert_eq!(world.verified(), 10 * FIELDS);
        });
    }
}

#[test]
fn no_more_reads_are_made_in_a_second_than_may_be() {
    in_virtual_time(async {
        let world = Rc::new(World::new(3, 1, None, "max_reads = 20"));
        let begun = clock::now();
        for number in 0..200 {
            world.update(0, &format!("e{number}"), 0, 1, Fate::Acknowledged(0)).await;
        }
        world.calm().await;

        let (reads, seconds) = (world.app.knobs().reads.get(), begun.elapsed().as_secs() as usize);
        assert!(reads <= 20 * (seconds + 2), "{reads} in {seconds} s");
        let unknown = world.inconclusive("no_baseline");
        assert_eq!(world.verified() + unknown, 200, "late, and all of them");
        assert!(unknown > 100, "{unknown}: most were looked at too late");
    });
}
