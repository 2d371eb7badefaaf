//! The audit trail: every change and every refusal, who it was and from where, and never what they carried.

use serde_json::{Value, json};

use super::admin_security::{FLAG, bearer, line, tokens};
use crate::support::{Sidecar, TempDir, Upstream, eventually, serialized, stopped, until};

/// A sidecar with an operator `ann` and a viewer `bob`, whose log is at a level that leaves out what is not wrong.
fn sidecar(directory: &TempDir) -> Sidecar {
    let file = directory.write("tokens.toml", &tokens(&[("ann", "operator"), ("bob", "viewer")]));
    Sidecar::in_front_of(&Upstream::echoing_targets())
        .with(&line("tokens_file", &file))
        .with("[telemetry]\nlog = \"error\"")
        .with(&serialized(0))
        .start()
}

/// The lines of the trail.
fn trail(sidecar: &Sidecar) -> Vec<Value> {
    let log = sidecar.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == "audit").collect()
}

/// Makes a call, and returns the line that it adds.
#[track_caller]
fn audited(sidecar: &Sidecar, method: &str, path: &str, token: &str, body: &str) -> Value {
    let before = trail(sidecar).len();
    let token = if token.is_empty() { String::new() } else { bearer(token) };
    let headers = format!("Content-Type: application/json\r\n{token}");
    sidecar.admin(method, path, &headers, body.as_bytes());
    let mut line = eventually("the line of the call", || trail(sidecar).get(before).cloned());
    let peer = line["peer"].take();
    assert!(peer.as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{peer}");
    let kept = ["result", "reason", "status", "by", "role", "method", "path", "flag", "version"];
    let told = line.as_object().unwrap().iter().filter(|(key, _)| kept.contains(&key.as_str()));
    Value::Object(told.map(|(key, value)| (key.clone(), value.clone())).collect())
}

#[test]
fn each_change_and_each_refusal_is_told_with_who_it_was() {
    let directory = TempDir::new();
    let sidecar = sidecar(&directory);
    let good = r#"{"percent": 10, "reason": "s3cret reason"}"#;
    let template = "/api/v1/flags/{name}";

    let changed = audited(&sidecar, "PATCH", FLAG, "ann", good);
    assert_eq!(
        changed,
        json!({"result": "changed", "by": "ann", "role": "operator", "method": "PATCH",
               "path": template, "flag": "journey-updates", "version": 2})
    );
    let kill = format!("{FLAG}/kill");
    let killed = audited(&sidecar, "POST", &kill, "ann", r#"{"reason": "s3cret reason"}"#);
    assert_eq!(
        (&killed["result"], &killed["path"], &killed["version"]),
        (&json!("changed"), &json!("/api/v1/flags/{name}/kill"), &json!(3))
    );

    let refused = |by: &str, role: &str, method: &str, path: &str, reason: &str, status: u16| {
        json!({"result": "refused", "by": by, "role": role, "method": method, "path": path,
               "reason": reason, "status": status})
    };
    assert_eq!(
        audited(&sidecar, "PATCH", FLAG, "bob", good),
        refused("bob", "viewer", "PATCH", template, "viewer-may-not-change", 403)
    );
    assert_eq!(
        audited(&sidecar, "PATCH", FLAG, "eve", good),
        refused("", "", "PATCH", template, "bad-token", 401)
    );
    assert_eq!(
        audited(&sidecar, "GET", FLAG, "", ""),
        refused("", "", "GET", template, "no-token", 401)
    );
    assert_eq!(
        audited(&sidecar, "PATCH", FLAG, "ann", r#"{"percent": "s3cret", "reason": "x"}"#),
        refused("ann", "operator", "PATCH", template, "bad-value", 400)
    );
    assert_eq!(
        audited(&sidecar, "SECRET", "/s3cret/path?s3cret=1", "ann", ""),
        refused("ann", "operator", "_OTHER", "", "unknown-route", 404)
    );
    let log = sidecar.log();
    for secret in ["s3cret", "ann-token", "bob-token", "eve-token"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
    let history = sidecar.admin("GET", &format!("{FLAG}/history"), &bearer("bob"), b"").json();
    assert_eq!(history["history"][1]["reason"], "s3cret reason", "the history is the record");
}

#[test]
fn reading_is_not_told() {
    let directory = TempDir::new();
    let sidecar = sidecar(&directory);

    for path in ["/livez", "/readyz", "/metrics", FLAG, "/api/v1/fleet"] {
        assert_eq!(sidecar.admin("GET", path, &bearer("bob"), b"").status, 200, "{path}");
    }
    audited(&sidecar, "GET", "/nowhere", "bob", "");

    assert_eq!(trail(&sidecar).len(), 1);
}

#[test]
fn a_flood_of_refusals_writes_a_few_lines_a_second_and_loses_no_change() {
    let directory = TempDir::new();
    let sidecar = sidecar(&directory);
    let counted = || sidecar.metrics().sum("interlock_admin_refused_total", &[]).unwrap();

    let start = std::time::Instant::now();
    for _ in 0..300 {
        sidecar.admin("GET", FLAG, &bearer("eve"), b"");
    }
    let seconds = start.elapsed().as_secs() + 2;
    let body = br#"{"percent": 1, "reason": "a test"}"#;
    let headers = format!("Content-Type: application/json\r\n{}", bearer("ann"));
    assert_eq!(sidecar.admin("PATCH", FLAG, &headers, body).status, 200);

    assert_eq!(counted(), 300.0, "all are counted");
    until("the change to be told of", || {
        trail(&sidecar).iter().any(|line| line["result"] == "changed")
    });
    until("the rest to be told of", || {
        sidecar.metrics().sum("interlock_log_suppressed_total", &[]) > Some(0.0)
    });
    let lines = stopped("lines of the trail", || trail(&sidecar).len()) as u64;
    // Two kinds, bad-token and too-many-failures, of each five a second; and the change.
    assert!(lines <= 2 * 5 * seconds + 1 && lines < 300, "{lines} lines in {seconds} s");
}
