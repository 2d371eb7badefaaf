//! What a scraper and a reader of the log can rely on.

mod model;
mod page;

use std::time::Duration;

use super::events::*;
use super::exposition::{Families, Labels, parse};
use super::labels::*;
use super::logging::{LogFormat, capture};
use super::*;
use crate::domain::decision::Decision;
use crate::domain::flag::{Author, Change, FlagState, Path, Strategy};
use crate::domain::percent::Percent;
use crate::domain::transition::Turn;

const FLAGS: [&str; 2] = ["journey-updates", "seats"];
const ROUTES: [(&str, usize); 3] = [("segment-status", 0), ("journey-status", 0), ("seat", 1)];

fn topology() -> Topology {
    Topology {
        flags: FLAGS.map(str::to_owned).to_vec(),
        routes: ROUTES.map(|(route, flag)| (route.to_owned(), flag)).to_vec(),
    }
}

fn telemetry() -> Telemetry {
    Telemetry::new(&topology())
}

fn families(telemetry: &Telemetry) -> Families {
    parse(&telemetry.render()).unwrap()
}

/// The value of a series, its labels written as in a query.
fn value(telemetry: &Telemetry, name: &str, labels: &[(&str, &str)]) -> f64 {
    value_in(&families(telemetry), name, labels)
}

fn value_in(families: &Families, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = name.trim_end_matches("_count").trim_end_matches("_sum");
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    families[family].samples[&(name.to_owned(), labels.collect::<Labels>())]
}

#[test]
fn sidecars_in_one_process_count_apart() {
    let (one, other) = (telemetry(), telemetry());

    ClientGone { flag: FlagIndex(0) }.emit(&one);

    let gone = |t: &Telemetry| value(t, "interlock_client_gone_total", &[("flag", FLAGS[0])]);
    assert_eq!((gone(&one), gone(&one.clone()), gone(&other)), (1.0, 1.0, 0.0));
}

#[test]
fn guards_count_as_long_as_they_live() {
    let telemetry = telemetry();
    let values = || {
        [
            value(&telemetry, "interlock_inflight_requests", &[]),
            value(&telemetry, "interlock_connections", &[]),
            value(&telemetry, "interlock_upstream_connections", &[("upstream", "fixed")]),
            value(&telemetry, "interlock_lease_waiters", &[("flag", FLAGS[1])]),
        ]
    };

    let guards = (
        [telemetry.inflight(), telemetry.inflight()],
        telemetry.connection(),
        telemetry.upstream_connection(Path::Fixed),
        telemetry.lease_waiter(FlagIndex(1)),
    );
    assert_eq!(values(), [2.0, 1.0, 1.0, 1.0]);
    drop(guards);

    assert_eq!(values(), [0.0; 4]);
}

#[test]
fn indices_that_do_not_exist_are_counted_and_hurt_nobody() {
    let telemetry = telemetry();
    let (flag, elapsed) = (FlagIndex(u16::MAX), Duration::from_millis(1));

    Decided { flag, decision: Decision::NO_ENTITY }.emit(&telemetry);
    LeaseGranted { flag, waited: elapsed }.emit(&telemetry);
    FlagRead { flag, state: &FlagState::initial(Percent::FULL, 1) }.emit(&telemetry);
    let route = Some(RouteIndex(u16::MAX));
    RequestAnswered { route, path: Path::Legacy, code: None, elapsed, overhead: None }
        .emit(&telemetry);
    drop(telemetry.lease_waiter(flag));

    assert_eq!(value(&telemetry, "interlock_unattributed_events_total", &[]), 2.0);
}

fn changed(from: &FlagState, change: &Change) -> FlagState {
    let author = Author { by: "ann".into(), reason: "try".into(), at_ms: 1_500 };
    from.changed("flag", Strategy::Serialize, change, author).unwrap()
}

#[test]
fn a_change_shows_the_state_and_counts_what_it_did() {
    let telemetry = telemetry();
    let start = FlagState::initial(Percent::ZERO, 0);
    let half = changed(&start, &Change::Percent("50".parse().unwrap()));
    let killed = changed(&half, &Change::Kill);
    let resumed = changed(&killed, &Change::Resume);
    let pin = Change::Pin { entity: "journey:7".into(), path: Some(Path::Fixed) };
    let pinned = changed(&resumed, &pin);
    let less = changed(&pinned, &Change::Percent("25".parse().unwrap()));
    let same = changed(&less, &Change::Percent("25".parse().unwrap()));
    let forced = changed(&same, &Change::Force);

    for pair in [start, half, killed, resumed, pinned, less, same, forced].windows(2) {
        FlagChanged { flag: FlagIndex(0), from: &pair[0], to: &pair[1] }.emit(&telemetry);
    }

    for kind in words::<ChangeKind>() {
        let labels = [("flag", FLAGS[0]), ("direction", kind)];
        assert_eq!(value(&telemetry, "interlock_flag_changes_total", &labels), 1.0, "{kind}");
    }
    let gauge = |name| value(&telemetry, name, &[("flag", FLAGS[0])]);
    assert_eq!(gauge("interlock_flag_percent"), 25.0);
    assert_eq!(gauge("interlock_flag_killed"), 0.0);
    assert_eq!(gauge("interlock_flag_version"), 8.0);
    assert_eq!(gauge("interlock_flag_last_change_timestamp_seconds"), 1.5);
}

