//! What queries may ask for: the metrics of the code, what rules record, and what Prometheus adds.

use std::collections::BTreeMap;

use interlock::telemetry::names::{CATALOGUE, Kind, Values};

use crate::files::Rule;
use crate::promql::{self, Query, Selector};

/// What a scrape adds to every series.
const TARGET: &[&str] = &["namespace", "app", "pod", "container", "job", "instance"];

/// The values that a label has; `None` where the configuration or a build makes them.
type Allowed = Option<Vec<String>>;

/// Every series that there is.
pub(crate) struct Catalogue(BTreeMap<String, BTreeMap<String, Allowed>>);

impl Catalogue {
    /// That of the code, and what these rules record.
    pub(crate) fn with(rules: &[(String, Rule)]) -> Self {
        let mut known = BTreeMap::from([("up".to_owned(), BTreeMap::new())]);
        for metric in CATALOGUE {
            let label = |label: &interlock::telemetry::names::Label| {
                let allowed = match label.values {
                    Values::Closed(words) => {
                        Some(words().into_iter().map(str::to_owned).collect::<Vec<_>>())
                    }
                    Values::Flags | Values::Routes | Values::Build => None,
                };
                (label.name.to_owned(), allowed)
            };
            let labels: BTreeMap<_, _> = metric.labels.iter().map(label).collect();
            if let Kind::Histogram(_) = metric.kind {
                let mut of_bucket = labels.clone();
                of_bucket.insert("le".to_owned(), None);
                known.insert(format!("{}_bucket", metric.name), of_bucket);
                known.insert(format!("{}_count", metric.name), labels.clone());
                known.insert(format!("{}_sum", metric.name), labels);
            } else {
                known.insert(metric.name.to_owned(), labels);
            }
        }
        for (_, rule) in rules {
            let Some(name) = &rule.record else { continue };
            let grouping = promql::read(&rule.expr).grouping.into_iter().map(|label| (label, None));
            let added = rule.labels.keys().map(|label| (label.clone(), None));
            known.entry(name.clone()).or_default().extend(grouping.chain(added));
        }
        Self(known)
    }

    /// What a query asks for that there is not.
    pub(crate) fn faults(&self, query: &str) -> Vec<String> {
        let query = promql::read(query);
        let mut faults: Vec<_> = query.selectors.iter().flat_map(|s| self.of_selector(s)).collect();
        faults.extend(self.of_grouping(&query));
        faults
    }

    fn of_selector(&self, selector: &Selector) -> Vec<String> {
        let Some(labels) = self.0.get(&selector.name) else {
            return vec![format!("no metric is called {}", selector.name)];
        };
        let fault = |(label, operator, value): &(String, String, String)| {
            if label == "le" {
                // Prometheus 3 writes `le="1"` as `le="1.0"`.
                return Some("a query must not match on le".to_owned());
            }
            if TARGET.contains(&label.as_str()) {
                return None;
            }
            let Some(allowed) = labels.get(label) else {
                return Some(format!("{} has no label {label}", selector.name));
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '|');
            if operator.ends_with('~') && !value.chars().all(is_plain) {
                return None;
            }
            let unknown =
                |word: &&str| allowed.as_ref().is_some_and(|a| !a.iter().any(|a| a == word));
            let word = value.split('|').find(unknown)?;
            Some(format!("{label} of {} is never {word:?}", selector.name))
        };
        selector.matchers.iter().filter_map(fault).collect()
    }

    fn of_grouping(&self, query: &Query) -> Vec<String> {
        let has = |label: &String| {
            let of = |s: &Selector| self.0.get(&s.name).is_some_and(|l| l.contains_key(label));
            TARGET.contains(&label.as_str()) || query.selectors.iter().any(of)
        };
        let missing = query.grouping.iter().filter(|label| !has(label));
        missing.map(|label| format!("nothing in it has a label {label}")).collect()
    }
}

#[test]
fn what_there_is_not_is_found() {
    let recorded = Rule {
        record: Some("flag:a:b".to_owned()),
        alert: None,
        expr: "sum by (flag) (interlock_lost_updates_total)".to_owned(),
        _for: None,
        labels: BTreeMap::from([("kind".to_owned(), "x".to_owned())]),
        annotations: BTreeMap::new(),
    };
    let catalogue = Catalogue::with(&[(String::new(), recorded)]);

    for (query, fault) in [
        ("interlock_lost_update_total", "no metric is called interlock_lost_update_total"),
        (r#"interlock_lost_updates_total{reason="x"}"#, "has no label reason"),
        (r#"interlock_lost_updates_total{path="fixd"}"#, r#"is never "fixd""#),
        (r#"interlock_freshness{flag="x",state=~"live|stal"}"#, "has no label flag"),
        (r#"interlock_freshness{app="x",state=~"live|stal"}"#, r#"is never "stal""#),
        ("sum by (reason) (interlock_freshness)", "nothing in it has a label reason"),
        ("flag:a:c", "no metric is called flag:a:c"),
        (r#"flag:a:b{path="x"}"#, "has no label path"),
        (r#"interlock_overhead_seconds_bucket{le="1"}"#, "must not match on le"),
        ("interlock_overhead_seconds", "no metric is called interlock_overhead_seconds"),
    ] {
        let faults = catalogue.faults(query);
        assert!(faults.iter().any(|found| found.contains(fault)), "{query}: {faults:?}");
    }
    for query in [
        r#"sum by (flag, path) (rate(interlock_lost_updates_total{path=~"legacy|fixed",flag=~"$flag"}[5m]))"#,
        r#"histogram_quantile(0.9, sum by (le, app) (rate(interlock_overhead_seconds_bucket[5m])))"#,
        r#"flag:a:b{kind="x",flag!=""} and up{job=~"(.*/)?interlock"}"#,
    ] {
        assert_eq!(catalogue.faults(query), Vec::<String>::new(), "{query}");
    }
}
