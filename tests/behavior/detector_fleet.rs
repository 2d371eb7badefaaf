//! The lost-update detector of a fleet: three sidecars, one count.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Redis, SEGMENTS, Sent, in_parallel, key_of, until,
};

/// Three sidecars over one store, the flag verified.
fn fleet(percent: u8, store: &Redis, journeys: usize) -> Fleet {
    let mut plan = FleetPlan { journeys, ..FleetPlan::over(percent, &store.url()) };
    plan.flag = plan.flag.verified();
    plan.start()
}

/// Updates of every segment of a journey, all at once, spread over the sidecars.
fn round(fleet: &Fleet, journey: &str, round: usize) -> Vec<Sent> {
    in_parallel(SEGMENTS, |n| {
        let id = format!("{journey}-{round}-{n}");
        fleet.update((n + round) % 3, journey, Part::Segment(n + 1), &id)
    })
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
    wait_until_verified(&fleet, 1_000);

    let expected = lost(&fleet, &sent);
    assert!(expected > 500, "{expected} lost: the app races");
    let legacy = [("flag", JOURNEYS), ("path", "legacy")];
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &legacy), expected);
    assert_eq!(count(&fleet, "interlock_lost_updates_total", &[]), expected);
    assert_sure(&fleet, 1_000);
}

#[test]
fn over_a_thousand_updates_at_a_hundred_percent_it_counts_none() {
    let store = Redis::start();
    let fleet = fleet(100, &store, 50);

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
