//! What is wrong on its own: files, keys, types and values.

use super::*;
use std::path::Path;

#[test]
fn every_problem_of_every_layer_is_listed_at_once() {
    let first = r#"
        [proxy]
        listem = "0.0.0.0:80"
        workers = "many"
        drain = "5"
        [flags.journey-updates]
        percent = 120
        [[flags.journey-updates.routes]]
        name = "a b"
        methods = ["put"]
        path = "/x"
    "#;
    let found = problems_of(
        &[first, "[proxy]\nmax_body = \"10TiB\"\n[flags.journey-updates.lease]\nwait = \"2h\""],
        &[("INTERLOCK__ADMIN__LISTEN", "localhost:1")],
    );

    assert_eq!(
        found,
        [
            "FILE0: proxy.listem: unknown key; did you mean listen?",
            "environment variable INTERLOCK__ADMIN__LISTEN: admin.listen = \"localhost:1\": is no address to listen on: \
             write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"",
            "FILE1: flags.journey-updates.lease.wait = \"2h\": must be from 1ms to 1h",
            "FILE0: flags.journey-updates.percent = 120: is no percentage: outside 0 to 100",
            "FILE0: flags.journey-updates.routes[0].methods = [\"put\"]: has \"put\", which is no method: methods are in \
             capitals, such as \"PUT\"",
            "FILE0: flags.journey-updates.routes[0].name = \"a b\": is no name: use 1 to 64 letters, digits, '_', '-' and \
             '.'",
            "FILE1: flags.journey-updates.entity: is required: write something like entity = \"journey:{journeyId}\"",
            "configuration: legacy.url: is required: write something like url = \"http://127.0.0.1:5000\"",
            "FILE0: proxy.drain = \"5\": is no duration: write a number and a unit, such as \"50ms\", \"5s\" or \"1m 30s\"",
            "FILE1: proxy.max_body = \"10TiB\": is no size: write whole bytes or a unit, such as 65536, \"32KiB\" or \
             \"1MiB\"",
            "FILE0: proxy.workers = \"many\": must be a whole number, not text",
        ]
    );
}

#[test]
fn a_missing_file_and_bad_syntax_are_problems_among_others() {
    let files = Files::of(&[
        "[proxy]\nlisten = \"0.0.0.0:80\nworkers = 1",
        "[legacy]\nurl = \"x\"",
        "big = 99999999999999999999",
    ]);
    let missing = std::env::temp_dir().join("interlock-no-such-file.toml");
    let paths: Vec<_> = [missing].into_iter().chain(files.0.clone()).collect();

    let problems = load(&paths, std::iter::empty()).unwrap_err();

    let found: Vec<_> = problems.iter().map(|problem| files.named(&problem.to_string())).collect();
    assert!(found[0].contains("interlock-no-such-file.toml: can't be read: "), "{}", found[0]);
    assert!(found[1].starts_with("FILE0: line 2, column 21: not valid TOML: "), "{}", found[1]);
    assert!(found[2].starts_with("FILE2: not usable as TOML: "), "{}", found[2]);
    assert!(found[3].starts_with("FILE1: legacy.url = \"x\": is no upstream: "), "{}", found[3]);
    assert_eq!(found.len(), 4);
}

#[test]
fn nothing_is_missed_that_a_file_which_cannot_be_read_may_have() {
    let said = problems_of(&["[legacy]\nurl = "], &[("INTERLOCK__FLAGS__A__PERCENT", "5")]);

    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("not valid TOML"), "{said:?}");
}

#[test]
fn without_any_file_it_is_said_that_none_was_given() {
    let said = problems_of(&[], &[]);

    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("legacy.url: is required, and no file was given: add --config"));
}

