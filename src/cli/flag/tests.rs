//! The commands, from what is typed to what is sent and printed, against a server that plays the admin plane.

use std::convert::Infallible;
use std::fs;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use clap::Parser;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::cli::{Output, REFUSED};

#[derive(Debug, Parser)]
enum Typed {
    Flag(FlagArgs),
    Explain(ExplainArgs),
}

/// What the played admin plane was sent.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    method: String,
    target: String,
    if_match: Option<String>,
    authorization: Option<String>,
    body: Value,
}

/// Plays an admin plane that gives these answers, one a call.
async fn admin_plane(answers: Vec<Value>) -> (String, Arc<Mutex<Vec<Sent>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&sent);
    tokio::spawn(async move {
        for answer in answers {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|request| {
                let (hears, answer) = (Arc::clone(&hears), answer.to_string());
                async move {
                    let heard = hear(request).await;
                    hears.lock().unwrap().push(heard);
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer)))
                }
            });
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
        }
    });
    (url, sent)
}

async fn hear(request: Request<Incoming>) -> Sent {
    let header =
        |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (if_match, authorization) = (header("if-match"), header("authorization"));
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Sent {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        if_match,
        authorization,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

async fn run(typed: &[&str]) -> Result<String, AdminError> {
    run_with_notes(typed).await.map(|(out, _)| out)
}

/// What a command prints, and what it says on stderr meanwhile.
async fn run_with_notes(typed: &[&str]) -> Result<(String, String), AdminError> {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    match Typed::parse_from([&["interlock"], typed].concat()) {
        Typed::Flag(args) => execute(args, &mut out, &mut notes).await?,
        Typed::Explain(args) => explain::execute(args, &mut out).await?,
    }
    Ok((String::from_utf8(out).unwrap(), String::from_utf8(notes).unwrap()))
}

fn flag_at(percent: u8, step: &str) -> Value {
    json!({"name": "journey-updates", "percent": percent, "previous_percent": 5, "version": 2,
           "killed": false, "transition": {"step": step}})
}

/// Runs a command and returns the one call that it made.
async fn sent_by(typed: &[&str]) -> Sent {
    let (url, sent) = admin_plane(vec![flag_at(25, "settled")]).await;
    run(&[typed, &["--admin", &url]].concat()).await.unwrap();
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1);
    sent[0].clone()
}

#[tokio::test]
async fn commands_send_what_they_say() {
    let check = async |typed: &str, method: &str, target: &str, body: Value| {
        let words: Vec<&str> = typed.split(' ').collect();
        let sent = sent_by(&words).await;

        let was = (sent.method.as_str(), sent.target.as_str(), &sent.body);
        assert_eq!(was, (method, target, &body), "{typed}");
    };
    let flag = "/api/v1/flags/journey%2Dupdates";
    let null = Value::Null;

    check("flag list", "GET", "/api/v1/flags", null.clone()).await;
    check("flag get journey-updates", "GET", flag, null.clone()).await;
    let history = format!("{flag}/history?limit=5");
    check("flag history journey-updates --limit 5", "GET", &history, null.clone()).await;
    let set = json!({"percent": 12.5, "reason": "step"});
    check("flag set journey-updates 12.5% --reason step", "PATCH", flag, set).await;
    let pin = json!({"pin": {"entity": "journey:7", "path": "fixed"}, "reason": "vip"});
    check("flag pin journey-updates journey:7 fixed --reason vip", "PATCH", flag, pin).await;
    let free = json!({"pin": {"entity": "journey:7", "path": null}, "reason": "vip"});
    check("flag pin journey-updates journey:7 none --reason vip", "PATCH", flag, free).await;
    let reason = json!({"reason": "fire"});
    let kill = format!("{flag}/kill");
    check("flag kill journey-updates --reason fire", "POST", &kill, reason.clone()).await;
    let resume = format!("{flag}/resume");
    check("flag resume journey-updates --reason fire", "POST", &resume, reason.clone()).await;
    let force = format!("{flag}/force");
    check("flag force journey-updates --reason fire", "POST", &force, reason).await;
    check("flag export", "GET", "/api/v1/flags", null.clone()).await;
    check("flag export journey-updates", "GET", flag, null.clone()).await;
    let explain = format!("{flag}/explain?entity=journey%3A7%26a");
    check("explain journey-updates journey:7&a", "GET", &explain, null).await;
}

#[tokio::test]
async fn the_version_and_the_token_are_shown() {
    let file = std::env::temp_dir().join(format!("interlock-token-{}", std::process::id()));
    fs::write(&file, "s3cret\n").unwrap();
    let token_file = file.to_str().unwrap();

    let set = ["flag", "set", "a", "25", "--reason", "step", "--if-version", "7"];
    let sent = sent_by(&[&set[..], &["--token-file", token_file]].concat()).await;
    fs::remove_file(&file).unwrap();

    assert_eq!(sent.if_match.as_deref(), Some("\"7\""));
    assert_eq!(sent.authorization.as_deref(), Some("Bearer s3cret"));
}

#[tokio::test]
async fn a_change_without_a_reason_is_not_sent_and_teaches() {
    for typed in [&["flag", "kill", "a"][..], &["flag", "kill", "a", "--reason", " "]] {
        let error = run(typed).await.unwrap_err();

        assert!(error.to_string().contains("--reason"), "{error}");
        assert_eq!(error.exit_code(), REFUSED);
    }
}

#[tokio::test]
async fn bad_usage_is_told_before_anything_is_sent() {
    let check = |typed: &str, expected: &str| {
        let words = ["interlock"].into_iter().chain(typed.split(' '));
        let error = Typed::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{typed}");
        assert!(error.to_string().contains(expected), "{typed}: {error}");
    };

    check("flag set a 101 --reason x", "outside 0 to 100");
    check("flag set a 0.001 --reason x", "finer than");
    check("flag set a lots --reason x", "not a number");
    check("flag pin a journey:7 new --reason x", "legacy, fixed, none");
    check("flag list --admin ftp://sidecar:9901", "only http:// and https://");
    check("flag history a --limit 0", "1..=1000");
    check("flag list --output yaml", "text, json");
}

/// A flag whose flip waits for a call.
fn waiting(since: &str) -> Value {
    let mut flag = flag_at(25, "guarding");
    let why = format!("a call running for {since} s");
    flag["transition"]["waiting_for"] = json!([{"sidecar": "pod-x", "why": why}]);
    flag
}

#[tokio::test]
async fn wait_returns_when_the_flip_is_settled_and_every_sidecar_that_is_heard_of_has_it() {
    let sidecar = |id: &str, silent_ms: u64, version: u64| json!({"id": id, "silent_ms": silent_ms, "flags": {"journey-updates": version}});
    let fleet = |second| json!({"sidecars": [sidecar("a", 0, 2), sidecar("b", 9, second), sidecar("dead", 60_000, 1)]});
    let steps = [waiting("2.1"), waiting("2.2"), flag_at(25, "switching"), flag_at(25, "settled")];
    let (url, sent) = admin_plane(steps.into_iter().chain([fleet(1), fleet(2)]).collect()).await;

    let set = ["flag", "set", "journey-updates", "25%", "--reason", "step", "--wait"];
    let (printed, notes) = run_with_notes(&[&set[..], &["--admin", &url]].concat()).await.unwrap();

    assert_eq!(printed, "journey-updates: 25% (before: 5%), settled, version 2\n");
    let methods: Vec<String> = sent.lock().unwrap().iter().map(|s| s.method.clone()).collect();
    assert_eq!(methods, ["PATCH", "GET", "GET", "GET", "GET", "GET"]);
    let lines: Vec<&str> = notes.lines().collect();
    let expected = [
        "guarding: waiting for pod-x, a call running for 2.1 s",
        "switching",
        "settled: waiting for b to apply it",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn without_wait_a_flip_under_way_is_told_of() {
    let (url, _) = admin_plane(vec![waiting("2.1")]).await;

    let set = ["flag", "set", "journey-updates", "25%", "--reason", "step", "--admin", &url];
    let printed = run(&set).await.unwrap();

    let first = "journey-updates: 25% (before: 5%), guarding, version 2\n";
    assert!(printed.starts_with(first), "{printed}");
    assert!(printed.contains("  waiting for pod-x, a call running for 2.1 s\n"), "{printed}");
    assert!(printed.contains("`interlock flag get journey-updates`"), "{printed}");
}

#[tokio::test]
async fn set_with_force_forces_what_it_began_and_nothing_that_is_settled() {
    let typed = |url: &str| {
        ["flag", "set", "a", "25%", "--reason", "dead", "--force", "--admin", url]
            .map(str::to_owned)
    };
    let sent_by = async |answers: Vec<Value>| {
        let (url, sent) = admin_plane(answers).await;
        let typed = typed(&url);
        run(&typed.each_ref().map(String::as_str)).await.unwrap();
        sent.lock().unwrap().clone()
    };

    let begun = sent_by(vec![waiting("2.1"), flag_at(25, "settled")]).await;
    let settled = sent_by(vec![flag_at(25, "settled")]).await;

    assert_eq!(begun.len(), 2);
    assert_eq!(begun[1].target, "/api/v1/flags/a/force");
    assert_eq!(begun[1].if_match.as_deref(), Some("\"2\""), "what it began, and no other change");
    assert_eq!(begun[1].body, json!({"reason": "dead"}));
    assert_eq!(settled.len(), 1);
}

#[test]
fn what_is_not_settled_says_whom_it_waits_for_and_what_to_do() {
    let told = |waiting: &str| {
        let (name, step) = ("journey-updates".to_owned(), "guarding".to_owned());
        AdminError::NotSettled { name, step, waiting: waiting.to_owned() }.to_string()
    };

    let silent = told("pod-x, silent for 300.0 s");

    assert!(silent.contains("still guarding after 300s, waiting for pod-x, silent"), "{silent}");
    for remedy in ["`interlock fleet`", "fleet forget`", "flag get journey-updates`"] {
        assert!(silent.contains(remedy), "{remedy} in {silent}");
    }
    assert!(told("").contains("after 300s: see"), "{}", told(""));
}

#[tokio::test]
async fn json_is_printed_as_it_came() {
    let (url, _) = admin_plane(vec![flag_at(25, "settled")]).await;

    let printed = run(&["flag", "get", "a", "--output", "json", "--admin", &url]).await.unwrap();

    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), flag_at(25, "settled"));
}

#[tokio::test]
async fn a_token_file_that_holds_no_token_is_bad_usage() {
    let missing = run(&["flag", "list", "--token-file", "/nowhere/token"]).await.unwrap_err();
    let empty = run(&["flag", "list", "--token-file", "/dev/null"]).await.unwrap_err();

    assert!(matches!(missing, AdminError::TokenFile { .. }), "{missing}");
    assert!(matches!(empty, AdminError::BadToken { .. }), "{empty}");
    assert_eq!(empty.exit_code(), REFUSED);
}

/// A pipe whose reader is gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_a_failure_and_no_panic() {
    let outcome = print(&mut Closed, Output::Text, render::flag, &flag_at(1, "settled"));

    assert!(matches!(outcome, Err(AdminError::Print(_))));
}
