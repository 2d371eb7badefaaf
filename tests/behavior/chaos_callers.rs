//! Faults of everybody but the store, under load: sidecars that crash, clients that leave, and an app that writes late.
//!
//! All of these are slow and heavy: one runs at a time.

use std::thread;
use std::time::Duration;

use crate::support::{
    Caller, Findings, Fleet, FleetPlan, GLANCE, Knowledge, Load, Part, Redis, Sent, findings,
    logged, take_time, until,
};

/// How long the load goes on before a fault and after it.
const CALM: Duration = Duration::from_millis(700);

fn start(store: &Redis) -> Fleet {
    FleetPlan::over(100, &store.url()).on_store_loss("reject").start()
}

/// No acknowledged update is lost, and nothing else went wrong that the oracle sees.
#[track_caller]
fn assert_none_lost(fleet: &Fleet, sent: &[Sent]) {
    let findings = findings(&fleet.documents, sent);
    let expected = Findings { acknowledged: findings.acknowledged, ..Findings::default() };
    assert_eq!(findings, expected);
}

fn of(sent: &[Sent], knowledge: Knowledge) -> usize {
    sent.iter().filter(|update| update.knowledge() == knowledge).count()
}

#[test]
fn heavy_a_sidecar_that_is_killed_while_it_holds_leases_takes_no_update_with_it() {
    let store = Redis::start();
    let mut fleet = start(&store);

    let sent = Load::moderate().during(&fleet.targets(), || {
        for killed in [0, 1] {
            take_time(CALM);
            fleet.sidecar(killed).signal("KILL");
            fleet.stands[killed].sidecar.wait_for_exit();
            take_time(CALM);
            fleet.stands[killed].sidecar.start_again();
            fleet.wait_until_whole();
        }
        take_time(CALM);
    });

    assert_none_lost(&fleet, &sent);
    let survivors = sent.iter().filter(|update| update.sidecar == 2);
    assert!(survivors.clone().all(Sent::acknowledged), "the other one was only held up");
}

#[test]
fn heavy_clients_that_leave_in_the_middle_of_a_call_hold_up_nobody_and_undo_nothing() {
    let store = Redis::start();
    let fleet = start(&store);
    let leave = |sidecar: usize| {
        let mut caller = Caller::of(sidecar, fleet.sidecar(sidecar).address());
        for count in 0..60 {
            let journey = &fleet.journeys[count % 4];
            let id = format!("gone-{sidecar}-{count}");
            let connection = caller.send_only(journey, Part::Journey, &id);
            take_time(Duration::from_millis(1 + count as u64 % 25));
            drop(connection);
        }
    };

    let sent = Load::moderate().during(&fleet.targets(), || {
        thread::scope(|scope| {
            (0..3).for_each(|sidecar| drop(scope.spawn(move || leave(sidecar))));
        });
        take_time(CALM);
    });

    assert_none_lost(&fleet, &sent);
    assert_eq!(of(&sent, Knowledge::Acknowledged), sent.len());
    let logs = fleet.journeys[..4].iter().map(|journey| logged(&fleet.documents, journey));
    let mut gone: Vec<String> =
        logs.flat_map(|log| log[&Part::Journey.to_string()].clone()).collect();
    let count = gone.len();
    gone.sort();
    gone.dedup();
    assert!(count > 0 && gone.len() == count, "calls already sent ran to their end, once");
}

/// A fleet of which one app stands still in the middle of an update, longer than its sidecar waits for it; `meanwhile` updates
/// the same journey elsewhere, and lets the app go on, which then writes.
fn an_app_writes_late(
    settle: &str,
    meanwhile: impl FnOnce(&Fleet) -> Vec<Sent>,
) -> (Fleet, Vec<Sent>) {
    let store = Redis::start();
    let legacy = format!(
        "connect_timeout = \"250ms\"\ntimeout = \"1s\"\nsettle_after_timeout = \"{settle}\"\n"
    );
    let plan = FleetPlan { legacy, window: "300ms", ..FleetPlan::over(100, &store.url()) };
    let fleet = plan.on_store_loss("reject").start();
    let reads = fleet.documents.calls_of("get");

    let (late, sent) = thread::scope(|scope| {
        let update = || fleet.update(0, &fleet.journeys[0], Part::Journey, LATE);
        let call = scope.spawn(update);
        until("the app to have read", || fleet.documents.calls_of("get") > reads);
        // It has the answer too, and does not write before its window is over.
        take_time(Duration::from_millis(50));
        fleet.stands[0].app.pause();
        let sent = meanwhile(&fleet);
        (call.join().unwrap(), sent)
    });

    assert_eq!(late.knowledge(), Knowledge::Unknown, "{late:?}");
    (fleet, sent)
}

/// The id of the update that is written late.
const LATE: &str = "late";

fn late_write_is_there(fleet: &Fleet) -> bool {
    let log = logged(&fleet.documents, &fleet.journeys[0]);
    log[&Part::Journey.to_string()].iter().any(|id| id == LATE)
}

#[test]
fn heavy_an_app_that_writes_late_but_in_time_undoes_nothing() {
    let load = Load { callers: 2, pause: Duration::from_millis(10), journeys: 1 };

    let (fleet, sent) = an_app_writes_late("3s", |fleet| {
        load.during(&fleet.targets().only(&[1, 2]), || {
            take_time(Duration::from_secs(2));
            fleet.stands[0].app.resume();
            until("the late write", || late_write_is_there(fleet));
            take_time(Duration::from_secs(1));
        })
    });

    assert!(late_write_is_there(&fleet), "the others have read it");
    assert!(of(&sent, Knowledge::Acknowledged) > 3, "{}", sent.len());
    assert_none_lost(&fleet, &sent);
}

#[test]
fn heavy_an_app_that_writes_later_than_it_promised_undoes_what_was_written_meanwhile() {
    let (fleet, sent) = an_app_writes_late("1ms", |fleet| {
        let journey = &fleet.journeys[0];
        let update = |n: usize| fleet.update(n, journey, Part::Segment(n), &format!("other-{n}"));
        let sent: Vec<Sent> = (1..=2).map(update).collect();
        fleet.stands[0].app.resume();
        until("the late write", || late_write_is_there(fleet));
        sent
    });

    let findings = findings(&fleet.documents, &sent);
    assert_eq!((findings.acknowledged, findings.lost.len()), (2, 2), "nothing can stop it");
}

#[test]
fn heavy_apps_that_stand_still_under_load_undo_nothing() {
    let store = Redis::start();
    let fleet = start(&store);

    let sent = Load::moderate().during(&fleet.targets(), || {
        take_time(CALM);
        for stand in &fleet.stands {
            stand.app.pause();
            take_time(Duration::from_millis(1_500));
            stand.app.resume();
            take_time(GLANCE);
        }
        take_time(Duration::from_secs(2));
    });

    assert_none_lost(&fleet, &sent);
    assert!(of(&sent, Knowledge::Unknown) > 0, "some were given up");
    assert!(!sent.iter().any(|update| update.unprotected()));
}
