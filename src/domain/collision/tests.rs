//! The formulas against the replay, and the replay against documents.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::replay::replay;
use super::*;

const MS: Duration = Duration::from_millis(1);

fn burst(calls: u32, spread: u32, window: u32) -> Burst {
    Burst { calls, spread: MS * spread, window: MS * window }
}

fn one() -> Popularity {
    Popularity::zipf(1, 0.0)
}

fn is_near(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found}, expected {expected} within {within}");
}

fn call(read: u32, write: u32) -> Call {
    Call { read: f64::from(read), write: f64::from(write) }
}

/// With real documents: sets of the updates that are in them, every version kept.
fn with_documents(calls: &[Call]) -> Vec<Fate> {
    let mut versions = vec![(f64::NEG_INFINITY, BTreeSet::new())];
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by(|a, b| calls[*a].write.total_cmp(&calls[*b].write));
    for place in order {
        let read = calls[place].read;
        let seen = versions.iter().rev().find(|(written, _)| *written < read);
        let mut document = seen.unwrap().1.clone();
        document.insert(place);
        versions.push((calls[place].write, document));
    }
    let fate = |place: usize| {
        let from = versions.iter().position(|(_, document)| document.contains(&place)).unwrap();
        let holds = |version: &(f64, BTreeSet<usize>)| version.1.contains(&place);
        let overwritten = !versions[from..].iter().all(holds);
        Fate { overwritten, lost: !holds(versions.last().unwrap()) }
    };
    (0..calls.len()).map(fate).collect()
}

/// Every way in which the updates of a burst can begin on a grid of moments, each as likely: the mean numbers lost and overwritten, and the
/// share in which anything was lost.
fn on_a_grid(burst: &Burst, cells: u32) -> (f64, f64, f64) {
    let step = burst.spread.as_secs_f64() / f64::from(cells);
    let window = burst.window.as_secs_f64();
    let ways = cells.pow(burst.calls);
    let (mut lost, mut overwritten, mut collided) = (0, 0, 0);
    for way in 0..ways {
        let begins = (0..burst.calls).map(|n| way / cells.pow(n) % cells);
        // Each in its own place of its cell, so that no two are at the same moment.
        let begins =
            begins.zip(1..).map(|(cell, n): (u32, u32)| f64::from(cell) + f64::from(n) * 0.01);
        let calls: Vec<Call> =
            begins.map(|at| Call { read: at * step, write: at * step + window }).collect();
        let fates = replay(&calls);
        let gone = fates.iter().filter(|fate| fate.lost).count();
        lost += gone;
        overwritten += fates.iter().filter(|fate| fate.overwritten).count();
        collided += usize::from(gone > 0);
    }
    let mean = |sum: usize| sum as f64 / f64::from(ways);
    (mean(lost), mean(overwritten), mean(collided))
}

#[test]
fn an_overwritten_update_comes_back_with_one_that_had_seen_it() {
    let fates = replay(&[call(0, 10), call(5, 15), call(12, 22)]);

    let kept = Fate { overwritten: true, lost: false };
    let gone = Fate { overwritten: true, lost: true };
    assert_eq!(fates, [kept, gone, Fate::default()]);
}

#[test]
fn three_at_once_lose_two() {
    let fates = replay(&[call(0, 12), call(1, 13), call(4, 16)]);

    assert_eq!(fates.iter().filter(|fate| fate.lost).count(), 2);
    assert_eq!(fates[2], Fate::default());
}

#[test]
fn a_burst_at_once_keeps_one_update_of_each_entity() {
    for calls in [1, 2, 20, 1_000] {
        let outlook = burst(calls, 0, 10).outlook(&one());
        is_near(outlook.lost, f64::from(calls - 1), 1e-9);
        is_near(outlook.overwritten, f64::from(calls - 1), 1e-9);
        is_near(outlook.collision, f64::from(u32::from(calls > 1)), 1e-9);
    }

    // Twenty-three birthdays, and how many of them are another's as well.
    let birthdays = burst(23, 0, 10).outlook(&Popularity::zipf(365, 0.0));
    is_near(birthdays.collision, 0.507_297, 1e-6);
    is_near(birthdays.lost, 23.0 - 365.0 * (1.0 - (364.0_f64 / 365.0).powi(23)), 1e-9);
}

