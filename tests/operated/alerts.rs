//! Alerting rules, held against the metric catalogue, their runbooks, their tests and the page that lists them.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Catalogue;
use crate::files::{self, Rule};
use crate::markdown;
use crate::promql;

/// What stands before the path of a runbook: `docs/monitoring.md` says how to replace it.
const RUNBOOKS: &str = "https://interlock.example/";
/// What stands before the path of a dashboard.
const DASHBOARDS: &str = "https://grafana.example/d/";
/// How the four parts of a runbook's entry begin; what to do may stand in a table instead.
const PARTS: &[&str] = &["**Means.**", "**How bad.**", "**Look at.**"];
const DEEDS: &[&str] = &["**Do.**", "| do |"];

/// A heading of a page and what stands under it.
struct Section {
    anchor: String,
    text: String,
}

/// The sections of a page.
fn sections(page: &str) -> Vec<Section> {
    let section = |part: &str| {
        let anchor = markdown::anchor(part.lines().next().unwrap_or_default());
        Section { anchor, text: part.to_owned() }
    };
    page.split("\n## ").skip(1).map(section).collect()
}

/// The entry of the runbook that an alert links to. Fails the test where there is none.
#[track_caller]
fn runbook_of(alert: &str, rule: &Rule) -> Section {
    let url = &rule.annotations["runbook_url"];
    let place = url.strip_prefix(RUNBOOKS).unwrap_or_else(|| panic!("{alert}: {url}"));
    let (page, anchor) = place.split_once('#').unwrap_or_else(|| panic!("{alert}: {url}"));
    assert!(page.starts_with("docs/runbooks/"), "{alert}: {url}");
    let mut sections = sections(&files::text(page)).into_iter();
    sections
        .find(|section| section.anchor == anchor)
        .unwrap_or_else(|| panic!("{alert}: {page} has no heading with the anchor #{anchor}"))
}

/// The queries of a page: the lines of its blocks of PromQL, and what its text asks as `code`.
fn queries(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, part) in page.split("```").enumerate() {
        if number.is_multiple_of(2) {
            // One that is never closed ends with its paragraph.
            found.extend(
                part.split("\n\n").flat_map(|p| p.split('`').skip(1).step_by(2)).filter_map(asked),
            );
        } else if let Some(block) = part.strip_prefix("promql\n") {
            let query = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
            found.extend(block.lines().map(query).filter(|line| !line.is_empty()));
        }
    }
    found
}

/// A piece of code as a query, if it is one: it does something with a metric.
fn asked(code: &str) -> Option<String> {
    // As a table has to write it.
    let query = code.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\|", "|");
    let mut words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
    let names = words.any(|word| word.starts_with("interlock_") || word.starts_with("process_"));
    let does = query.contains(|c: char| !c.is_alphanumeric() && c != '_');
    (names && does).then_some(query)
}

#[test]
fn the_queries_of_a_page_are_found() {
    let page = "Is `interlock_a` or `flag kill` or `rate(interlock_a[5m]\n) / 2` so? An open ` one.\n\n\
                | `max(interlock_b{c=~\"d\\|e\"})`, `up == 0` | `process_x / process_y` |\n\n  \
                ```promql\n  sum(x)   # `interlock_no()`\n\n  y == 0\n  ```\n\n\
                ```sh\necho `interlock_no()`\n```\n`interlock_z > 1`";

    assert_eq!(
        queries(page),
        [
            "rate(interlock_a[5m] ) / 2",
            "max(interlock_b{c=~\"d|e\"})",
            "process_x / process_y",
            "sum(x)",
            "y == 0",
            "interlock_z > 1",
        ]
    );
}

#[test]
fn rules_and_documents_ask_only_for_what_there_is() {
    let rules = files::rules();
    let catalogue = Catalogue::with(&rules);

    let of_rules = rules.iter().map(|(file, rule)| (file.clone(), rule.expr.clone()));
    let mut asked: Vec<_> = of_rules.collect();
    let mut pages = files::list("docs/runbooks", ".md");
    pages.extend(["docs/monitoring.md", "docs/operations.md"].map(str::to_owned));
    for page in pages {
        asked.extend(queries(&files::text(&page)).into_iter().map(|query| (page.clone(), query)));
    }

    assert!(asked.len() > 100, "{} queries were found", asked.len());
    for (file, query) in asked {
        assert_eq!(catalogue.faults(&query), Vec::<String>::new(), "{file}: {query}");
    }
}

