//! Whatever a caller gets wrong is a problem with its own status, and changes nothing.

use super::*;

/// What is sent, and what has to come back.
struct Case {
    sent: (&'static str, String, Vec<(&'static str, String)>, String),
    status: u16,
    detail: &'static str,
    key: Option<&'static str>,
}

fn case(method: &'static str, target: &str, body: &str, status: u16, detail: &'static str) -> Case {
    let headers = vec![(JSON.0, JSON.1.to_owned())];
    Case { sent: (method, target.to_owned(), headers, body.to_owned()), status, detail, key: None }
}

fn patch(body: &str, status: u16, detail: &'static str) -> Case {
    case("PATCH", FLAG, body, status, detail)
}

impl Case {
    fn key(self, key: &'static str) -> Self {
        Self { key: Some(key), ..self }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.sent.2.retain(|(known, _)| *known != name);
        self.sent.2.push((name, value.to_owned()));
        self
    }

    fn again(mut self, name: &'static str, value: &str) -> Self {
        self.sent.2.push((name, value.to_owned()));
        self
    }
}

const GOOD: &str = r#"{"percent": 25, "reason": "step"}"#;

fn changes(field: &'static str, value: &str, detail: &'static str) -> Case {
    let other = match field {
        "reason" => r#""percent": 25"#,
        _ => r#""reason": "step""#,
    };
    patch(&format!(r#"{{"{field}": {value}, {other}}}"#), 400, detail).key(field)
}

fn percents_and_reasons() -> Vec<Case> {
    let percent = |value, detail| changes("percent", value, detail);
    let reason = |value: &str, detail| changes("reason", value, detail);
    vec![
        percent("-1", "\"percent\" (-1) is outside 0 to 100"),
        percent("100.01", "outside 0 to 100"),
        percent("1e9", "outside 0 to 100"),
        percent("184467440737095516160", "outside 0 to 100"),
        percent("0.001", "finer than"),
        percent("\"25%\"", "is not a JSON number"),
        percent("\"\"", "is not a JSON number"),
        percent("null", "is not a JSON number"),
        percent("true", "is not a JSON number"),
        percent("[25]", "is not a JSON number"),
        reason("\"\"", "needs a reason"),
        reason("\" \"", "needs a reason"),
        reason("7", "is not a JSON string"),
        reason(r#""\u001b[2J""#, "control characters"),
        reason(&format!("\"{}\"", "x".repeat(1025)), "longer than 1024"),
    ]
}

fn pins_and_fields() -> Vec<Case> {
    let pin = |value, key| changes("pin", value, "").key(key);
    let kill = |body, detail| case("POST", &format!("{FLAG}/kill"), body, 400, detail);
    vec![
        pin("\"journey:7\"", "pin"),
        pin(r#"{"entity": "journey:7"}"#, "pin.path"),
        pin(r#"{"path": "fixed"}"#, "pin.entity"),
        pin(r#"{"entity": "7", "path": "fixed"}"#, "pin.entity"),
        pin(r#"{"entity": "journey:", "path": "fixed"}"#, "pin.entity"),
        pin(r#"{"entity": "journey:7", "path": "new"}"#, "pin.path"),
        pin(r#"{"entity": "journey:7", "path": "fixed", "for": "1h"}"#, "pin.for"),
        patch(r#"{"percent": 25}"#, 400, "say why").key("reason"),
        patch(r#"{"reason": "step"}"#, 400, "is missing").key("percent"),
        patch(r#"{"percent": 25, "reason": "x", "force": true}"#, 400, "not known").key("force"),
        patch(r#"{"percent": 25, "pin": {}, "reason": "x"}"#, 400, "one at a time").key("pin"),
        kill("{}", "say why").key("reason"),
        kill(GOOD, "not known").key("percent"),
    ]
}

fn bodies() -> Vec<Case> {
    let deep = format!("{}{}", "[".repeat(60_000), "]");
    vec![
        patch("", 400, "EOF"),
        patch("25", 400, "no object"),
        patch("[]", 400, "no object"),
        patch("{\"percent\": 25", 400, "EOF"),
        patch("{\"percent\": NaN, \"reason\": \"x\"}", 400, "expected value"),
        patch("{\"percent\": 1e999, \"reason\": \"x\"}", 400, "out of range"),
        patch(&format!("{GOOD} {GOOD}"), 400, "trailing"),
        patch(r#"{"percent": 1, "percent": 99, "reason": "x"}"#, 400, "\"percent\" is there twice"),
        patch(r#"{"pin": {"path": null, "path": "fixed"}, "reason": "x"}"#, 400, "twice"),
        patch(&deep, 400, "recursion limit"),
        patch(&" ".repeat(64 * 1024 + 1), 413, "65536"),
    ]
}

fn headers() -> Vec<Case> {
    let good = || patch(GOOD, 0, "");
    // An absolute target, which a browser never sends to a server.
    let to = |target: &str| case("PATCH", &format!("{target}{FLAG}"), GOOD, 0, "");
    let refused = |status, case: Case| Case { status, ..case };
    vec![
        refused(415, good().header("content-type", "text/plain")),
        refused(415, good().header("content-type", "application/x-www-form-urlencoded")),
        refused(415, good().header("content-type", "application/json; charset=utf-16")),
        refused(415, good().again("content-type", "application/json")),
        refused(415, good().header("content-encoding", "gzip")),
        refused(403, good().header("origin", "http://evil.example")),
        refused(403, good().header("origin", "http://127.0.0.1:8080")),
        refused(403, good().header("origin", "null")),
        refused(403, good().header("sec-fetch-site", "cross-site")),
        refused(403, good().header("sec-fetch-site", "same-site")),
        refused(403, good().header("host", "evil.example:9901")),
        refused(403, good().header("host", "127.0.0.1.evil.example")),
        refused(400, good().header("host", "127.0.0.1").again("host", "localhost")),
        refused(400, good().header("host", "me@127.0.0.1")),
        refused(400, good().header("host", "")),
        refused(400, to("http://127.0.0.1:9901").header("host", "evil.example")),
        refused(400, to("http://evil.example@127.0.0.1:9901").header("host", "127.0.0.1:9901")),
        refused(400, to("http://me@127.0.0.1").header("host", "me@127.0.0.1")),
        refused(403, to("http://evil.example").header("host", "evil.example")),
        refused(400, good().header("if-match", "1")),
        refused(400, good().header("if-match", "\"1")),
        refused(400, good().header("if-match", "\"1\", *")),
        refused(412, good().header("if-match", "\"7\"")),
        refused(412, good().header("if-match", "\"01\"")),
    ]
}

fn targets() -> Vec<Case> {
    let to = |method, target: &str, status, detail| case(method, target, GOOD, status, detail);
    vec![
        to("PATCH", "/api/v1/flags/nobody", 404, "\"nobody\""),
        to("PATCH", "/api/v1/flags/", 404, "\"\""),
        to("GET", "/api/v1/flags/journey-updates/kil", 404, "/api/v1/flags/{name}/kill"),
        to("GET", "/api/v1/flags/%ff", 404, ""),
        to("GET", "//api/v1/flags", 404, ""),
        to("DELETE", FLAG, 405, "GET, HEAD, PATCH"),
        to("PUT", FLAG, 405, "GET, HEAD, PATCH"),
        to("OPTIONS", FLAG, 405, "GET, HEAD, PATCH"),
        to("GET", "/api/v1/flags/journey-updates/kill", 405, "POST"),
        to("POST", "/livez", 405, "GET, HEAD"),
        to("PATCH", "/api/v1/flags/journey-updates?force=1", 400, "no parameters").key("force"),
        to("GET", "/api/v1/flags/journey-updates/explain", 400, "?entity=").key("entity"),
        to("GET", "/api/v1/flags/journey-updates/explain?entity=7", 400, "").key("entity"),
        to("GET", "/api/v1/flags/journey-updates/explain?entity=%ff", 400, "UTF-8"),
        to("GET", "/api/v1/flags/journey-updates/explain?entity=a&entity=b", 400, "twice"),
        to("GET", "/api/v1/flags/journey-updates/history?limit=0", 400, "1 to 1000").key("limit"),
        to("GET", "/api/v1/flags/journey-updates/history?limit=all", 400, "").key("limit"),
    ]
}

/// The flags with their versions, and their histories.
async fn shown(plane: &Plane) -> Vec<String> {
    let mut shown = vec![plane.get("/api/v1/flags").await.body];
    for flag in ["journey-updates", "seats"] {
        shown.push(plane.get(&format!("/api/v1/flags/{flag}/history")).await.body);
    }
    shown
}

#[tokio::test]
async fn bad_input_is_a_problem_and_changes_nothing() {
    let plane = Plane::new();
    let untouched = shown(&plane).await;
    let cases = [percents_and_reasons(), pins_and_fields(), bodies(), headers(), targets()];
    let cases = cases.into_iter().flatten();

    for Case { sent: (method, target, headers, body), status, detail, key } in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let shown = format!("{method} {target} {headers:?} {body:.80}");
        let answer = plane.call(request(method, &target, &headers, &body)).await;

        assert_eq!(answer.status, status, "{shown}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{shown}");
        let problem = answer.json();
        assert_eq!(problem["status"], json!(status), "{shown}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{shown}: {problem}");
        if let Some(key) = key {
            assert_eq!(problem["key"], json!(key), "{shown}");
        }
        assert!(status != 405 || !answer.header("allow").is_empty(), "{shown}");
        assert!(answer.body.len() < 2_000, "{shown}: what is quoted is bounded");
    }
    assert_eq!(shown(&plane).await, untouched);
    assert_eq!(*plane.heard.lock().unwrap(), []);
}

#[tokio::test]
async fn good_input_in_unusual_form_is_taken() {
    let plane = Plane::new();
    let cases = [
        patch(GOOD, 200, "").header("content-type", "Application/JSON; charset=\"UTF-8\""),
        patch(GOOD, 200, "").header("origin", "http://127.0.0.1:9901"),
        patch(GOOD, 200, "").header("sec-fetch-site", "same-origin"),
        patch(GOOD, 200, "").header("sec-fetch-site", "none"),
        patch(GOOD, 200, "").header("host", "LOCALHOST:1234"),
        patch(GOOD, 200, "").header("host", "[::1]:9901"),
        patch(r#"{"reason": "step", "percent": 2.5e1}"#, 200, ""),
        case("PATCH", "/api/v1/flags/journey%2Dupdates", GOOD, 200, ""),
        case("GET", "http://localhost/api/v1/flags/journey-updates", "", 200, "")
            .header("host", "localhost"),
    ];

    for Case { sent: (method, target, headers, body), status, .. } in cases {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = plane.call(request(method, &target, &headers, &body)).await;

        assert_eq!(answer.status, status, "{method} {target} {headers:?}: {}", answer.body);
    }
    assert_eq!(plane.percent(), "25%");
}
