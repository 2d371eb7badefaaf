//! The lost-update detector of a fleet: three sidecars, one count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Redis, SEGMENTS, Sent, in_parallel, key_of, until,
};

/// Three sidecars over one store, the flag verified.
fn plan(percent: u8, store: &Redis, journeys: usize) -> FleetPlan {
    let mut plan = FleetPlan { journeys, ..FleetPlan::over(percent, &store.url()) };
    plan.flag = plan.flag.verified();
    plan
}

fn fleet(percent: u8, store: &Redis, journeys: usize) -> Fleet {
    plan(percent, store, journeys).start()
}

/// Updates of every segment of a journey, all at once, spread over the sidecars.
fn round(fleet: &Fleet, journey: &str, round: usize) -> Vec<Sent> {
    in_parallel(SEGMENTS, |n| {
        let id = format!("{journey}-{round}-{n}");
        fleet.update((n + round) % 3, journey, Part::Segment(n + 1), &id)
    })
}

/// Updates of one segment after the other, by one sidecar after the other: never two at once. Every value comes back again and again,
/// so that whatever is out of order looks like a loss.
fn honest_round(fleet: &Fleet, journey: &str, updates: usize) -> Vec<Sent> {
    let one = |n: usize| {
        let id = format!("value-{}", n % 3);
        fleet.update(n % fleet.sidecars().count(), journey, Part::Segment(1 + n % 2), &id)
    };
    (0..updates).map(one).collect()
}

fn acknowledged(sent: &[Sent]) -> usize {
    sent.iter().filter(|sent| sent.acknowledged()).count()
}

/// Exchanges with this result.
fn exchanges(fleet: &Fleet, result: &str) -> usize {
    let labels = [("operation", "journal"), ("result", result)];
    count(fleet, "interlock_store_operations_total", &labels)
}

/// Does its work while the store stands still again and again: what is sent to it then is carried out, and its answer comes too
/// late, so that nobody knows what became of it.
fn while_it_stutters<T>(store: &Redis, fleet: &Fleet, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    let before = exchanges(fleet, "unknown");
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (unknown, answered) = (exchanges(fleet, "unknown"), exchanges(fleet, "ok"));
                store.pause();
                until("an exchange has no answer", || exchanges(fleet, "unknown") > unknown);
                store.resume();
                until("exchanges are answered again", || exchanges(fleet, "ok") > answered);
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    });
    assert!(exchanges(fleet, "unknown") > before);
    result
}

/// How many acknowledged updates are gone: each part was written once since the last look.
fn lost(fleet: &Fleet, sent: &[Sent]) -> usize {
    let mut documents = BTreeMap::new();
    let is_lost = |sent: &&Sent| {
        let read = || -> Value {
            serde_json::from_str(&fleet.documents.get(&key_of(&sent.journey)).unwrap()).unwrap()
        };
        let document = documents.entry(sent.journey.clone()).or_insert_with(read);
        let status = match sent.part {
            Part::Journey => &document["Status"],
            Part::Segment(number) => &document["Segments"][number - 1]["Status"],
        };
        sent.acknowledged() && *status != format!("set by {}", sent.id).as_str()
    };
    sent.iter().filter(is_lost).count()
}

fn count(fleet: &Fleet, name: &str, labels: &[(&str, &str)]) -> usize {
    fleet.sum(name, labels) as usize
}

#[track_caller]
fn wait_until_verified(fleet: &Fleet, updates: usize) {
    until("all updates to be verified", || {
        count(fleet, "interlock_verified_updates_total", &[]) >= updates
    });
}

/// Nothing that would make the count a guess.
#[track_caller]
fn assert_sure(fleet: &Fleet, verified: usize) {
    assert_eq!(count(fleet, "interlock_verified_updates_total", &[]), verified);
    assert_eq!(count(fleet, "interlock_verify_inconclusive_total", &[]), 0);
    assert_eq!(count(fleet, "interlock_unmanaged_writes_total", &[]), 0);
}

