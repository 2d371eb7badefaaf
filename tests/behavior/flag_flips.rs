//! What `interlock flag` tells of a flip that waits: for a call from before, and for a sidecar that is silent.

use std::thread;

use serde_json::{Value, json};

use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Process, Redis, Run, Sidecar, Upstream, eventually,
    interlock, put, serialized, status_of, until,
};

/// Runs a command against a sidecar; it has to succeed.
#[track_caller]
fn run(sidecar: &Sidecar, arguments: &[&str]) -> Run {
    let run = Run::of(interlock(arguments).args(["--admin", &sidecar.admin_url()]));
    assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.all);
    run
}

fn set(sidecar: &Sidecar, percent: &str, more: &[&str]) -> Run {
    let set = ["flag", "set", JOURNEYS, percent, "--reason", "a test"];
    run(sidecar, &[&set[..], more].concat())
}

#[test]
fn a_flip_that_waits_for_a_call_is_told_of_by_every_command_and_followed_to_its_end() {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    thread::scope(|scope| {
        scope.spawn(|| sidecar.call(&put(&status_of("J1"), "{}")));
        app.wait_for(1);

        let begun = set(&sidecar, "100%", &[]).out;
        let shown = run(&sidecar, &["flag", "get", JOURNEYS]).out;
        let listed = run(&sidecar, &["flag", "list"]).out;
        let explained = run(&sidecar, &["explain", JOURNEYS, "journey:J1"]).out;
        let exported = run(&sidecar, &["flag", "export", JOURNEYS]);
        let mut follows = interlock(&["flag", "set", JOURNEYS, "50%", "--reason", "x", "--wait"]);
        let mut follows = Process::start(follows.args(["--admin", &sidecar.admin_url()]));
        follows.wait_until("it to say whom it waits for", |it| it.output().contains("waiting for"));
        gate.open();
        let ended = follows.wait_for_exit();

        assert!(
            begun.starts_with(&format!("{JOURNEYS}: 100% (before: 0%), guarding, ")),
            "{begun}"
        );
        for told in [&begun, &shown, &listed] {
            assert!(told.contains(", a call running for "), "{told}");
        }
        assert!(begun.contains(&format!("`interlock flag get {JOURNEYS}`")), "{begun}");
        let moves =
            "journey:J1 takes the legacy path and holds its lease on its way to the fixed path";
        assert!(explained.starts_with(moves), "{explained}");
        let definition: Value = serde_json::from_str(&exported.out).unwrap();
        let fixed = &definition["flags"][JOURNEYS]["targeting"]["if"][2]["fractional"][1];
        assert_eq!(fixed, &json!(["fixed", 10_000]), "what holds once it is settled");
        assert!(exported.all.contains("is guarding: this is its definition"), "{}", exported.all);
        let said = follows.output();
        assert!(ended.success(), "{said}");
        let settled = format!("{JOURNEYS}: 50% (before: 100%), settled, ");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("guarding: waiting for "), "{said}");
        let (last, waits) = lines.split_last().unwrap();
        // When the call has ended, and before the step is taken, nobody is waited for.
        assert!(waits.iter().all(|line| line.starts_with("guarding")), "{said}");
        assert!(last.starts_with(&settled), "{said}");
    });
}

#[test]
fn whoever_waits_is_told_that_somebody_has_changed_the_flag_again() {
    let (app, gate) = Upstream::gated();
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    thread::scope(|scope| {
        scope.spawn(|| sidecar.call(&put(&status_of("J1"), "{}")));
        app.wait_for(1);
        let mut waits = interlock(&["flag", "set", JOURNEYS, "100%", "--reason", "x", "--wait"]);
        let mut waits = Process::start(waits.args(["--admin", &sidecar.admin_url()]));
        waits.wait_until("it to say whom it waits for", |it| it.output().contains("waiting for"));

        run(&sidecar, &["flag", "kill", JOURNEYS, "--reason", "no"]);
        let ended = waits.wait_for_exit();
        gate.open();

        let said = waits.output();
        assert_eq!(ended.code(), Some(1), "{said}");
        let told = "the change was made (version 2), and before it was settled anonymous changed the flag again";
        assert!(said.contains(told), "{said}");
    });
}

/// The id of a sidecar of a fleet.
fn id(sidecar: &Sidecar) -> String {
    let fleet = sidecar.admin_get("/api/v1/fleet").json();
    let sidecars = fleet["sidecars"].as_array().unwrap();
    let this = sidecars.iter().find(|it| it["this"] == true).expect("itself in its fleet");
    this["id"].as_str().unwrap().to_owned()
}

