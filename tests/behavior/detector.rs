//! The lost-update detector: it counts on live traffic what somebody counts who reads the documents.

use serde_json::Value;

use crate::support::{
    JOURNEYS, JourneyFlag, JourneyService, Part, Redis, Sent, Sidecar, in_parallel, key_of,
    store_journey, until, update,
};

/// Between the app's read and its write.
const WINDOW: &str = "5ms";

/// A sidecar whose flag is verified, in front of the racy app.
struct Stage {
    sidecar: Sidecar,
    _app: JourneyService,
    redis: Redis,
    journeys: Vec<String>,
}

impl Stage {
    fn new(percent: u8, journeys: usize) -> Self {
        let redis = Redis::start();
        let journeys: Vec<String> = (0..journeys).map(|n| format!("D{n}")).collect();
        journeys.iter().for_each(|journey| store_journey(&redis, journey));
        let app = JourneyService::start(&redis.url(), WINDOW);
        let flag = JourneyFlag::serialized(percent).verified().toml();
        let sidecar = Sidecar::at(&app.url()).with(&flag).start();
        Self { sidecar, _app: app, redis, journeys }
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.sidecar.metrics().sum(name, labels).unwrap_or(0.0) as usize
    }

    #[track_caller]
    fn wait_until_verified(&self, updates: usize) {
        until("all updates to be verified", || {
            self.count("interlock_verified_updates_total", &[]) >= updates
        });
    }

    /// Writes a segment's status as somebody does who does not know of the sidecar.
    fn write_past_it(&self, journey: &str, segment: usize, status: &str) {
        let key = key_of(journey);
        let mut document: Value = serde_json::from_str(&self.redis.get(&key).unwrap()).unwrap();
        document["Segments"][segment - 1]["Status"] = status.into();
        self.redis.set(&key, &document.to_string());
    }
}

/// How many acknowledged updates are gone, each part having been written once.
fn lost(redis: &Redis, sent: &[Sent]) -> usize {
    let is_lost = |sent: &&Sent| {
        let document: Value =
            serde_json::from_str(&redis.get(&key_of(&sent.journey)).unwrap()).unwrap();
        let status = match sent.part {
            Part::Journey => &document["Status"],
            Part::Segment(number) => &document["Segments"][number - 1]["Status"],
        };
        sent.acknowledged() && *status != format!("set by {}", sent.id).as_str()
    };
    sent.iter().filter(is_lost).count()
}

#[test]
fn it_counts_what_a_reader_of_the_documents_counts() {
    let stage = Stage::new(0, 10);

    let mut sent = Vec::new();
    for journey in &stage.journeys {
        sent.extend(in_parallel(20, |n| {
            update(&stage.sidecar, journey, Part::Segment(n + 1), format!("{journey}-{n}"))
        }));
    }
    stage.wait_until_verified(sent.len());

    let expected = lost(&stage.redis, &sent);
    assert!(expected > 100, "{expected} lost: the app races");
    let legacy = [("flag", JOURNEYS), ("path", "legacy")];
    assert_eq!(stage.count("interlock_lost_updates_total", &legacy), expected);
    assert_eq!(stage.count("interlock_lost_updates_total", &[]), expected);
    assert_eq!(stage.count("interlock_verified_updates_total", &[]), 200);
    assert_eq!(stage.count("interlock_unmanaged_writes_total", &[]), 0);
    assert_eq!(stage.count("interlock_verify_inconclusive_total", &[]), 0);
}

#[test]
fn at_a_hundred_percent_it_counts_none() {
    let stage = Stage::new(100, 5);

    let mut sent = Vec::new();
    for journey in &stage.journeys {
        sent.extend(in_parallel(20, |n| {
            update(&stage.sidecar, journey, Part::Segment(n + 1), format!("{journey}-{n}"))
        }));
    }
    stage.wait_until_verified(sent.len());

    assert_eq!(lost(&stage.redis, &sent), 0);
    assert_eq!(stage.count("interlock_lost_updates_total", &[]), 0);
    assert_eq!(stage.count("interlock_unmanaged_writes_total", &[]), 0);
    assert_eq!(stage.count("interlock_verify_inconclusive_total", &[]), 0);
}

/// Somebody writes past the sidecar until that is found, and how often they did.
fn foreign_writes(stage: &Stage) -> usize {
    let mut rounds = 0;
    until("a foreign writer to be found", || {
        let sent = update(&stage.sidecar, "D0", Part::Segment(1), format!("round-{rounds}"));
        assert!(sent.acknowledged());
        stage.write_past_it("D0", 1, &format!("foreign {rounds}"));
        rounds += 1;
        stage.count("interlock_unmanaged_writes_total", &[]) > 0
    });
    rounds
}

#[test]
fn an_update_of_the_fixed_path_that_a_foreign_writer_replaced_was_exposed() {
    let stage = Stage::new(100, 1);

    let rounds = foreign_writes(&stage);

    let exposed = [("flag", JOURNEYS), ("reason", "foreign_writer")];
    let counted = stage.count("interlock_exposed_updates_total", &exposed);
    assert!((1..=rounds).contains(&counted), "{counted} of {rounds}");
    assert_eq!(stage.count("interlock_lost_updates_total", &[]), 0);
}

#[test]
fn nothing_was_promised_to_an_update_of_the_legacy_path_that_a_foreign_writer_replaced() {
    let stage = Stage::new(0, 1);

    foreign_writes(&stage);

    assert_eq!(stage.count("interlock_exposed_updates_total", &[]), 0);
    assert_eq!(stage.count("interlock_lost_updates_total", &[]), 0);
}
