//! Which layer wins, and how variables find their keys.

use super::*;
use crate::config::UpstreamUrl;
use crate::domain::percent::Percent;
use std::time::Duration;

#[test]
fn later_files_win_and_variables_win_over_them() {
    let files = Files::of(&[
        MINIMAL,
        "[proxy]\nmax_connections = 1\nworkers = 3\ndrain = \"11s\"",
        "[proxy]\nmax_connections = 2\nworkers = 4",
    ]);

    let config = files.load(&[("INTERLOCK__PROXY__WORKERS", "5")]).unwrap().config;

    assert_eq!(config.proxy.drain, Duration::from_secs(11));
    assert_eq!(config.proxy.max_connections, 2);
    assert_eq!(config.proxy.workers, 5);
    assert_eq!(config.legacy.timeout, Duration::from_secs(5));
}

#[test]
fn tables_merge_and_routes_are_replaced_as_a_whole() {
    let files = Files::of(&[
        MINIMAL,
        "[flags.journey-updates]\npercent = 25\n[[flags.journey-updates.routes]]\nname = \"other\"\n\
         methods = [\"POST\"]\npath = \"/x/{journeyId}\"",
    ]);

    let flags = files.load(&[]).unwrap().config.flags;

    assert_eq!(flags[0].percent, "25".parse().unwrap());
    assert_eq!(
        flags[0].routes.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(),
        ["other"]
    );
}

#[test]
fn variables_set_every_kind_of_value() {
    let files = Files::of(&[MINIMAL]);
    let env = [
        ("INTERLOCK__LEGACY__URL", "http://[::1]:7000"),
        ("interlock__proxy__path_header", "false"),
        ("INTERLOCK__PROXY__MAX_BODY", "2048"),
        ("INTERLOCK__FLAGS__JOURNEY-UPDATES__PERCENT", "12.5%"),
        ("INTERLOCK__FLAGS__JOURNEY_UPDATES__LEASE__MAX_WAITERS", "7"),
        ("INTERLOCK_ADMIN", "http://127.0.0.1:9901"),
        ("PATH", "/bin"),
    ];

    let config = files.load(&env).unwrap().config;

    assert_eq!(config.legacy.url, UpstreamUrl { host: "::1".into(), port: 7000 });
    assert!(!config.proxy.path_header);
    assert_eq!(config.proxy.max_body, 2048);
    assert_eq!(Some(config.flags[0].percent), Percent::from_hundredths(1250));
    assert_eq!(config.flags[0].lease.max_waiters, 7);
}

#[test]
fn a_variable_that_finds_no_key_is_refused_by_its_name() {
    let env = [
        ("INTERLOCK__FLAGS__JOURNEY_UPDATE__PERCENT", "1"),
        ("INTERLOCK__FLAGS__JOURNEY_UPDATES__ROUTES__0__NAME", "x"),
        ("INTERLOCK__PROXY__LISTENS", "0.0.0.0:1"),
        ("INTERLOCK__PROXY__WORKERS", "two"),
        ("INTERLOCK__proxy__drain", "1s"),
        ("INTERLOCK__PROXY__DRAIN", "2s"),
    ];

    let found = problems_of(&[MINIMAL], &env);

    assert_eq!(
        found,
        [
            "environment variable INTERLOCK__FLAGS__JOURNEY_UPDATES__ROUTES__0__NAME: routes can't be set from the \
             environment: write them in a file and add it with --config",
            "environment variable INTERLOCK__FLAGS__JOURNEY_UPDATE__PERCENT: no file defines such a flag; did you mean \
             journey-updates?",
            "environment variable INTERLOCK__PROXY__LISTENS: unknown key; did you mean PROXY__LISTEN?",
            "environment variable INTERLOCK__proxy__drain: sets the same key as INTERLOCK__PROXY__DRAIN: remove one of \
             them",
            "environment variable INTERLOCK__PROXY__WORKERS: proxy.workers = \"two\": must be a whole number, not text",
        ]
    );
}

#[test]
fn names_keep_their_letter_case() {
    let text = MINIMAL
        .replace("journey-updates", "\"Journey.Updates\"")
        .replace("journey-status", "Status-A");

    let config = Files::of(&[&text])
        .load(&[("INTERLOCK__FLAGS__JOURNEY_UPDATES__PERCENT", "1")])
        .unwrap()
        .config;

    assert_eq!(config.flags[0].name, "Journey.Updates");
    assert_eq!(config.flags[0].routes[0].name, "Status-A");
    assert_eq!(config.flags[0].percent, "1".parse().unwrap());
}

#[test]
fn without_flags_everything_passes_through() {
    let config = loaded("[legacy]\nurl = \"http://app\"\n[flags]").config;

    assert!(config.flags.is_empty());
    assert_eq!(config.legacy.url, UpstreamUrl { host: "app".into(), port: 80 });
}

#[test]
fn no_workers_means_one_per_core() {
    assert!(loaded(MINIMAL).config.proxy.workers >= 1);
}
