//! The commands, from what is typed to what is sent and printed, against a server that plays the admin plane.
//!
//! `lost_updates.json` is what an admin plane answers: its own tests hold it to that.

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::cli::{FAILED, REFUSED};

const LOST_UPDATES: &str = include_str!("lost_updates.json");

const ID: &str = "1764011519123-0";

#[derive(Debug, Parser)]
enum Typed {
    Divergence(DivergenceArgs),
}

/// Plays an admin plane for one call; gives what was typed against it, what that printed, and the head of what it sent.
async fn run(typed: &str, kind: &str, body: &str) -> (Result<String, AdminError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = if kind.contains("problem") { "404 Not Found" } else { "200 OK" };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let plane = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut head, mut chunk) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the call broke off");
            head.extend_from_slice(&chunk[..read]);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap().to_lowercase()
    });
    let words = ["interlock", "divergence"].into_iter().chain(typed.split(' '));
    let Typed::Divergence(args) = Typed::parse_from(words.chain(["--admin", &url]));
    let mut out = Vec::new();
    let outcome = execute(args, &mut out).await;
    (outcome.map(|()| String::from_utf8(out).unwrap()), plane.await.unwrap())
}

async fn printed(typed: &str, body: &str) -> String {
    run(typed, "application/json", body).await.0.unwrap()
}

#[tokio::test]
async fn commands_ask_for_what_they_say() {
    let check = async |typed: &str, target: &str| {
        let (_, head) = run(typed, "application/json", "{}").await;
        let line = format!("get {target} http/1.1\r\n");
        assert!(head.starts_with(&line), "{typed}: {head}");
        assert!(head.contains("\r\naccept: application/json\r\n"), "{head}");
    };

    check("list", "/api/v1/divergences?limit=20").await;
    let filtered = "/api/v1/divergences?limit=5&flag=a%26b&cause=lost%5fupdate&after=7%2d0";
    check("list --limit 5 --flag a&b --cause lost_update --after 7-0", filtered).await;
    check(&format!("show {ID}"), &format!("/api/v1/divergences/{ID}")).await;
}

#[tokio::test]
async fn a_list_has_a_line_a_record_and_says_how_to_go_on() {
    let record: Value = serde_json::from_str(LOST_UPDATES).unwrap();
    let answer = json!({"divergences": [record], "next": ID, "from": "store"});

    let shown = printed("list", &answer.to_string()).await;

    let lines: Vec<&str> = shown.lines().collect();
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    let first_pointer = "/segments/[segmentId=S1]/status";
    assert_eq!(words[..2], [ID, "2025-11-24T19:11:59.000Z"]);
    assert_eq!(
        words[2..7],
        ["journey-updates", "segment-status", "journey:J0001", "legacy", "lost_update"]
    );
    assert_eq!(words[7..10], [first_pointer, "+1", &format!("{:032x}", 1)]);
    assert_eq!(lines[2], format!("from the fleet's store; more with --after {ID}"));
    let none = json!({"divergences": [], "next": null, "from": "memory"}).to_string();
    assert_eq!(printed("list", &none).await, "none, from this sidecar's memory\n");
}

#[tokio::test]
async fn a_record_tells_what_differs_and_what_happened_in_order() {
    let shown = printed(&format!("show {ID}"), LOST_UPDATES).await;

    assert_eq!(shown, include_str!("lost_updates.txt"), "{shown}");
}

#[tokio::test]
async fn what_is_redacted_is_said_to_be() {
    let mut record: Value = serde_json::from_str(LOST_UPDATES).unwrap();
    for step in record["timeline"]["steps"].as_array_mut().unwrap() {
        step.as_object_mut().unwrap().remove("value");
    }
    record["differences"] = json!([]);

    let shown = printed(&format!("show {ID}"), &record.to_string()).await;

    assert!(!shown.contains("Departed") && !shown.contains("Scheduled"), "{shown}");
    assert!(shown.contains("writes /segments/[segmentId=S1]/status (redacted): LOST"), "{shown}");
}

#[tokio::test]
async fn a_record_without_a_timeline_says_nothing_of_one() {
    let record = json!({"id": ID, "cause": "body", "timeline": null, "trace_ids": [],
                        "differences": [{"pointer": "", "kind": "changed"}], "truncated": true});

    let shown = printed(&format!("show {ID}"), &record.to_string()).await;

    assert!(!shown.contains("AFTER") && !shown.contains("look on"), "{shown}");
    assert!(shown.contains("(the whole body)  changed") && shown.contains("and more"), "{shown}");
}

