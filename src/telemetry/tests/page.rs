//! The page that a scraper reads, against the catalogue.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{FLAGS, ROUTES, families, telemetry, value};
use crate::domain::flag::Path;
use crate::telemetry::events::UpstreamAnswered;
use crate::telemetry::exposition::Labels;
use crate::telemetry::labels::Role;
use crate::telemetry::names::{CATALOGUE, Kind, Metric, Values};
use crate::telemetry::{REVISION, Telemetry, Topology, VERSION};

#[test]
fn every_family_of_the_catalogue_is_there_from_the_start_and_no_other() {
    let families = families(&telemetry());

    for metric in CATALOGUE {
        let family =
            families.get(metric.name).unwrap_or_else(|| panic!("{} is missing", metric.name));
        assert_eq!(
            (family.kind.as_str(), family.help.as_str()),
            (metric.kind.exposed_as(), metric.help)
        );
    }
    assert_eq!(families.len(), CATALOGUE.len());
}

#[test]
fn every_series_starts_at_zero_but_for_the_states_and_the_process() {
    let families = families(&telemetry());

    for metric in CATALOGUE {
        let samples = &families[metric.name].samples;
        let sum: f64 = samples.values().sum();
        let expected = match (metric.kind, metric.name) {
            (Kind::Counter | Kind::Gauge | Kind::Histogram(_), _) => 0.0,
            (Kind::StateSet, "interlock_flag_transition") => FLAGS.len() as f64,
            (Kind::StateSet | Kind::Info, _) => 1.0,
            (Kind::Process(_), _) => continue,
        };
        assert_eq!(sum, expected, "{}", metric.name);
    }
    assert_eq!(value(&telemetry(), "interlock_freshness", &[("state", "never_loaded")]), 1.0);
}

/// The label sets that the catalogue promises for a family.
fn promised(metric: &Metric) -> BTreeSet<Labels> {
    let mut sets = vec![Labels::new()];
    for label in metric.labels {
        let values: Vec<String> = match label.values {
            Values::Closed(words) => words().into_iter().map(str::to_owned).collect(),
            Values::Flags => FLAGS.iter().chain(&[""]).map(|s| (*s).to_owned()).collect(),
            Values::Routes => {
                ROUTES.iter().map(|r| r.0).chain(["unmatched"]).map(str::to_owned).collect()
            }
            Values::Build if label.name == "version" => vec![VERSION.to_owned()],
            Values::Build => vec![REVISION.to_owned()],
        };
        let with = |set: &Labels, value: &String| {
            let mut set = set.clone();
            set.insert(label.name.to_owned(), value.clone());
            set
        };
        sets =
            sets.iter().flat_map(|set| values.iter().map(move |value| with(set, value))).collect();
    }
    sets.into_iter().filter(|set| is_possible(metric, set)).collect()
}

/// A route belongs to one flag; only what matched none has no flag, and it went to legacy.
fn is_possible(metric: &Metric, set: &Labels) -> bool {
    let get = |name: &str| set.get(name).map(String::as_str);
    match (get("route"), get("flag")) {
        (Some("unmatched"), flag) => {
            flag.is_none_or(str::is_empty) && get("path") == Some("legacy")
        }
        (Some(route), Some(flag)) => ROUTES.iter().any(|r| r.0 == route && FLAGS[r.1] == flag),
        (None, Some(flag)) => !flag.is_empty(),
        _ => metric.labels.len() == set.len(),
    }
}

#[test]
fn the_label_sets_are_exactly_those_of_the_catalogue() {
    let families = families(&telemetry());

    for metric in CATALOGUE {
        let mut rendered = BTreeSet::new();
        for (_, labels) in families[metric.name].samples.keys() {
            let mut labels = labels.clone();
            labels.remove("le");
            rendered.insert(labels);
        }
        assert_eq!(rendered, promised(metric), "{}", metric.name);
    }
}

#[test]
fn names_say_their_unit_and_kind() {
    let mut names = BTreeSet::new();
    for metric in CATALOGUE {
        let name = metric.name;
        assert!(names.insert(name), "{name} comes twice");
        assert!(name.starts_with("interlock_") || name.starts_with("process_"), "{name}");
        assert_eq!(metric.kind.exposed_as() == "counter", name.ends_with("_total"), "{name}");
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(name.ends_with("_seconds"), "{name}");
            assert!(bounds.is_sorted_by(|a, b| a < b), "{name}");
        }
        assert!(metric.hint.contains(name), "the hint of {name} is about it");
    }
}

#[test]
fn odd_names_are_escaped() {
    let odd = "a\"b\\c\nd";
    let telemetry = Telemetry::new(&Topology {
        flags: vec![odd.to_owned()],
        routes: vec![(odd.to_owned(), 0)],
    });

    let labels = [("flag", odd)];
    assert_eq!(value(&telemetry, "interlock_client_gone_total", &labels), 0.0);
    assert_eq!(value(&telemetry, "interlock_lease_wait_seconds_count", &labels), 0.0);
}

#[test]
fn the_page_is_the_same_twice_but_for_what_moved() {
    let telemetry = telemetry();
    let ours = |page: String| -> Vec<String> {
        page.lines().filter(|line| !line.starts_with("process_")).map(str::to_owned).collect()
    };

    assert_eq!(ours(telemetry.render()), ours(telemetry.render()));
    assert_eq!(telemetry.content_type(), "text/plain; version=0.0.4; charset=utf-8");
}

#[test]
fn a_million_events_leave_the_page_as_long_as_it_was() {
    let telemetry = telemetry();
    let event = UpstreamAnswered {
        upstream: Path::Legacy,
        role: Role::Serving,
        elapsed: Duration::from_millis(250),
    };
    event.emit(&telemetry);
    let lines = telemetry.render().lines().count();

    (1..1_000_000).for_each(|_| event.emit(&telemetry));

    let labels = [("upstream", "legacy"), ("role", "serving")];
    assert_eq!(value(&telemetry, "interlock_upstream_duration_seconds_count", &labels), 1e6);
    assert_eq!(value(&telemetry, "interlock_upstream_duration_seconds_sum", &labels), 250_000.0);
    assert_eq!(telemetry.render().lines().count(), lines);
}
