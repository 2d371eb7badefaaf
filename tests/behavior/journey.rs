//! The point of it all, on a real app over a real Redis: updates that were acknowledged and are gone, and their end.
//!
//! The app keeps the id of every update that it makes in the document. The oracle reads the document from Redis when all
//! were answered: an acknowledged id that isn't there is a lost update.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    Findings, JOURNEYS, JourneyService, Part, Redis, Run, SEGMENTS, Sent, Sidecar, findings,
    in_parallel, interlock, key_of, logged, serialized, serialized_with, store_journey, take_time,
    to_fixed_app_at, until, update,
};

/// Between the app's read and its write: as in its own demo.
const WINDOW: &str = "10ms";

/// The same where many updates wait for each other and nothing but the number of them matters.
const SHORT_WINDOW: &str = "2ms";

/// A sidecar in front of the racy app over its Redis.
struct Stage {
    sidecar: Sidecar,
    app: JourneyService,
    redis: Redis,
}

impl Stage {
    fn new(flag: &str, window: &'static str, legacy: &str, journeys: &[&str]) -> Self {
        let redis = Redis::start();
        journeys.iter().for_each(|journey| store_journey(&redis, journey));
        let app = JourneyService::start(&redis.url(), window);
        let sidecar = Sidecar::at(&app.url()).legacy(legacy).with(flag).start();
        Self { sidecar, app, redis }
    }

    fn serializing(percent: u8, window: &'static str) -> Self {
        Self::new(&serialized(percent), window, "", &["A"])
    }

    /// Sends these updates all at once, waits for their answers, and does so again and again.
    fn rounds(&self, rounds: usize, updates: &[(&str, Part)]) -> Vec<Sent> {
        let round = |round: usize| {
            in_parallel(updates.len(), |n| {
                let (journey, part) = updates[n];
                update(&self.sidecar, journey, part, format!("{round}-{n}"))
            })
        };
        (0..rounds).flat_map(round).collect()
    }

    #[track_caller]
    fn findings<'s>(&self, sent: impl IntoIterator<Item = &'s Sent>) -> Findings {
        findings(&self.redis, sent)
    }
}

/// One update of every segment of a journey.
fn every_segment(journey: &str) -> Vec<(&str, Part)> {
    Part::segments().into_iter().map(|part| (journey, part)).collect()
}

/// All of them acknowledged, and there exactly once.
fn none_lost_of(count: usize) -> Findings {
    Findings { acknowledged: count, ..Findings::default() }
}

#[test]
fn at_a_hundred_percent_a_thousand_updates_of_one_journey_are_all_there_under_heavy_concurrency() {
    let stage = Stage::serializing(100, SHORT_WINDOW);

    let sent = stage.rounds(50, &every_segment("A"));

    assert_eq!((SEGMENTS, sent.len()), (20, 1_000));
    assert_eq!(stage.findings(&sent), none_lost_of(1_000));
    let found: usize = logged(&stage.redis, "A").values().map(Vec::len).sum();
    assert_eq!(found, 1_000, "nothing else is in the document's logs");
}

#[test]
fn at_zero_percent_most_acknowledged_updates_are_lost() {
    let stage = Stage::serializing(0, WINDOW);

    let sent = stage.rounds(10, &every_segment("A"));

    let findings = stage.findings(&sent);
    assert_eq!(findings.acknowledged, 200, "the app says yes to all of them");
    assert!(findings.lost.len() > 100, "{} lost", findings.lost.len());
}

/// An update of the journey's own status and one of a segment at once, twenty times.
fn race_of_the_two_routes(percent: u8) -> Findings {
    let stage = Stage::serializing(percent, WINDOW);
    let sent = stage.rounds(20, &[("A", Part::Journey), ("A", Part::Segment(7))]);
    stage.findings(&sent)
}

#[test]
fn at_zero_percent_the_two_routes_of_a_journey_lose_each_others_updates() {
    let findings = race_of_the_two_routes(0);

    assert_eq!(findings.acknowledged, 40);
    assert!(!findings.lost.is_empty(), "{findings:?}");
}

