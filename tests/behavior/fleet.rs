//! Several sidecars over one store: what one replica has alone, a fleet has together.
//!
//! Updates of an entity exclude each other across sidecars, at a bounded price and in fair shares; a flip through one of them
//! is everybody's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Cluster, Findings, Flavor, Fleet, FleetPlan, GLANCE, JOURNEYS, Load, Metrics, Part, Redis, Run,
    SEGMENTS, STORE_UNAVAILABLE, Sent, Sidecar, findings, in_parallel, interlock, take_time, until,
    update,
};

/// How long a load runs whose prices are looked at: hundreds of updates.
const SATURATED: Duration = Duration::from_secs(2);

/// The same for shares: a sidecar has the lease for up to sixteen calls in a row, and what one turn more or less makes has to
/// be small.
const LONG_SATURATED: Duration = Duration::from_secs(6);

/// How often sidecars look for changes when nobody tells them, and what a busy machine may add to it.
const POLL: Duration = Duration::from_millis(1_500);
const SLACK: Duration = Duration::from_millis(1_500);

/// Everything was acknowledged, and is there once.
#[track_caller]
fn assert_none_lost(fleet: &Fleet, sent: &[Sent]) {
    let expected = Findings { acknowledged: sent.len(), ..Findings::default() };
    assert_eq!(findings(&fleet.documents, sent), expected);
}

/// Every update had the fleet's protection, and none was exposed.
#[track_caller]
fn assert_all_protected(fleet: &Fleet, count: usize) {
    let applied = [("protection", "protected"), ("outcome", "applied")];
    assert_eq!(fleet.sum("interlock_updates_total", &applied), count as f64);
    assert_eq!(fleet.sum("interlock_exposed_updates_total", &[]), 0.0);
}

/// Updates of every segment of every journey, twenty at once a journey and five journeys at once, from all sidecars.
#[track_caller]
fn assert_that_twenty_at_once_on_each_journey_are_all_there(plan: FleetPlan) {
    const JOURNEYS_AT_ONCE: usize = 5;
    let plan = FleetPlan { window: "2ms", ..plan };
    let fleet = plan.start();

    let groups = fleet.journeys.chunks(JOURNEYS_AT_ONCE);
    let sent: Vec<Sent> = groups.flat_map(|some| fleet.burst(some, SEGMENTS, "once")).collect();

    assert_eq!(sent.len(), fleet.journeys.len() * SEGMENTS);
    assert_none_lost(&fleet, &sent);
    assert_all_protected(&fleet, sent.len());
}

#[test]
fn three_sidecars_lose_none_of_twenty_updates_at_once_on_each_of_fifty_journeys_under_heavy_load() {
    let store = Redis::start();

    let plan = FleetPlan { journeys: 50, ..FleetPlan::over(100, &store.url()) };

    assert_that_twenty_at_once_on_each_journey_are_all_there(plan);
}

#[test]
fn three_sidecars_lose_none_over_valkey() {
    let store = Redis::start_with(Flavor::Valkey, &[]);

    let plan = FleetPlan { journeys: 5, ..FleetPlan::over(100, &store.url()) };

    assert_that_twenty_at_once_on_each_journey_are_all_there(plan);
}

#[test]
fn three_sidecars_lose_none_over_a_cluster() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let cluster = Cluster::start(flavor);

        let mut plan = FleetPlan { journeys: 5, ..FleetPlan::over(100, &cluster.url()) };
        plan.store += "cluster = true\n";

        assert_that_twenty_at_once_on_each_journey_are_all_there(plan);
    }
}

/// How many commands for leases these sidecars have sent so far.
fn lease_commands(fleet: &Fleet) -> f64 {
    let of = |metrics: &Metrics, operation| {
        metrics.sum("interlock_store_operations_total", &[("operation", operation)]).unwrap_or(0.0)
    };
    let operations = ["lease_acquire", "lease_release", "lease_keep", "lease_leave"];
    let all = |sidecar: &Sidecar| {
        let metrics = sidecar.metrics();
        operations.iter().map(|operation| of(&metrics, operation)).sum::<f64>()
    };
    fleet.sidecars().map(all).sum()
}