/// A fleet of two, of which the second one has been frozen.
fn half_frozen(store: &Redis) -> (Fleet, String) {
    let fleet = FleetPlan { sidecars: 2, journeys: 1, ..FleetPlan::over(0, &store.url()) }.start();
    let silent = id(fleet.sidecar(1));
    fleet.sidecar(1).signal("STOP");
    (fleet, silent)
}

/// Updates that were exposed as a flip went on without a silent sidecar.
fn exposed_by_silence(sidecar: &Sidecar) -> Option<f64> {
    sidecar.metrics().sum("interlock_exposed_updates_total", &[("reason", "silent_sidecar")])
}

#[test]
fn a_flip_waits_for_a_silent_sidecar_until_it_is_forced_past_it() {
    let store = Redis::start();
    let (fleet, silent) = half_frozen(&store);
    let awake = fleet.sidecar(0);

    set(awake, "100%", &[]);
    let waits = eventually("the flip to wait for the silent one", || {
        let shown = run(awake, &["flag", "get", JOURNEYS]).out;
        shown.contains(&format!("{silent}, silent for ")).then_some(shown)
    });
    let forced = run(awake, &["flag", "force", JOURNEYS, "--reason", "frozen", "--wait"]).out;
    let after = run(awake, &["flag", "get", JOURNEYS]).out;
    let history = run(awake, &["flag", "history", JOURNEYS]).out;
    // One that gets its lease: the store may be slow.
    until("an update to be exposed", || {
        fleet.update(0, &fleet.journeys[0], Part::Segment(1), "after it");
        exposed_by_silence(awake) > Some(0.0)
    });
    fleet.sidecar(1).signal("CONT");

    assert!(waits.contains("state          guarding"), "{waits}");
    assert!(forced.contains(&format!("settled without {silent}, ")), "{forced}");
    assert!(forced.contains("silent_sidecar"), "{forced}");
    assert!(after.contains(&format!("forced past    {silent}")), "{after}");
    assert!(history.contains("forced"), "{history}");
    until("it to be back", || !run(awake, &["flag", "get", JOURNEYS]).out.contains("forced past"));
}

#[test]
fn set_with_force_does_both() {
    let store = Redis::start();
    let (fleet, silent) = half_frozen(&store);

    let forced = set(fleet.sidecar(0), "100%", &["--force", "--wait"]);
    fleet.sidecar(1).signal("CONT");

    let settled = format!("{JOURNEYS}: 100% (before: 0%), settled, version 3\n");
    assert!(forced.out.starts_with(&settled), "{}", forced.out);
    let flag = fleet.sidecar(0).flag(JOURNEYS);
    assert!(forced.all.contains(&format!("{silent}, ")), "{}: {flag}", forced.all);
}

#[test]
fn a_flip_goes_on_when_the_sidecar_that_crashed_is_forgotten_and_nothing_is_exposed() {
    let store = Redis::start();
    let fleet = FleetPlan { sidecars: 2, journeys: 1, ..FleetPlan::over(0, &store.url()) }.start();
    let (left, crashed) = (fleet.sidecar(0), id(fleet.sidecar(1)));
    let forget = |id: &str| {
        let forget = ["fleet", "forget", id, "--reason", "its node is dead"];
        Run::of(interlock(&forget).args(["--admin", &left.admin_url()]))
    };
    let too_early = forget(&crashed);
    fleet.sidecar(1).signal("KILL");

    set(left, "100%", &[]);
    until("the flip to wait for the one that crashed", || {
        let shown = run(left, &["flag", "get", JOURNEYS]).out;
        shown.contains(&format!("{crashed}, silent for "))
    });
    let forgotten = forget(&crashed);

    assert_eq!(too_early.code, Some(1), "{}", too_early.all);
    assert!(too_early.all.contains("409"), "{}", too_early.all);
    assert_eq!(forgotten.code, Some(0), "{}", forgotten.all);
    assert!(!forgotten.out.contains(&crashed), "{}", forgotten.out);
    left.wait_for_metric("interlock_flag_transition", &[("step", "settled")], 1.0);
    let sent = fleet.update(0, &fleet.journeys[0], Part::Segment(1), "after it");
    assert_eq!(sent.status(), Some(200));
    assert_eq!(exposed_by_silence(left), Some(0.0));
    assert_eq!(forget(&crashed).code, Some(1), "it is not there any more");
}
