//! Every query of every dashboard, asked of a real Prometheus that scraped a fleet with faults in it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::files;
use crate::panels::{panels, variables};
use crate::stack::{APP, NAMESPACE, prometheus};
use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Prometheus, Redis, SEGMENTS, Upstream, eventually, until,
};

/// The sidecar that loses its store.
const CUT_OFF: usize = 2;
/// The sidecar whose app dies.
const APPLESS: usize = 1;

/// What is wrong in the incident: the alerts whose condition holds, with `why` where an alert has several.
const WRONG: &[(&str, Option<&str>)] = &[
    ("InterlockLostUpdatesOnLegacyPath", None),
    ("InterlockExposedUpdates", None),
    ("InterlockStoreBreakerOpen", None),
    ("InterlockFlagsStale", None),
    ("InterlockDetectorBlind", Some("suspended")),
];

/// Holds or not, by how much of it was judged when.
const EITHER: &str = "InterlockDivergence";

/// The namespace, the app and the flag that the fleet is scraped as.
const CHOSEN: [&str; 3] = [NAMESPACE, APP, JOURNEYS];
/// What stands for "All", with which a dashboard opens.
const ALL: [&str; 3] = [".*"; 3];

/// A fleet that is told to do what goes wrong elsewhere, and a Prometheus that saw it all.
struct Incident {
    fleet: Fleet,
    _store: Redis,
    _candidate: Upstream,
    prometheus: Prometheus,
    began: f64,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Incident {
    /// Updates race on the legacy path, the flag is flipped, a sidecar loses its store, another one its app, and what a
    /// candidate answers is wrong.
    #[track_caller]
    fn happens() -> Self {
        let (store, candidate) = (Redis::start(), Upstream::running(|exchange| exchange.ok("no")));
        let shadow = format!(r#"shadow = {{ mode = "isolated", url = "{}" }}"#, candidate.url());
        let plan = FleetPlan { journeys: 3, ..FleetPlan::relayed(0, &store) };
        let mut plan = plan.on_store_loss("legacy");
        plan.flag = plan.flag.verified();
        plan.flag.more += &format!("{shadow}\n");
        let fleet = plan.start();
        let rules = files::path("alerts/*.yml").display().to_string();
        let prometheus = prometheus(&fleet, &rules, None);
        let incident =
            Self { fleet, _store: store, _candidate: candidate, prometheus, began: now() };
        incident.prometheus.wait_for("count(up == 1)", 3.0);
        incident.unfolds()
    }

    #[track_caller]
    fn unfolds(mut self) -> Self {
        let fleet = &self.fleet;
        let count = |name: &str, labels: &[(&str, &str)]| fleet.sum(name, labels);
        // Seen at zero first, so that all of it is growth.
        self.prometheus.wait_for("sum(interlock_verified_updates_total)", 0.0);

        fleet.burst(&fleet.journeys, SEGMENTS, "racing");
        until("losses on the legacy path", || count("interlock_lost_updates_total", &[]) > 0.0);
        fleet.set_percent(0, 100.0);
        // At each of them, whoever took the steps.
        fleet.wait_for_metric("interlock_flag_transition", &[("step", "settled")], 1.0);
        fleet.burst(&fleet.journeys, SEGMENTS, "guarded");
        until("updates on the fixed path to be verified", || {
            count("interlock_verified_updates_total", &[("path", "fixed")]) > 0.0
        });
        until("mismatches", || {
            count("interlock_comparisons_total", &[("verdict", "mismatched")]) > 0.0
        });

        fleet.stands[CUT_OFF].relay().refuse();
        let cut_off = fleet.sidecar(CUT_OFF);
        cut_off.wait_for_metric("interlock_freshness", &[("state", "stale")], 1.0);
        cut_off.wait_for_metric("interlock_lease_gate", &[("state", "lost")], 1.0);
        let exposed = fleet.update(CUT_OFF, &fleet.journeys[0], Part::Segment(1), "exposed");
        assert_eq!(exposed.status(), Some(200));
        self.fleet.stands[APPLESS].app.kill();
        // A call on a connection that is about to break would be another fault.
        let open = "interlock_upstream_connections";
        self.fleet.sidecar(APPLESS).wait_for_metric(open, &[("upstream", "legacy")], 0.0);
        let refused = self.fleet.update(APPLESS, "F2", Part::Segment(1), "nobody is there");
        assert_eq!(refused.status(), Some(503));
        self
    }

    /// What a query of a dashboard gives with these values for the namespace, the app and the flag.
    #[track_caller]
    fn query_with(&self, query: &str, chosen: [&str; 3]) -> Vec<(Value, f64)> {
        let [namespace, app, flag] = chosen;
        let values = [
            ("$__rate_interval", "1m"),
            ("$__range", "5m"),
            ("$namespace", namespace),
            ("$app", app),
            ("$flag", flag),
        ];
        let set = |query: String, (name, value): &(&str, &str)| query.replace(name, value);
        let query = values.iter().fold(query.to_owned(), set);
        assert!(!query.contains('$'), "{query} has a variable that nobody sets");
        let mut found = self.prometheus.query(&query);
        found.retain(|(_, value)| !value.is_nan());
        found
    }

    /// The same for what the fleet is scraped as.
    #[track_caller]
    fn query(&self, query: &str) -> Vec<(Value, f64)> {
        self.query_with(query, CHOSEN)
    }

    /// The highest value that a panel of a dashboard shows for series with this label.
    fn shown(&self, uid: &str, title: &str, label: (&str, &str)) -> Option<f64> {
        let mut dashboards = files::dashboards().into_iter();
        let (_, dashboard) = dashboards.find(|(_, d)| d["uid"] == uid).unwrap();
        let panel = panels(&dashboard).into_iter().find(|panel| panel.title == title).unwrap();
        let series = panel.queries.iter().flat_map(|query| self.query(query));
        let carries = |labels: &Value| label.0.is_empty() || labels[label.0] == label.1;
        series.filter(|(labels, _)| carries(labels)).map(|(_, value)| value).reduce(f64::max)
    }

    /// Waits until a panel shows a value that `holds`.
    #[track_caller]
    fn shows(&self, uid: &str, title: &str, label: (&str, &str), holds: impl Fn(f64) -> bool) {
        until(&format!("{uid}: {title} {label:?}"), || {
            self.shown(uid, title, label).is_some_and(&holds)
        });
    }
}

#[test]
fn every_panel_returns_data_of_a_real_run_and_the_faults_are_in_it() {
    let incident = Incident::happens();

    for (file, dashboard) in files::dashboards() {
        for panel in panels(&dashboard) {
            for query in &panel.queries {
                let place = format!("{file}: {}: {query} to return data", panel.title);
                for chosen in [CHOSEN, ALL] {
                    until(&place, || !incident.query_with(query, chosen).is_empty());
                }
            }
        }
        for (series, label) in variables(&dashboard).into_iter().filter_map(|v| v.label_values) {
            let series = series.replace("$namespace", NAMESPACE).replace("$app", APP);
            let call = format!("label/{label}/values");
            let values = incident.prometheus.api(&call, &[("match[]", &series)]);
            assert!(!values.as_array().unwrap().is_empty(), "{file}: {label} of {series}");
        }
        assert_flip_is_marked(&incident, &file, &dashboard);
    }

    let more = |value: f64| value > 0.0;
    let (rollout, service, store) = ("interlock-rollout", "interlock-service", "interlock-store");
    incident.shows(rollout, "Percentage", ("flag", JOURNEYS), |value| value == 100.0);
    incident.shows(rollout, "Lost on the legacy path", ("", ""), more);
    incident.shows(rollout, "Lost updates by path", ("path", "legacy"), more);
    incident.shows(rollout, "Share lost by path", ("path", "legacy"), |v| v > 0.0 && v <= 1.0);
    incident.shows(rollout, "Divergence by cause", ("cause", "lost_update"), more);
    incident.shows(rollout, "Shadows", ("verdict", "mismatched"), more);
    incident.shows(rollout, "Updates by protection", ("protection", "exposed"), more);
    incident.shows(service, "Availability", ("", ""), |value| value > 0.0 && value < 1.0);
    incident.shows(service, "Errors by path", ("path", "fixed"), more);
    incident.shows(service, "Failed and repeated calls", ("error_type", "connect"), more);
    incident.shows(store, "Without their store", ("", ""), |value| value == 1.0);
    incident.shows(store, "Freshness of flags", ("state", "stale"), |value| value == 1.0);
    incident.shows(store, "Breaker", ("state", "closed"), |value| value == 2.0);
    incident.shows(store, "Exposed updates by reason", ("reason", "store_unreachable"), more);
    assert_rules_are_well(&incident);
    assert_only_what_happened_is_told(&incident);
}

/// The flip stands where it was made.
#[track_caller]
fn assert_flip_is_marked(incident: &Incident, file: &str, dashboard: &Value) {
    let query = dashboard["annotations"]["list"][0]["expr"].as_str().unwrap();
    let at = eventually(&format!("{file}: a flip"), || {
        incident.query(query).first().map(|(_, milliseconds)| milliseconds / 1000.0)
    });
    assert!((incident.began..=now()).contains(&at), "{file}: flipped at {at}");
}

/// What is recorded has data, no rule fails on real series, and alerts without a delay see what happened.
#[track_caller]
fn assert_rules_are_well(incident: &Incident) {
    for (_, rule) in files::rules() {
        let Some(name) = rule.record else { continue };
        let labels = rule.labels.iter().map(|(label, value)| format!("{label}=\"{value}\""));
        let series = format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","));
        until(&format!("{series} to be recorded"), || !incident.query(&series).is_empty());
    }
    for alert in ["InterlockLostUpdatesOnLegacyPath", "InterlockExposedUpdates"] {
        let firing = format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
        incident.prometheus.wait_for(&firing, 1.0);
    }
    let groups = incident.prometheus.api("rules", &[])["groups"].clone();
    let rules: Vec<_> =
        groups.as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), files::rules().len(), "all rules are loaded");
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{}: {}", rule["name"], rule["lastError"]);
    }
}

/// The conditions of these alerts hold, and those of no other: what a delay would have passed over is not looked away from.
#[track_caller]
fn assert_only_what_happened_is_told(incident: &Incident) {
    for (alert, rule) in files::alerts() {
        let why = rule.labels.get("why").map(String::as_str);
        if WRONG.contains(&(alert.as_str(), why)) {
            until(&format!("{alert} {why:?} to hold"), || !incident.query(&rule.expr).is_empty());
        } else if alert != EITHER {
            let found = incident.query(&rule.expr);
            assert!(
                found.is_empty(),
                "{alert} {why:?} holds, and nothing of it happened: {found:?}"
            );
        }
    }
}