/// A fleet whose one hot journey was updated by these sidecars' callers, the updates, and what each cost in commands.
fn hot_journey(
    store: &Redis,
    time: Duration,
    callers: usize,
    sidecars: &[usize],
) -> (Fleet, Vec<Sent>, f64) {
    let fleet = FleetPlan { window: "2ms", ..FleetPlan::over(100, &store.url()) }.start();
    let (counted, scripts) = (lease_commands(&fleet), store.calls_of("evalsha"));

    let sent = Load::hot(callers).during(&fleet.targets().only(sidecars), || take_time(time));

    assert_none_lost(&fleet, &sent);
    assert_all_protected(&fleet, sent.len());
    let counted = lease_commands(&fleet) - counted;
    let scripts = (store.calls_of("evalsha") - scripts) as f64;
    assert!(counted > 0.0 && counted <= scripts, "{counted} counted, {scripts} at the store");
    let each = counted / sent.len() as f64;
    eprintln!("{} updates, {each:.3} commands each, {scripts} scripts", sent.len());
    (fleet, sent, each)
}

#[test]
fn under_heavy_contention_a_lease_costs_two_commands_at_most_and_goes_round_fairly() {
    let store = Redis::start();

    let (fleet, sent, each) = hot_journey(&store, LONG_SATURATED, 8, &[0, 1, 2]);

    assert!(each <= 2.1, "{each} commands an update");
    let share = |number| sent.iter().filter(|update| update.sidecar == number).count();
    let shares: Vec<usize> = (0..fleet.stands.len()).map(share).collect();
    let fair = sent.len() as f64 / shares.len() as f64;
    eprintln!("shares {shares:?}");
    let near = |share: &usize| (0.9..=1.1).contains(&(*share as f64 / fair));
    assert!(shares.iter().all(near), "{shares:?} of {}", sent.len());
}

#[test]
fn callers_at_one_sidecar_hand_the_lease_on_among_themselves_under_heavy_contention() {
    let store = Redis::start();

    let (_fleet, _sent, each) = hot_journey(&store, SATURATED, 12, &[0]);

    assert!(each < 0.5, "{each} commands an update");
}

#[test]
fn a_caller_alone_pays_for_its_lease_and_nothing_more() {
    let store = Redis::start();

    let (_fleet, _sent, each) = hot_journey(&store, SATURATED, 1, &[1]);

    assert!(each <= 2.1, "{each} commands an update");
}

/// Flips the flag through one sidecar again and again; returns how long each took to be everybody's, sorted.
fn flips(fleet: &Fleet) -> Vec<Duration> {
    let flip = |n: usize| {
        let percent = 10.0 + n as f64;
        let began = Instant::now();
        fleet.set_percent(n % fleet.stands.len(), percent);
        began.elapsed()
    };
    let mut times: Vec<Duration> = (0..7).map(flip).collect();
    times.sort();
    eprintln!("flips took {times:?}");
    times
}

#[test]
fn a_flip_through_any_sidecar_is_pushed_to_all_others() {
    let store = Redis::start();
    let fleet = FleetPlan::over(0, &store.url()).start();
    fleet.wait_for_metric("interlock_store_push", &[], 1.0);

    let times = flips(&fleet);

    assert!(times[times.len() / 2] < Duration::from_millis(400), "{times:?}");
}

/// A user of the store who may do everything but use its channels.
fn url_without_push(store: &Redis) -> String {
    let rules = ["on", ">secret", "~*", "+@all", "resetchannels"];
    store.command(&[&["ACL", "SETUSER", "mute"][..], &rules].concat());
    format!("redis://mute:secret@{}", store.address())
}

