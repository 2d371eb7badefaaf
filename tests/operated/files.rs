//! The files as they stand in the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A file of rules, as Prometheus reads it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(rename = "name")]
    _name: String,
    rules: Vec<Rule>,
}

/// A recording or an alerting rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The name of what it records.
    pub(crate) record: Option<String>,
    /// The name of the alert.
    pub(crate) alert: Option<String>,
    /// The query.
    pub(crate) expr: String,
    /// How long the query has to hold.
    #[serde(rename = "for")]
    pub(crate) _for: Option<String>,
    /// What it adds to the query's labels.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// What it tells people.
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One case of `promtool test rules`.
#[derive(Deserialize)]
pub(crate) struct Case {
    /// What is to fire, or not, when.
    #[serde(default)]
    pub(crate) alert_rule_test: Vec<Expectation>,
}

/// What an alert does at one moment.
#[derive(Deserialize)]
pub(crate) struct Expectation {
    /// The alert.
    pub(crate) alertname: String,
    /// Those that fire; none where it is quiet.
    #[serde(default)]
    pub(crate) exp_alerts: Vec<Fired>,
}

/// An alert that fires.
#[derive(Deserialize)]
pub(crate) struct Fired {
    /// Its labels.
    #[serde(default)]
    pub(crate) exp_labels: BTreeMap<String, String>,
}

/// A path of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The text of a file.
#[track_caller]
pub(crate) fn text(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The files of a directory whose names end so, in the order of their names.
#[track_caller]
pub(crate) fn list(directory: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(path(directory)).unwrap_or_else(|e| panic!("{directory}: {e}"));
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut names: Vec<_> = entries.flatten().map(name).filter(|n| n.ends_with(ending)).collect();
    names.sort();
    assert!(!names.is_empty(), "{directory} has no file that ends in {ending}");
    names.into_iter().map(|name| format!("{directory}/{name}")).collect()
}

/// All rules, each with its file.
#[track_caller]
pub(crate) fn rules() -> Vec<(String, Rule)> {
    let of_file = |file: String| {
        let parsed: Result<RuleFile, _> = serde_yaml_ng::from_str(&text(&file));
        let rules = parsed.unwrap_or_else(|error| panic!("{file}: {error}")).groups;
        rules.into_iter().flat_map(|group| group.rules).map(move |rule| (file.clone(), rule))
    };
    list("alerts", ".yml").into_iter().flat_map(of_file).collect()
}

/// The alerting rules, each with its name.
#[track_caller]
pub(crate) fn alerts() -> Vec<(String, Rule)> {
    let named = |(_, rule): (String, Rule)| Some((rule.alert.clone()?, rule));
    rules().into_iter().filter_map(named).collect()
}

/// All cases of the rules' tests.
#[track_caller]
pub(crate) fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct TestFile {
        tests: Vec<Case>,
    }
    let of_file = |file: String| {
        let parsed: Result<TestFile, _> = serde_yaml_ng::from_str(&text(&file));
        parsed.unwrap_or_else(|error| panic!("{file}: {error}")).tests
    };
    list("tests/alerts", "_test.yml").into_iter().flat_map(of_file).collect()
}

/// All dashboards, each with its file.
#[track_caller]
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let read = |file: String| {
        let parsed = serde_json::from_str(&text(&file));
        let dashboard = parsed.unwrap_or_else(|error| panic!("{file}: {error}"));
        (file, dashboard)
    };
    list("dashboards", ".json").into_iter().map(read).collect()
}
