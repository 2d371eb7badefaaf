//! One cause, one alert: what the example for Alertmanager keeps from people while another alert explains it.

use std::process::Command;

use serde_json::Value;

use crate::files;
use crate::stack::Alertmanager;
use crate::support::{Run, until};

/// An alert by the labels that are looked at.
type Fired<'a> = &'a [(&'a str, &'a str)];

const OUTAGE: Fired = &[("alertname", "InterlockStoreBreakerOpen")];
const REFUSED_BEATS: Fired =
    &[("alertname", "InterlockStoreRefusesCommands"), ("operation", "beat")];
const REFUSED_LEASES: Fired =
    &[("alertname", "InterlockStoreRefusesCommands"), ("operation", "lease_acquire")];
const REFUSED_JOURNAL: Fired =
    &[("alertname", "InterlockStoreRefusesCommands"), ("operation", "journal")];
const REFUSED_RECORDS: Fired =
    &[("alertname", "InterlockStoreRefusesCommands"), ("operation", "divergence_add")];

const STALE: Fired = &[("alertname", "InterlockFlagsStale")];
const WAITS: Fired = &[("alertname", "InterlockLeaseWaits"), ("flag", "journey-updates")];
const BUDGET: Fired = &[("alertname", "InterlockRetryBudgetSpent"), ("flag", "journey-updates")];
const SUSPENDED: Fired = &[("alertname", "InterlockDetectorBlind"), ("why", "suspended")];
const INCONCLUSIVE: Fired = &[("alertname", "InterlockDetectorBlind"), ("why", "inconclusive")];
const EXPOSED: Fired = &[("alertname", "InterlockExposedUpdates"), ("reason", "store_unreachable")];
const STUCK: Fired = &[("alertname", "InterlockFlipStuck"), ("flag", "journey-updates")];
const EFFECTS: &[Fired] = &[STALE, WAITS, BUDGET, SUSPENDED, INCONCLUSIVE, EXPOSED, STUCK];

/// What fires, and what of [`EFFECTS`] nobody is told of then. The last one keeps something back, so that it shows when all
/// before it were taken in.
const CASES: &[(Fired, &[Fired])] = &[
    (REFUSED_BEATS, &[STALE]),
    (REFUSED_LEASES, &[WAITS]),
    (REFUSED_JOURNAL, &[SUSPENDED]),
    (REFUSED_RECORDS, &[]),
    (OUTAGE, &[STALE, WAITS, BUDGET, SUSPENDED, INCONCLUSIVE, STUCK]),
];

/// Runs `amtool` against an Alertmanager; what it writes.
#[track_caller]
fn amtool(alertmanager: &Alertmanager, arguments: &[&str]) -> String {
    let url = format!("--alertmanager.url=http://{}", alertmanager.address());
    let run = Run::of(Command::new("amtool").arg(url).args(arguments));
    assert_eq!(run.code, Some(0), "amtool {arguments:?}:\n{}", run.all);
    run.out
}

/// Tells it that an alert fires in this app.
#[track_caller]
fn fire(alertmanager: &Alertmanager, alert: Fired, app: &str) {
    let place = [("namespace", "shop"), ("app", app)];
    let labels = alert.iter().chain(&place);
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    let words: Vec<_> =
        ["alert", "add"].into_iter().chain(labels.iter().map(String::as_str)).collect();
    amtool(alertmanager, &words);
}

/// The alerts of an app that it keeps back, or those that it tells of.
#[track_caller]
fn known(alertmanager: &Alertmanager, state: &str, app: &str) -> Vec<Value> {
    let filter = format!("app={app}");
    let found = amtool(alertmanager, &["alert", "query", "--output=json", state, &filter]);
    serde_json::from_str(&found).unwrap()
}

fn has(known: &[Value], alert: Fired) -> bool {
    known.iter().any(|known| alert.iter().all(|(name, value)| known["labels"][name] == *value))
}

#[test]
fn what_a_lost_or_refusing_store_explains_is_kept_back_in_its_app_and_nothing_else() {
    let alertmanager = Alertmanager::start(&files::text("alerts/alertmanager/example.yml"));
    for (number, (cause, _)) in CASES.iter().enumerate() {
        let app = format!("app-{number}");
        fire(&alertmanager, cause, &app);
        EFFECTS.iter().for_each(|effect| fire(&alertmanager, effect, &app));
    }
    EFFECTS.iter().for_each(|effect| fire(&alertmanager, effect, "well"));

    for (number, (cause, explained)) in CASES.iter().enumerate() {
        let app = format!("app-{number}");
        until(&format!("all to be known that {cause:?} explains"), || {
            let kept = known(&alertmanager, "--inhibited", &app);
            explained.iter().all(|effect| has(&kept, effect))
        });
    }
    for (number, (cause, explained)) in CASES.iter().enumerate() {
        let app = format!("app-{number}");
        let told = known(&alertmanager, "--active", &app);
        assert!(has(&told, cause), "{cause:?} is kept back itself");
        for effect in EFFECTS {
            assert_eq!(
                has(&told, effect),
                !explained.contains(effect),
                "{effect:?} with {cause:?}"
            );
        }
    }
    let told = known(&alertmanager, "--active", "well");
    assert!(EFFECTS.iter().all(|effect| has(&told, effect)), "another app's: {told:?}");
}

#[test]
fn the_alerts_that_are_kept_back_and_those_that_explain_them_are_there() {
    let alerts = files::alerts();
    for fired in CASES.iter().map(|(cause, _)| cause).chain(EFFECTS) {
        let (_, name) = fired[0];
        let is_it = |(alert, rule): &(String, files::Rule)| {
            let why = fired.iter().find(|(label, _)| *label == "why").map(|(_, why)| *why);
            alert == name && (why.is_none() || rule.labels.get("why").map(String::as_str) == why)
        };
        assert!(alerts.iter().any(is_it), "no rule fires {fired:?}");
    }
}