#[test]
fn without_push_a_flip_is_found_within_two_polls() {
    let store = Redis::start();
    let fleet = FleetPlan::over(0, &url_without_push(&store)).start();
    fleet.wait_for_metric("interlock_store_push", &[], 0.0);

    let times = flips(&fleet);

    // One poll to see the change, and one to see that it is settled.
    assert!(times[times.len() / 2] < 2 * POLL, "{times:?}");
    assert!(times[times.len() - 1] < 2 * POLL + SLACK, "{times:?}");
}

#[test]
fn without_push_nothing_is_lost_either() {
    let store = Redis::start();
    let url = url_without_push(&store);

    let plan = FleetPlan { journeys: 2, ..FleetPlan::over(100, &url) };

    assert_that_twenty_at_once_on_each_journey_are_all_there(plan);
}

/// A change of the percentage that is to replace this version.
fn patch(sidecar: &Sidecar, version: &str, percent: usize) -> u16 {
    let headers = format!("Content-Type: application/json\r\nIf-Match: {version}\r\n");
    let body = json!({ "percent": percent, "reason": "a test" }).to_string();
    let path = format!("/api/v1/flags/{JOURNEYS}");
    sidecar.admin("PATCH", &path, &headers, body.as_bytes()).status
}

fn version_of(sidecar: &Sidecar) -> String {
    let response = sidecar.admin_get(&format!("/api/v1/flags/{JOURNEYS}"));
    response.headers.get("etag").expect("ETag").to_owned()
}

#[test]
fn of_two_changes_of_one_version_at_two_sidecars_one_is_made() {
    let store = Redis::start();
    let fleet = FleetPlan { sidecars: 2, ..FleetPlan::over(0, &store.url()) }.start();

    for round in 0..10 {
        until("both to have the same version", || {
            version_of(fleet.sidecar(0)) == version_of(fleet.sidecar(1))
        });
        let version = version_of(fleet.sidecar(0));

        let mut statuses =
            in_parallel(2, |n| patch(fleet.sidecar(n), &version, 1 + 10 * round % 50 + n));

        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }
}

#[test]
fn every_sidecar_tells_the_same_history() {
    let store = Redis::start();
    let fleet = FleetPlan::over(0, &store.url()).start();

    for n in 0..6 {
        fleet.set_percent(n % 3, 5.0 * n as f64 + 1.0);
    }

    let path = format!("/api/v1/flags/{JOURNEYS}/history");
    let histories: Vec<Value> =
        fleet.sidecars().map(|sidecar| sidecar.admin_get(&path).json()).collect();
    assert!(histories.windows(2).all(|pair| pair[0] == pair[1]), "{histories:#?}");
    assert!(histories[0].to_string().contains("a test"), "{}", histories[0]);
}

fn listed(sidecar: &Sidecar) -> Vec<Value> {
    let fleet = sidecar.admin_get("/api/v1/fleet").json();
    fleet["sidecars"].as_array().expect("a list of sidecars").clone()
}

#[test]
fn every_sidecar_lists_all_with_the_versions_that_they_have_applied() {
    let store = Redis::start();
    let fleet = FleetPlan::over(0, &store.url()).start();

    fleet.set_percent(2, 25.0);

    let version = fleet.sidecar(0).flag(JOURNEYS)["version"].clone();
    for sidecar in fleet.sidecars() {
        until("all to be listed with the new version", || {
            let listed = listed(sidecar);
            let applied = |sidecar: &Value| sidecar["flags"][JOURNEYS] == version;
            listed.len() == 3 && listed.iter().all(applied)
        });
        let this = listed(sidecar).iter().filter(|sidecar| sidecar["this"] == true).count();
        assert_eq!(this, 1, "one of them is the one that was asked");
    }
}

/// What `interlock fleet` prints.
fn fleet_command(sidecar: &Sidecar, more: &[&str]) -> String {
    let admin = sidecar.admin_url();
    let run = Run::of(interlock(&["fleet", "--admin", &admin]).args(more));
    assert_eq!(run.code, Some(0), "{}", run.all);
    run.out
}