#[test]
fn at_a_hundred_percent_the_two_routes_of_a_journey_lose_nothing() {
    assert_eq!(race_of_the_two_routes(100), none_lost_of(40));
}

#[test]
fn updates_one_after_the_other_are_all_there_at_any_percentage() {
    for percent in [0, 100] {
        let stage = Stage::serializing(percent, SHORT_WINDOW);
        let parts = [&Part::segments()[..], &[Part::Journey]].concat();

        let sent: Vec<Sent> = (0..42)
            .map(|n| update(&stage.sidecar, "A", parts[n % parts.len()], n.to_string()))
            .collect();

        assert_eq!(stage.findings(&sent), none_lost_of(42), "at {percent} %");
    }
}

/// The path of a journey as `interlock explain` tells it.
fn explained(sidecar: &Sidecar, journey: &str) -> String {
    let mut command = interlock(&["explain", JOURNEYS, &key_of(journey), "--output", "json"]);
    let run = Run::of(command.args(["--admin", &sidecar.admin_url()]));
    assert_eq!(run.code, Some(0), "{}", run.all);
    let explanation: Value = serde_json::from_str(&run.out).unwrap();
    explanation["path"].as_str().expect("a path").to_owned()
}

#[test]
fn at_fifty_percent_journeys_on_the_fixed_path_lose_nothing_and_the_others_do() {
    let names: Vec<String> = (1..=20).map(|n| format!("J{n}")).collect();
    let journeys: Vec<&str> = names.iter().map(String::as_str).collect();
    let stage = Stage::new(&serialized(50), WINDOW, "", &journeys);
    let updates: Vec<(&str, Part)> = journeys
        .iter()
        .flat_map(|&journey| (1..=4).map(move |n| (journey, Part::Segment(n))))
        .collect();

    let sent = stage.rounds(3, &updates);

    let mut by_path: BTreeMap<String, Vec<&Sent>> = BTreeMap::new();
    for update in &sent {
        by_path.entry(update.path().to_owned()).or_default().push(update);
    }
    let (fixed, legacy) = (&by_path["fixed"], &by_path["legacy"]);
    assert_eq!(stage.findings(fixed.iter().copied()), none_lost_of(fixed.len()));
    let findings = stage.findings(legacy.iter().copied());
    assert_eq!(findings.acknowledged, legacy.len());
    assert!(!findings.lost.is_empty(), "{} updates, none lost", legacy.len());
    for journey in journeys {
        let path = explained(&stage.sidecar, journey);
        let taken = sent.iter().filter(|update| update.journey == journey).map(Sent::path);
        assert!(
            taken.clone().all(|taken| taken == path),
            "{journey}: {path}, {:?}",
            taken.collect::<Vec<_>>()
        );
    }
}

/// For an app that is started again while callers wait, which takes longer than the one time and less than the other.
const PATIENT: &str = "connect_timeout = \"30s\"\nsettle_after_timeout = \"10ms\"";

/// How long an app that crashes is away at least: longer than the settling, so that calls meet nobody.
const AWAY: Duration = Duration::from_millis(200);

fn patient_stage() -> Stage {
    Stage::new(&serialized_with(100, "wait = \"30s\""), SHORT_WINDOW, PATIENT, &["A"])
}

#[test]
fn an_app_that_is_started_again_between_calls_fails_none_of_them() {
    let mut stage = patient_stage();

    let mut sent = stage.rounds(2, &every_segment("A"));
    stage.app.kill();
    sent.extend(thread::scope(|scope| {
        let (sidecar, parts) = (&stage.sidecar, Part::segments());
        let calls = scope.spawn(move || {
            in_parallel(parts.len(), |n| update(sidecar, "A", parts[n], format!("after-{n}")))
        });
        sidecar.wait_for_metric("interlock_lease_waiters", &[], (SEGMENTS - 1) as f64);
        stage.app.start_again();
        calls.join().unwrap()
    }));

    assert_eq!(stage.findings(&sent), none_lost_of(60));
}