#[test]
fn known_cases_of_a_burst_with_a_spread() {
    // Two points on a line, less than a tenth of it apart.
    let two = burst(2, 100, 10).outlook(&one());
    is_near(two.lost, 1.0 - 0.9 * 0.9, 1e-12);
    is_near(two.overwritten, two.lost, 1e-12);
    is_near(two.collision, two.lost, 1e-12);

    // All gaps wide enough.
    let five = burst(5, 100, 10).outlook(&one());
    is_near(five.collision, 1.0 - 0.6_f64.powi(5), 1e-12);

    // No window, nothing between.
    let nothing = burst(5, 100, 0).outlook(&one());
    is_near(nothing.lost + nothing.overwritten + nothing.collision, 0.0, 1e-9);
}

#[test]
fn the_formulas_of_a_burst_are_what_every_way_to_begin_comes_to() {
    for (calls, cells) in [(2, 400), (3, 60), (4, 26)] {
        for window in [7, 25, 60, 95] {
            let burst = burst(calls, 100, window);
            let outlook = burst.outlook(&one());
            let (lost, overwritten, collided) = on_a_grid(&burst, cells);
            // Two neighbours on the grid are up to a cell closer or further than the points that they stand for.
            let within = f64::from(calls * calls) / f64::from(cells);
            is_near(lost, outlook.lost, within);
            is_near(overwritten, outlook.overwritten, within);
            is_near(collided, outlook.collision, within);
        }
    }
}

#[test]
fn drawn_bursts_come_to_what_the_formulas_say() {
    let mut random = fastrand::Rng::with_seed(11);
    for (calls, spread, entities, skew) in
        [(20, 0, 1, 0.0), (20, 100, 1, 0.0), (12, 40, 5, 0.0), (30, 200, 8, 1.1)]
    {
        let (burst, popularity) = (burst(calls, spread, 10), Popularity::zipf(entities, skew));
        let outlook = burst.outlook(&popularity);
        let (mut lost, mut overwritten, mut collided) =
            (Estimate::default(), Estimate::default(), Estimate::default());

        for _ in 0..20_000 {
            let (over, gone) = burst.play(&popularity, &mut || random.f64());
            lost.add(f64::from(gone));
            overwritten.add(f64::from(over));
            collided.add(f64::from(u32::from(gone > 0)));
        }

        let within = |estimate: &Estimate| 4.0 * estimate.error() + 1e-9;
        is_near(lost.mean(), outlook.lost, within(&lost));
        is_near(overwritten.mean(), outlook.overwritten, within(&overwritten));
        is_near(collided.mean(), outlook.collision, within(&collided) + 2e-4);
    }
}

/// Twenty replays of a stream, whose windows are stretched so: the shares overwritten and lost.
fn played(
    stream: &Stream,
    popularity: &Popularity,
    stretch: impl Fn(Uniform<'_>) -> f64,
) -> (Estimate, Estimate) {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut overwritten, mut lost) = (Estimate::default(), Estimate::default());
    for _ in 0..20 {
        let (over, gone) = stream.play(5_000, popularity, &stretch, &mut || random.f64());
        overwritten.add(f64::from(over) / 5_000.0);
        lost.add(f64::from(gone) / 5_000.0);
    }
    (overwritten, lost)
}

#[test]
fn drawn_streams_come_to_what_the_formulas_say() {
    for (rate, entities, skew) in
        [(1.0, 1, 0.0), (100.0, 1, 0.0), (900.0, 1, 0.0), (800.0, 20, 1.0)]
    {
        let stream = Stream { rate, window: MS * 10 };
        let popularity = Popularity::zipf(entities, skew);
        let outlook = stream.outlook(&popularity);

        let (overwritten, lost) = played(&stream, &popularity, |_| 1.0);

        is_near(overwritten.mean(), outlook.overwritten, 4.0 * overwritten.error() + 1e-3);
        is_near(lost.mean(), outlook.lost, 4.0 * lost.error() + 1e-3);
    }
}

