//! The demo's pods: they start whatever is missing, lose updates and stop losing them, and end without losing any.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::manifests::{Manifests, list, text};
use crate::pod::{Pod, Probe};
use crate::support::{
    Flavor, Raw, Redis, ReservedPort, Run, get, in_parallel, key_of, put, segment_of, take_time,
    until,
};

const JOURNEY: &str = "J0001";
const SEGMENTS: usize = 20;
const FLAG: &str = "journey-updates";
/// Of a caller between two updates.
const PAUSE: Duration = Duration::from_millis(5);

/// Starts a pod's sidecar, and the app when a kubelet would.
#[track_caller]
fn start(pod: &mut Pod<'_>) {
    pod.start_sidecar();
    until("the sidecar's startup probe to pass", || pod.sidecar_passes(Probe::Startup));
    pod.start_app();
}

#[track_caller]
fn wait_until_ready(pod: &Pod<'_>) {
    until("the pod to be ready", || {
        pod.sidecar_passes(Probe::Readiness) && pod.app_passes(Probe::Readiness)
    });
}

/// The demo's Redis, with its arguments.
fn demo_redis(manifests: &Manifests) -> Redis {
    let redis = &manifests.pod("redis")["containers"][0];
    assert_eq!(redis["command"][0], "redis-server");
    let arguments: Vec<&str> = list(&redis["args"]).iter().map(text).collect();
    Redis::start_with(Flavor::Redis, &arguments)
}

/// Updates every segment at once, through the pods in turn; returns how many were acknowledged and how many of those are there.
fn burst(pods: &[SocketAddr], status: &str) -> (usize, usize) {
    let answers = in_parallel(SEGMENTS, |n| {
        let segment = format!("S{:02}", n + 1);
        let body = format!("{{\"status\":\"{status}\"}}");
        Raw::connect(pods[n % pods.len()]).call(&put(&segment_of(JOURNEY, segment), &body)).status
    });
    let acknowledged = answers.iter().filter(|status| **status == 200).count();
    let journey = Raw::connect(pods[0]).call(&get(&format!("/api/journeys/{JOURNEY}"))).json();
    let there = list(&journey["segments"]).iter().filter(|one| one["status"] == status).count();
    (acknowledged, there)
}

#[test]
fn the_service_leads_to_the_sidecar() {
    let manifests = Manifests::of("demo");

    assert_eq!(manifests.behind("journey", "journey"), "interlock");
    assert_eq!(manifests.behind("redis", "redis"), "redis");
}

#[test]
fn a_sidecar_starts_without_its_app_and_without_the_redis() {
    let manifests = Manifests::of("demo");
    let nobody = ReservedPort::new();
    let mut pod =
        Pod::of(&manifests, "journey", "journey-0", format!("redis://{}", nobody.address()));

    // The startup probe passes, or this waits in vain.
    start(&mut pod);

    assert!(!pod.wait_for_app_to_fail().success(), "the app needs its Redis");
    assert!(pod.sidecar_passes(Probe::Readiness), "the sidecar does not");
    assert!(pod.sidecar_passes(Probe::Liveness));
    assert!(!pod.app_passes(Probe::Readiness));
    assert_eq!(pod.end_sidecar().code(), Some(0));
}

#[test]
fn two_pods_are_a_fleet_that_stops_losing_updates() {
    let manifests = Manifests::of("demo");
    let redis = demo_redis(&manifests);
    let mut pods =
        ["journey-0", "journey-1"].map(|name| Pod::of(&manifests, "journey", name, redis.url()));
    for pod in &mut pods {
        start(pod);
    }
    pods.iter().for_each(wait_until_ready);
    let addresses: Vec<SocketAddr> = pods.iter().map(Pod::address).collect();
    until("both sidecars to be in the fleet", || in_fleet(&pods[0]) == 2);

    let (acknowledged, there) = burst(&addresses, "Boarding");
    assert_eq!(acknowledged, SEGMENTS);
    assert!(there < SEGMENTS, "nothing was lost on the legacy path, in {SEGMENTS} updates at once");

    let set = ["flag", "set", FLAG, "100%", "--reason", "leases on", "--wait"];
    let set = Run::of(&mut pods[0].exec(&set));
    assert_eq!(set.code, Some(0), "{}", set.all);
    assert_eq!(burst(&addresses, "Departed"), (SEGMENTS, SEGMENTS));
}

