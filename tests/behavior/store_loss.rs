//! What happens to calls while the store of a fleet is gone, row by row: what stops, what goes on, and who is told.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    JOURNEYS, JourneyFlag, Loss, Outage, Response, STORE_UNAVAILABLE, Sidecar, Upstream,
    in_parallel, put, segment_of, status_of, stopped, take_time,
};

const STALE: &str = "stale-flags";

fn serialized(policy: &str) -> JourneyFlag {
    let more = format!("on_store_loss = \"{policy}\"\n");
    JourneyFlag { more, ..JourneyFlag::serialized(100) }
}

fn degraded(response: &Response) -> Vec<String> {
    response.headers.list("interlock-degraded")
}

#[track_caller]
fn update(sidecar: &Sidecar, journey: &str) -> Response {
    sidecar.call(&put(&status_of(journey), "{}"))
}

#[track_caller]
fn count(sidecar: &Sidecar, name: &str, labels: &[(&str, &str)]) -> f64 {
    sidecar.metrics().sum(name, labels).unwrap_or_else(|| panic!("no {name}{labels:?}"))
}

fn exposed(sidecar: &Sidecar) -> f64 {
    count(sidecar, "interlock_exposed_updates_total", &[("reason", "store_unreachable")])
}

/// The path that each of some journeys takes.
fn paths(sidecar: &Sidecar) -> Vec<String> {
    let path = |n| {
        let response = update(sidecar, &format!("J{n}"));
        assert_eq!(response.status, 200, "{response:?}");
        response.headers.get("interlock-path").expect("Interlock-Path").to_owned()
    };
    (0..30).map(path).collect()
}

