//! The files in `config/`: valid, complete, and in step with the table of keys.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config::FixedConfig;
use crate::config::keys::{self, Node, Presence};

fn path_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// Every key of a document by its place, with its value.
fn flatten(table: &toml::Table, place: &str, into: &mut BTreeMap<String, toml::Value>) {
    for (name, value) in table {
        let place = keys::child_place(place, name).unwrap();
        match (keys::node(&place), value) {
            (Some(Node::Table), toml::Value::Table(table)) => flatten(table, &place, into),
            (Some(Node::Tables), toml::Value::Array(elements)) => {
                for element in elements {
                    flatten(element.as_table().unwrap(), &format!("{place}[]"), into);
                }
            }
            _ => drop(into.insert(place, value.clone())),
        }
    }
}

/// The default file with every commented key made a real one.
fn default_file_in_full() -> BTreeMap<String, toml::Value> {
    let commented = |line: &str| {
        line.strip_prefix('#')
            .filter(|rest| !rest.is_empty() && !rest.starts_with(' '))
            .map(str::to_owned)
    };
    let text = std::fs::read_to_string(path_of("default.toml")).unwrap();
    let full: Vec<String> =
        text.lines().map(|line| commented(line).unwrap_or_else(|| line.to_owned())).collect();
    let mut places = BTreeMap::new();
    flatten(&full.join("\n").parse().unwrap(), "", &mut places);
    places
}

#[test]
fn the_default_file_loads_to_the_defaults_without_a_warning() {
    let written =
        load(&[path_of("default.toml")], std::iter::empty()).unwrap_or_else(|e| panic!("{e}"));

    assert_eq!(written, loaded(MINIMAL));
}

#[test]
fn the_default_file_has_every_key_with_its_default_and_nothing_else() {
    let full = default_file_in_full();

    let known: Vec<&str> = keys::all().map(|key| key.place).collect();
    for place in full.keys() {
        assert!(known.contains(&place.as_str()), "{place} is no key");
    }
    for key in keys::all() {
        let written = full.get(key.place).unwrap_or_else(|| panic!("{} is missing", key.place));
        if let Presence::Default(default) = key.presence {
            let default: toml::Table = format!("value = {default}").parse().unwrap();
            assert_eq!(written, &default["value"], "{}", key.place);
        }
    }
}

#[test]
fn every_default_and_example_is_valid_itself() {
    for key in keys::all() {
        let (Presence::Default(text) | Presence::Required(text) | Presence::Optional(text)) =
            key.presence;
        let value =
            crate::config::raw::literal("test", text).unwrap_or_else(|| panic!("{}", key.place));

        crate::config::values::check(&value, &key.kind)
            .unwrap_or_else(|e| panic!("{}: {e}", key.place));
    }
}

#[test]
fn the_examples_load_without_a_warning() {
    let example = |name: &str| {
        let loaded = load(&[path_of(name)], std::iter::empty());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{name}: {problems}"));
        assert_eq!(loaded.warnings, [], "{name}");
        assert_eq!(loaded.config.flags[0].routes.len(), 2, "{name}");
        assert!(loaded.config.store.snapshot.is_some(), "{name}");
        loaded.config
    };

    assert_eq!(example("single.toml").store.redis, None);
    let redis = example("production.toml").store.redis.expect("a fleet's store");
    assert!(redis.url.tls && redis.url.password.is_none() && redis.password_file.is_some());
}

#[test]
fn the_example_of_edits_declares_one_for_each_route_without_a_warning() {
    let loaded = load(&[path_of("atomic.toml")], std::iter::empty());
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));

    assert_eq!(loaded.warnings, []);
    let flag = &loaded.config.flags[0];
    assert!(matches!(flag.fixed, FixedConfig::Atomic { .. }), "{:?}", flag.fixed);
    assert_eq!(flag.routes.len(), 2);
    for route in &flag.routes {
        assert!(route.atomic.is_some() && route.effect.is_some(), "{}", route.name);
    }
}
