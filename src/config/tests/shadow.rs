//! The shadow: what its settings become, and that no candidate may do harm.

use std::time::Duration;

use super::*;
use crate::config::{ShadowConfig, ShadowMode, UpstreamUrl};
use crate::domain::compare::{DecimalText, Rules, StatusRule};

/// The flag's shadow.
fn written(settings: &str) -> String {
    format!("[flags.journey-updates.shadow]\n{settings}")
}

/// The same of a flag whose fixed path is an app of its own.
fn of_upstream(settings: &str) -> String {
    format!(
        "[flags.journey-updates]\nfixed = {{ strategy = \"upstream\", url = \"http://127.0.0.1:5001\" }}\n{}",
        written(settings)
    )
}

fn shadow(change: &str) -> ShadowConfig {
    let files = Files::of(&[MINIMAL, change]);
    let loaded = files.load(&[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.warnings, []);
    loaded.config.flags[0].shadow.clone().expect("a shadow")
}

/// The shadow is refused for this key and value.
fn check_shadow(change: &str, key: &str, value: &str, why: &str) {
    let at = format!("FILE1: flags.journey-updates.shadow.{key} = {value}: {why}");
    check_refused(change, &[&at]);
}

#[test]
fn it_is_off_unless_it_is_turned_on() {
    assert_eq!(loaded(MINIMAL).config.flags[0].shadow, None);
    assert_eq!(
        loaded(&format!("{MINIMAL}{}", written("mode = \"off\""))).config.flags[0].shadow,
        None
    );
}

#[test]
fn turned_on_the_rest_has_defaults() {
    let shadow = shadow(&of_upstream("mode = \"dry_run\""));

    assert_eq!((shadow.mode, shadow.url), (ShadowMode::DryRun, None));
    assert_eq!((shadow.sample, shadow.noise), ("100%".parse().unwrap(), "0".parse().unwrap()));
    assert_eq!(shadow.timeout, Duration::from_secs(5));
    assert_eq!((shadow.max_inflight, shadow.queue), (64, 256));
    assert_eq!(shadow.rules, Rules::default());
}

#[test]
fn every_setting_of_the_shadow_arrives() {
    let shadow = shadow(&written(
        "mode = \"dry_run\"\nsample = \"50%\"\nnoise = \"1%\"\nurl = \"http://candidate\"\ntimeout = \"1s\"\n\
         max_inflight = 3\nqueue = 4\n[flags.journey-updates.shadow.compare]\nstatus = \"class\"\n\
         headers = [\"Content-Type\", \"etag\"]\nignore = [\"/updatedAt\", \"/segments/*/at\"]\n\
         unordered = [\"/segments\"]\ntolerance = 0.01\ndecimal_text = \"by_value\"",
    ));

    assert_eq!((shadow.sample, shadow.noise), ("50%".parse().unwrap(), "1%".parse().unwrap()));
    assert_eq!(shadow.url, Some(UpstreamUrl { host: "candidate".into(), port: 80 }));
    assert_eq!(shadow.timeout, Duration::from_secs(1));
    assert_eq!((shadow.max_inflight, shadow.queue), (3, 4));
    let rules = shadow.rules;
    assert_eq!((rules.status, rules.decimal_text), (StatusRule::Class, DecimalText::ByValue));
    assert_eq!(rules.headers, ["content-type", "etag"]);
    let texts = |list: &[crate::domain::compare::PointerPattern]| -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts(&rules.ignore), ["/updatedAt", "/segments/*/at"]);
    assert_eq!(texts(&rules.unordered), ["/segments"]);
    assert_eq!(rules.tolerance, 0.01);
}