#[test]
fn states_show_the_present_one_alone() {
    let telemetry = telemetry();

    TransitionStepped { flag: FlagIndex(1), step: TransitionStep::Guarding, turn: Turn::default() }
        .emit(&telemetry);
    FreshnessChanged { state: Freshness::Stale }.emit(&telemetry);

    let step = |flag, step| {
        value(&telemetry, "interlock_flag_transition", &[("flag", flag), ("step", step)])
    };
    assert_eq!((step(FLAGS[1], "guarding"), step(FLAGS[1], "settled")), (1.0, 0.0));
    assert_eq!((step(FLAGS[0], "guarding"), step(FLAGS[0], "settled")), (0.0, 1.0));
    let state = |state| value(&telemetry, "interlock_freshness", &[("state", state)]);
    assert_eq!((state("stale"), state("never_loaded"), state("live")), (1.0, 0.0, 0.0));
}

#[test]
fn freshness_is_told_of_once_on_entering_and_once_on_leaving() {
    let lines = capture::lines("info", LogFormat::Json, || {
        let telemetry = telemetry();
        for state in [Freshness::Live, Freshness::Stale, Freshness::Stale, Freshness::Live] {
            FreshnessChanged { state }.emit(&telemetry);
            FreshnessChanged { state }.emit(&telemetry);
        }
    });

    let told: Vec<(String, String)> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| {
            (line["level"].as_str().unwrap().into(), line["state"].as_str().unwrap().into())
        })
        .collect();
    let expected = [("INFO", "live"), ("WARN", "stale"), ("INFO", "live")];
    assert_eq!(told, expected.map(|(level, state)| (level.to_owned(), state.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_faults_writes_few_lines_and_counts_the_others() {
    let storm = 100;
    let telemetry = telemetry();
    let fail = || {
        UpstreamFailed {
            upstream: Path::Legacy,
            error: UpstreamError::Connect,
            details: format_args!("refused"),
        }
        .emit(&telemetry)
    };
    let first = capture::lines("info", LogFormat::Json, || (0..storm).for_each(|_| fail()));

    tokio::time::advance(Duration::from_secs(1)).await;
    let then = capture::lines("info", LogFormat::Json, || telemetry.upkeep());

    let suppressed = storm - limiter::MAX_LINES_PER_SECOND;
    assert_eq!(first.len() as u64, limiter::MAX_LINES_PER_SECOND);
    let summary: serde_json::Value = serde_json::from_str(&then[0]).unwrap();
    assert_eq!((then.len(), &summary["event"]), (1, &"suppressed".into()));
    assert_eq!(
        (&summary["of"], &summary["count"]),
        (&"upstream_failed".into(), &suppressed.into())
    );
    assert_eq!(value(&telemetry, "interlock_log_suppressed_total", &[]), suppressed as f64);
    let labels = [("upstream", "legacy"), ("error_type", "connect")];
    assert_eq!(value(&telemetry, "interlock_upstream_errors_total", &labels), storm as f64);
}

#[test]
fn faults_and_the_end_of_the_sidecar_show_on_the_page_and_in_the_log() {
    let telemetry = telemetry();
    let error = "x".parse::<Percent>().unwrap_err();

    let lines = capture::lines("info", LogFormat::Json, || {
        FlagsRejected { reason: FlagsError::Range, origin: "flags.json", error: &error }
            .emit(&telemetry);
        WorkerPanicked { worker: 1, said: "out of cheese" }.emit(&telemetry);
        FlagsLoaded { at_ms: 2_500 }.emit(&telemetry);
        DrainStarted { connections: 3 }.emit(&telemetry);
        DrainFinished { abandoned: 1 }.emit(&telemetry);
    });

    let rejected = [("reason", "range")];
    assert_eq!(value(&telemetry, "interlock_flags_rejected_total", &rejected), 1.0);
    assert_eq!(value(&telemetry, "interlock_worker_panics_total", &[]), 1.0);
    assert_eq!(value(&telemetry, "interlock_flags_last_success_timestamp_seconds", &[]), 2.5);
    assert_eq!(value(&telemetry, "interlock_draining", &[]), 1.0);
    let expected = [
        ("ERROR", "flags_rejected", "not a number"),
        ("ERROR", "worker_panicked", "out of cheese"),
        ("INFO", "drain_started", "\"connections\":3"),
        ("WARN", "drain_finished", "\"abandoned\":1"),
    ];
    assert_eq!(lines.len(), expected.len());
    for (line, (level, event, fact)) in lines.iter().zip(expected) {
        for part in [level, event, fact] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
