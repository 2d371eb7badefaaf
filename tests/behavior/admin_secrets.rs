//! Secrets stay where they are: what is planted in every place that holds one shows in nothing that is written or answered.

use std::fmt::Write as _;

use super::admin_security::line;
use super::shadow::shadowed;
use crate::support::{
    Collector, JOURNEYS, Otlp, Redis, Run, Sidecar, TempDir, Upstream, interlock, status_of, until,
};

/// Part of each secret, whatever its place and encoding.
const CANARY: &str = "cAnArY";

/// Everything that was seen, and where.
#[derive(Default)]
struct Seen(Vec<(String, String)>);

impl Seen {
    fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    #[track_caller]
    fn assert_clean(&self) {
        for (place, text) in &self.0 {
            assert!(!text.is_empty(), "{place}: nothing was seen");
            let found = text.lines().find(|line| line.contains(CANARY));
            assert_eq!(found, None, "a secret shows in: {place}");
        }
    }
}

/// Digest of `cAnArY-operator`, as `sha256sum` tells it.
const OPERATOR: &str = "92df9b7adbdc8161d3d79d1c04a77ed4a4481ea2f4122a0a63753d3c2f11024a";

fn sidecar(
    [legacy, fixed]: [&Upstream; 2],
    redis: &Redis,
    collector: &Collector,
    directory: &TempDir,
) -> Sidecar {
    redis.command(&[
        "ACL",
        "SETUSER",
        "sidecar",
        "on",
        &format!(">{CANARY}-store"),
        "~*",
        "&*",
        "+@all",
    ]);
    let tokens = directory.write(
        "tokens.toml",
        &format!("[[tokens]]\nname = \"ann\"\nrole = \"operator\"\nsha256 = \"{OPERATOR}\"\n"),
    );
    let url = format!("redis://sidecar:{CANARY}-store@{}", redis.address());
    Sidecar::in_front_of(legacy)
        .with(&line("tokens_file", &tokens))
        .with(&format!("[store]\nurl = \"{url}\"\ntimeout = \"1s\""))
        .with(&format!("{}log = \"trace\"", collector.traces(1.0)))
        .with(&shadowed(0, fixed, ""))
        .env("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer%20{CANARY}-otlp"))
        .start()
}

fn authorization(token: &str) -> String {
    format!("Authorization: Bearer {CANARY}-{token}\r\n")
}

