//! Divergence records as an operator reads them: in a list, as a record, as a diagram, and while the store is gone.

use serde_json::{Value, json};

use crate::support::{
    DEADLINE, JOURNEYS, Redis, Run, SEGMENT, Sidecar, Upstream, eventually, interlock, serialized,
};

/// The stream that the fleet's records are in.
const KEY: &str = "{interlock}:divergences";

/// One whose records are in a store.
fn over(store: &Redis) -> Sidecar {
    let toml = format!("[store]\nurl = \"{}\"\n{}", store.url(), serialized(0));
    Sidecar::in_front_of(&Upstream::echoing_targets()).with(&toml).start()
}

/// Runs a command against a sidecar.
fn divergence(sidecar: &Sidecar, arguments: &[&str]) -> Run {
    Run::of(interlock(&["divergence"]).args(arguments).args(["--admin", &sidecar.admin_url()]))
}

/// Runs a command that has to succeed, and gives what it prints.
#[track_caller]
fn printed(sidecar: &Sidecar, arguments: &[&str]) -> String {
    let run = divergence(sidecar, arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.all);
    assert_eq!(run.out, run.all, "nothing on standard error");
    run.out
}

/// Writes a record as any sidecar of the fleet would; gives its id.
fn write_record(store: &Redis, cause: &str, record: &Value) -> String {
    let mut summary = record.as_object().unwrap().clone();
    summary.retain(|key, _| !["differences", "truncated", "timeline"].contains(&key.as_str()));
    summary.insert("pointers".to_owned(), json!(["/segments/[segmentId=S1]/status"]));
    let (summary, record) = (Value::from(summary).to_string(), record.to_string());
    let fields = ["flag", JOURNEYS, "cause", cause, "summary", &summary, "record", &record];
    let reply = store.command(&[&["XADD", KEY, "*"][..], &fields].concat());
    reply.text().unwrap().to_owned()
}

/// Two updates at once, of which the first is lost; one value may be shown.
fn lost_update() -> Value {
    let step = |at_us: u64, update: u8, what: &str, value: Option<&str>| {
        let mut step = json!({
            "at_us": at_us, "caller": format!("update {update}"), "what": what,
            "field": format!("/segments/[segmentId=S{update}]/status"), "path": "legacy",
            "sidecar": "pod-a", "trace_id": format!("{update:032x}"), "lost": update == 1,
        });
        if let Some(value) = value {
            step["value"] = json!(value);
        }
        step
    };
    json!({
        "at_ms": 1_764_011_519_000_u64, "flag": JOURNEYS, "route": SEGMENT, "entity": "journey:J0001",
        "path": "legacy", "cause": "lost_update", "contended": true, "truncated": false,
        "differences": [{"pointer": "/segments/[segmentId=S1]/status", "kind": "lost"}],
        "trace_ids": [format!("{:032x}", 1)],
        "timeline": {"truncated": false, "steps": [
            step(0, 1, "sent", None),
            step(500, 2, "sent", None),
            step(10_250, 1, "acknowledged", None),
            step(10_900, 2, "acknowledged", Some("\"Departed\"")),
        ]},
    })
}

#[test]
fn a_lost_update_is_listed_shown_and_drawn() {
    let store = Redis::start();
    let sidecar = over(&store);
    let id = write_record(&store, "lost_update", &lost_update());

    let list = printed(&sidecar, &["list", "--flag", JOURNEYS, "--cause", "lost_update"]);
    let record = printed(&sidecar, &["show", &id]);
    let diagram = printed(&sidecar, &["show", &id, "--mermaid"]);

    assert!(list.contains(&id) && list.contains("journey:J0001"), "{list}");
    assert!(list.ends_with("from the fleet's store\n"), "{list}");
    assert_eq!(printed(&sidecar, &["list", "--cause", "body"]), "none, from the fleet's store\n");
    let lines = [
        "10.250 ms  update 1  writes /segments/[segmentId=S1]/status (redacted): LOST",
        "10.900 ms  update 2  writes /segments/[segmentId=S2]/status = \"Departed\"",
        "trace    00000000000000000000000000000001",
    ];
    for line in lines {
        assert!(record.contains(line), "{line}\n{record}");
    }
    let drawn = [
        "title journey#58;J0001#58; 1 of 2 updates lost",
        "c1-xdocument: writes /segments/[segmentId=S1]/status (redacted) (10.250 ms)",
        "c2->>document: writes /segments/[segmentId=S2]/status = \"Departed\" (10.900 ms)",
        "Note over c1: lost",
    ];
    for line in drawn {
        assert!(diagram.contains(&format!("\n    {line}\n")), "{line}\n{diagram}");
    }
    let api = sidecar.admin(
        "GET",
        &format!("/api/v1/divergences/{id}"),
        "Accept: text/vnd.mermaid\r\n",
        b"",
    );
    assert_eq!((api.status, api.text()), (200, diagram));
}

#[test]
fn while_the_store_is_gone_the_list_says_that_it_is_this_sidecars_own() {
    let mut store = Redis::start();
    let sidecar = over(&store);
    let id = write_record(&store, "lost_update", &lost_update());
    assert!(printed(&sidecar, &["list"]).contains(&id));

    store.kill();

    let began = std::time::Instant::now();
    assert_eq!(printed(&sidecar, &["list"]), "none, from this sidecar's memory\n");
    let missing = divergence(&sidecar, &["show", &id]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.all.contains("this sidecar's memory alone"), "{}", missing.all);
    assert!(began.elapsed() < DEADLINE / 2, "an answer waits for no store");
    store.start_again();
    eventually("the list to be the fleet's again", || {
        let list = printed(&sidecar, &["list"]);
        (list == "none, from the fleet's store\n").then_some(())
    });
}

#[test]
fn without_a_store_there_is_a_list_too() {
    let upstream = Upstream::echoing_targets();
    let sidecar = Sidecar::in_front_of(&upstream).with(&serialized(0)).start();

    assert_eq!(printed(&sidecar, &["list"]), "none, from this sidecar's memory\n");
    let json: Value =
        serde_json::from_str(&printed(&sidecar, &["list", "--output", "json"])).unwrap();
    assert_eq!(json, json!({"divergences": [], "next": null, "from": "memory"}));
    let unknown = divergence(&sidecar, &["list", "--flag", "journey"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.all.contains("\"flag\" (\"journey\") is not a flag here"), "{}", unknown.all);
}