#[test]
fn a_file_is_read_up_to_a_bound_and_only_as_text() {
    let oversize = "#".repeat((1 << 20) + 1);
    assert_eq!(
        problems_of(&[&oversize], &[])[0],
        "FILE0: is larger than 1048576 bytes, the most that a configuration file may have"
    );

    let binary = Files::of(&[""]);
    std::fs::write(&binary.0[0], [0xff, 0xfe]).unwrap();
    assert!(binary.load(&[]).unwrap_err().to_string().contains("can't be read: invalid utf-8"));
    assert!(load(&[std::env::temp_dir()], std::iter::empty()).is_err());
}

#[test]
fn a_key_in_the_wrong_place_or_spelling_is_unknown() {
    check_refused(
        "lease = 1",
        &["FILE1: lease: unknown key; known here: proxy, legacy, admin, store"],
    );
    check_refused("[proxi]", &["FILE1: proxi: unknown key; did you mean proxy?"]);
    check_refused(
        "[proxy]\nlease = {}",
        &["FILE1: proxy.lease: unknown key; known here: listen, "],
    );
    check_refused(
        "[flags.journey-updates]\n\"lease.wait\" = \"1s\"\n\"routes[]\" = {}\n\"*\" = 1",
        &[
            "FILE1: flags.journey-updates.\"*\": unknown key",
            "FILE1: flags.journey-updates.\"lease.wait\": unknown key",
            "FILE1: flags.journey-updates.\"routes[]\": unknown key",
        ],
    );
    check_refused("\"proxy.listen\" = \"0.0.0.0:1\"", &["FILE1: \"proxy.listen\": unknown key"]);
    check_refused(
        "[PROXY]\nlisten = \"0.0.0.0:1\"",
        &["FILE1: PROXY: unknown key; did you mean proxy?"],
    );
}

#[test]
fn a_value_of_another_shape_is_refused_without_follow_up_problems() {
    check_refused("legacy = 1", &["FILE1: legacy: must be a table, not a whole number"]);
    check_refused("proxy = [1]", &["FILE1: proxy: must be a table, not a list"]);
    check_refused(
        "[proxy.listen]\nx = 1",
        &["FILE1: proxy.listen: must be text in quotes, not a table"],
    );
    check_refused(
        "[flags]\nother = 1",
        &["FILE1: flags.other: must be a table, not a whole number"],
    );
    check_refused(
        "[flags.journey-updates]\nroutes = {}",
        &["FILE1: flags.journey-updates.routes: must be an array of tables, not a table"],
    );
    check_refused(
        "[flags.journey-updates]\nroutes = [1]",
        &["FILE1: flags.journey-updates.routes: must be an array of tables, not a list"],
    );
}

/// The minimal configuration with one value changed is refused for that value, and `why` is how the reason begins.
fn check_value(key: &str, value: &str, why: &str) {
    let (table, name) = key.rsplit_once('.').unwrap();
    let change = format!("[{table}]\n{name} = {value}");
    check_refused(&change, &[&format!("FILE1: {key} = {value}: {why}")]);
}

#[test]
fn every_value_of_a_plane_has_its_bounds() {
    check_value("proxy.workers", "1025", "must be from 0 to 1024");
    check_value("proxy.workers", "-1", "must be from 0 to 1024");
    check_value("proxy.max_body", "\"1023B\"", "must be from 1KiB to 1GiB");
    check_value("proxy.max_body", "-1", "must be from 1KiB to 1GiB");
    check_value("proxy.max_headers", "\"2MiB\"", "must be from 1KiB to 1MiB");
    check_value("proxy.max_connections", "0", "must be from 1 to 1000000");
    check_value("proxy.header_timeout", "\"0s\"", "must be from 1ms to 1h");
    check_value("proxy.body_timeout", "30", "must be a duration in quotes");
    check_value("proxy.path_header", "\"yes\"", "must be true or false, not text");
    check_value("proxy.path_header", "1", "must be true or false, not a whole number");
    check_value("proxy.listen", "\"0.0.0.0\"", "is no address to listen on");
    check_value("legacy.timeout", "\"61m\"", "must be from 1ms to 1h");
    check_value(
        "legacy.url",
        "\"https://app\"",
        "is no upstream: https:// is not supported by this version",
    );
    check_value("admin.tokens_file", "\"\"", "is empty");
}