#[test]
fn no_secret_shows_in_a_log_an_answer_a_record_or_an_error() {
    let app = |body: &'static str| Upstream::running(move |exchange| exchange.ok(body));
    let (legacy, fixed) = (app(r#"{"a": 1}"#), app(r#"{"a": "cAnArY-body"}"#));
    let (mut redis, directory) = (Redis::start(), TempDir::new());
    let mut collector = Collector::start(Otlp::Http);
    let sidecar = sidecar([&legacy, &fixed], &redis, &collector, &directory);
    let mut seen = Seen::default();

    diverge(&sidecar);
    changes_and_refusals(&sidecar, &mut seen);
    readings(&sidecar, &mut seen);
    check(&sidecar, &directory, &mut seen);
    commands(&sidecar, &directory, &mut seen);
    seen.add("spans", format!("{:?}", collector.wait_for(1)));
    let shown = collector.headers().iter().any(|headers| headers.contains_key("authorization"));
    assert!(shown, "the collector is shown its secret");
    collector.stop();
    diverge(&sidecar);
    redis.kill();
    directory.write("tokens.toml", &format!("{CANARY} = [[tokens\n"));
    for event in ["store_breaker_changed", "spans_dropped", "admin_file_refused"] {
        until(event, || sidecar.log().contains(&format!("\"event\":\"{event}\"")));
    }
    assert!(sidecar.log().contains("\"result\":\"changed\""), "the change is told of");
    seen.add("the log", sidecar.log());

    seen.assert_clean();
}

/// An update with secrets in its headers and its body, whose answers differ.
fn diverge(sidecar: &Sidecar) {
    let body = format!(r#"{{"status": "{CANARY}-status"}}"#);
    let update = format!(
        "PUT {} HTTP/1.1\r\nHost: app.test\r\nCookie: session={CANARY}-cookie\r\n{}\
         Content-Length: {}\r\n\r\n{body}",
        status_of("J1"),
        authorization("user"),
        body.len()
    );
    assert_eq!(sidecar.call(update.as_bytes()).status, 200);
    until("the record", || {
        let list = sidecar.admin("GET", "/api/v1/divergences", &authorization("operator"), b"");
        list.json()["divergences"].as_array().is_some_and(|records| !records.is_empty())
    });
}

fn changes_and_refusals(sidecar: &Sidecar, seen: &mut Seen) {
    let flag = format!("/api/v1/flags/{JOURNEYS}");
    let json = "Content-Type: application/json\r\n";
    let good = br#"{"percent": 1, "reason": "a test"}"#;
    for (token, status) in [("operator", 200), ("guess", 401)] {
        let headers = format!("{json}{}", authorization(token));
        let answer = sidecar.admin("PATCH", &flag, &headers, good);
        assert_eq!(answer.status, status, "{}", answer.text());
        seen.add(format!("the answer to {token}"), answer.text());
    }
    let basic = format!("Authorization: Basic {CANARY}-basic\r\n");
    seen.add("a wrong scheme", sidecar.admin("GET", &flag, &basic, b"").text());
    let twice = format!("{}{}", authorization("operator"), authorization("operator"));
    seen.add("two tokens", sidecar.admin("GET", &flag, &twice, b"").text());
    // As a careless client puts it: the log must not repeat it.
    sidecar.admin(
        "GET",
        &format!("/api/v1/flags?token={CANARY}-query"),
        &authorization("operator"),
        b"",
    );
}

fn readings(sidecar: &Sidecar, seen: &mut Seen) {
    let get = |path: &str| sidecar.admin("GET", path, &authorization("operator"), b"");
    let list = get("/api/v1/divergences").json();
    let mut paths: Vec<String> = list["divergences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| format!("/api/v1/divergences/{}", record["id"].as_str().unwrap()))
        .collect();
    assert!(!paths.is_empty());
    let flag = format!("/api/v1/flags/{JOURNEYS}");
    paths.extend(
        ["/livez", "/readyz", "/metrics", "/api/v1/flags", "/api/v1/fleet"].map(str::to_owned),
    );
    paths.extend(["/api/v1/divergences".to_owned(), format!("{flag}/history"), flag.clone()]);
    paths.push(format!("{flag}/explain?entity=journey:J1"));
    for path in paths {
        let answer = get(&path);
        assert_eq!(answer.status, 200, "{path}");
        seen.add(path, answer.text());
    }
}

/// What `check` says of the configuration, and of one that is wrong in every secret's place.
fn check(sidecar: &Sidecar, directory: &TempDir, seen: &mut Seen) {
    let run = |config: &std::path::Path, output: &str| {
        let mut command = interlock(&["check", "--output", output, "--config"]);
        command.arg(config);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{CANARY}-otlp"));
        Run::of(&mut command)
    };
    for output in ["text", "json"] {
        let right = run(&sidecar.config_file(), output);
        assert_eq!(right.code, Some(0), "{}", right.all);
        assert!(right.out.contains("***"), "{}", right.out);
        seen.add("check", right.all);
    }
    let tokens = directory.write("bad-tokens.toml", &format!("{CANARY} = [[tokens\n"));
    let key = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}AAAA!\n-----END PRIVATE KEY-----\n");
    let key = directory.write("bad-key", &key);
    let mut wrong = String::from("[legacy]\nurl = \"http://127.0.0.1:5000\"\n[admin]\n");
    writeln!(wrong, "{}[admin.tls]", line("tokens_file", &tokens)).unwrap();
    write!(wrong, "{}{}", line("cert_file", &key), line("key_file", &key)).unwrap();
    let files = directory.write("wrong-files.toml", &wrong);
    let url = format!(
        "[store]\nurl = \"redis://u:{CANARY}@h:port\"\n[legacy]\nurl = \"http://u:{CANARY}@h\"\n"
    );
    let values = directory.write("wrong-values.toml", &url);
    let syntax = directory.write("wrong-syntax.toml", &format!("[store]\nurl = {CANARY}\n"));
    for format in ["text", "json"] {
        let mut command = interlock(&["run", "--config"]);
        command.arg(&files).env("INTERLOCK__TELEMETRY__LOG_FORMAT", format);
        let run = Run::of(&mut command);
        assert_ne!(run.code, Some(0), "{}", run.all);
        seen.add("a start that failed", run.all);
    }
    for config in [files, values, syntax] {
        for output in ["text", "json"] {
            let wrong = run(&config, output);
            assert_eq!(wrong.code, Some(2), "{}", wrong.all);
            seen.add(format!("check of {}", config.display()), wrong.all);
        }
    }
}

/// What commands say that are refused.
fn commands(sidecar: &Sidecar, directory: &TempDir, seen: &mut Seen) {
    for (name, token) in [("guess", format!("{CANARY}-guess")), ("lines", format!("{CANARY}\nb\n"))]
    {
        let file = directory.write(name, &token);
        let mut command = interlock(&["flag", "list", "--admin", &sidecar.admin_url()]);
        let run = Run::of(command.arg("--token-file").arg(file));
        assert_ne!(run.code, Some(0), "{}", run.all);
        seen.add(format!("flag list with {name}"), run.all);
    }
}
