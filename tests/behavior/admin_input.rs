//! Whatever is sent to the admin plane over a socket, it answers with a 4xx or closes, and changes nothing.

use serde_json::Value;

use crate::support::{Raw, Sidecar, Upstream, serialized};

const PATCH: &str = "PATCH /api/v1/flags/journey-updates HTTP/1.1";
const JSON: &str = "Content-Type: application/json";
const GOOD: &str = r#"{"percent": 50, "reason": "a test"}"#;

/// What the admin plane shows of its flags, with their versions and histories.
fn state(sidecar: &Sidecar) -> [Value; 2] {
    ["/api/v1/flags", "/api/v1/flags/journey-updates/history"]
        .map(|path| sidecar.admin_get(path).json())
}

/// A change that would be made if it were not for these lines and this body.
fn change(start: &str, lines: &[&str], body: &str) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{start}\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn body(body: &str) -> Vec<u8> {
    change(PATCH, &[JSON], body)
}

/// Sent, and the status that is a problem document's; these get as far as the API.
fn answered_with_problems() -> Vec<(Vec<u8>, u16)> {
    let framed =
        |head: &str| format!("{PATCH}\r\nHost: localhost\r\n{JSON}\r\n{head}").into_bytes();
    let to = |start: &str| change(start, &[JSON], GOOD);
    let with = |line: &str| change(PATCH, &[JSON, line], GOOD);
    let huge = " ".repeat(70_000);
    vec![
        (body(r#"{"percent": 150, "reason": "x"}"#), 400),
        (body(r#"{"percent": -0.01, "reason": "x"}"#), 400),
        (body(r#"{"percent": 33.333, "reason": "x"}"#), 400),
        (body(r#"{"percent": 1e400, "reason": "x"}"#), 400),
        (body(r#"{"percent": NaN, "reason": "x"}"#), 400),
        (body(r#"{"percent": "50", "reason": "x"}"#), 400),
        (body(r#"{"percent": 50}"#), 400),
        (body(r#"{"percent": 50, "reason": ""}"#), 400),
        (body(r#"{"percent": 50, "reason": "a\u0000b"}"#), 400),
        (body(r#"{"percent": 50, "percent": 60, "reason": "x"}"#), 400),
        (body(r#"{"percent": 50, "reason": "x", "force": true}"#), 400),
        (body(r#"{"pin": {"entity": "7", "path": "fixed"}, "reason": "x"}"#), 400),
        (body(r#"{"percent": 50, "reason": "x"} trailing"#), 400),
        (body(&"[".repeat(5_000)), 400),
        (body("\u{feff}{}"), 400),
        (body(""), 400),
        (body(&format!("{GOOD}{huge}")), 413),
        (framed(&format!("Content-Length: 1000000000\r\n\r\n{GOOD}")), 413),
        (
            framed(&format!(
                "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{huge}\r\n0\r\n\r\n",
                huge.len()
            )),
            413,
        ),
        (framed("Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 400),
        (change(PATCH, &["Content-Type: text/plain"], GOOD), 415),
        (change(PATCH, &[JSON, JSON], GOOD), 415),
        (change(PATCH, &[], GOOD), 415),
        (with("Content-Encoding: gzip"), 415),
        (with("If-Match: \"99\""), 412),
        (with("If-Match: 1"), 400),
        (with("Origin: http://evil.example"), 403),
        (with("Sec-Fetch-Site: cross-site"), 403),
        (with("Host: localhost"), 400),
        (to("PATCH http://evil.example/api/v1/flags/journey-updates HTTP/1.1"), 400),
        (to("PATCH /api/v1/flags/nobody HTTP/1.1"), 404),
        (to("PATCH /api/v1/flags/journey-updates/../journey-updates HTTP/1.1"), 404),
        (to("PATCH /api/v1/flags/journey-updates%00 HTTP/1.1"), 404),
        (to("PATCH /api/v1/flags/journey-updates?percent=50 HTTP/1.1"), 400),
        (to("PUT /api/v1/flags/journey-updates HTTP/1.1"), 405),
        (to("TRACE /api/v1/flags/journey-updates HTTP/1.1"), 405),
        (to("patch /api/v1/flags/journey-updates HTTP/1.1"), 405),
        (to("GET /api/v1/flags/journey-updates/kill HTTP/1.1"), 405),
    ]
}

/// These are no HTTP that gets as far: 4xx without a document, or the end of the connection.
fn refused_as_no_http() -> Vec<Vec<u8>> {
    let line = |line: &str| change(PATCH, &[JSON, line], GOOD);
    let two_lengths = format!(
        "{PATCH}\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 35\r\nContent-Length: 1\r\n\r\n{GOOD}"
    );
    let long = "x".repeat(100_000);
    vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        change("PATCH /api/v1/flags/journey-updates HTTP/3.0", &[JSON], GOOD),
        change("PATCH /api/v1/flags/journey updates HTTP/1.1", &[JSON], GOOD),
        change("PATCH", &[JSON], GOOD),
        line("X-Nul: a\0b"),
        line("No colon"),
        line(" folded: into the line before"),
        line("Content-Length: -1"),
        line("Content-Length: 18446744073709551615"),
        line("Content-Length: 3five"),
        line(&format!("X-Long: {long}")),
        change(&format!("PATCH /{long} HTTP/1.1"), &[JSON], GOOD),
        two_lengths.into_bytes(),
    ]
}

/// The answer's status and its body as JSON; `None` where the connection ended without one.
fn sent(sidecar: &Sidecar, bytes: &[u8]) -> Option<(u16, String, Option<Value>)> {
    let mut client = Raw::connect(sidecar.admin_address());
    // It may be refused before all of it was taken.
    drop(client.try_send(bytes));
    answer(client)
}

/// The same, and then nothing more.
fn broken_off(sidecar: &Sidecar, bytes: &[u8]) -> Option<(u16, String, Option<Value>)> {
    let mut client = Raw::connect(sidecar.admin_address());
    drop(client.try_send(bytes));
    client.finish_sending();
    answer(client)
}

fn answer(mut client: Raw) -> Option<(u16, String, Option<Value>)> {
    let answer = client.try_response().ok()?;
    let kind = answer.headers.get("content-type").unwrap_or_default().to_owned();
    Some((answer.status, kind, serde_json::from_slice(&answer.body.bytes).ok()))
}

#[test]
fn bad_input_gets_a_problem_and_changes_nothing() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(25)).start();
    let before = state(&sidecar);

    for (bytes, status) in answered_with_problems() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        let (answered, kind, problem) = sent(&sidecar, &bytes).expect(&shown);

        assert_eq!((answered, kind.as_str()), (status, "application/problem+json"), "{shown}");
        let problem = problem.expect(&shown);
        assert_eq!(problem["status"], status, "{shown}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:interlock:problem:"), "{shown}");
        assert_eq!(problem["retry"], "safe", "{shown}");
        assert_eq!(state(&sidecar), before, "{shown}");
    }
    for bytes in refused_as_no_http() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        let answer = broken_off(&sidecar, &bytes);

        let refused = answer.as_ref().is_none_or(|(status, ..)| (400..500).contains(status));
        assert!(refused, "{shown}: {answer:?}");
        assert_eq!(state(&sidecar), before, "{shown}");
    }
    // The same change without a fault is made.
    assert_eq!(sent(&sidecar, &body(GOOD)).map(|(status, ..)| status), Some(200));
    assert_ne!(state(&sidecar), before);
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(25)).start();
    let before = state(&sidecar);
    let whole = body(GOOD);

    for end in [1, 2, GOOD.len() / 2, GOOD.len()] {
        let answer = broken_off(&sidecar, &whole[..whole.len() - end]);

        let refused = answer.as_ref().is_none_or(|(status, ..)| (400..500).contains(status));
        assert!(refused, "{end} bytes missing: {answer:?}");
        assert_eq!(state(&sidecar), before, "{end} bytes missing");
    }
}
