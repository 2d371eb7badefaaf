//! The faults that tests of a lost store rely on are what they claim to be: a store that forgets, stalls, vanishes or is
//! replaced, and a load that does lose updates where nothing protects them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::support::{
    Cluster, Flavor, FleetPlan, GLANCE, Load, Redis, Reply, Sentinels, StallProxy, findings,
    take_time, until,
};

const PING: &[u8] = b"PING\r\n";

/// A connection whose reads end after a glance.
fn connect(relay: &StallProxy) -> TcpStream {
    let stream = TcpStream::connect(relay.address()).unwrap();
    stream.set_read_timeout(Some(GLANCE)).unwrap();
    stream
}

/// Says PING and returns what comes back.
fn ping(mut stream: &TcpStream) -> std::io::Result<String> {
    stream.write_all(PING)?;
    let mut answer = [0; 64];
    let count = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
}

#[track_caller]
fn assert_silent(stream: &TcpStream) {
    let error = ping(stream).expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "the connection stays open: {error}");
}

#[test]
fn a_server_of_either_flavor_forgets_in_a_crash_what_it_did_not_write_down() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        for (arguments, expected) in [(&[][..], None), (&["--appendonly", "yes"][..], Some("v"))] {
            let mut redis = Redis::start_with(flavor, arguments);
            redis.set("k", "v");
            let before = redis.info("server", "run_id");

            redis.kill();
            redis.start_again();

            assert_eq!(redis.get("k").as_deref(), expected, "{flavor:?} {arguments:?}");
            assert_ne!(redis.info("server", "run_id"), before, "{flavor:?}");
        }
    }
}

#[test]
fn a_server_that_is_paused_answers_later() {
    let redis = Redis::start();
    let relay = StallProxy::to(redis.address());
    let client = connect(&relay);

    redis.pause();
    assert_silent(&client);
    redis.resume();

    let mut answer = [0; 7];
    let mut reader = &client;
    until("the late answer", || reader.read_exact(&mut answer).is_ok());
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn commands_are_counted_by_name() {
    let redis = Redis::start();

    (0..3).for_each(|n| redis.set("k", &n.to_string()));

    assert_eq!((redis.calls_of("set"), redis.calls_of("evalsha")), (3, 0));
}

#[test]
fn a_black_hole_keeps_connections_and_swallows_what_is_sent() {
    let redis = Redis::start();
    let relay = StallProxy::to(redis.address());
    let before = connect(&relay);
    assert_eq!(ping(&before).unwrap(), "+PONG\r\n");

    relay.swallow();
    let within = connect(&relay);
    assert_silent(&before);
    assert_silent(&within);
    relay.pass();

    assert_silent(&before);
    assert_silent(&within);
    assert_eq!(ping(&connect(&relay)).unwrap(), "+PONG\r\n", "new connections are served");
}

#[test]
fn a_black_hole_hides_the_death_of_the_server() {
    let mut redis = Redis::start();
    let relay = StallProxy::to(redis.address());
    let client = connect(&relay);
    assert_eq!(ping(&client).unwrap(), "+PONG\r\n");

    relay.swallow();
    redis.kill();

    assert_silent(&client);
}

#[test]
fn a_relay_that_refuses_closes_what_is_open_and_lets_nobody_in() {
    let redis = Redis::start();
    let relay = StallProxy::to(redis.address());
    let client = connect(&relay);
    assert_eq!(ping(&client).unwrap(), "+PONG\r\n");

    relay.refuse();

    assert_eq!(ping(&client).ok().unwrap_or_default(), "", "closed");
    let refused = TcpStream::connect(relay.address()).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    relay.pass();
    assert_eq!(ping(&connect(&relay)).unwrap(), "+PONG\r\n");
}

#[test]
fn a_cut_closes_what_is_open_and_nothing_else() {
    let redis = Redis::start();
    let relay = StallProxy::to(redis.address());
    let client = connect(&relay);
    assert_eq!(ping(&client).unwrap(), "+PONG\r\n");

    relay.cut();

    assert_eq!(ping(&client).ok().unwrap_or_default(), "", "closed");
    assert_eq!(ping(&connect(&relay)).unwrap(), "+PONG\r\n");
}

#[test]
fn sentinels_promote_the_replica_in_good_order_and_after_a_crash() {
    let mut sentinels = Sentinels::start();
    let first = sentinels.master().address();

    sentinels.fail_over();
    let second = sentinels.master().address();
    sentinels.master().set("k", "v");
    sentinels.wait_for_replica();
    sentinels.kill_master();

    assert_ne!(first, second);
    assert_eq!(sentinels.master().address(), first, "the first one is back");
    assert_eq!(sentinels.master().get("k").as_deref(), Some("v"), "as a copy of the second");
}

#[test]
fn every_node_of_a_cluster_serves_its_slots() {
    for flavor in [Flavor::Redis, Flavor::Valkey] {
        let mut cluster = Cluster::start(flavor);

        for node in cluster.nodes() {
            let reply = node.command(&["CLUSTER", "COUNTKEYSINSLOT", "0"]);
            assert_eq!(reply, Reply::Integer(0));
        }
        // Slots 0 and 16383, by keys that are known to lie there.
        let nodes = cluster.nodes();
        nodes[0].set("{06S}", "v");
        nodes[2].set("{6ZJ}", "v");
    }
}

/// All sidecars update the same journeys for a moment.
fn load_of(plan: FleetPlan) -> (usize, usize) {
    let fleet = plan.start();

    let sent = Load::moderate().during(&fleet.targets(), || take_time(5 * GLANCE));

    let findings = findings(&fleet.documents, &sent);
    assert_eq!(findings.acknowledged, sent.len(), "the app says yes to all of them");
    assert!(sent.len() > 100, "{} updates", sent.len());
    assert!(findings.repeated.is_empty() && findings.disowned.is_empty(), "{findings:?}");
    (sent.len(), findings.lost.len())
}

#[test]
fn the_load_loses_updates_at_zero_percent() {
    let (sent, lost) = load_of(FleetPlan::new(0));

    assert!(lost * 10 > sent, "{lost} of {sent} lost");
}

#[test]
fn the_load_loses_updates_at_a_hundred_percent_where_every_sidecar_is_on_its_own() {
    let (sent, lost) = load_of(FleetPlan::new(100));

    assert!(lost * 20 > sent, "{lost} of {sent} lost");
}
