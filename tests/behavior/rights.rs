//! The rights that docs/fleet.md asks for are enough: with one missing all would run exposed.

use crate::idempotency::put_with;
use crate::support::{
    FleetPlan, JourneyFlag, Part, Redis, Response, Sent, Sidecar, Upstream, key_of, put,
    segment_of, set_to, status_of, store_at, store_journey, until,
};

const OPERATIONS: &str = "interlock_store_operations_total";
const REFUSED: &str = "interlock_edits_refused_total";
const RETRIES: &str = "interlock_retries_total";

/// The lines of the page that give rights, each in words.
fn documented() -> Vec<Vec<&'static str>> {
    let page = include_str!("../../docs/fleet.md");
    let lines = page.lines().filter(|line| line.starts_with("ACL SETUSER interlock"));
    lines.map(|line| line.split(' ').collect()).collect()
}

/// The store as its documented user reaches it, with the rights of the first `lines` but for these words.
fn url_with_rights(store: &Redis, lines: usize, without: &[&str]) -> String {
    let documented = documented();
    assert_eq!(documented.len(), 2, "what a fleet needs, and what edits need beside it");
    for mut line in documented.into_iter().take(lines) {
        line.retain(|word| !without.contains(word));
        store.command(&line);
    }
    format!("redis://interlock:PASSWORD@{}", store.address())
}

#[test]
fn the_documented_rights_are_enough() {
    const AT_ONCE: usize = 12;
    let store = Redis::start();
    let url = url_with_rights(&store, 1, &[]);
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
        assert_eq!(fleet.sum(OPERATIONS, &labels), 0.0, "{operation}");
    }
}

/// A sidecar that edits a journey of its store as that user, in front of an app that says who called it.
fn editing(store: &Redis, url: &str) -> (Sidecar, Upstream) {
    store_journey(store, "A");
    let app = Upstream::echoing_targets();
    let more = "on_store_loss = \"reject\"".to_owned();
    let flag = JourneyFlag { more, ..JourneyFlag::edited(100, r#"refused = "serialize""#) };
    let sidecar = Sidecar::in_front_of(&app).with(&store_at(url, "2s")).with(&flag.toml()).start();
    sidecar.wait_for_leases();
    (sidecar, app)
}

fn path_of(answer: &Response) -> Option<&str> {
    answer.headers.get("interlock-path")
}

#[test]
fn the_documented_rights_of_edits_are_enough_for_edits_and_for_calls_with_a_key() {
    let store = Redis::start();
    let url = url_with_rights(&store, 2, &[]);
    let (sidecar, app) = editing(&store, &url);
    let first = segment_of("A", Part::Segment(1));

    let edit = sidecar.call(&put(&first, &set_to("Boarding")));
    let keyed = put_with("k", &status_of("A"), &set_to("Departed"), "");
    let (once, again) = (sidecar.call(&keyed), sidecar.call(&keyed));
    // Refused, it goes to the app under the lease.
    let under_lease = sidecar.call(&put(&first, r#"{"status":7}"#));
    let after = sidecar.call(&put(&first, &set_to("Arrived")));

    for answer in [&edit, &once, &again, &under_lease, &after] {
        assert_eq!((answer.status, path_of(answer)), (200, Some("fixed")), "{answer:?}");
        assert!(!answer.headers.has("interlock-degraded"), "{answer:?}");
    }
    assert_eq!(again.headers.get("interlock-replayed"), Some("true"), "{again:?}");
    assert_eq!(app.requests().len(), 1);
    let stored = store.get(&key_of("A")).unwrap();
    assert!(stored.contains("Departed") && stored.contains("Arrived"), "{stored}");
    for operation in
        ["document_read", "document_edit", "idempotency", "lease_acquire", "lease_release"]
    {
        let count = |result| {
            let labels = [("operation", operation), ("result", result)];
            sidecar.metrics().sum(OPERATIONS, &labels).unwrap()
        };
        assert!(count("ok") > 0.0 && count("error") == 0.0, "{operation}");
    }
    assert_eq!(store.command(&["ACL", "LOG"]).list(), []);
}

#[test]
fn an_edit_that_lacks_a_right_is_served_under_the_lease_and_what_failed_is_named() {
    let keys = "no permissions to access one of the keys";
    let command = "can't run this command";
    for (missing, says) in
        [("~journey:*", keys), ("~interlock:receipt:*", keys), ("+strlen", command)]
    {
        let store = Redis::start();
        let url = url_with_rights(&store, 2, &[missing]);
        let (sidecar, app) = editing(&store, &url);
        let first = segment_of("A", Part::Segment(1));

        let answer = sidecar.call(&put(&first, &set_to("Departed")));

        assert_eq!((answer.status, path_of(&answer)), (200, Some("fixed")), "{missing}");
        assert!(!answer.headers.has("interlock-degraded"), "{missing}: {answer:?}");
        assert!(app.only_request().headers.has("interlock-fencing-token"), "{missing}");
        let sum = |name, labels: &[(&str, &str)]| sidecar.metrics().sum(name, labels).unwrap();
        assert_eq!(sum(REFUSED, &[("reason", "store")]), 1.0, "{missing}");
        let failed = |operation| sum(OPERATIONS, &[("operation", operation), ("result", "error")]);
        assert_eq!(failed("document_read"), 1.0, "{missing}: another try would be refused as well");
        assert_eq!(sum(RETRIES, &[]), 0.0, "{missing}");
        assert_eq!(failed("lease_acquire") + failed("beat"), 0.0, "{missing}: all else goes on");
        let log = sidecar.log();
        let mut told =
            log.lines().filter(|line| line.contains("\"event\":\"store_fault\"")).peekable();
        assert!(told.peek().is_some(), "{missing}: the log is silent");
        for line in told {
            assert!(line.contains("\"operation\":\"document_read\""), "{missing}: {line}");
            assert!(line.contains(says), "{missing}: {line}");
        }

        store.command(&["ACL", "SETUSER", "interlock", missing]);
        let after = sidecar.call(&put(&first, &set_to("Arrived")));
        assert_eq!((after.status, app.requests().len()), (200, 1), "{missing}: {after:?}");
        assert!(store.get(&key_of("A")).unwrap().contains("Arrived"), "{missing}");
    }
}

#[test]
fn an_edit_that_may_leave_no_receipt_is_tried_once() {
    let store = Redis::start();
    let url = url_with_rights(&store, 2, &[]);
    let all_but_receipts = "(+set ~journey:* ~{interlock}:* ~interlock:lease:*)";
    store.command(&["ACL", "SETUSER", "interlock", "-set", all_but_receipts]);
    let (sidecar, app) = editing(&store, &url);
    let before = store.get(&key_of("A"));

    let answer = sidecar.call(&put(&segment_of("A", Part::Segment(1)), &set_to("Departed")));

    assert_eq!((answer.status, path_of(&answer)), (200, Some("fixed")), "{answer:?}");
    assert!(app.only_request().headers.has("interlock-fencing-token"));
    assert_eq!(store.get(&key_of("A")), before, "nothing was written");
    let sum = |name, labels: &[(&str, &str)]| sidecar.metrics().sum(name, labels).unwrap();
    assert_eq!(sum(OPERATIONS, &[("operation", "document_edit"), ("result", "error")]), 1.0);
    assert_eq!((sum(REFUSED, &[("reason", "store")]), sum(RETRIES, &[])), (1.0, 0.0));
}
