//! A store that forgets who holds what while a call is under way: nobody else gets the entity before that call has ended, or
//! must have.
//!
//! The app takes its time here, so that whoever comes too early reads what is about to be overwritten.

use std::thread;
use std::time::Duration;

use crate::support::{
    Caller, Findings, Fleet, FleetPlan, Knowledge, Part, Redis, Sent, findings, in_parallel,
    logged, take_time, until,
};

/// Between the app's read and its write: longer than it takes to forget and to come back.
const WINDOW: &str = "1s";

/// Longer than that, for a call and its whole way.
const LEGACY: &str = r#"
connect_timeout = "250ms"
timeout = "1500ms"
settle_after_timeout = "1s"
"#;

/// How long after its read an app that stood still goes on and writes: within the time that it has.
const IN_TIME: Duration = Duration::from_millis(2_000);

/// How a store forgets.
#[derive(Clone, Copy, Debug)]
enum Amnesia {
    /// It is emptied, and goes on.
    Emptied,
    /// It crashes, and another one is there at once.
    Replaced,
}

impl Amnesia {
    const ALL: [Self; 2] = [Self::Emptied, Self::Replaced];

    fn befalls(self, store: &mut Redis) {
        match self {
            Self::Emptied => {
                store.command(&["FLUSHALL"]);
            }
            Self::Replaced => {
                store.kill();
                store.start_again();
            }
        }
    }
}

fn start(store: &Redis) -> Fleet {
    let mut plan = FleetPlan {
        legacy: LEGACY.to_owned(),
        window: WINDOW,
        ..FleetPlan::over(100, &store.url()).on_store_loss("reject")
    };
    plan.flag.lease = r#"wait = "15s""#.to_owned();
    plan.start()
}

/// The id of the update that is under way when the store forgets.
const FIRST: &str = "first";

/// What becomes of the sidecar where that update is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstSidecar {
    Stays,
    Crashes,
}

/// Sends an update that is refused now and then, until it is not; returns all tries.
fn insist(fleet: &Fleet, sidecar: usize, journey: &str) -> Vec<Sent> {
    let mut tries = Vec::new();
    until("an update to be let through", || {
        let id = format!("{sidecar}-{}", tries.len());
        let sent = fleet.update(sidecar, journey, Part::Segment(1 + sidecar), &id);
        let through = sent.knowledge() != Knowledge::Refused;
        tries.push(sent);
        through
    });
    tries
}

/// One update is under way at a sidecar when `happens` does; the two others then update the same journey. They don't meet
/// it: nothing that was acknowledged is lost, and the first update is there as well.
#[track_caller]
fn assert_that_others_wait(
    mut others: Fleet,
    sidecar: FirstSidecar,
    happens: impl FnOnce(&mut Fleet),
) {
    let first = others.stands.remove(0);
    let journey = others.journeys[0].clone();
    let mut caller = Caller::of(9, first.sidecar.address());
    let reads = others.documents.calls_of("get");

    let sent = thread::scope(|scope| {
        let call = scope.spawn(|| caller.update(&journey, Part::Journey, FIRST.to_owned()));
        until("the app to have read", || others.documents.calls_of("get") > reads);
        // It has the answer too, and does not write before its window is over.
        take_time(Duration::from_millis(50));
        if sidecar == FirstSidecar::Crashes {
            // The app stands still as well, and goes on as late as it may.
            first.app.pause();
            first.sidecar.signal("KILL");
        }
        scope.spawn(|| {
            take_time(IN_TIME);
            first.app.resume();
        });
        happens(&mut others);
        let others = &others;
        let mut sent = in_parallel(2, |n| insist(others, n, &journey)).concat();
        sent.push(call.join().unwrap());
        sent
    });

    let acknowledged = sent.iter().filter(|update| update.acknowledged()).count();
    assert!(acknowledged >= 2, "{sent:#?}");
    assert_eq!(
        findings(&others.documents, &sent),
        Findings { acknowledged, ..Findings::default() }
    );
    let log = logged(&others.documents, &journey);
    assert_eq!(log[&Part::Journey.to_string()], [FIRST], "it was written, and not overwritten");
}

#[test]
fn a_call_under_way_is_waited_for_when_the_store_forgets() {
    for amnesia in Amnesia::ALL {
        let mut store = Redis::start();
        let fleet = start(&store);

        assert_that_others_wait(fleet, FirstSidecar::Stays, |_| amnesia.befalls(&mut store));
    }
}

#[test]
fn a_call_of_a_sidecar_that_crashed_is_waited_for_when_the_store_forgets() {
    for amnesia in Amnesia::ALL {
        let mut store = Redis::start();
        let fleet = start(&store);

        assert_that_others_wait(fleet, FirstSidecar::Crashes, |_| amnesia.befalls(&mut store));
    }
}

#[test]
fn a_call_is_waited_for_as_long_as_one_sidecar_remembers_whoever_made_it() {
    let mut store = Redis::start();
    let fleet = start(&store);

    assert_that_others_wait(fleet, FirstSidecar::Crashes, |others| {
        let newcomer = &mut others.stands[0].sidecar;
        newcomer.signal("KILL");
        newcomer.wait_for_exit();
        Amnesia::Replaced.befalls(&mut store);
        newcomer.start_again();
    });
}
