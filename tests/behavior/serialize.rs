//! The fixed path `serialize`: one update of an entity at a time, in the order of arrival, and never two at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{
    JOURNEYS, Raw, Recorded, Sidecar, Upstream, in_parallel, put, segment_of, serialized,
    status_of, take_time,
};

/// How long the app takes for an update, as a racy one does between its read and its write.
const WORK: Duration = Duration::from_millis(5);

/// The most updates of one entity that the app had in hand at once.
#[derive(Clone, Default)]
struct Overlap(Arc<Mutex<HashMap<String, (usize, usize)>>>);

impl Overlap {
    fn enter(&self, entity: &str) {
        let mut entities = self.0.lock().unwrap();
        let (now, most) = entities.entry(entity.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn leave(&self, entity: &str) {
        self.0.lock().unwrap().get_mut(entity).unwrap().0 -= 1;
    }

    fn most(&self, entity: &str) -> usize {
        self.0.lock().unwrap().get(entity).map_or(0, |(_, most)| *most)
    }
}

/// An app that takes its time, and the overlap that it saw.
fn working() -> (Upstream, Overlap) {
    let overlap = Overlap::default();
    let seen = overlap.clone();
    let upstream = Upstream::running(move |exchange| {
        exchange.read_body();
        let entity = exchange.request.target.split('/').nth(3).unwrap_or_default().to_owned();
        seen.enter(&entity);
        take_time(WORK);
        seen.leave(&entity);
        exchange.ok("done")
    });
    (upstream, overlap)
}

pub(crate) fn wait_for_waiters(sidecar: &Sidecar, count: usize) {
    sidecar.wait_for_metric("interlock_lease_waiters", &[("flag", JOURNEYS)], count as f64);
}

/// Sends an update and leaves the answer for later.
pub(crate) fn send_update(sidecar: &Sidecar, path: &str) -> Raw {
    let mut client = sidecar.client();
    client.send(&put(path, r#"{"status":"Departed"}"#));
    client
}

fn tokens(requests: &[Recorded]) -> Vec<u64> {
    let token = |request: &Recorded| request.headers.get("interlock-fencing-token")?.parse().ok();
    requests.iter().map(|request| token(request).expect("a fencing token")).collect()
}

#[test]
fn twenty_concurrent_updates_of_one_entity_reach_the_app_one_at_a_time() {
    let (upstream, overlap) = working();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let statuses = in_parallel(20, |n| {
        let mut client = sidecar.client();
        [0; 5].map(|_| client.call(&put(&segment_of("J1", n), "{}")).status)
    });

    assert!(statuses.iter().flatten().all(|&status| status == 200), "{statuses:?}");
    assert_eq!((upstream.requests().len(), overlap.most("J1")), (100, 1));
}

#[test]
fn at_zero_percent_updates_overlap_as_ever() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).start();
    let clients: Vec<Raw> = (0..20).map(|n| send_update(&sidecar, &segment_of("J1", n))).collect();

    upstream.wait_for(20);
    gate.open();

    assert!(clients.into_iter().all(|mut client| client.response().status == 200));
}

#[test]
fn all_routes_of_a_flag_share_the_entity() {
    let (upstream, overlap) = working();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let statuses = in_parallel(10, |n| match n % 2 {
        0 => sidecar.call(&put(&segment_of("J1", n), "{}")).status,
        _ => sidecar.call(&put(&status_of("J1"), "{}")).status,
    });

    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    assert_eq!(overlap.most("J1"), 1);
}

#[test]
fn another_spelling_of_a_path_is_the_same_entity() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let mut first = send_update(&sidecar, "/api/journeys/J1/status");
    upstream.wait_for(1);
    let mut second = send_update(&sidecar, "/API//journeys/./%4a1/status/");
    wait_for_waiters(&sidecar, 1);
    gate.open();

    assert_eq!((first.response().status, second.response().status), (200, 200));
}

#[test]
fn updates_of_different_entities_run_side_by_side() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    let clients: Vec<Raw> =
        (0..10).map(|n| send_update(&sidecar, &segment_of(format!("J{n}"), 1))).collect();
    upstream.wait_for(10);
    gate.open();

    assert!(clients.into_iter().all(|mut client| client.response().status == 200));
}

#[test]
fn waiters_are_served_in_the_order_of_their_arrival() {
    let (upstream, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();
    let paths: Vec<String> = (0..8).map(|n| segment_of("J1", n)).collect();

    let mut clients = Vec::new();
    for (before, path) in paths.iter().enumerate() {
        clients.push(send_update(&sidecar, path));
        upstream.wait_for(1);
        wait_for_waiters(&sidecar, before);
    }
    gate.open();

    assert!(clients.iter_mut().all(|client| client.response().status == 200));
    assert_eq!(upstream.complete_targets(), paths);
}

#[test]
fn fencing_tokens_of_an_entity_grow() {
    let (upstream, _) = working();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).start();

    in_parallel(10, |n| sidecar.call(&put(&segment_of("J1", n), "{}")).status);

    let tokens = tokens(&upstream.requests());
    assert_eq!(tokens.len(), 10);
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
}