#[test]
fn an_app_that_crashes_under_load_fails_the_one_call_that_was_under_way_and_loses_nothing() {
    let mut stage = patient_stage();

    let sent = thread::scope(|scope| {
        let (sidecar, redis, parts) = (&stage.sidecar, &stage.redis, Part::segments());
        let load = scope.spawn(move || {
            in_parallel(parts.len(), |n| {
                let again = |round| update(sidecar, "A", parts[n], format!("{round}-{n}"));
                (0..10).map(again).collect::<Vec<Sent>>()
            })
        });
        until("the load to be under way", || {
            logged(redis, "A").values().map(Vec::len).sum::<usize>() > SEGMENTS
        });
        stage.app.kill();
        take_time(AWAY);
        stage.app.start_again();
        load.join().unwrap().concat()
    });

    let failed: Vec<&Sent> = sent.iter().filter(|update| !update.acknowledged()).collect();
    assert!(failed.len() <= 1, "{failed:#?}");
    failed.iter().for_each(|update| update.response().assert_problem(502, "unknown"));
    assert_eq!(stage.findings(&sent), none_lost_of(200 - failed.len()));
}

#[test]
fn the_oracle_finds_a_loss_and_a_repetition_that_were_planted() {
    let stage = Stage::serializing(100, SHORT_WINDOW);
    let sent = stage.rounds(1, &every_segment("A"));
    let honest = stage.findings(&sent);

    let text = stage.redis.get(&key_of("A")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let lost = document["Segments"][4]["Log"].as_array_mut().unwrap().pop().unwrap();
    let repeated = document["Segments"][11]["Log"].as_array_mut().unwrap();
    repeated.extend_from_within(..);
    stage.redis.set(&key_of("A"), &document.to_string());

    assert_eq!((honest, lost.as_str()), (none_lost_of(20), Some("0-4")));
    let expected = Findings {
        acknowledged: 20,
        lost: vec!["0-4".into()],
        repeated: vec!["0-11".into()],
        ..Findings::default()
    };
    assert_eq!(stage.findings(&sent), expected);
}

#[test]
fn the_oracle_is_not_satisfied_by_an_id_in_the_wrong_part() {
    let stage = Stage::serializing(100, SHORT_WINDOW);
    let mut sent = update(&stage.sidecar, "A", Part::Segment(1), "only".to_owned());

    sent.part = Part::Segment(2);

    assert_eq!(stage.findings([&sent]).lost, ["only"]);
}

#[test]
fn a_fixed_version_of_the_app_gets_the_journeys_on_the_fixed_path_and_no_others() {
    let redis = Redis::start();
    let fixed_redis = Redis::start();
    let names: Vec<String> = (1..=20).map(|n| format!("J{n}")).collect();
    for name in &names {
        store_journey(&redis, name);
        store_journey(&fixed_redis, name);
    }
    let app = JourneyService::start(&redis.url(), SHORT_WINDOW);
    let fixed_app = JourneyService::start(&fixed_redis.url(), SHORT_WINDOW);
    let flag = to_fixed_app_at(50, &fixed_app.url());
    let sidecar = Sidecar::at(&app.url()).with(&flag).start();

    let sent: Vec<Sent> = names
        .iter()
        .flat_map(|name| [Part::Journey, Part::Segment(3)].map(|part| (name, part)))
        .map(|(name, part)| update(&sidecar, name, part, format!("{name}-{part:?}")))
        .collect();

    let (to_fixed, to_legacy): (Vec<&Sent>, Vec<&Sent>) =
        sent.iter().partition(|update| update.path() == "fixed");
    assert!(!to_fixed.is_empty() && !to_legacy.is_empty(), "{sent:#?}");
    let check = |redis: &Redis, sent: &[&Sent], here: bool| {
        let findings = findings(redis, sent.iter().copied());
        let lost = if here { 0 } else { sent.len() };
        assert_eq!((findings.acknowledged, findings.lost.len()), (sent.len(), lost));
    };
    check(&redis, &to_legacy, true);
    check(&redis, &to_fixed, false);
    check(&fixed_redis, &to_fixed, true);
    check(&fixed_redis, &to_legacy, false);
}
