//! The detector's settings, what updates do, and records.

use std::time::Duration;

use super::*;
use crate::config::{EffectConfig, VerifyConfig};
use crate::domain::source::Source;

const VERIFY: &str = "[flags.journey-updates.verify]\nread = \"/api/journeys/{journeyId}\"\n";

/// The flag's one route, with more in it.
fn route(methods: &str, more: &str) -> String {
    format!(
        "[[flags.journey-updates.routes]]\nname = \"r\"\nmethods = [{methods}]\n\
         path = \"/api/journeys/{{journeyId}}/segments/{{segmentId}}\"\n{more}\n"
    )
}

fn writes(pointer: &str, value: &str) -> String {
    format!("effect = {{ pointer = \"{pointer}\", value = \"{value}\" }}")
}

fn verify(change: &str) -> VerifyConfig {
    let files =
        Files::of(&[MINIMAL, &route("\"PUT\"", &writes("/status", "body:/status")), change]);
    let loaded = files.load(&[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    loaded.config.flags[0].verify.clone().expect("a detector")
}

/// The effect of the flag's route, which has to be right.
fn effect_of(pointer: &str, value: &str) -> EffectConfig {
    let text = route("\"PUT\"", &writes(pointer, value));
    let loaded = Files::of(&[MINIMAL, &text, VERIFY]).load(&[]).unwrap_or_else(|e| panic!("{e}"));
    loaded.config.flags[0].routes[0].effect.clone().expect("an effect")
}

#[test]
fn without_its_table_nothing_is_verified() {
    let flag = &loaded(MINIMAL).config.flags[0];

    assert_eq!((&flag.verify, &flag.routes[0].effect), (&None, &None));
    assert!(flag.reveal.is_empty());
}

#[test]
fn where_its_table_stands_the_rest_has_defaults() {
    let verify = verify(VERIFY);

    assert_eq!(verify.read.to_string(), "/api/journeys/{journeyId}");
    assert_eq!(verify.sample, "100%".parse().unwrap());
    assert_eq!(
        (verify.settle, verify.interval, verify.max_reads),
        (Duration::from_millis(200), Duration::from_secs(1), 50)
    );
}

#[test]
fn every_setting_of_the_detector_arrives() {
    let verify = verify(&format!(
        "{VERIFY}sample = \"12.5%\"\nsettle = \"1s\"\ninterval = \"7s\"\nmax_reads = 9"
    ));

    assert_eq!(verify.sample, "12.5%".parse().unwrap());
    assert_eq!(
        (verify.settle, verify.interval, verify.max_reads),
        (Duration::from_secs(1), Duration::from_secs(7), 9)
    );
}

#[test]
fn a_variable_alone_makes_the_table_stand() {
    let files = Files::of(&[MINIMAL, &route("\"PUT\"", &writes("/status", "body:/status"))]);

    let missing = files.load(&[("INTERLOCK__FLAGS__JOURNEY_UPDATES__VERIFY__SAMPLE", "5%")]);
    let whole = files.load(&[("INTERLOCK__FLAGS__JOURNEY_UPDATES__VERIFY__READ", "/{journeyId}")]);

    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("flags.journey-updates.verify.read: is required"), "{missing}");
    let verify = whole.unwrap().config.flags[0].verify.clone().expect("a detector");
    assert_eq!((verify.read.to_string().as_str(), verify.max_reads), ("/{journeyId}", 50));
}

#[test]
fn values_of_the_detector_and_of_records_have_their_bounds() {
    let check = |key: &str, value: &str, why: &str| {
        let change = format!("{VERIFY}{key} = {value}");
        let found =
            problems_of(&[MINIMAL, &route("\"PUT\"", &writes("/s", "body:/s")), &change], &[]);
        let expected = format!("FILE2: flags.journey-updates.verify.{key} = {value}: {why}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}");
    };

    check("sample", "101", "is no percentage");
    check("settle", "\"0s\"", "must be from 1ms to 1h");
    check("interval", "\"2h\"", "must be from 1ms to 1h");
    check("max_reads", "0", "must be from 1 to 10000");
    check("max_reads", "10001", "must be from 1 to 10000");
    check_refused(
        "[divergence]\nkeep = 0\nmax_age = \"59s\"",
        &[
            "FILE1: divergence.keep = 0: must be from 1 to 100000",
            "FILE1: divergence.max_age = \"59s\": must be from 1m to 30days",
        ],
    );
    let kept = loaded(&format!("{MINIMAL}[divergence]\nkeep = 7\nmax_age = \"30days\"")).config;
    assert_eq!(kept.divergence.keep, 7);
    assert_eq!(kept.divergence.max_age, Duration::from_secs(30 * 86_400));
    assert_eq!(loaded(MINIMAL).config.divergence.max_age, Duration::from_secs(86_400));
}

#[test]
fn an_entity_is_read_by_its_own_placeholders() {
    let read = "[flags.journey-updates.verify]\nread = \"/{journeyId}/{segmentId}/{x}\"\n";
    let found = problems_of(&[MINIMAL, &route("\"PUT\"", &writes("/s", "body:/s")), read], &[]);

    let at = "FILE2: flags.journey-updates.verify.read = \"/{journeyId}/{segmentId}/{x}\": has";
    assert_eq!(
        found,
        [
            format!(
                "{at} {{segmentId}}, which is none of the entity's placeholders (journeyId): read the entity by those alone"
            ),
            format!(
                "{at} {{x}}, which is none of the entity's placeholders (journeyId): read the entity by those alone"
            ),
        ]
    );
}

#[test]
fn an_effect_is_filled_by_the_path_and_the_entity() {
    let effect = effect_of("/segments/[segmentId={segmentId}]/{journeyId}/s", "path:segmentId");

    assert_eq!(effect.pointer.to_string(), "/segments/[segmentId={segmentId}]/{journeyId}/s");
    assert_eq!(effect.value, Source::Path("segmentId".to_owned()));

    let check = |pointer: &str, value: &str, expected: &str| {
        let found = problems_of(&[MINIMAL, &route("\"PUT\"", &writes(pointer, value))], &[]);
        let expected = format!("FILE1: flags.journey-updates.routes[0].effect.{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}");
    };
    check(
        "/legs/[id={legId}]/status",
        "body:/status",
        "pointer = \"/legs/[id={legId}]/status\": has {legId}, which neither the route's path nor the entity has",
    );
    check(
        "/status",
        "path:status",
        "value = \"path:status\": the route's path has no placeholder {status}",
    );
    check("status", "body:/status", "pointer = \"status\": must start with /");
    check("/a{b}", "body:/status", "pointer = \"/a{b}\": \"a{b}\" is neither a name");
    check("/status", "cookie:x", "value = \"cookie:x\": is no source");
}

#[test]
fn half_an_effect_is_none() {
    let found = problems_of(
        &[MINIMAL, &route("\"PUT\"", "effect = { pointer = \"/status\" }"), VERIFY],
        &[],
    );

    assert_eq!(
        found,
        [
            "FILE1: flags.journey-updates.routes[0].effect.value: is required: write something like value = \
             \"body:/status\""
        ]
    );
}

#[test]
fn a_verified_flag_knows_what_all_its_updates_do() {
    let check = |methods: &str, needed: bool| {
        let files = Files::of(&[MINIMAL, &route(methods, ""), VERIFY]);
        let said = files.load(&[]).err().map(|problems| files.named(&problems.to_string()));
        let expected = format!(
            "FILE1: flags.journey-updates.routes[0].methods = [{methods}]: has a method that may update, and \
             flags.NAME.verify needs to know what: say it with effect = {{ pointer = \"/status\", value = \"body:/status\" \
             }}, or the detector would take its updates for a stranger's"
        );
        assert_eq!(said.is_some(), needed, "{methods}: {said:?}");
        assert!(said.is_none_or(|said| said.contains(&expected)), "{methods}");
    };

    for method in ["PUT", "POST", "PATCH", "DELETE", "LOCK"] {
        check(&format!("{method:?}"), true);
    }
    check("\"GET\", \"PUT\"", true);
    check("\"GET\", \"HEAD\", \"OPTIONS\", \"TRACE\"", false);
}

#[test]
fn an_effect_that_is_wrong_is_not_called_missing() {
    let found = problems_of(&[MINIMAL, &route("\"PUT\"", "effect = 1"), VERIFY], &[]);

    assert_eq!(
        found,
        ["FILE1: flags.journey-updates.routes[0].effect: must be a table, not a whole number"]
    );
}

#[test]
fn an_effect_that_nobody_looks_at_is_warned_about() {
    let said = warnings_for(&route("\"PUT\"", &writes("/status", "body:/status")));

    assert_eq!(
        said,
        ["FILE1: flags.journey-updates.routes[0].effect: has no effect without flags.NAME.verify"]
    );
}

#[test]
fn records_show_what_is_listed() {
    let reveal = |list: &str| format!("[flags.journey-updates]\nreveal = {list}");
    let files = Files::of(&[MINIMAL, &reveal("[\"/status\", \"/segments/*/status\"]")]);
    let env = ("INTERLOCK__FLAGS__JOURNEY_UPDATES__REVEAL", "[\"/price\"]");

    let shown = |loaded: Loaded| -> Vec<String> {
        loaded.config.flags[0].reveal.iter().map(ToString::to_string).collect()
    };
    assert_eq!(shown(files.load(&[]).unwrap()), ["/status", "/segments/*/status"]);
    assert_eq!(shown(files.load(&[env]).unwrap()), ["/price"]);

    let at = "FILE1: flags.journey-updates.reveal = ";
    let check = |list: &str, why: &str| {
        check_refused(&reveal(list), &[&format!("{at}{list}: {why}")]);
    };
    check("[\"status\"]", "has \"status\", which is no pointer");
    check("\"/status\"", "must be a list of places, such as");
    check("[1]", "must be a list of places, such as");
    let many = format!("[{}]", vec!["\"/x\""; 101].join(", "));
    let found = problems_of(&[MINIMAL, &reveal(&many)], &[]);
    assert!(found[0].ends_with("has 101 entries, and at most 100 are allowed"), "{found:?}");
}
