//! `shadow.mode = "plan"`: the app serves, and what the declared edit would have written is compared with what the app wrote.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use crate::atomic::{document, planned};
use crate::shadow::{COMPARISONS, MISMATCHES, SKIPPED};
use crate::support::{
    Fate, Gate, JOURNEYS, JourneyFlag, Part, Redis, Response, Sidecar, StallProxy, Upstream,
    in_parallel, key_of, put, segment_of, store_at, until,
};

const READS: &str = "interlock_store_operations_total";
const JOURNEY: &str = "A";

/// Longer than a busy machine takes for anything: no look at the document is to fail by itself.
const STORE_TIMEOUT: &str = "10s";

/// Mostly an app that writes the document as a test says, once it is let to; the sidecar reaches the store by a relay.
struct Stage {
    sidecar: Sidecar,
    app: Upstream,
    relay: StallProxy,
    store: Arc<Redis>,
    gate: Gate,
}

impl Stage {
    /// `write` makes the document that the app writes of the one that it finds, for the number of the segment that is called for.
    fn new(write: impl Fn(String, usize) -> String + Send + Sync + 'static) -> Self {
        Self::answering(write, || "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
    }

    /// The same with what the app answers once it has written.
    fn answering(
        write: impl Fn(String, usize) -> String + Send + Sync + 'static,
        answer: impl Fn() -> &'static str + Send + Sync + 'static,
    ) -> Self {
        let (store, gate) = (Arc::new(Redis::start()), Gate::shut());
        store.set(&key_of(JOURNEY), &document(planned));
        // One writer at a time: what an app loses by itself is nothing that these tests are about.
        let (documents, shut) = (Mutex::new(Arc::clone(&store)), gate.clone());
        let app = Upstream::running(move |exchange| {
            exchange.read_body();
            shut.pass();
            let segment = segment_in(&exchange.request.target);
            {
                let documents = documents.lock().unwrap();
                if let Some(found) = documents.get(&key_of(JOURNEY)) {
                    documents.set(&key_of(JOURNEY), &write(found, segment));
                }
            }
            exchange.reply(answer().as_bytes())
        });
        let relay = StallProxy::to(store.address());
        let shadow = "shadow = { mode = \"plan\" }".to_owned();
        let fixed = r#"refused = "reject", max_document = "64KiB""#;
        let flag = JourneyFlag { more: shadow, ..JourneyFlag::edited(0, fixed) };
        let sidecar = Sidecar::in_front_of(&app)
            .with(&store_at(&relay.url(), STORE_TIMEOUT))
            .with(&flag.toml())
            .start();
        sidecar.wait_for_leases();
        Self { sidecar, app, relay, store, gate }
    }

    /// One call, which the app serves once the document was looked at.
    fn call(&self, segment: usize, body: &str) -> Response {
        thread::scope(|scope| {
            let caller = scope.spawn(|| self.put(segment, body));
            self.wait_for_reads(1.0);
            self.gate.open();
            caller.join().unwrap()
        })
    }

    fn put(&self, segment: usize, body: &str) -> Response {
        let answer = self.sidecar.call(&put(&segment_of(JOURNEY, Part::Segment(segment)), body));
        assert_eq!(answer.headers.get("interlock-path"), Some("legacy"), "{answer:?}");
        answer
    }

    fn wait_for_reads(&self, count: f64) {
        let labels = [("operation", "document_read"), ("result", "ok")];
        self.sidecar.wait_for_metric(READS, &labels, count);
    }

    fn stored(&self) -> Option<String> {
        self.store.get(&key_of(JOURNEY))
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecar.sum(name, labels)
    }

    #[track_caller]
    fn wait_for(&self, name: &str, label: (&str, &str), count: f64) {
        self.sidecar.wait_for_metric(name, &[label], count);
    }

    /// Waits for the only comparison there was, and checks that there was no other, and nothing was skipped.
    #[track_caller]
    fn assert_compared(&self, verdict: &str, cause: Option<&str>) {
        self.wait_for(COMPARISONS, ("verdict", verdict), 1.0);
        assert_eq!(self.sum(COMPARISONS, &[]), 1.0);
        assert_eq!(self.sum(SKIPPED, &[]), 0.0);
        assert_eq!(self.sum(MISMATCHES, &[]), cause.map_or(0.0, |_| 1.0));
        if let Some(cause) = cause {
            assert_eq!(self.sum(MISMATCHES, &[("cause", cause)]), 1.0, "{cause}");
        }
    }

    /// Waits for the only thing to be skipped, and checks that nothing was compared.
    #[track_caller]
    fn assert_skipped(&self, reason: &str) {
        self.wait_for(SKIPPED, ("reason", reason), 1.0);
        assert_eq!((self.sum(SKIPPED, &[]), self.sum(COMPARISONS, &[])), (1.0, 0.0), "{reason}");
    }

    /// The only divergence record there is.
    #[track_caller]
    fn record(&self) -> serde_json::Value {
        let path = format!("/api/v1/divergences?flag={JOURNEYS}");
        let mut records = Vec::new();
        until("a divergence record", || {
            let listed = self.sidecar.admin_get(&path).json();
            records = listed["divergences"].as_array().unwrap().clone();
            !records.is_empty()
        });
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    /// The keys of the store but for the control plane's.
    fn keys(&self) -> Vec<String> {
        let keys = self.store.command(&["KEYS", "*"]);
        let keys = keys.list().iter().filter_map(|key| key.text().map(str::to_owned));
        keys.filter(|key| !key.starts_with("{interlock}:")).collect()
    }
}

fn segment_in(target: &str) -> usize {
    let digits: Vec<&str> = target.split("SEG-").collect();
    digits[1].split('/').next().unwrap().parse().unwrap()
}

/// The document with another status of a segment that has the first one still.
fn with_segment(document: &str, segment: usize, status: &str) -> String {
    let at = document.find(&format!("\"SEG-{segment}\"")).unwrap();
    let (before, after) = document.split_at(at);
    before.to_owned() + &after.replacen("Planned", status, 1)
}

const DEPARTED: &str = r#"{"status":"Departed"}"#;

fn departed(document: String, segment: usize) -> String {
    with_segment(&document, segment, "Departed")
}

/// `Departed` where it is one of these segments.
fn departed_are(segments: &[usize]) -> String {
    document(|n| if segments.contains(&n) { "Departed".to_owned() } else { planned(n) })
}

#[test]
fn an_app_that_writes_what_the_edit_would_is_matched_and_nothing_is_written_by_it() {
    let stage = Stage::new(departed);

    let answer = stage.call(3, DEPARTED);

    assert_eq!((answer.status, answer.text()), (200, "done".to_owned()));
    stage.assert_compared("matched", None);
    assert_eq!(stage.stored(), Some(departed_are(&[3])));
    assert_eq!(stage.keys(), [key_of(JOURNEY)], "no receipt, no lease");
    let edits = [("operation", "document_edit")];
    assert_eq!(stage.sum(READS, &edits), 0.0, "no edit was sent");
    assert_eq!(stage.app.requests().len(), 1);
}

#[test]
fn an_app_that_changes_another_field_besides_has_another_state() {
    let stage =
        Stage::new(|document, segment| departed(document, segment).replace("850.50", "900.00"));

    stage.call(1, DEPARTED);

    stage.assert_compared("mismatched", Some("state"));
    let record = stage.record();
    assert_eq!(record["cause"], "state");
    assert_eq!(record["pointers"], serde_json::json!(["/TotalPrice"]), "{record}");
    assert_eq!(stage.stored(), Some(departed_are(&[1]).replace("850.50", "900.00")));
}

#[test]
fn an_app_that_writes_another_value_or_none_has_another_state() {
    let others: [fn(String, usize) -> String; 2] =
        [|document, segment| with_segment(&document, segment, "DEPARTED"), |document, _| document];
    for write in others {
        let stage = Stage::new(write);

        stage.call(2, DEPARTED);

        stage.assert_compared("mismatched", Some("state"));
        assert_eq!(stage.record()["pointers"], serde_json::json!(["/Segments/1/Status"]));
    }
}

#[test]
fn updates_that_were_in_flight_together_are_told_apart_from_a_difference_of_the_edit() {
    // Both are answered when both have written, so that each second look sees both.
    let both = Barrier::new(2);
    let stage = Stage::answering(departed, move || {
        both.wait();
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    });

    thread::scope(|scope| {
        let callers = scope.spawn(|| in_parallel(2, |n| stage.put(n + 1, DEPARTED).status));
        stage.wait_for_reads(2.0);
        stage.gate.open();
        assert_eq!(callers.join().unwrap(), [200, 200]);
    });

    stage.wait_for(MISMATCHES, ("cause", "concurrent_write"), 2.0);
    assert_eq!((stage.sum(MISMATCHES, &[]), stage.sum(COMPARISONS, &[])), (2.0, 2.0));
    assert_eq!(stage.sum("interlock_contended_comparisons_total", &[]), 2.0);
}

#[test]
fn an_update_that_another_sidecar_let_through_meanwhile_is_a_concurrent_write() {
    // As this sidecar sees it: its own update is there, and a field that other edits write has changed as well.
    let stage =
        Stage::new(|document, segment| with_segment(&departed(document, segment), 7, "Arrived"));

    stage.call(1, DEPARTED);

    stage.assert_compared("mismatched", Some("concurrent_write"));
    assert_eq!(stage.sum("interlock_contended_comparisons_total", &[]), 0.0);
}

#[test]
fn what_an_edit_would_refuse_is_skipped_and_served_as_ever() {
    let whole = document(planned);
    let large = whole.replace("Metadata\":{}", &format!("Metadata\":\"{}\"", "m".repeat(65_536)));
    for (found, body) in [
        (whole.replacen("SEG-2", "SEG-1", 1), DEPARTED),
        (whole.replacen("\"Status\":\"Planned\"", "\"Status\":7", 1), DEPARTED),
        (large, DEPARTED),
        ("no document".to_owned(), DEPARTED),
        (whole, r#"{"state":"Departed"}"#),
    ] {
        let stage = Stage::new(|document, _| document);
        stage.store.set(&key_of(JOURNEY), &found);
        stage.gate.open();

        let answer = stage.put(1, body);

        assert_eq!((answer.status, answer.text()), (200, "done".to_owned()), "{found}");
        stage.assert_skipped("plan_refused");
        assert_eq!(stage.stored(), Some(found));
    }
}

#[test]
fn a_document_that_is_no_string_is_skipped() {
    let stage = Stage::answering(
        |document, _| document,
        || "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    );
    stage.store.command(&["DEL", &key_of(JOURNEY)]);
    stage.store.command(&["HSET", "journey:B", "data", "{}"]);

    let path = segment_of("B", Part::Segment(1));
    stage.gate.open();
    let answer = stage.sidecar.call(&put(&path, DEPARTED));

    assert_eq!(answer.status, 404);
    stage.assert_skipped("plan_refused");
}

#[test]
fn where_there_is_no_document_the_app_s_refusal_is_matched() {
    let stage = Stage::answering(
        |document, _| document,
        || "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    );
    stage.store.command(&["DEL", &key_of(JOURNEY)]);

    let answer = stage.call(1, DEPARTED);

    assert_eq!(answer.status, 404);
    stage.assert_compared("matched", None);
    assert_eq!(stage.stored(), None);
}

#[test]
fn a_value_that_is_there_already_teaches_nothing() {
    let stage = Stage::new(|document, _| document);
    stage.store.set(&key_of(JOURNEY), &departed_are(&[1]));

    stage.call(1, DEPARTED);

    stage.assert_skipped("already_there");
}

#[test]
fn the_answer_waits_for_no_look_and_an_app_that_was_faster_is_skipped() {
    let (stage, held) = (Stage::new(departed), Gate::shut());
    // The document's key; what the fleet says of itself has none.
    stage.relay.lie_in_wait(&key_of(JOURNEY), Fate::Held(held.clone()));
    stage.gate.open();

    let answer = stage.put(1, DEPARTED);

    assert_eq!(answer.status, 200);
    stage.relay.wait_for_request();
    let reads = [("operation", "document_read")];
    assert_eq!(stage.sum(READS, &reads), 0.0, "the first look is still on its way");
    assert_eq!((stage.sum(SKIPPED, &[]), stage.sum(COMPARISONS, &[])), (0.0, 0.0));
    held.open();
    stage.assert_skipped("already_there");
    assert_eq!(stage.stored(), Some(departed_are(&[1])));
}

#[test]
fn an_answer_that_tells_of_a_failure_is_not_compared() {
    let stage = Stage::answering(
        departed,
        || "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    );

    assert_eq!(stage.call(1, DEPARTED).status, 500);

    stage.assert_skipped("control_failed");
}

#[test]
fn without_a_store_calls_are_served_and_not_compared() {
    let stage = Stage::new(departed);
    stage.gate.open();
    stage.relay.refuse();
    stage.sidecar.wait_for_metric("interlock_lease_gate", &[("state", "lost")], 1.0);

    let answer = stage.put(1, DEPARTED);

    assert_eq!(answer.status, 200);
    stage.assert_skipped("store_failed");

    stage.relay.pass();
    stage.sidecar.wait_for_leases();
    stage.put(2, DEPARTED);
    until("the next one to be looked at", || {
        stage.sum(COMPARISONS, &[]) + stage.sum(SKIPPED, &[("reason", "already_there")]) == 1.0
    });
}

#[test]
fn a_store_that_goes_between_the_two_looks_is_a_store_that_failed() {
    let stage = Stage::new(departed);
    let answer = thread::scope(|scope| {
        let caller = scope.spawn(|| stage.put(1, DEPARTED));
        stage.wait_for_reads(1.0);
        stage.relay.refuse();
        stage.gate.open();
        caller.join().unwrap()
    });

    assert_eq!(answer.status, 200);
    stage.assert_skipped("store_failed");
    assert_eq!(stage.stored(), Some(departed_are(&[1])));
}
