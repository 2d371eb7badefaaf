//! Many runs that must hold, the same run twice, and runs that must not hold.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use super::documents::PREFIX;
use super::plan::{Plan, Tampering, Weather};
use super::tally::Tally;
use super::world::{Run, run};
use crate::domain::flag::Protection;

/// Runs, unless `INTERLOCK_SIM_SEEDS` says how many.
const SEEDS: u64 = 200;

/// With so many runs everything that can go wrong has gone wrong.
const ENOUGH: u64 = 100;

/// Runs of a fleet with a broken rule, one of which has to notice.
const TRIES: u64 = 40;

/// What goes wrong in the runs.
const FAULTS: &[&str] = &[
    "crash",
    "cut off",
    "deaf",
    "emptied",
    "end",
    "failed over",
    "forced past the dead",
    "forgot the dead",
    "freeze",
    "lost leases",
    "reset",
    "restarted",
    "stall",
    "unheard",
];

/// A number that a developer sets.
fn set(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Whether one run is looked at.
fn is_replay() -> bool {
    set("INTERLOCK_SIM_SEED").is_some() && set("INTERLOCK_SIM_SEEDS").is_none()
}

/// What is wrong with a run, and how to see it again.
fn complaint(plan: &Plan, run: &Run) -> Option<String> {
    let Run { lines, breaches, .. } = run;
    let history = if is_replay() { lines.join("\n") } else { String::new() };
    let again = format!(
        "INTERLOCK_SIM_SEED={} cargo nextest run --lib -E 'test(simulation::tests::seeds)'",
        plan.seed
    );
    (!breaches.is_empty())
        .then(|| format!("{history}\n{plan:?}: {breaches:#?}\nSee it again: {again}"))
}

/// Runs seeds on all cores, until one of them fails.
fn run_all(seeds: std::ops::Range<u64>) -> Result<Tally, String> {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Ok(Tally::default())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds.end {
                return;
            }
            let plan = Plan::of(seed);
            let run = run(plan.clone());
            let mut sum = sum.lock().unwrap();
            match (complaint(&plan, &run), &mut *sum) {
                (None, Ok(tally)) => tally.add(&run.tally),
                (Some(complaint), Ok(_)) => *sum = Err(complaint),
                (_, Err(_)) => return,
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    sum.into_inner().unwrap()
}

#[test]
fn seeds() {
    let first = set("INTERLOCK_SIM_SEED").unwrap_or(0);
    let count = if is_replay() { 1 } else { set("INTERLOCK_SIM_SEEDS").unwrap_or(SEEDS) };
    let seeds = first..first + count;

    let tally = run_all(seeds.clone()).unwrap_or_else(|complaint| panic!("{complaint}"));

    println!("{}", tally.shown());
    if seeds.end - seeds.start >= ENOUGH {
        for fault in FAULTS {
            assert!(tally.faults.contains_key(fault), "never happened: {fault}");
        }
        for protection in Protection::ALL.into_iter().filter(|it| *it != Protection::Local) {
            assert!(tally.acknowledged.contains_key(&protection), "never had: {protection:?}");
        }
        assert!(tally.lost > 0, "the legacy app loses nothing: what is this for?");
        assert!(tally.forgotten > 0 && tally.replays > 0);
        assert!(tally.unknown > 0 && tally.flips > 0 && !tally.refused.is_empty());
    }
}

#[test]
fn the_same_seed_is_the_same_day() {
    let days = |seed| [run(Plan::of(seed)), run(Plan::of(seed))];
    let seeds = (0..).filter(|seed| Plan::of(*seed).weather == Weather::Rough).take(4);
    let days: Vec<[Run; 2]> = seeds.map(days).collect();

    for [one, again] in &days {
        assert_eq!(one.lines, again.lines);
        assert_eq!(one.digest, again.digest);
    }
    assert_ne!(days[0][0].lines, days[1][0].lines);
}

/// A fleet with a broken rule loses updates that it promised to keep, or is seen to be about to.
#[track_caller]
fn is_noticed(tampering: Tampering, weather: Weather) {
    is_noticed_of("", tampering, weather);
}

/// The same, of an entity whose name begins so.
#[track_caller]
fn is_noticed_of(entity: &str, tampering: Tampering, weather: Weather) {
    let notices = |seed| {
        let Run { breaches, .. } = run(Plan::tampered(seed, tampering, weather));
        let is_loss = |it: &String| it.starts_with(entity) && it.contains("protected #");
        breaches.iter().any(is_loss)
    };
    assert!((0..TRIES).any(notices), "{tampering:?} in {TRIES} runs");
}

#[test]
fn a_flip_without_a_stage_in_between_is_noticed() {
    is_noticed(Tampering::DirectFlip, Weather::Calm);
}

#[test]
fn a_barrier_that_leaves_out_others_is_noticed() {
    is_noticed(Tampering::AloneInRegister, Weather::Calm);
}

#[test]
fn a_barrier_that_waits_for_no_late_write_is_noticed() {
    is_noticed(Tampering::NoDrain, Weather::SlowApp);
}

#[test]
fn a_lease_that_is_released_on_a_timeout_is_noticed() {
    is_noticed(Tampering::ReleaseOnTimeout, Weather::SlowApp);
}

#[test]
fn an_app_that_writes_after_d_is_noticed() {
    is_noticed(Tampering::LateWrites, Weather::SlowApp);
}

#[test]
fn an_edit_without_a_stage_in_between_is_noticed() {
    is_noticed_of(PREFIX, Tampering::DirectFlip, Weather::Calm);
}

#[test]
fn an_edit_behind_a_barrier_that_leaves_out_others_is_noticed() {
    is_noticed_of(PREFIX, Tampering::AloneInRegister, Weather::Calm);
}

#[test]
fn an_edit_that_does_not_look_for_a_lease_is_noticed() {
    is_noticed_of(PREFIX, Tampering::EditsUnderLeases, Weather::Calm);
}

#[test]
fn an_edit_that_is_sent_again_without_a_look_at_its_receipt_is_noticed() {
    is_noticed_of(PREFIX, Tampering::NoReceipts, Weather::Rough);
}