#[test]
fn over_a_thousand_updates_it_counts_exactly_what_a_reader_of_the_documents_counts() {
    let store = Redis::start();
    let fleet = fleet(0, &store, 50);

    let mut sent = Vec::new();
    for journey in &fleet.journeys {
        sent.extend(round(&fleet, journey, 0));
    }
    wait_until_verified(&fleet, acknowledged(&sent));

    let expected = lost(&fleet, &sent);
    assert!(expected > 500, "{expected} lost: the app races");
    let legacy = [("flag", JOURNEYS), ("path", "legacy")];
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &legacy), expected);
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), expected);
    assert_sure(&fleet, acknowledged(&sent));
}

#[test]
fn over_a_thousand_updates_at_a_hundred_percent_it_counts_none() {
    let store = Redis::start();
    // On a busy machine the store may be slow; an update without a lease could really be lost.
    let patient = "timeout = \"5s\"\n".to_owned();
    let fleet = FleetPlan { store: patient, ..plan(100, &store, 50) }.start();

    let mut sent = Vec::new();
    for journey in &fleet.journeys {
        sent.extend(round(&fleet, journey, 0));
    }
    wait_until_verified(&fleet, 1_000);

    assert_eq!(lost(&fleet, &sent), 0);
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), 0);
    assert_sure(&fleet, 1_000);
}

#[test]
fn round_after_round_on_one_journey_it_keeps_counting_what_a_reader_counts() {
    let store = Redis::start();
    let fleet = fleet(0, &store, 1);

    let mut expected = 0;
    for number in 0..10 {
        let sent = round(&fleet, "F1", number);
        wait_until_verified(&fleet, (number + 1) * SEGMENTS);
        expected += lost(&fleet, &sent);
    }

    assert!(expected > 100, "{expected} lost: the app races");
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), expected);
    assert_sure(&fleet, 10 * SEGMENTS);
}

#[test]
fn a_store_that_stutters_changes_no_count() {
    let store = Redis::start();
    let fleet = fleet(0, &store, 40);

    let sent: Vec<Sent> = while_it_stutters(&store, &fleet, || {
        fleet.journeys.iter().flat_map(|journey| round(&fleet, journey, 0)).collect()
    });
    wait_until_verified(&fleet, acknowledged(&sent));

    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), lost(&fleet, &sent));
    assert_sure(&fleet, acknowledged(&sent));
}

#[test]
fn a_store_that_stutters_raises_no_alarm_about_an_app_that_loses_nothing() {
    let store = Redis::start();
    let fleet = fleet(0, &store, 6);

    let sent: Vec<Sent> = while_it_stutters(&store, &fleet, || {
        in_parallel(6, |n| honest_round(&fleet, &fleet.journeys[n], 120)).concat()
    });
    wait_until_verified(&fleet, acknowledged(&sent));

    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), 0);
    assert_sure(&fleet, acknowledged(&sent));
}

#[test]
fn a_store_that_forgets_everything_raises_no_alarm_about_an_app_that_loses_nothing() {
    let mut store = Redis::start();
    let fleet = fleet(0, &store, 6);

    for _ in 0..3 {
        in_parallel(6, |n| honest_round(&fleet, &fleet.journeys[n], 30));
        store.kill();
        in_parallel(6, |n| honest_round(&fleet, &fleet.journeys[n], 10));
        store.start_again();
        in_parallel(6, |n| honest_round(&fleet, &fleet.journeys[n], 30));
        store.command(&["FLUSHALL"]);
    }
    let before = count(&fleet, "interlock_verified_updates_total", &[]);
    until("updates to be verified again", || {
        in_parallel(6, |n| honest_round(&fleet, &fleet.journeys[n], 10));
        count(&fleet, "interlock_verified_updates_total", &[]) > before + 100
    });

    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), 0);
    assert_eq!(count(&fleet, "interlock_unmanaged_writes_total", &[]), 0);
}
