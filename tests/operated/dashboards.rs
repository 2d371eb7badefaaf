//! The shape of dashboards: what makes one readable and lets it be provisioned anywhere.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::catalogue::Catalogue;
use crate::files;
use crate::panels::{Panel, panels, variables};

/// The most panels that a page answers one question with.
const MOST_PANELS: usize = 14;

/// The width of Grafana's grid.
const GRID: u64 = 24;

/// Where a panel stands: left, top, right, bottom.
fn area(panel: &Panel) -> [u64; 4] {
    let at = |name: &str| panel.json["gridPos"][name].as_u64().expect("a place in the grid");
    [at("x"), at("y"), at("x") + at("w"), at("y") + at("h")]
}

fn overlap(a: [u64; 4], b: [u64; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

#[test]
fn dashboards_are_told_apart_and_find_each_other() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in files::dashboards() {
        let text = |name: &str| dashboard[name].as_str().unwrap_or_default().to_owned();
        assert!(text("uid").starts_with("interlock-"), "{file}");
        assert!(uids.insert(text("uid")), "{file}: another one has this uid");
        assert!(text("title").starts_with("Interlock / "), "{file}");
        assert!(!text("description").is_empty(), "{file}: which question does it answer?");
        assert!(dashboard["id"].is_null(), "{file}: an id belongs to one Grafana");
        assert_eq!(dashboard["tags"], serde_json::json!(["interlock"]), "{file}");
        let links = dashboard["links"].as_array().unwrap();
        let has = |kind: &str, part: &str| {
            links.iter().any(|l| l["type"] == kind && l.to_string().contains(part))
        };
        assert!(has("dashboards", "interlock"), "{file}: a link to the others");
        assert!(has("link", "/api/v1/divergences"), "{file}: a link to the records");
        assert!(has("link", "/explore"), "{file}: a link to the traces");
        assert!(has("link", "docs/runbooks/"), "{file}: a link to the runbooks");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    for (file, dashboard) in files::dashboards() {
        let panels = panels(&dashboard);
        assert!((1..=MOST_PANELS).contains(&panels.len()), "{file}: {} panels", panels.len());
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel.json["id"].as_u64()).collect();
        assert!(ids.len() == panels.len() && !ids.contains(&None), "{file}: ids are unique");
        let titles: BTreeSet<_> = panels.iter().map(|panel| &panel.title).collect();
        assert!(titles.len() == panels.len() && !titles.contains(&String::new()), "{file}");
        for (n, panel) in panels.iter().enumerate() {
            let place = format!("{file}: {}", panel.title);
            let text = |pointer: &str| panel.json.pointer(pointer).and_then(Value::as_str);
            assert!(text("/description").is_some_and(|text| text.len() > 20), "{place}");
            assert!(
                text("/fieldConfig/defaults/unit").is_some_and(|unit| !unit.is_empty()),
                "{place}"
            );
            assert!(!panel.queries.is_empty(), "{place}");
            assert!(area(panel)[2] <= GRID, "{place}: beyond the grid");
            let beside = panels.iter().skip(n + 1).find(|other| overlap(area(panel), area(other)));
            assert!(beside.is_none(), "{place} lies over {:?}", beside.map(|other| &other.title));
        }
    }
}

#[test]
fn every_data_source_is_a_variable() {
    fn check(file: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(source) = fields.get("datasource") {
                    assert_eq!(source["uid"], "${datasource}", "{file}: {source}");
                }
                fields.values().for_each(|value| check(file, value));
            }
            Value::Array(values) => values.iter().for_each(|value| check(file, value)),
            _ => {}
        }
    }
    for (file, dashboard) in files::dashboards() {
        check(&file, &dashboard);
    }
}

#[test]
fn queries_ask_only_for_what_there_is_and_heed_the_variables() {
    let catalogue = Catalogue::with(&files::rules());
    for (file, dashboard) in files::dashboards() {
        let names: Vec<_> =
            variables(&dashboard).into_iter().map(|variable| variable.name).collect();
        assert_eq!(names, ["datasource", "namespace", "app", "flag", "admin", "traces"], "{file}");
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let is_open = variable["includeAll"] == true && variable["allValue"] == ".*";
            // A scrape that sets no such label leaves it empty, which only this value takes in.
            assert!(variable["type"] != "query" || is_open, "{file}: {variable}");
        }
        let flips = &dashboard["annotations"]["list"][0];
        assert_eq!(flips["useValueForTime"], true, "{file}: flips stand where they were made");
        let marked = flips["expr"].as_str().unwrap().to_owned();
        let shown = panels(&dashboard).into_iter().flat_map(|panel| panel.queries);
        for query in shown.chain([marked]) {
            let place = format!("{file}: {query}");
            assert_eq!(catalogue.faults(&query), Vec::<String>::new(), "{place}");
            assert!(query.contains(r#"namespace=~"$namespace",app=~"$app""#), "{place}");
            // A range of a fixed length is empty when one zooms in, and leaves things out when one zooms out.
            let windows = query.split('[').skip(1).map(|rest| rest.split(']').next().unwrap());
            for window in windows {
                assert!(["$__rate_interval", "$__range"].contains(&window), "{place}: [{window}]");
            }
        }
    }
}