/// One Prometheus watches many apps: a query that adds them up says something about none of them.
#[test]
fn a_runbook_s_queries_tell_apps_apart() {
    const ADD_UP: &[&str] = &["sum", "count", "max", "min", "avg"];
    for page in files::list("docs/runbooks", ".md") {
        for query in queries(&files::text(&page)) {
            let words = query.split_inclusive('(').filter_map(|part| part.strip_suffix('('));
            let whole = words.clone().map(str::trim_end).any(|word| {
                ADD_UP.contains(&word.rsplit(|c: char| !is_word(c)).next().unwrap_or_default())
            });
            assert!(!whole, "{page}: {query} adds up all apps");
            for clause in query.split(" by (").skip(1) {
                let labels = clause.split(')').next().unwrap_or_default();
                let has = |label| labels.split(',').any(|known| known.trim() == label);
                let apart = (has("namespace") && has("app")) || has("instance");
                assert!(apart, "{page}: {query} groups by {labels} alone");
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn what_is_recorded_is_used() {
    let rules = files::rules();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (_, rule) in rules.iter().filter(|(_, rule)| rule.alert.is_some()) {
        used.extend(promql::read(&rule.expr).selectors.into_iter().map(|selector| selector.name));
    }

    for (file, rule) in &rules {
        let Some(name) = &rule.record else { continue };
        assert!(used.contains(name), "{file}: no alert uses {name}");
        let levels: Vec<_> = name.split(':').collect();
        assert_eq!(levels.len(), 3, "{name} is no level:metric:operation");
    }
}

#[test]
fn an_alert_says_what_is_wrong_how_bad_it_is_and_where_to_look() {
    let uids: Vec<_> = files::dashboards().into_iter().map(|(_, d)| d["uid"].clone()).collect();
    for (alert, rule) in files::alerts() {
        assert!(alert.starts_with("Interlock"), "{alert}");
        let severity = rule.labels.get("severity").map_or("none", String::as_str);
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}: {severity}");
        let mut said: Vec<_> = rule.annotations.keys().map(String::as_str).collect();
        said.sort_unstable();
        assert_eq!(said, ["dashboard_url", "description", "runbook_url", "summary"], "{alert}");
        // One notification stands for a group of alerts, so what differs between them has no place in it.
        assert!(!rule.annotations["summary"].contains("{{"), "{alert}");
        let grouping = promql::read(&rule.expr).grouping;
        let asked = rule.annotations["description"].split("$labels.").skip(1);
        for label in asked.map(|rest| rest.split([' ', '}']).next().unwrap_or_default()) {
            let recorded = rule.expr.contains("flag:") || rule.expr.contains("_path:");
            let has = recorded || grouping.iter().any(|known| known == label);
            assert!(has, "{alert}: nothing gives it a label {label}");
        }
        let url = &rule.annotations["dashboard_url"];
        let uid = url.strip_prefix(DASHBOARDS).and_then(|rest| rest.split('?').next());
        assert!(uids.iter().any(|known| known.as_str() == uid), "{alert}: {url}");
    }
}

#[test]
fn every_alert_has_an_entry_in_a_runbook_that_is_whole() {
    for (alert, rule) in files::alerts() {
        let entry = runbook_of(&alert, &rule);

        let severity = &rule.labels["severity"];
        assert!(
            entry.text.contains(&format!("`{alert}`")),
            "{alert}: {} does not name it",
            entry.anchor
        );
        let alerting = entry.text.split("\n**Means.**").next().unwrap_or_default();
        assert!(alerting.contains("**Alert.**"), "{alert}: {}", entry.anchor);
        assert!(alerting.contains(severity), "{alert}: {} does not say {severity}", entry.anchor);
        for part in PARTS {
            assert!(entry.text.contains(part), "{alert}: {} has no {part}", entry.anchor);
        }
        assert!(DEEDS.iter().any(|deed| entry.text.contains(deed)), "{alert}: what to do?");
    }
}

#[test]
fn every_rule_has_a_case_in_which_it_fires_and_its_alert_one_in_which_it_is_quiet() {
    let cases = files::cases();
    let expected: Vec<_> = cases.iter().flat_map(|case| &case.alert_rule_test).collect();
    for (alert, rule) in files::alerts() {
        let mine = || expected.iter().filter(|expectation| expectation.alertname == alert);
        let is_its = |labels: &BTreeMap<String, String>| {
            rule.labels.iter().all(|(label, value)| labels.get(label) == Some(value))
        };

        let fires = mine().flat_map(|e| &e.exp_alerts).any(|fired| is_its(&fired.exp_labels));
        assert!(fires, "{alert} {:?}: no case of tests/alerts sees it fire", rule.labels);
        // Not only before or after it fired: what comes close to it and is something else.
        let quiet = |case: &&files::Case| {
            let mut mine = case.alert_rule_test.iter().filter(|e| e.alertname == alert).peekable();
            mine.peek().is_some() && mine.all(|expectation| expectation.exp_alerts.is_empty())
        };
        let quiet = cases.iter().find(quiet);
        assert!(quiet.is_some(), "{alert}: no case of tests/alerts sees it quiet throughout");
    }
    let known: BTreeSet<_> = files::alerts().into_iter().map(|(alert, _)| alert).collect();
    for expectation in expected {
        assert!(known.contains(&expectation.alertname), "there is no {}", expectation.alertname);
    }
}

#[test]
fn the_page_lists_every_alert_with_its_severity_and_no_other() {
    let page = files::text("docs/monitoring.md");
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let alert = cells.next()?.strip_prefix("`Interlock")?.strip_suffix('`')?.to_owned();
        Some((format!("Interlock{alert}"), cells.next()?.to_owned()))
    };
    let listed: BTreeSet<_> = page.lines().filter_map(row).collect();

    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for (alert, rule) in files::alerts() {
        let severity = &rule.labels["severity"];
        let severities = expected.entry(alert).or_insert_with(|| severity.clone());
        if !severities.contains(severity) {
            *severities += &format!(", {severity}");
        }
    }
    assert_eq!(listed, expected.into_iter().collect());
}
