//! Flipping: a change takes effect for the next call, is never lost, and says who made it and why.

use serde_json::{Value, json};

use crate::support::{
    JOURNEYS, Run, Sidecar, TempDir, Upstream, interlock, put, serialized, status_of,
};

fn sidecar(percent: u8) -> Sidecar {
    Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(percent)).start()
}

/// The path that the next update of a journey takes.
#[track_caller]
fn path(sidecar: &Sidecar, journey: &str) -> String {
    let response = sidecar.call(&put(&status_of(journey), "{}"));
    assert_eq!(response.status, 200, "{response:?}");
    response.headers.get("interlock-path").expect("Interlock-Path").to_owned()
}

fn flag_path() -> String {
    format!("/api/v1/flags/{JOURNEYS}")
}

#[track_caller]
fn post(sidecar: &Sidecar, action: &str) {
    let body = json!({ "reason": "a test" });
    let response = sidecar.admin_json("POST", &format!("{}/{action}", flag_path()), &body);
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_percentage_takes_effect_for_the_next_call() {
    let sidecar = sidecar(0);

    for (percent, expected) in [(100.0, "fixed"), (0.0, "legacy"), (100.0, "fixed")] {
        sidecar.set_percent(JOURNEYS, percent);
        assert_eq!(path(&sidecar, "J1"), expected);
    }
}

#[test]
fn a_flip_takes_effect_on_connections_that_are_open_already() {
    let sidecar = sidecar(0);
    let mut client = sidecar.client();
    let mut path = || {
        let response = client.call(&put(&status_of("J1"), "{}"));
        response.headers.get("interlock-path").unwrap_or_default().to_owned()
    };

    assert_eq!(path(), "legacy");
    sidecar.set_percent(JOURNEYS, 100.0);

    assert_eq!(path(), "fixed");
}

#[test]
fn a_flag_reads_as_documented() {
    let sidecar = sidecar(0);

    sidecar.set_percent(JOURNEYS, 12.34);
    let flag = sidecar.flag(JOURNEYS);

    assert_eq!(flag["name"], JOURNEYS);
    assert_eq!(
        (flag["percent"].as_f64(), flag["previous_percent"].as_f64()),
        (Some(12.34), Some(0.0))
    );
    assert_eq!((&flag["killed"], &flag["entity"]), (&json!(false), &json!("journey:{journeyId}")));
    assert_eq!(
        (&flag["strategy"], &flag["on_store_loss"]),
        (&json!("serialize"), &json!("legacy"))
    );
    assert_eq!(flag["bucketing"], "murmur3-32/fractional-v2");
    assert_eq!(flag["pins"], json!({ "legacy": [], "fixed": [] }));
    assert_eq!(
        (&flag["transition"]["step"], &flag["reason"]),
        (&json!("settled"), &json!("a test"))
    );
    assert!(flag["version"].as_u64().is_some_and(|version| version > 1), "{flag}");
    assert!(flag["changed_at"].is_string() && flag["changed_by"].is_string(), "{flag}");
    let list = sidecar.admin_get("/api/v1/flags").json();
    assert_eq!(list, json!({ "flags": [flag] }));
}

#[test]
fn a_stale_change_is_refused() {
    let sidecar = sidecar(0);
    let etag = sidecar.admin_get(&flag_path()).headers.get("etag").expect("an ETag").to_owned();
    let patch = |percent: u8| {
        let body = json!({ "percent": percent, "reason": "a test" }).to_string();
        let headers = format!("Content-Type: application/json\r\nIf-Match: {etag}\r\n");
        sidecar.admin("PATCH", &flag_path(), &headers, body.as_bytes())
    };

    let (first, second) = (patch(10), patch(20));

    assert_eq!((first.status, second.status), (200, 412));
    assert_ne!(first.headers.get("etag"), Some(etag.as_str()));
    assert_eq!(sidecar.flag(JOURNEYS)["percent"].as_f64(), Some(10.0));
}

#[test]
fn a_change_that_makes_no_sense_changes_nothing() {
    let sidecar = sidecar(25);
    let before = sidecar.flag(JOURNEYS);

    for body in [
        json!({ "percent": 50 }),
        json!({ "percent": 50, "reason": "  " }),
        json!({ "percent": -1, "reason": "x" }),
        json!({ "percent": 100.01, "reason": "x" }),
        json!({ "percent": 1e9, "reason": "x" }),
        json!({ "percent": 0.001, "reason": "x" }),
        json!({ "percent": "half", "reason": "x" }),
        json!({ "percent": null, "reason": "x" }),
        json!({ "percent": [50], "reason": "x" }),
        json!({ "reason": "x" }),
        json!({ "percent": 50, "reason": "x", "unknown": 1 }),
        json!([]),
    ] {
        let status = sidecar.admin_json("PATCH", &flag_path(), &body).status;
        assert!(matches!(status, 400 | 422), "{status} to {body}");
    }
    for text in
        ["", "{", r#"{"percent":NaN,"reason":"x"}"#, r#"{"percent":1,"percent":2,"reason":"x"}"#]
    {
        let kind = "Content-Type: application/json\r\n";
        let status = sidecar.admin("PATCH", &flag_path(), kind, text.as_bytes()).status;
        assert!(matches!(status, 400 | 422), "{status} to {text}");
    }
    let plain = sidecar.admin(
        "PATCH",
        &flag_path(),
        "Content-Type: text/plain\r\n",
        br#"{"percent":50,"reason":"x"}"#,
    );
    let unknown = sidecar.admin_json(
        "PATCH",
        "/api/v1/flags/nobody",
        &json!({ "percent": 50, "reason": "x" }),
    );

    assert_eq!((plain.status, unknown.status), (415, 404));
    assert_eq!(sidecar.flag(JOURNEYS), before);
}

#[test]
fn kill_stops_the_fixed_path_and_resume_brings_the_percentage_back() {
    let sidecar = sidecar(100);

    post(&sidecar, "kill");
    let killed = (path(&sidecar, "J1"), sidecar.flag(JOURNEYS)["killed"].clone());
    post(&sidecar, "resume");

    assert_eq!(killed, ("legacy".to_owned(), Value::Bool(true)));
    assert_eq!(path(&sidecar, "J1"), "fixed");
    assert_eq!(sidecar.flag(JOURNEYS)["killed"], false);
}

#[test]
fn the_history_tells_every_change_and_why() {
    let sidecar = sidecar(0);

    sidecar.set_percent(JOURNEYS, 25.0);
    post(&sidecar, "kill");
    let history = sidecar.admin_get(&format!("{}/history", flag_path()));

    assert_eq!(history.status, 200);
    let text = history.text();
    assert!(text.matches("a test").count() >= 2, "{text}");
}

#[test]
fn a_restart_remembers() {
    let directory = TempDir::new();
    let file = directory.file("flags.json");
    let store = format!("[store]\nsnapshot = {:?}\n", file.display().to_string());
    let upstream = Upstream::echoing_targets();
    let mut sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).with(&store).start();

    sidecar.set_percent(JOURNEYS, 100.0);
    let before = sidecar.flag(JOURNEYS);
    sidecar.restart();

    assert_eq!(path(&sidecar, "J1"), "fixed");
    let after = sidecar.flag(JOURNEYS);
    for key in
        ["percent", "previous_percent", "version", "killed", "reason", "changed_at", "changed_by"]
    {
        assert_eq!(after[key], before[key], "{key}");
    }
}

#[test]
fn a_memory_that_is_garbage_does_not_stop_the_start() {
    let directory = TempDir::new();
    let upstream = Upstream::echoing_targets();

    for garbage in
        ["", "{", "null", "[1,2", r#"{"flags":{"journey-updates":{"percent":1e9}}}"#, "\0\u{1}"]
    {
        let file = directory.write("flags.json", garbage);
        let store = format!("[store]\nsnapshot = {:?}\n", file.display().to_string());
        let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(100)).with(&store).start();

        assert_eq!(path(&sidecar, "J1"), "fixed", "the configured start counts after {garbage:?}");
        let refused = || sidecar.metrics().sum("interlock_snapshot_refused", &[]);
        assert_eq!(refused(), Some(1.0), "{garbage:?}");
        sidecar.set_percent(JOURNEYS, 50.0);
        assert_eq!(refused(), Some(0.0), "a change was written after {garbage:?}");
    }
}

/// Runs `interlock flag …` against a sidecar.
fn flag_command(sidecar: &Sidecar, arguments: &[&str]) -> Run {
    let mut command = interlock(&["flag"]);
    Run::of(command.args(arguments).env("INTERLOCK_ADMIN", sidecar.admin_url()))
}

#[test]
fn the_command_line_sets_kills_and_resumes() {
    let sidecar = sidecar(0);
    let run = |arguments: &[&str]| {
        let run = flag_command(&sidecar, arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.all);
    };

    run(&["set", JOURNEYS, "100%", "--reason", "by hand"]);
    let set = (path(&sidecar, "J1"), sidecar.flag(JOURNEYS)["reason"].clone());
    run(&["kill", JOURNEYS, "--reason", "by hand"]);
    let killed = path(&sidecar, "J1");
    run(&["resume", JOURNEYS, "--reason", "by hand"]);

    assert_eq!(set, ("fixed".to_owned(), json!("by hand")));
    assert_eq!((killed.as_str(), path(&sidecar, "J1").as_str()), ("legacy", "fixed"));
}

#[test]
fn the_command_line_prints_flags_as_json() {
    let sidecar = sidecar(25);

    let list = flag_command(&sidecar, &["list", "--output", "json"]);
    let one = flag_command(&sidecar, &["get", JOURNEYS, "--output", "json"]);

    assert_eq!((list.code, one.code), (Some(0), Some(0)), "{}{}", list.all, one.all);
    let one: Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!((&one["name"], one["percent"].as_f64()), (&json!(JOURNEYS), Some(25.0)));
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list["flags"][0]["name"], JOURNEYS);
}

#[test]
fn the_command_line_says_by_its_exit_code_what_went_wrong() {
    let sidecar = sidecar(0);
    let code = |arguments: &[&str]| flag_command(&sidecar, arguments).code;

    assert_eq!(code(&["get", "nobody"]), Some(1));
    assert_eq!(code(&["set", JOURNEYS, "200%", "--reason", "x"]), Some(2));
    assert_eq!(code(&["set", JOURNEYS, "25%"]), Some(2), "a reason is required");
    assert_eq!(code(&["no-such-verb"]), Some(2));
}

#[test]
fn a_pin_ties_an_entity_to_a_path_whatever_the_percentage() {
    let sidecar = sidecar(0);
    let run = |arguments: &[&str]| {
        let run = flag_command(&sidecar, arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.all);
    };

    run(&["pin", JOURNEYS, "journey:J1", "fixed", "--reason", "a friend"]);

    assert_eq!((path(&sidecar, "J1").as_str(), path(&sidecar, "J2").as_str()), ("fixed", "legacy"));
    assert_eq!(sidecar.flag(JOURNEYS)["pins"], json!({ "legacy": [], "fixed": ["journey:J1"] }));
}
