//! `interlock flag` and `interlock explain` at a terminal: what they print, and what they say when they can't.

use serde_json::{Value, json};

use crate::support::{
    JOURNEYS, ReservedPort, Run, Sidecar, TempDir, Upstream, interlock, put, serialized, status_of,
};

fn sidecar(percent: u8) -> Sidecar {
    Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(percent)).start()
}

/// Runs a command against the admin plane at a URL.
fn run_at(admin_url: &str, arguments: &[&str]) -> Run {
    Run::of(interlock(arguments).args(["--admin", admin_url]))
}

/// Runs a command against a sidecar; it has to succeed.
#[track_caller]
fn run(sidecar: &Sidecar, arguments: &[&str]) -> String {
    let run = run_at(&sidecar.admin_url(), arguments);
    assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.all);
    assert_eq!(run.out, run.all, "nothing on standard error");
    run.out
}

/// The JSON that a command prints.
#[track_caller]
fn json_of(sidecar: &Sidecar, arguments: &[&str]) -> Value {
    let out = run(sidecar, &[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
}

/// Checks that a command fails with this exit code and that its message names these.
#[track_caller]
fn assert_fails(run: &Run, code: i32, parts: &[&str]) {
    assert_eq!((run.code, run.out.as_str()), (Some(code), ""), "{}", run.all);
    for part in parts {
        assert!(run.all.contains(part), "{part:?} in {:?}", run.all);
    }
}

/// The words of the line of a table that begins with this one.
#[track_caller]
fn words_of_line(table: &str, first: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines = table.lines().map(words);
    lines
        .find(|words| words.first().is_some_and(|word| word == first))
        .unwrap_or_else(|| panic!("no line {first:?} in {table:?}"))
}

#[test]
fn a_list_has_a_line_for_each_flag_under_a_head() {
    let sidecar = sidecar(25);

    let list = run(&sidecar, &["flag", "list"]);

    let (head, line) = (words_of_line(&list, "FLAG"), words_of_line(&list, JOURNEYS));
    assert_eq!(head[..5], ["FLAG", "PERCENT", "STATE", "STRATEGY", "VERSION"]);
    assert_eq!(line[..5], [JOURNEYS, "25%", "settled", "serialize", "1"]);
    assert_eq!(list.lines().count(), 2);
}

#[test]
fn one_flag_is_shown_with_all_there_is_to_know() {
    let sidecar = sidecar(0);
    run(&sidecar, &["flag", "set", JOURNEYS, "12.34%", "--reason", "a first step"]);
    run(&sidecar, &["flag", "pin", JOURNEYS, "journey:J7", "fixed", "--reason", "a friend"]);

    let shown = run(&sidecar, &["flag", "get", JOURNEYS]);

    let check = |first: &str, rest: &[&str]| {
        assert_eq!(words_of_line(&shown, first)[1..], *rest, "{shown}");
    };
    check("flag", &[JOURNEYS]);
    check("percent", &["12.34%"]);
    check("previous", &["0%"]);
    check("state", &["settled"]);
    check("version", &["3"]);
    check("entity", &["journey:{journeyId}"]);
    check("strategy", &["serialize"]);
    check("reason", &["a", "friend"]);
    assert!(shown.contains("pinned legacy  none\npinned fixed   journey:J7\n"), "{shown}");
}

#[test]
fn a_change_says_what_it_changed() {
    let sidecar = sidecar(5);

    let set = run(&sidecar, &["flag", "set", JOURNEYS, "25%", "--reason", "x", "--wait"]);
    let killed = run(&sidecar, &["flag", "kill", JOURNEYS, "--reason", "x"]);
    let resumed = run(&sidecar, &["flag", "resume", JOURNEYS, "--reason", "x"]);

    assert_eq!(set, format!("{JOURNEYS}: 25% (before: 5%), settled, version 2\n"));
    let everything = "killed, every entity takes the legacy path (25% after resume)";
    assert_eq!(killed, format!("{JOURNEYS}: {everything}, version 3\n"));
    let again = "resumed, 25% of entities take the fixed path, and pins hold";
    assert_eq!(resumed, format!("{JOURNEYS}: {again}, version 4\n"));
}

#[test]
fn a_change_prints_the_flag_as_json() {
    let sidecar = sidecar(5);

    let changed = json_of(&sidecar, &["flag", "set", JOURNEYS, "0.5", "--reason", "half of one"]);

    assert_eq!(changed, sidecar.flag(JOURNEYS));
    assert_eq!((&changed["percent"], &changed["reason"]), (&json!(0.5), &json!("half of one")));
}

#[test]
fn a_history_tells_the_latest_change_first() {
    let sidecar = sidecar(0);
    run(&sidecar, &["flag", "set", JOURNEYS, "25%", "--reason", "first journeys"]);
    run(&sidecar, &["flag", "pin", JOURNEYS, "journey:J7", "legacy", "--reason", "a complaint"]);
    run(&sidecar, &["flag", "kill", JOURNEYS, "--reason", "too slow"]);

    let text = run(&sidecar, &["flag", "history", JOURNEYS]);
    let json = json_of(&sidecar, &["flag", "history", JOURNEYS]);
    let latest = json_of(&sidecar, &["flag", "history", JOURNEYS, "--limit", "1"]);

    let of = |key: &str| -> Vec<Value> {
        json["history"].as_array().unwrap().iter().map(|entry| entry[key].clone()).collect()
    };
    assert_eq!(of("version"), [4, 3, 2]);
    assert_eq!(of("reason"), ["too slow", "a complaint", "first journeys"]);
    assert_eq!(of("from"), [json!(false), Value::Null, json!(0)]);
    assert_eq!(of("to"), [json!(true), json!("legacy"), json!(25)]);
    assert!(of("at").iter().chain(&of("by")).all(Value::is_string), "{json}");
    assert_eq!(latest["history"].as_array().unwrap(), &json["history"].as_array().unwrap()[..1]);
    let reasons = ["too slow", "a complaint", "first journeys"].map(|r| text.find(r).expect(r));
    assert!(reasons.is_sorted() && text.contains("pin journey:J7"), "{text}");
    assert_eq!(words_of_line(&text, "2")[3..], ["percent", "0%", "25%", "first", "journeys"]);
}

#[test]
fn a_pin_can_hold_an_entity_back_and_be_taken_away() {
    let sidecar = sidecar(100);
    let path = || {
        let response = sidecar.call(&put(&status_of("J7"), "{}"));
        response.headers.get("interlock-path").unwrap_or_default().to_owned()
    };

    run(&sidecar, &["flag", "pin", JOURNEYS, "journey:J7", "legacy", "--reason", "x"]);
    let held_back = path();
    run(&sidecar, &["flag", "pin", JOURNEYS, "journey:J7", "none", "--reason", "x"]);

    assert_eq!((held_back.as_str(), path().as_str()), ("legacy", "fixed"));
    assert_eq!(sidecar.flag(JOURNEYS)["pins"], json!({ "legacy": [], "fixed": [] }));
}

#[test]
fn an_explanation_is_true_of_the_next_call() {
    let sidecar = sidecar(50);
    for n in 0..8 {
        let journey = format!("J{n}");
        let key = format!("journey:{journey}");
        let explained = json_of(&sidecar, &["explain", JOURNEYS, &key]);
        let response = sidecar.call(&put(&status_of(&journey), "{}"));

        assert_eq!(explained["path"].as_str(), response.headers.get("interlock-path"));
        let (bucket, threshold) = (&explained["bucket"], &explained["threshold"]);
        let below = bucket.as_u64().unwrap() < threshold.as_u64().unwrap();
        assert_eq!((below, threshold), (explained["path"] == "fixed", &json!(5000)), "{explained}");
    }
}

#[test]
fn an_explanation_begins_with_a_sentence_that_says_why() {
    let sidecar = sidecar(0);
    let change = |arguments: &[&str]| {
        run(&sidecar, &[&["flag"], arguments, &["--reason", "x"]].concat());
    };
    let sentence = || {
        let explained = run(&sidecar, &["explain", JOURNEYS, "journey:J7"]);
        explained.lines().next().unwrap_or_default().to_owned()
    };

    assert_eq!(sentence(), "journey:J7 takes the legacy path: the flag is at 0%");
    change(&["pin", JOURNEYS, "journey:J7", "fixed"]);
    assert_eq!(sentence(), "journey:J7 takes the fixed path: it is pinned");
    change(&["kill", JOURNEYS]);
    assert_eq!(sentence(), "journey:J7 takes the legacy path: the flag is killed");
    change(&["resume", JOURNEYS]);
    change(&["pin", JOURNEYS, "journey:J7", "none"]);
    change(&["set", JOURNEYS, "100%"]);
    assert_eq!(sentence(), "journey:J7 takes the fixed path: the flag is at 100%");
}

#[test]
fn an_admin_plane_that_is_not_there_is_named_with_what_to_look_at() {
    let port = ReservedPort::new();
    let url = format!("http://{}", port.address());

    for arguments in [&["flag", "list"][..], &["explain", JOURNEYS, "journey:J7"]] {
        let run = run_at(&url, arguments);

        assert_fails(
            &run,
            1,
            &[&url, "interlock run", "--admin", "INTERLOCK_ADMIN", "admin.listen"],
        );
    }
}

#[test]
fn the_proxy_is_not_taken_for_the_admin_plane() {
    let sidecar = sidecar(0);

    let run = run_at(&format!("http://{}", sidecar.address()), &["flag", "list"]);

    assert_fails(&run, 1, &["is no admin plane (it answered 200): check --admin"]);
}

#[test]
fn the_option_wins_over_the_variable() {
    let sidecar = sidecar(0);
    let nowhere = format!("http://{}", ReservedPort::new().address());
    let list = |option: &str, variable: &str| {
        let mut command = interlock(&["flag", "list", "--admin", option]);
        Run::of(command.env("INTERLOCK_ADMIN", variable)).code
    };

    assert_eq!(list(&sidecar.admin_url(), &nowhere), Some(0));
    assert_eq!(list(&nowhere, &sidecar.admin_url()), Some(1));
}

#[test]
fn what_the_sidecar_refuses_is_told_with_its_reason() {
    let sidecar = sidecar(0);
    let before = sidecar.flag(JOURNEYS);
    let run = |arguments: &[&str]| run_at(&sidecar.admin_url(), arguments);

    assert_fails(&run(&["flag", "get", "nobody"]), 1, &["nobody", "404", "flag list"]);
    assert_fails(&run(&["flag", "get", "journy-update"]), 1, &["did you mean journey-updates?"]);
    assert_fails(&run(&["flag", "history", "nobody"]), 1, &["nobody"]);
    assert_fails(&run(&["explain", "nobody", "journey:J7"]), 1, &["nobody"]);
    assert_fails(&run(&["explain", JOURNEYS, "J7"]), 1, &["journey:{journeyId}"]);
    let pin = ["flag", "pin", JOURNEYS, "J7", "fixed", "--reason", "x"];
    assert_fails(&run(&pin), 1, &["journey:{journeyId}"]);
    let stale = ["flag", "set", JOURNEYS, "1%", "--reason", "x", "--if-version", "7"];
    assert_fails(&run(&stale), 1, &["412"]);
    assert_eq!(sidecar.flag(JOURNEYS), before, "and nothing has changed");
}

#[test]
fn a_script_is_told_of_a_failure_in_json() {
    let sidecar = sidecar(0);

    let run = run_at(&sidecar.admin_url(), &["flag", "get", "nobody", "--output", "json"]);

    assert_eq!(run.code, Some(1), "{}", run.all);
    let told: Value = serde_json::from_str(&run.out).expect("one JSON object on stdout");
    assert_eq!(told["status"], 404);
    assert!(told["error"].as_str().is_some_and(|error| error.contains("nobody")), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let nowhere = "http://127.0.0.1:1";
    let run = |arguments: &[&str]| run_at(nowhere, arguments);

    assert_fails(&run(&["flag", "set", JOURNEYS, "25%"]), 2, &["--reason"]);
    assert_fails(&run(&["flag", "kill", JOURNEYS, "--reason", " "]), 2, &["--reason"]);
    assert_fails(&run(&["flag", "set", JOURNEYS, "101%", "--reason", "x"]), 2, &["101%"]);
    assert_fails(&run(&["flag", "set", JOURNEYS, "0.001", "--reason", "x"]), 2, &["0.001"]);
    assert_fails(
        &run(&["flag", "pin", JOURNEYS, "journey:J7", "left", "--reason", "x"]),
        2,
        &["left"],
    );
    assert_fails(&run(&["flag", "history", JOURNEYS, "--limit", "0"]), 2, &["--limit"]);
    assert_fails(&run(&["explain", JOURNEYS]), 2, &["ENTITY"]);
    assert_fails(&run(&["flag", "list", "--token-file", "no-such-file"]), 2, &["no-such-file"]);
    assert_fails(&run_at("127.0.0.1:9901", &["flag", "list"]), 2, &["http://"]);
    assert_fails(&run_at("ftp://127.0.0.1:9901", &["flag", "list"]), 2, &["http://"]);
}

/// Digests of the tokens `look-but-do-not-touch` and `hands-on`, as `sha256sum` tells them.
const TOKENS: &str = r#"
[[tokens]]
name = "grafana"
role = "viewer"
sha256 = "3f9bd4c3cfae92e7bc5c6369c8ff763271def724eb55eb6408d136b6c7edfa1c"

[[tokens]]
name = "ada"
role = "operator"
sha256 = "5a7c0000c9c5fe5096268a9cf9c2555922a787d86bf018f8ab4a1ed1374cd5df"
"#;

#[test]
fn a_token_decides_what_a_command_may_do_and_names_who_did_it() {
    let directory = TempDir::new();
    let tokens = directory.write("tokens.toml", TOKENS);
    let viewer = directory.write("viewer", "look-but-do-not-touch\n");
    let operator = directory.write("operator", "hands-on\n");
    let file = format!("{:?}", tokens.display().to_string());
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets())
        .env("INTERLOCK__ADMIN__TOKENS_FILE", file.trim_matches('"'))
        .with(&serialized(0))
        .start();
    let run = |arguments: &[&str], token: Option<&std::path::Path>| {
        let mut command = interlock(arguments);
        command.args(["--admin", &sidecar.admin_url()]);
        if let Some(token) = token {
            command.arg("--token-file").arg(token);
        }
        Run::of(&mut command)
    };
    let set = ["flag", "set", JOURNEYS, "100%", "--reason", "mine"];

    assert_fails(&run(&["flag", "list"], None), 1, &["401", "--token-file"]);
    assert_fails(&run(&set, Some(&viewer)), 1, &["403", "operator"]);
    assert_eq!(run(&["flag", "list"], Some(&viewer)).code, Some(0));
    assert_eq!(run(&set, Some(&operator)).code, Some(0));

    let shown = run(&["flag", "get", JOURNEYS], Some(&viewer)).out;
    assert_eq!(words_of_line(&shown, "percent")[1..], ["100%"]);
    assert_eq!(words_of_line(&shown, "by")[1..], ["ada"]);
}
