//! The rights that docs/fleet.md asks for are enough: with one missing all would run exposed.

use crate::support::{FleetPlan, Redis, Sent, until};

/// The store as its documented user reaches it.
fn url_with_documented_rights(store: &Redis) -> String {
    let page = include_str!("../../docs/fleet.md");
    let line = page.lines().find(|line| line.starts_with("ACL SETUSER interlock")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    store.command(&words);
    format!("redis://interlock:PASSWORD@{}", store.address())
}

#[test]
fn the_documented_rights_are_enough() {
    const AT_ONCE: usize = 12;
    let store = Redis::start();
    let url = url_with_documented_rights(&store);
    let mut plan = FleetPlan { journeys: 2, window: "2ms", ..FleetPlan::over(100, &url) };
    plan.flag = plan.flag.verified();

    let fleet = plan.on_store_loss("reject").start();
    let sent: Vec<Sent> = fleet.burst(&fleet.journeys, AT_ONCE, "once");
    fleet.set_percent(1, 50.0);

    assert_eq!(sent.len(), 2 * AT_ONCE);
    assert!(sent.iter().all(|update| update.response().status == 200), "{sent:?}");
    until("all updates to be verified", || {
        fleet.sum("interlock_verified_updates_total", &[]) >= sent.len() as f64
    });
    for operation in
        ["beat", "join", "flag_change", "lease_acquire", "lease_release", "lease_leave", "journal"]
    {
        let labels = [("operation", operation), ("result", "error")];
        assert_eq!(fleet.sum("interlock_store_operations_total", &labels), 0.0, "{operation}");
    }
}