#[test]
fn only_the_mean_of_random_windows_counts() {
    let stream = Stream { rate: 120.0, window: MS * 10 };
    let outlook = stream.outlook(&one());
    let exponential = |uniform: Uniform<'_>| -(1.0 - uniform()).ln();
    let two_kinds = |uniform: Uniform<'_>| if uniform() < 0.9 { 0.5 } else { 5.5 };

    for (overwritten, lost) in
        [played(&stream, &one(), exponential), played(&stream, &one(), two_kinds)]
    {
        is_near(overwritten.mean(), outlook.overwritten, 4.0 * overwritten.error() + 1e-3);
        is_near(lost.mean(), outlook.lost, 4.0 * lost.error() + 1e-3);
    }
}

#[test]
fn one_in_flight_on_average_loses_half() {
    let outlook = Stream { rate: 100.0, window: MS * 10 }.outlook(&one());

    is_near(outlook.lost, 0.5, 1e-12);
    is_near(outlook.overwritten, 1.0 - (-1.0_f64).exp(), 1e-12);
    assert_eq!(outlook.hottest, outlook.lost);
}

#[test]
fn an_estimate_knows_how_far_it_may_be_off() {
    let mut estimate = Estimate::default();
    [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|value| estimate.add(value));

    is_near(estimate.mean(), 2.5, 1e-12);
    is_near(estimate.error(), (5.0_f64 / 3.0 / 4.0).sqrt(), 1e-12);
}

proptest! {
    #[test]
    fn the_replay_does_what_documents_do(
        moments in prop::collection::btree_set(0_u32..1_000, 2..24),
        order in any::<u64>(),
    ) {
        let mut moments: Vec<u32> = moments.into_iter().collect();
        fastrand::Rng::with_seed(order).shuffle(&mut moments);
        let calls: Vec<Call> =
            moments.chunks_exact(2).map(|two| call(two[0].min(two[1]), two[0].max(two[1]))).collect();

        prop_assert_eq!(replay(&calls), with_documents(&calls));
    }

    #[test]
    fn no_outlook_is_impossible(
        calls in 1_u32..60, spread in 0_u32..500, window in 1_u32..50, entities in 1_u32..30, skew in 0.0..3.0,
    ) {
        let (burst, popularity) = (burst(calls, spread, window), Popularity::zipf(entities, skew));
        let outlook = burst.outlook(&popularity);
        let most = f64::from(calls - 1) + 1e-9;

        prop_assert!((0.0..=1.0).contains(&outlook.collision), "{outlook:?}");
        prop_assert!(outlook.lost <= outlook.overwritten + 1e-9 && outlook.overwritten <= most, "{outlook:?}");
        // Where they collide at least one is lost, and where not none is.
        prop_assert!(outlook.collision <= outlook.lost + 1e-9, "{outlook:?}");
        prop_assert!(outlook.lost <= outlook.collision * most + 1e-6, "{outlook:?}");
    }

    #[test]
    fn more_calls_and_wider_windows_lose_more(calls in 1_u32..60, spread in 0_u32..500, window in 1_u32..50) {
        let lost = |calls, window| burst(calls, spread, window).outlook(&one()).lost;

        prop_assert!(lost(calls + 1, window) >= lost(calls, window) - 1e-9);
        prop_assert!(lost(calls, window + 1) >= lost(calls, window) - 1e-9);
    }

    #[test]
    fn what_is_lost_was_overwritten_and_the_hottest_entity_loses_the_most(rate in 0.1..1e4, entities in 1_u32..500, skew in 0.01..3.0) {
        let stream = Stream { rate, window: MS * 10 };
        let (even, skewed) = (Popularity::zipf(entities, 0.0), Popularity::zipf(entities, skew));
        let (even, skewed) = (stream.outlook(&even), stream.outlook(&skewed));

        prop_assert!(even.lost <= even.overwritten + 1e-12 && skewed.lost <= skewed.overwritten + 1e-12);
        prop_assert!(skewed.hottest >= skewed.lost - 1e-12);
        prop_assert!(even.hottest <= skewed.hottest + 1e-12);
    }
}