#[test]
fn the_command_lists_the_fleet() {
    let store = Redis::start();
    let fleet = FleetPlan::over(0, &store.url()).start();

    let json: Value =
        serde_json::from_str(&fleet_command(fleet.sidecar(0), &["--output", "json"])).unwrap();
    let text = fleet_command(fleet.sidecar(0), &[]);

    let sidecars = json["sidecars"].as_array().expect("a list of sidecars");
    assert_eq!(sidecars.len(), 3);
    for sidecar in sidecars {
        let id = sidecar["id"].as_str().expect("an id");
        assert!(text.contains(id), "{id} is not in {text}");
    }
}

#[test]
fn a_sidecar_that_ends_in_good_order_leaves_the_fleet_and_one_that_crashes_stays_listed() {
    let store = Redis::start();
    let mut fleet = FleetPlan::over(0, &store.url()).start();

    fleet.sidecar(1).signal("KILL");
    fleet.sidecar(2).terminate();
    fleet.stands[2].sidecar.wait_for_exit();

    until("the one that left to be gone", || listed(fleet.sidecar(0)).len() == 2);
    let silent = |sidecar: &Value| sidecar["silent_ms"].as_u64().unwrap_or_default();
    until("the one that crashed to be silent", || {
        listed(fleet.sidecar(0)).iter().map(silent).max() > Some(1_000)
    });
}

#[test]
fn a_sidecar_that_starts_while_the_store_is_gone_has_the_flags_that_it_wrote_down() {
    let mut store = Redis::start_durable();
    let plan = FleetPlan { sidecars: 2, snapshots: true, ..FleetPlan::over(0, &store.url()) };
    let mut fleet = plan.start();
    fleet.set_percent(0, 37.5);
    until("the other one to have written it down", || {
        std::fs::read_to_string(fleet.snapshot(1)).is_ok_and(|text| text.contains("37.5"))
    });

    store.kill();
    fleet.stands[1].sidecar.restart();

    let sidecar = fleet.sidecar(1);
    assert_eq!(sidecar.flag(JOURNEYS)["percent"], 37.5);
    sidecar.wait_for_metric("interlock_freshness", &[("state", "stale")], 1.0);
    store.start_again();
    fleet.wait_until_whole();
    assert_eq!(fleet.sidecar(1).flag(JOURNEYS)["percent"], 37.5);
}

#[test]
fn a_sidecar_that_starts_without_a_store_serves_and_becomes_one_of_the_fleet_later() {
    let mut store = Redis::start();
    store.kill();

    let fleet = FleetPlan { sidecars: 2, ..FleetPlan::over(100, &store.url()) }.start_alone();
    let alone = fleet.burst(&fleet.journeys[..1], 2, "alone");
    store.start_again();
    fleet.wait_until_whole();
    let together = fleet.burst(&fleet.journeys[..2], SEGMENTS, "together");

    assert!(alone.iter().all(|update| update.acknowledged() && update.degraded(STORE_UNAVAILABLE)));
    assert!(
        together.iter().all(|update| update.response().headers.get("interlock-degraded").is_none())
    );
    assert_none_lost(&fleet, &together);
}

#[test]
fn a_fleet_that_grows_and_shrinks_under_load_loses_nothing() {
    let store = Redis::start();
    let mut fleet = FleetPlan::over(100, &store.url()).start();
    fleet.stands[2].sidecar.terminate();
    fleet.stands[2].sidecar.wait_for_exit();
    let mut newcomer = fleet.stands.pop().expect("three sidecars");

    let sent = Load::moderate().during(&fleet.targets(), || {
        newcomer.sidecar.start_again();
        newcomer.sidecar.wait_for_metric("interlock_lease_gate", &[("state", "open")], 1.0);
        let own = update(&newcomer.sidecar, &fleet.journeys[0], Part::Journey, "own".into());
        assert!(own.acknowledged(), "{own:?}");
        newcomer.sidecar.terminate();
        newcomer.sidecar.wait_for_exit();
        take_time(GLANCE);
    });

    assert_none_lost(&fleet, &sent);
    assert_all_protected(&fleet, sent.len());
}
