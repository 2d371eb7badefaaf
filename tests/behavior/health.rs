//! `interlock health` against a real sidecar, as an exec probe runs it.

use crate::drain::patient;
use crate::support::{Run, Sidecar, Upstream, get, interlock, put, segment_of, until};

fn health(sidecar: &Sidecar, options: &[&str]) -> Run {
    let url = sidecar.admin_url();
    Run::of(interlock(&["health", "--admin", &url]).args(options))
}

#[test]
fn a_sidecar_is_asked_by_its_own_binary() {
    let (upstream, gate) = Upstream::gated();
    let mut sidecar = patient(&upstream);
    let (ready, live) = (health(&sidecar, &[]), health(&sidecar, &["--live"]));
    assert_eq!((ready.code, ready.out.as_str()), (Some(0), "ready\n"));
    assert_eq!((live.code, live.out.as_str()), (Some(0), "live\n"));

    // One call keeps the drain waiting.
    let mut client = sidecar.client();
    client.send(&put(&segment_of("J1", 1), "{}"));
    upstream.wait_for(1);
    sidecar.terminate();
    until("readiness to go", || sidecar.readiness() == Some(503));

    let (draining, live) = (health(&sidecar, &[]), health(&sidecar, &["--live"]));
    assert_eq!(draining.code, Some(1));
    assert_eq!(draining.out, "not ready: it is shutting down\n");
    assert_eq!(live.code, Some(0), "a drain is no reason to be killed");

    gate.open();
    assert_eq!(client.response().text(), "done");
    sidecar.wait_for_exit();
    let gone = health(&sidecar, &["--live"]);
    assert_eq!(gone.code, Some(1));
    assert!(gone.all.contains("no admin plane at"), "{}", gone.all);
}

#[test]
fn the_proxy_is_not_taken_for_the_admin_plane() {
    let (upstream, gate) = Upstream::gated();
    gate.open();
    let sidecar = Sidecar::in_front_of(&upstream).start();
    assert_eq!(sidecar.call(&get("/readyz")).text(), "done", "the app has a path of that name");

    let url = format!("http://{}", sidecar.address());
    let asked = Run::of(&mut interlock(&["health", "--admin", &url]));

    assert_eq!(asked.code, Some(1));
    assert!(asked.all.contains("is no admin plane"), "{}", asked.all);
}