#[track_caller]
fn in_fleet(pod: &Pod<'_>) -> usize {
    let run = Run::of(&mut pod.exec(&["fleet", "--output", "json"]));
    assert_eq!(run.code, Some(0), "{}", run.all);
    let fleet: Value = serde_json::from_str(&run.out).unwrap();
    let sidecars = list(&fleet["sidecars"]);
    sidecars.iter().filter(|sidecar| sidecar["leases"] == "open").count()
}

/// What the callers of a pod saw of its end.
#[derive(Default)]
struct Seen {
    /// No connection was to be had.
    unconnected: AtomicUsize,
    /// What no caller may see.
    wrong: Mutex<Vec<String>>,
}

/// Updates one segment again and again, on a connection that is kept for as long as it is offered, until `over`. Returns the
/// number of the last update that was acknowledged.
fn update_until(over: &AtomicBool, pod: SocketAddr, segment: &str, seen: &Seen) -> usize {
    let (mut kept, mut last) = (None, 0);
    for number in 1.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        // A connection that had been kept may be closed at any time, and then tells nothing; a new one has to answer.
        let new = kept.is_none();
        let Ok(mut client) = kept.take().map_or_else(|| Raw::try_connect(pod), Ok) else {
            seen.unconnected.fetch_add(1, Ordering::SeqCst);
            take_time(PAUSE);
            continue;
        };
        let call = put(&segment_of(JOURNEY, segment), &format!("{{\"status\":\"{number}\"}}"));
        let answer = client.try_send(&call).ok().map(|()| client.try_response());
        match answer {
            Some(Ok(response)) => {
                let closes = response.headers.get("connection") == Some("close");
                match response.status {
                    200 => last = number,
                    status => {
                        let said = format!("{status}: {}", response.text());
                        seen.wrong.lock().unwrap().push(said);
                    }
                }
                kept = (!closes).then_some(client);
            }
            unanswered if new => seen.wrong.lock().unwrap().push(format!("{unanswered:?}")),
            _ => {}
        }
        take_time(PAUSE);
    }
    last
}

#[test]
fn a_pod_that_ends_fails_no_call_and_loses_no_update() {
    let manifests = Manifests::of("demo");
    let redis = demo_redis(&manifests);
    let mut pod = Pod::of(&manifests, "journey", "journey-0", redis.url());
    start(&mut pod);
    wait_until_ready(&pod);
    let set =
        Run::of(&mut pod.exec(&["flag", "set", FLAG, "100%", "--reason", "a test", "--wait"]));
    assert_eq!(set.code, Some(0), "{}", set.all);
    let (over, seen, address) = (&AtomicBool::new(false), &Seen::default(), pod.address());
    let segments = ["S01", "S02", "S03", "S04"];

    let last = thread::scope(|scope| {
        let _end = EndOfCalls(over);
        let call = |segment| scope.spawn(move || update_until(over, address, segment, seen));
        let callers = segments.map(call);
        // The pod is deleted: both hooks begin. The app's is a sleep; the sidecar's waits for callers to go elsewhere.
        let deleted = Instant::now();
        let hook = pod.start_hook().wait_for_exit();
        let unconnected = seen.unconnected.load(Ordering::SeqCst);
        let sidecar = pod.wait_for_sidecar();
        let took = deleted.elapsed();
        over.store(true, Ordering::SeqCst);

        assert!(hook.success(), "{hook}");
        assert_eq!(unconnected, 0, "somebody was turned away before others could know");
        assert_eq!(sidecar.code(), Some(0));
        assert!(took < pod.app_sleep(), "it took {took:?}, and the app would have gone first");
        assert!(pod.app_passes(Probe::Liveness), "the app is still there");
        assert!(pod.end_app().success());
        assert!(took + pod.app_sleep() < pod.grace(), "the pod would have been killed");
        callers.map(|caller| caller.join().unwrap())
    });

    assert_eq!(*seen.wrong.lock().unwrap(), Vec::<String>::new());
    let document: Value = serde_json::from_str(&redis.get(&key_of(JOURNEY)).unwrap()).unwrap();
    for (segment, last) in segments.iter().zip(last) {
        let is_it = |one: &&Value| one["SegmentId"] == **segment;
        let stored = list(&document["Segments"]).iter().find(is_it).unwrap();
        let stored: usize = text(&stored["Status"]).parse().unwrap();
        assert!(
            last > 0 && stored >= last,
            "{segment}: {last} was acknowledged, {stored} is there"
        );
    }
}

/// Lets the callers go home however the test ends.
struct EndOfCalls<'a>(&'a AtomicBool);

impl Drop for EndOfCalls<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