#[test]
fn flags_stay_as_they_were_and_say_that_they_are_old() {
    let app = Upstream::echoing_targets();
    let fixed_app = Upstream::echoing_targets();
    for loss in Loss::ALL {
        let fixed = format!(r#"strategy = "upstream", url = "{}""#, fixed_app.url());
        let mut outage = Outage::of(&JourneyFlag { fixed, ..JourneyFlag::serialized(0) }, &app);
        outage.sidecar.set_percent(JOURNEYS, 50.0);
        let before = paths(&outage.sidecar);

        outage.lose_noticed(loss);
        let during = paths(&outage.sidecar);
        let response = update(&outage.sidecar, "J1");
        let stale = count(&outage.sidecar, "interlock_decisions_total", &[("reason", "stale")]);
        let flag = outage.sidecar.flag(JOURNEYS);
        outage.restore_noticed(loss);
        let after = paths(&outage.sidecar);

        assert_eq!((&during, &after), (&before, &before), "{loss:?}");
        assert_eq!(degraded(&response), [STALE], "{loss:?}");
        assert_eq!((stale, flag["percent"].as_f64()), (31.0, Some(50.0)), "{loss:?}");
        assert!(degraded(&update(&outage.sidecar, "J1")).is_empty(), "{loss:?}");
    }
}

#[test]
fn at_zero_percent_calls_pass_as_ever() {
    let app = Upstream::echoing_targets();
    for loss in Loss::ALL {
        let mut outage = Outage::of(&JourneyFlag::serialized(0), &app);

        outage.lose_noticed(loss);
        let response = update(&outage.sidecar, "J1");

        assert_eq!((response.status, degraded(&response)), (200, vec![STALE.to_owned()]));
        assert_eq!(response.headers.get("interlock-path"), Some("legacy"));
        assert_eq!(exposed(&outage.sidecar), 0.0, "it never had a protection to lose");
    }
}

#[test]
fn a_fixed_version_of_the_app_goes_on_getting_its_calls() {
    let (app, fixed_app) = (Upstream::echoing_targets(), Upstream::echoing_targets());
    let fixed = format!(r#"strategy = "upstream", url = "{}""#, fixed_app.url());
    let mut outage = Outage::of(&JourneyFlag { fixed, ..JourneyFlag::serialized(100) }, &app);

    outage.lose_noticed(Loss::Crash);
    let response = update(&outage.sidecar, "J1");

    assert_eq!((response.status, degraded(&response)), (200, vec![STALE.to_owned()]));
    assert_eq!((fixed_app.requests().len(), app.requests().len()), (1, 0));
    assert_eq!(exposed(&outage.sidecar), 0.0);
}

/// An app that takes its time, and the most calls that it had in hand at once.
fn overlapping() -> (Upstream, Arc<Mutex<(usize, usize)>>) {
    let seen = Arc::new(Mutex::new((0, 0)));
    let hand = Arc::clone(&seen);
    let app = Upstream::running(move |exchange| {
        exchange.read_body();
        {
            let mut hand = hand.lock().unwrap();
            hand.0 += 1;
            hand.1 = hand.1.max(hand.0);
        }
        take_time(Duration::from_millis(5));
        hand.lock().unwrap().0 -= 1;
        exchange.ok("done")
    });
    (app, seen)
}

#[test]
fn calls_that_may_go_on_without_a_lease_do_so_one_at_a_time_and_each_is_told_and_counted() {
    for loss in Loss::ALL {
        let (app, seen) = overlapping();
        let mut outage = Outage::of(&serialized("legacy"), &app);

        outage.lose_noticed(loss);
        let during = in_parallel(20, |n| outage.sidecar.call(&put(&segment_of("J1", n), "{}")));
        let (counted, at_once) = (exposed(&outage.sidecar), seen.lock().unwrap().1);
        let protection = [("protection", "exposed"), ("outcome", "applied")];
        let updates = count(&outage.sidecar, "interlock_updates_total", &protection);
        outage.restore_noticed(loss);
        let after = update(&outage.sidecar, "J1");

        for response in &during {
            assert_eq!(response.status, 200, "{loss:?}: {response:?}");
            let said = degraded(response);
            assert!(said.iter().any(|word| word == STORE_UNAVAILABLE), "{loss:?}: {said:?}");
        }
        assert_eq!((counted, updates, at_once), (20.0, 20.0, 1), "{loss:?}");
        assert_eq!((after.status, degraded(&after).len()), (200, 0), "{loss:?}");
        assert_eq!(exposed(&outage.sidecar), 20.0, "{loss:?}: none after the return");
    }
}

#[test]
fn calls_that_may_not_go_on_without_a_lease_are_refused_and_nothing_of_them_is_sent() {
    for loss in Loss::ALL {
        let app = Upstream::echoing_targets();
        let mut outage = Outage::of(&serialized("reject"), &app);

        outage.lose_noticed(loss);
        let during = in_parallel(10, |n| outage.sidecar.call(&put(&segment_of("J1", n), "{}")));
        let sent = app.requests().len();
        let refused = [("flag", JOURNEYS), ("reason", "store_lost")];
        let refused = count(&outage.sidecar, "interlock_lease_refused_total", &refused);
        outage.restore_noticed(loss);
        let after = update(&outage.sidecar, "J1");

        for response in &during {
            response.assert_problem(503, "safe");
            assert!(degraded(response).iter().any(|word| word == STORE_UNAVAILABLE));
            let again = response.headers.get("retry-after").expect("Retry-After");
            assert!(again.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{again}");
        }
        assert_eq!((sent, refused, exposed(&outage.sidecar)), (0, 10.0, 0.0), "{loss:?}");
        assert_eq!((after.status, degraded(&after).len()), (200, 0), "{loss:?}");
    }
}

/// A call that the sidecar is told to hold through a loss.
fn patient(policy: &str, patience: &str) -> (Upstream, Outage) {
    let app = Upstream::echoing_targets();
    let mut flag = serialized(policy);
    flag.more += &format!("store_patience = \"{patience}\"\n");
    flag.lease = r#"wait = "20s""#.to_owned();
    let outage = Outage::of(&flag, &app);
    (app, outage)
}

#[test]
fn patience_rides_out_a_short_loss() {
    for policy in ["legacy", "reject"] {
        let (_app, mut outage) = patient(policy, "15s");

        outage.lose_noticed(Loss::Crash);
        let sidecar = &outage.sidecar;
        let held = thread::scope(|scope| {
            let call = scope.spawn(|| update(sidecar, "J1"));
            sidecar.wait_for_metric("interlock_lease_waiters", &[], 1.0);
            outage.store.start_again();
            call.join().unwrap()
        });

        assert_eq!(held.status, 200, "{policy}: {held:?}");
        // It was decided by flags that were old then; it ran under a lease all the same.
        assert_eq!((degraded(&held), exposed(sidecar)), (vec![STALE.to_owned()], 0.0), "{policy}");
    }
}

#[test]
fn patience_ends() {
    const PATIENCE: Duration = Duration::from_millis(600);
    for (policy, expected) in [("legacy", 200), ("reject", 503)] {
        let (_app, mut outage) = patient(policy, "600ms");

        outage.lose_noticed(Loss::Crash);
        let began = Instant::now();
        let response = update(&outage.sidecar, "J1");

        let took = began.elapsed();
        assert_eq!(response.status, expected, "{policy}");
        assert!((PATIENCE..4 * PATIENCE).contains(&took), "{policy}: {took:?}");
    }
}

/// What a call waits for a dead store at most, before and after anybody has noticed; the rest is for the machine.
const TIMEOUT: Duration = Duration::from_millis(50);
const MACHINE: Duration = Duration::from_millis(400);

/// One caller's calls, one after the other for a while: how long each took, and its status.
fn calls(sidecar: &Sidecar, caller: usize) -> Vec<(Duration, u16)> {
    let end = Instant::now() + Duration::from_millis(700);
    let mut times = Vec::new();
    let mut client = sidecar.client();
    while Instant::now() < end {
        let began = Instant::now();
        let response = client.call(&put(&status_of(format!("J{caller}")), "{}"));
        times.push((began.elapsed(), response.status));
        take_time(Duration::from_millis(5));
    }
    times
}

#[test]
fn heavy_no_call_waits_for_a_dead_store_longer_than_its_timeout() {
    for (policy, expected) in [("legacy", 200), ("reject", 503)] {
        let app = Upstream::echoing_targets();
        let mut outage = Outage::with_timeout("50ms", &serialized(policy), &app);
        for loss in Loss::ALL {
            outage.lose(loss);
            let mut times = in_parallel(4, |n| calls(&outage.sidecar, n)).concat();
            outage.restore_noticed(loss);

            times.sort_unstable();
            let (slowest, median) = (times[times.len() - 1].0, times[times.len() / 2].0);
            eprintln!("{policy} {loss:?}: {} calls, {median:?}, {slowest:?}", times.len());
            assert!(slowest < TIMEOUT + MACHINE, "{policy} {loss:?}: {slowest:?}");
            assert!(median < TIMEOUT, "{policy} {loss:?}: {median:?}");
            let others = times.iter().filter(|(_, status)| *status != expected);
            assert_eq!(others.count(), 0, "{policy} {loss:?}");
        }
    }
}

/// The lines of a log that tell of an event, with one of these words.
fn lines(log: &str, event: &str, word: &str) -> usize {
    log.lines().filter(|line| line.contains(event) && line.contains(word)).count()
}

#[test]
fn a_loss_and_a_return_are_told_once_and_not_at_every_call() {
    for loss in Loss::ALL {
        let app = Upstream::echoing_targets();
        let mut outage = Outage::of(&serialized("legacy"), &app);
        let before = outage.sidecar.log();

        outage.lose_noticed(loss);
        in_parallel(50, |n| update(&outage.sidecar, &format!("J{n}")).status);
        stopped("the log", || outage.sidecar.log().len());
        let during = outage.sidecar.log().split_off(before.len());
        outage.restore_noticed(loss);
        stopped("the log", || outage.sidecar.log().len());
        let log = outage.sidecar.log().split_off(before.len());

        assert!(during.lines().count() < 20, "{loss:?}: {during}");
        for (event, word) in [
            ("lease_gate_changed", "\"lost\""),
            ("lease_gate_changed", "\"open\""),
            ("store_breaker_changed", "\"open\""),
            ("store_breaker_changed", "\"closed\""),
        ] {
            assert_eq!(lines(&log, event, word), 1, "{loss:?} {event} {word}: {log}");
        }
    }
}

#[test]
fn how_the_store_stands_is_in_the_metrics() {
    for loss in Loss::ALL {
        let app = Upstream::echoing_targets();
        let mut outage = Outage::of(&serialized("legacy"), &app);
        let standing = |sidecar: &Sidecar| {
            let breaker = [("state", "closed")];
            let metrics = sidecar.metrics();
            let value = |name, labels| metrics.sum(name, labels).expect("a series");
            (value("interlock_store_up", &[]), value("interlock_store_breaker", &breaker))
        };
        let before = standing(&outage.sidecar);

        outage.lose_noticed(loss);
        let during = standing(&outage.sidecar);
        let ready = outage.sidecar.readiness();
        outage.restore_noticed(loss);

        assert_eq!((before, during), ((1.0, 1.0), (0.0, 0.0)), "{loss:?}");
        assert_eq!(standing(&outage.sidecar), (1.0, 1.0), "{loss:?}");
        assert_eq!(ready, Some(200), "{loss:?}: it serves, and taking it away would help nobody");
    }
}

#[test]
fn a_store_that_flutters_is_followed_without_a_restart() {
    let app = Upstream::echoing_targets();
    let mut outage = Outage::of(&serialized("legacy"), &app);

    for loss in Loss::ALL {
        outage.lose_noticed(loss);
        assert_eq!(update(&outage.sidecar, "J1").status, 200, "{loss:?}");
        outage.restore_noticed(loss);
        let after = update(&outage.sidecar, "J1");
        assert_eq!((after.status, degraded(&after).len()), (200, 0), "{loss:?}");
    }
}
