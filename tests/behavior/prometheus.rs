//! A real Prometheus scrapes the sidecars, and knows of every lost update.

use std::process::{Command, Stdio};

use crate::support::{
    Fleet, FleetPlan, JOURNEYS, Part, Prometheus, Redis, SEGMENTS, in_parallel, until,
};

#[test]
fn prometheus_counts_what_the_fleet_lost_and_what_it_verified() {
    let store = Redis::start();
    let mut plan = FleetPlan { journeys: 3, ..FleetPlan::over(0, &store.url()) };
    plan.flag = plan.flag.verified();
    let fleet: Fleet = plan.start();
    let prometheus = Prometheus::scraping(fleet.sidecars());
    prometheus.wait_for("count(up == 1)", 3.0);
    let lost = format!("sum(interlock_lost_updates_total{{flag=\"{JOURNEYS}\",path=\"legacy\"}})");
    prometheus.wait_for(&lost, 0.0);

    for journey in &fleet.journeys {
        in_parallel(SEGMENTS, |n| {
            fleet.update(n % 3, journey, Part::Segment(n + 1), &format!("{journey}-{n}"))
        });
    }
    until("all updates to be verified", || {
        fleet.sum("interlock_verified_updates_total", &[]) >= 60.0
    });

    let counted = fleet.sum("interlock_lost_updates_total", &[]);
    assert!(counted > 0.0, "the app races");
    prometheus.wait_for(&lost, counted);
    prometheus.wait_for("sum(interlock_verified_updates_total)", 60.0);
    prometheus.wait_for("count(interlock_detector{state=\"shared\"} == 1)", 3.0);
    let rate = prometheus.query("sum by (flag) (rate(interlock_lost_updates_total[1m]))");
    assert!(rate.iter().all(|(labels, _)| labels["flag"] == JOURNEYS), "{rate:?}");
}

#[test]
fn promtool_has_nothing_to_say_about_the_page() {
    let store = Redis::start();
    let mut plan = FleetPlan { journeys: 1, sidecars: 1, ..FleetPlan::over(0, &store.url()) };
    plan.flag = plan.flag.verified();
    let fleet = plan.start();
    fleet.update(0, "F1", Part::Segment(1), "one");
    let page = fleet.sidecar(0).admin_get("/metrics");

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    std::io::Write::write_all(promtool.stdin.as_mut().unwrap(), page.text().as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();

    let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert!(said.status.success() && text.trim().is_empty(), "{text}");
}
