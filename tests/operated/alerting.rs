//! From a race in the app to whoever is on call: real traffic, a real Prometheus, a real Alertmanager.

use std::fs;
use std::time::Duration;

use crate::files;
use crate::stack::{APP, Alertmanager, NAMESPACE, Receiver, prometheus};
use crate::support::{FleetPlan, JOURNEYS, Load, Prometheus, Redis, TempDir, until};

/// Updates that meet all the time, slow enough for a machine that does other things as well.
const LOAD: Load = Load { callers: 3, pause: Duration::from_millis(60), journeys: 2 };

/// Minutes as seconds, so that a test sees an alert fire and end.
const SHORTER: &[(&str, &str)] =
    &[("[5m]", "[5s]"), ("[10m]", "[6s]"), ("for: 2m", "for: 1s"), ("for: 1m", "for: 1s")];

/// Hours as moments.
const PROMPTER: &[(&str, &str)] = &[
    ("group_wait: 30s", "group_wait: 100ms"),
    ("group_wait: 10s", "group_wait: 100ms"),
    ("group_interval: 5m", "group_interval: 500ms"),
];

/// A text with each of these put in the other's place. Fails the test where one is not there.
#[track_caller]
fn with(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing says {from}");
        text.replace(from, to)
    })
}

/// The rules, quicker; the directory has to outlive whoever reads them.
#[track_caller]
fn quick_rules() -> (TempDir, String) {
    let directory = TempDir::new();
    for name in ["recording.yml", "updates.yml"] {
        let text = files::text(&format!("alerts/{name}"));
        let present: Vec<_> =
            SHORTER.iter().copied().filter(|(from, _)| text.contains(from)).collect();
        fs::write(directory.file(name), with(&text, &present)).unwrap();
    }
    let pattern = directory.file("*.yml").display().to_string();
    (directory, pattern)
}

/// Whether an alert fires, as Prometheus sees it.
#[track_caller]
fn fires(prometheus: &Prometheus, alert: &str) -> bool {
    let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
    !prometheus.query(&firing).is_empty()
}

#[test]
fn a_race_fires_the_divergence_alert_and_a_flip_resolves_it() {
    let (pager, tickets) = (Receiver::start(), Receiver::start());
    let example = with(&files::text("alerts/alertmanager/example.yml"), PROMPTER);
    let urls = [
        ("http://pager.example/", pager.url().as_str()),
        ("http://tickets.example/", tickets.url().as_str()),
    ]
    .map(|(from, to)| (from.to_owned(), to.to_owned()));
    let urls: Vec<_> = urls.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
    let alertmanager = Alertmanager::start(&with(&example, &urls));
    let store = Redis::start();
    let mut plan = FleetPlan { journeys: LOAD.journeys, ..FleetPlan::over(0, &store.url()) };
    plan.flag = plan.flag.verified();
    let fleet = plan.start();
    let (_directory, rules) = quick_rules();
    let prometheus = prometheus(&fleet, &rules, Some(alertmanager.address()));

    LOAD.during(&fleet.targets(), || {
        until("somebody to be told that updates diverge", || {
            !tickets.told_of("InterlockDivergence", "firing").is_empty()
        });
        until("the legacy path's losses to show", || {
            fires(&prometheus, "InterlockLostUpdatesOnLegacyPath")
        });
        assert_eq!(pager.told(), Vec::<serde_json::Value>::new(), "the baseline wakes nobody");

        fleet.set_percent(0, 100.0);

        until("somebody to be told that it is over", || {
            !tickets.told_of("InterlockDivergence", "resolved").is_empty()
        });
        until("the losses to be over", || {
            let lost =
                |path: &str| fires(&prometheus, &format!("InterlockLostUpdatesOn{path}Path"));
            !lost("Legacy") && !lost("Fixed")
        });
    });

    let told = &tickets.told_of("InterlockDivergence", "firing")[0];
    let labels = [
        ("namespace", NAMESPACE),
        ("app", APP),
        ("flag", JOURNEYS),
        ("kind", "state"),
        ("severity", "warning"),
    ];
    for (label, value) in labels {
        assert_eq!(told["labels"][label], value, "{told}");
    }
    let description = told["annotations"]["description"].as_str().unwrap();
    assert!(description.contains(JOURNEYS) && description.contains('%'), "{description}");
    let fixed = [("path", "fixed")];
    assert!(fleet.sum("interlock_verified_updates_total", &fixed) > 0.0, "the load went on");
}
