//! The store: what its settings become, and what must hold between them.

use std::time::Duration;

use super::*;
use crate::config::{RedisConfig, StoreMode};

fn redis(change: &str) -> RedisConfig {
    let files = Files::of(&[MINIMAL, change]);
    let loaded = files.load(&[]).unwrap_or_else(|problems| panic!("{problems}"));
    loaded.config.store.redis.expect("a store")
}

fn check_warned(change: &str, warnings: &[&str]) {
    let found = warnings_for(change);
    assert_eq!(found.len(), warnings.len(), "{change}: {found:#?}");
    for (found, expected) in found.iter().zip(warnings) {
        assert!(found.starts_with(expected), "{change}:\n{found}\ndoesn't begin with\n{expected}");
    }
}

#[test]
fn without_a_url_there_is_no_store() {
    assert_eq!(loaded(MINIMAL).config.store.redis, None);
}

#[test]
fn a_url_is_enough() {
    let config = redis("[store]\nurl = \"redis://redis\"");

    assert_eq!(config.url.to_string(), "redis://redis:6379");
    assert_eq!((config.timeout, config.prefix.as_str()), (Duration::from_millis(50), "interlock"));
    assert_eq!((config.username_file, config.password_file, config.ca_file), (None, None, None));
    assert_eq!(warnings_for("[store]\nurl = \"redis://redis\""), Vec::<String>::new());
}

#[test]
fn every_setting_of_the_store_arrives() {
    let config = redis(
        "[store]\nurl = \"rediss://a,b\"\ncluster = true\ntimeout = \"80ms\"\nprefix = \"a-b\"\nusername_file = \"u\"\n\
         password_file = \"p\"\nca_file = \"c\"",
    );

    assert_eq!(config.url.mode, StoreMode::Cluster);
    assert_eq!((config.timeout, config.prefix.as_str()), (Duration::from_millis(80), "a-b"));
    let file = |name: &str| Some(PathBuf::from(name));
    assert_eq!(
        (config.username_file, config.password_file, config.ca_file),
        (file("u"), file("p"), file("c"))
    );
}

#[test]
fn variables_set_the_store_too() {
    let files = Files::of(&[MINIMAL]);
    let env = [
        ("INTERLOCK__STORE__URL", "redis+sentinel://a,b/main"),
        ("INTERLOCK__STORE__PASSWORD_FILE", "/run/password"),
    ];

    let config = files.load(&env).unwrap().config.store.redis.unwrap();

    assert_eq!(config.url.to_string(), "redis+sentinel://a:26379,b:26379/main");
    assert_eq!(config.password_file, Some("/run/password".into()));
}

#[test]
fn one_address_of_a_cluster_is_enough() {
    let config = redis("[store]\nurl = \"redis://redis\"\ncluster = true");

    assert_eq!(config.url.mode, StoreMode::Cluster);
}

#[test]
fn values_of_the_store_have_their_bounds() {
    let check = |name: &str, value: &str, why: &str| {
        let url = if name == "url" { "" } else { "url = \"redis://r\"\n" };
        check_refused(
            &format!("[store]\n{url}{name} = {value}"),
            &[&format!("FILE1: store.{name} = {value}: {why}")],
        );
    };

    check("url", "\"unix:///run/redis\"", "is no store's URL: a Unix socket is not supported");
    check("url", "\"http://r\"", "is no store's URL: write redis://, rediss:// (TLS)");
    check("url", "\"\"", "is empty");
    check("url", "6379", "must be text in quotes, not a whole number");
    check("cluster", "\"yes\"", "must be true or false");
    check("timeout", "\"0s\"", "must be from 1ms to 10s");
    check("timeout", "\"11s\"", "must be from 1ms to 10s");
    check("prefix", "\"{a}\"", "is no name: use 1 to 64 letters, digits, '_', '-' and '.'");
    check("username_file", "\"\"", "is empty");
    check("password_file", "true", "must be text in quotes");
    check("ca_file", "\" \"", "is empty");
}

#[test]
fn what_means_a_store_needs_its_url() {
    for setting in
        ["cluster = true", "username_file = \"u\"", "password_file = \"p\"", "ca_file = \"c\""]
    {
        check_refused(
            &format!("[store]\n{setting}"),
            &[&format!(
                "FILE1: store.{setting}: is about a store that is not there: write where it is"
            )],
        );
    }
    check_refused(
        "[store]\nurl = {}\npassword_file = \"p\"",
        &["FILE1: store.url: must be text in quotes, not a table"],
    );
}

#[test]
fn what_means_nothing_alone_is_warned_about_unless_it_is_the_default() {
    check_warned(
        "[store]\ntimeout = \"1s\"\nprefix = \"x\"",
        &[
            "FILE1: store.timeout: has no effect without store.url",
            "FILE1: store.prefix: has no effect without store.url",
        ],
    );
    check_warned("[store]\ntimeout = \"50ms\"\nprefix = \"interlock\"\ncluster = false", &[]);
}

#[test]
fn a_url_that_a_lost_file_may_hold_is_not_missed() {
    let said = problems_of(&[MINIMAL, "[store]\npassword_file = \"p\"", "[store]\nurl = "], &[]);

    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("not valid TOML"), "{said:?}");
}