#[test]
fn every_value_of_telemetry_and_flags_has_its_bounds() {
    check_value("telemetry.log", "\"inof\"", "is no log filter");
    check_value("telemetry.log", "\"interlock=loud\"", "is no log filter");
    check_value("telemetry.log_format", "\"xml\"", "must be one of json, text");
    check_value("telemetry.otlp_endpoint", "\"127.0.0.1:4317\"", "is no collector's URL");
    check_value("telemetry.otlp_protocol", "\"udp\"", "must be one of grpc, http/protobuf");
    check_value("telemetry.trace_ratio", "1.5", "must be from 0 to 1");
    check_value(
        "flags.journey-updates.percent",
        "0.001",
        "is no percentage: finer than the resolution of 0.01",
    );
    check_value("flags.journey-updates.percent", "true", "must be a percentage");
    check_value(
        "flags.journey-updates.on_store_loss",
        "\"panic\"",
        "must be one of legacy, reject",
    );
    check_value("flags.journey-updates.lease.max_waiters", "0", "must be from 1 to 1000000");
    check_value("flags.journey-updates.entity", "\"journey\"", "has no placeholder");
    check_value(
        "flags.journey-updates.fixed.strategy",
        "\"faster\"",
        "must be one of serialize, upstream, atomic",
    );
}

#[test]
fn routes_are_checked_one_by_one() {
    let route = |methods: &str, path: &str| {
        format!(
            "[[flags.journey-updates.routes]]\nname = \"r\"\nmethods = {methods}\npath = {path}"
        )
    };
    let check = |methods: &str, path: &str, why: &str| check_refused(&route(methods, path), &[why]);
    let good = "\"/{journeyId}\"";

    check("[]", good, "FILE1: flags.journey-updates.routes[0].methods = []: is empty");
    check(
        "\"PUT\"",
        good,
        "FILE1: flags.journey-updates.routes[0].methods = \"PUT\": must be a list of methods",
    );
    check(
        "[1]",
        good,
        "FILE1: flags.journey-updates.routes[0].methods = [1]: must be a list of methods",
    );
    check(
        "[\"PUT\", \"PUT\"]",
        good,
        "FILE1: flags.journey-updates.routes[0].methods = [\"PUT\", \"PUT\"]: names PUT twice",
    );
    check(
        "[\"PUT\"]",
        "\"{journeyId}\"",
        "FILE1: flags.journey-updates.routes[0].path = \"{journeyId}\": must start with /",
    );
    check_refused(
        "[[flags.journey-updates.routes]]\nname = \"r\"",
        &[
            "FILE1: flags.journey-updates.routes[0].methods: is required",
            "FILE1: flags.journey-updates.routes[0].path: is required",
        ],
    );
}

#[test]
fn a_message_repeats_a_value_shortened_and_without_its_password() {
    let long = problems_of(&[MINIMAL, &format!("[proxy]\nlisten = \"{}\"", "x".repeat(500))], &[]);
    assert!(long[0].len() < 300, "{}", long[0]);

    let secret = problems_of(&[MINIMAL, "[store]\nurl = \"redis://:hunter2@redis:port\""], &[]);
    assert!(secret[0].contains("redis://:***@redis:port"), "{}", secret[0]);

    let syntax = problems_of(&["[store]\nurl = \"redis://:hunter2@redis\" x"], &[]);
    assert!(!syntax.concat().contains("hunter2"), "{syntax:?}");
}

#[test]
fn relative_paths_are_named_as_given() {
    let problems =
        load(&[Path::new("no/such.toml").to_path_buf()], std::iter::empty()).unwrap_err();

    assert!(problems.to_string().contains("\n  no/such.toml: can't be read: "), "{problems}");
}