#[tokio::test]
async fn nothing_that_a_terminal_obeys_is_printed() {
    let evil = "\u{1b}[2J\n";
    let mut record: Value = serde_json::from_str(LOST_UPDATES).unwrap();
    for key in ["id", "at", "flag", "route", "entity", "path", "cause", "from"] {
        record[key] = json!(evil);
    }
    record["trace_ids"] = json!([evil]);
    record["pointers"] = json!([evil, evil]);
    for key in ["pointer", "kind", "expected", "found", "excused"] {
        record["differences"][0][key] = json!(evil);
    }
    for key in ["caller", "what", "field", "value", "path", "sidecar", "trace_id"] {
        record["timeline"]["steps"][0][key] = json!(evil);
    }
    let list = json!({"divergences": [record], "next": evil, "from": evil}).to_string();

    let shown = printed(&format!("show {ID}"), &record.to_string()).await;
    let listed = printed("list", &list).await;
    let (diagram, _) = run(&format!("show {ID} --mermaid"), MERMAID, "a\u{1b}[2J\nb\r\n").await;

    for text in [&shown, &listed] {
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}"), "{text:?}");
    }
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert_eq!(diagram.unwrap(), "a\\u{1b}[2J\nb\n");
}

#[tokio::test]
async fn a_diagram_is_asked_for_and_printed_as_it_came() {
    let text = "sequenceDiagram\n    title a\n";
    let (shown, head) =
        run(&format!("show {ID} --mermaid"), "text/vnd.mermaid; charset=utf-8", text).await;
    assert_eq!(shown.unwrap(), text);
    assert!(head.contains("\r\naccept: text/vnd.mermaid\r\n"), "{head}");

    let (json, _) = run(&format!("show {ID} --mermaid --output json"), MERMAID, text).await;
    let json: Value = serde_json::from_str(&json.unwrap()).unwrap();
    assert_eq!(json, json!({ "mermaid": text }));

    let (other, _) = run(&format!("show {ID} --mermaid"), "text/html", "<html>").await;
    let error = other.unwrap_err().to_string();
    assert!(error.contains("is no admin plane (it answered 200)"), "{error}");
}

#[tokio::test]
async fn json_is_printed_as_it_came() {
    let shown = printed(&format!("show {ID} --output json"), LOST_UPDATES).await;

    let [shown, came]: [Value; 2] =
        [&shown, LOST_UPDATES].map(|t| serde_json::from_str(t).unwrap());
    assert_eq!(shown, came);
}

#[tokio::test]
async fn a_record_that_is_gone_is_a_failure_in_the_admin_planes_words() {
    let problem = json!({"type": "urn:interlock:problem:unknown-divergence",
                         "title": "No such divergence", "detail": "none has that id"});
    for typed in [format!("show {ID}"), format!("show {ID} --mermaid")] {
        let (outcome, _) = run(&typed, "application/problem+json", &problem.to_string()).await;

        let error = outcome.unwrap_err();
        assert_eq!(error.to_string(), "No such divergence (404): none has that id");
        assert_eq!(error.exit_code(), FAILED);
    }
}

#[test]
fn bad_usage_is_told_before_anything_is_sent() {
    let check = |typed: &str, expected: &str| {
        let words = ["interlock", "divergence"].into_iter().chain(typed.split(' '));
        let error = Typed::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(REFUSED), "{typed}");
        assert!(error.to_string().contains(expected), "{typed}: {error}");
    };

    check("show", "<ID>");
    check("show J0001", "such as 1764011519123-0");
    check("list --cause lost", "lost_update");
    check("list --limit 0", "1..=1000");
    check("list --limit 1001", "1..=1000");
    check("list --after yesterday", "two whole numbers");
    check("list --mermaid", "unexpected argument");
}

#[test]
fn every_help_teaches() {
    for typed in ["list", "show"] {
        let words = ["interlock", "divergence", typed, "--help"];
        let help = Typed::try_parse_from(words).unwrap_err().to_string();

        assert!(help.contains("Examples:\n"), "{help}");
    }
}