#[test]
fn values_of_the_shadow_have_their_bounds() {
    let check = |key: &str, value: &str, why: &str| {
        let settings = format!("mode = \"isolated\"\nurl = \"http://candidate\"\n{key} = {value}");
        check_shadow(&written(&settings), key, value, why);
    };

    check("sample", "100.001", "is no percentage");
    check("noise", "-1", "is no percentage");
    check("timeout", "\"0s\"", "must be from 1ms to 1h");
    check("max_inflight", "0", "must be from 1 to 10000");
    check("queue", "100001", "must be from 1 to 100000");
    check("compare.status", "\"loose\"", "must be one of exact, class");
    check("compare.headers", "[\"a b\"]", "has \"a b\", which is no header's name");
    check("compare.headers", "\"etag\"", "must be a list of headers, such as");
    check("compare.ignore", "[\"x\"]", "has \"x\", which is no pointer");
    check("compare.unordered", "[\"\"]", "has \"\", which is no pointer");
    check("compare.tolerance", "1.1", "must be from 0 to 1");
    check("compare.decimal_text", "\"round\"", "must be one of exact, by_value");
    check_shadow(&written("mode = \"on\""), "mode", "\"on\"", "must be one of off, plan, dry_run");
}

#[test]
fn an_isolated_candidate_has_a_url_of_its_own() {
    check_shadow(
        &of_upstream("mode = \"isolated\""),
        "mode",
        "\"isolated\"",
        "needs to know where the candidate with a store of its own listens: set shadow.url",
    );
    for live in ["http://127.0.0.1:5000", "http://LOCALHOST:5000", "http://[::1]:5000"] {
        check_shadow(
            &written(&format!("mode = \"isolated\"\nurl = \"{live}\"")),
            "url",
            &format!("{live:?}"),
            "is legacy.url, whose app serves, so that shadows would write live state: name a candidate",
        );
    }
    check_shadow(
        &of_upstream("mode = \"isolated\"\nurl = \"http://localhost:5001\""),
        "url",
        "\"http://localhost:5001\"",
        "is flags.journey-updates.fixed.url, whose app serves",
    );
    assert_eq!(
        shadow(&of_upstream("mode = \"isolated\"\nurl = \"http://127.0.0.1:5002\"")).mode,
        ShadowMode::Isolated
    );
}

#[test]
fn an_isolated_candidate_leaves_the_app_that_serves_alone() {
    check_shadow(
        &written("mode = \"isolated\"\nurl = \"http://candidate\"\nnoise = \"0.01%\""),
        "noise",
        "\"0.01%\"",
        "is for mode \"dry_run\" only, since the app that serves would get copies of updates",
    );
}

#[test]
fn a_dry_run_asks_another_app_or_says_that_it_wants_noise() {
    for noise in ["", "noise = \"99.99%\""] {
        check_shadow(
            &written(&format!("mode = \"dry_run\"\n{noise}")),
            "mode",
            "\"dry_run\"",
            "has no other app to ask, since strategy \"serialize\" calls the same one on both paths: set shadow.url, or \
             noise = \"100%\"",
        );
    }
    let noise = shadow(&written("mode = \"dry_run\"\nnoise = \"100%\""));
    assert_eq!((noise.url, noise.noise), (None, "100%".parse().unwrap()));
    let legacy = shadow(&written("mode = \"dry_run\"\nurl = \"http://127.0.0.1:5000\""));
    assert_eq!(legacy.url.unwrap().port, 5000);
}

#[test]
fn a_candidate_is_not_interlock_itself() {
    check_shadow(
        &written("mode = \"dry_run\"\nurl = \"http://127.0.0.1:8080\""),
        "url",
        "\"http://127.0.0.1:8080\"",
        "is where Interlock itself listens (proxy.listen",
    );
}

#[test]
fn what_is_set_of_a_shadow_that_is_off_is_warned_about() {
    let said = warnings_for(&written(
        "sample = \"10%\"\nqueue = 256\nurl = \"http://candidate\"\ncompare.status = \"class\"",
    ));

    let expected = |key: &str| {
        format!(
            "FILE1: flags.journey-updates.shadow.{key}: has no effect while shadow.mode is \"off\""
        )
    };
    assert_eq!(said, ["compare.status", "sample", "url"].map(expected));
    let as_by_default = written("mode = \"off\"\nsample = \"100%\"");
    assert_eq!(warnings_for(&as_by_default), Vec::<String>::new());
}