#[test]
fn several_hosts_are_one_store_only_as_a_cluster_or_by_sentinels() {
    check_refused(
        "[store]\nurl = \"redis://a,b\"",
        &[
            "FILE1: store.url = \"redis://a,b\": names several hosts: if they are nodes of a cluster, set",
        ],
    );
    check_refused(
        "[store]\nurl = \"redis+sentinel://a,b/main\"\ncluster = true",
        &[
            "FILE1: store.url = \"redis+sentinel://a,b/main\": is no store's URL: Sentinels know no cluster",
        ],
    );
    for url in ["redis://a/1", "redis://a,b/1"] {
        check_refused(
            &format!("[store]\nurl = \"{url}\"\ncluster = true"),
            &[&format!(
                "FILE1: store.url = \"{url}\": is no store's URL: a cluster has no database but 0"
            )],
        );
    }
}

#[test]
fn what_is_wrong_with_a_cluster_stands_among_all_else_that_is_wrong() {
    check_refused(
        "[store]\nurl = \"redis://a/1\"\ncluster = true\nca_file = \"c\"",
        &["FILE1: store.url = \"redis://a/1\"", "FILE1: store.ca_file = \"c\""],
    );
}

#[test]
fn certificates_are_for_tls() {
    check_refused(
        "[store]\nurl = \"redis://r\"\nca_file = \"ca.pem\"",
        &["FILE1: store.ca_file = \"ca.pem\": is for TLS only: write rediss:// in store.url"],
    );
    check_warned("[store]\nurl = \"rediss+sentinel://r/main\"\nca_file = \"ca.pem\"", &[]);
}

#[test]
fn a_password_in_the_url_is_advised_against_and_a_file_wins() {
    let file = "password_file = \"p\"";

    check_warned(
        "[store]\nurl = \"redis://:pass@r\"",
        &[
            "FILE1: store.url: holds a password: better keep it in a file that store.password_file names",
        ],
    );
    check_warned(
        &format!("[store]\nurl = \"redis://:pass@r\"\n{file}"),
        &["FILE1: store.url: holds a password, but that of store.password_file is used"],
    );
    check_warned(
        &format!("[store]\nurl = \"redis://app@r\"\nusername_file = \"u\"\n{file}"),
        &["FILE1: store.url: names a user, but that of store.username_file is used"],
    );
    check_warned(&format!("[store]\nurl = \"redis://app@r\"\n{file}"), &[]);
}

#[test]
fn a_user_needs_a_password() {
    check_refused(
        "[store]\nurl = \"redis://app@r\"",
        &[
            "FILE1: store.url = \"redis://***@r\": names a user without a password: name the password's file",
        ],
    );
    check_refused(
        "[store]\nurl = \"redis://r\"\nusername_file = \"u\"",
        &["FILE1: store.username_file = \"u\": names a user without a password"],
    );
}

#[test]
fn a_wait_for_a_lease_has_room_for_the_store() {
    let store = "[store]\nurl = \"redis://r\"\n";
    let flag = |setting: &str| format!("{store}[flags.journey-updates]\n{setting}");

    check_warned(
        &flag("lease.wait = \"40ms\""),
        &["FILE1: flags.journey-updates.lease.wait: is shorter than store.timeout = \"50ms\""],
    );
    check_refused(
        &flag("lease.wait = \"2s\"\nstore_patience = \"3s\""),
        &[
            "FILE1: flags.journey-updates.store_patience = \"3s\": is part of the wait for a lease, and longer than \
           lease.wait = \"2s\"",
        ],
    );
    check_warned(&flag("lease.wait = \"2s\"\nstore_patience = \"2s\""), &[]);
    // Without a store nobody waits for one.
    check_warned("[flags.journey-updates]\nlease.wait = \"40ms\"\nstore_patience = \"3s\"", &[]);
}

#[test]
fn no_output_shows_a_password() {
    let written = "[store]\nurl = \"redis://app:hunter2@r\"";
    let loaded = Files::of(&[MINIMAL, written]).load(&[]).unwrap();

    let toml = loaded.config.effective_toml().unwrap();
    let shown = format!("{loaded:?} {toml} {}", loaded.config.effective_json().unwrap());

    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(toml.contains("url = \"redis://app:***@r:6379\""), "{toml}");
    let again = problems_of(&[&toml], &[]);
    assert!(again[0].contains("its password is masked: write the real one"), "{again:?}");

    for wrong in [
        "redis://app:hunter2",
        "redis://app:hunter2@r:port",
        "redis://:hunt er2@r:port",
        "app:hunter2@r",
        "redis://a:hunter2@b/x",
        "redis://:hunter2@a,b",
    ] {
        let said = problems_of(&[MINIMAL, &format!("[store]\nurl = \"{wrong}\"")], &[]).concat();
        assert!(!said.contains("hunt") && !said.contains("er2"), "{said}");
        let said = problems_of(&[MINIMAL, &format!("[store]\nurl = [\"{wrong}\"]")], &[]).concat();
        assert!(!said.contains("hunt") && !said.contains("er2"), "{said}");
    }
}
