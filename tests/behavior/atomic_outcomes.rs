//! What becomes of an edit when the store, or the way to it, or its caller is lost in the middle of it: every row of "What the
//! caller gets" in docs/atomic.md that needs a fault.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::idempotency::put_with;
use crate::support::{
    Fate, Gate, JourneyFlag, Loss, Outage, Part, Reply, Response, STORE_UNAVAILABLE, Sidecar,
    Upstream, eventually, key_of, put, set_to, store_journey, until,
};

const RECEIPTS: &str = "interlock_receipts_found_total";
const RETRIES: &str = "interlock_retries_total";
pub(crate) const UPDATES: &str = "interlock_updates_total";

/// The journey that all of this is about.
pub(crate) const JOURNEY: &str = "A";

/// A sidecar whose routes edit a journey of its store, in front of an app that must not be called unless a test says so.
pub(crate) struct Scene {
    pub(crate) outage: Outage,
    pub(crate) app: Upstream,
}

impl Scene {
    fn of(flag: &JourneyFlag) -> Self {
        Self::with_timeouts("250ms", "5s", flag)
    }

    /// With a `store.timeout` and a `legacy.timeout`.
    pub(crate) fn with_timeouts(store: &str, call: &str, flag: &JourneyFlag) -> Self {
        Self::in_front_of(Upstream::echoing_targets(), (store, call), flag)
    }

    pub(crate) fn in_front_of(
        app: Upstream,
        (store, call): (&str, &str),
        flag: &JourneyFlag,
    ) -> Self {
        let outage = Outage::with_timeouts(store, call, flag, &app);
        let scene = Self { outage, app };
        scene.begin();
        scene
    }

    /// Stores the journey, and makes an edit: from then on the store knows the scripts.
    fn begin(&self) {
        store_journey(&self.outage.store, JOURNEY);
        let answer = self.set(Part::Segment(20), "known");
        assert_eq!((answer.status, path_of(&answer)), (200, Some("fixed")), "{answer:?}");
    }

    pub(crate) fn sidecar(&self) -> &Sidecar {
        &self.outage.sidecar
    }

    pub(crate) fn set(&self, part: Part, status: &str) -> Response {
        self.sidecar().call(&edit_of(part, status))
    }

    /// The status of a part of the journey, as it is stored.
    pub(crate) fn stored(&self, part: Part) -> String {
        let document = self.outage.store.get(&key_of(JOURNEY)).unwrap();
        let document: Value = serde_json::from_str(&document).unwrap();
        let status = match part {
            Part::Journey => &document["Status"],
            Part::Segment(number) => &document["Segments"][number - 1]["Status"],
        };
        status.as_str().unwrap().to_owned()
    }

    /// Writes the status of the first segment past the sidecar.
    fn overwrite(&self, old: &str, new: &str) {
        let store = &self.outage.store;
        let document = store.get(&key_of(JOURNEY)).unwrap();
        store.set(&key_of(JOURNEY), &document.replacen(old, new, 1));
    }

    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecar().sum(name, labels)
    }

    pub(crate) fn updates(&self, outcome: &str) -> f64 {
        self.sum(UPDATES, &[("outcome", outcome)])
    }

    /// Waits until nobody has the journey's lease, nor stands in its queue.
    pub(crate) fn wait_for_free_lease(&self) {
        let lease = format!("interlock:lease:{{{}}}:", key_of(JOURNEY));
        let names = ["holder", "queue"].map(|name| format!("{lease}{name}"));
        until("the lease to be free", || {
            let exists = ["EXISTS", &names[0], &names[1]];
            self.outage.store.command(&exists) == Reply::Integer(0)
        });
    }

    fn found(&self, result: &str) -> f64 {
        self.sum(RECEIPTS, &[("result", result)])
    }
}

pub(crate) const FIRST: Part = Part::Segment(1);

pub(crate) fn edit_of(part: Part, status: &str) -> Vec<u8> {
    put(&part.path(JOURNEY), &set_to(status))
}

pub(crate) fn edited(policy: &str) -> JourneyFlag {
    let more = format!("on_store_loss = \"{policy}\"\n");
    JourneyFlag { more, ..JourneyFlag::edited(100, r#"refused = "serialize""#) }
}

fn path_of(answer: &Response) -> Option<&str> {
    answer.headers.get("interlock-path")
}

fn degraded(answer: &Response) -> Vec<String> {
    answer.headers.list("interlock-degraded")
}

#[test]
fn an_edit_whose_answer_was_lost_is_found_by_its_receipt_and_not_made_again() {
    let scene = Scene::of(&edited("reject"));
    scene.outage.relay.lie_in_wait("Departed", Fate::AnswerLost);

    let answer = thread::scope(|scope| {
        let caller = scope.spawn(|| scene.set(FIRST, "Departed"));
        scene.outage.relay.wait_for_answer();
        // Made again, it would undo this.
        scene.overwrite("Departed", "Newer");
        caller.join().unwrap()
    });

    assert_eq!((answer.status, answer.text()), (200, "{}".to_owned()), "{answer:?}");
    assert_eq!((path_of(&answer), degraded(&answer)), (Some("fixed"), vec![]));
    assert_eq!(scene.stored(FIRST), "Newer");
    assert_eq!((scene.found("applied"), scene.found("absent")), (1.0, 0.0));
    assert_eq!((scene.updates("applied"), scene.updates("unknown")), (2.0, 0.0));
    assert_eq!(scene.sum(RETRIES, &[]), 0.0, "to look for a receipt costs nothing");
    assert!(scene.app.requests().is_empty());
}

#[test]
fn an_edit_that_never_arrived_leaves_no_receipt_and_is_made_by_the_one_that_looks_for_it() {
    let scene = Scene::of(&edited("reject"));
    scene.outage.relay.lie_in_wait("Departed", Fate::RequestLost);

    let answer = scene.set(FIRST, "Departed");

    assert_eq!((answer.status, path_of(&answer)), (200, Some("fixed")), "{answer:?}");
    assert_eq!(scene.stored(FIRST), "Departed");
    assert_eq!((scene.found("applied"), scene.found("absent")), (0.0, 1.0));
    assert_eq!((scene.updates("applied"), scene.updates("unknown")), (2.0, 0.0));
    assert_eq!(scene.sum(RETRIES, &[("reason", "unknown")]), 1.0);
    assert!(scene.app.requests().is_empty());
}

#[test]
fn an_edit_that_arrives_after_it_was_sent_again_finds_the_receipt_and_undoes_nothing() {
    let (scene, gate) = (Scene::of(&edited("reject")), Gate::shut());
    let relay = &scene.outage.relay;
    relay.lie_in_wait("Departed", Fate::Held(gate.clone()));

    let answer = scene.set(FIRST, "Departed");
    let made = scene.stored(FIRST);
    // Everything is again as the held one has seen it, but for the receipt.
    let later = scene.set(FIRST, "Planned");
    gate.open();
    relay.wait_for_answer();

    assert_eq!((answer.status, later.status, made.as_str()), (200, 200, "Departed"));
    assert_eq!(scene.stored(FIRST), "Planned");
    assert_eq!((scene.found("applied"), scene.found("absent")), (0.0, 1.0));
    assert_eq!(scene.updates("applied"), 3.0);
}

#[test]
fn while_nobody_can_tell_what_became_of_an_edit_it_is_unknown_at_its_deadline() {
    const DEADLINE: Duration = Duration::from_millis(1500);
    for (fate, stored) in [(Fate::LastToArrive, "Departed"), (Fate::FirstToVanish, "Planned")] {
        let scene = Scene::with_timeouts("250ms", "1500ms", &edited("legacy"));
        let relay = &scene.outage.relay;
        relay.lie_in_wait("Departed", fate);

        let began = Instant::now();
        let answer = scene.set(FIRST, "Departed");
        let took = began.elapsed();

        answer.assert_problem(504, "unknown");
        assert_eq!(path_of(&answer), Some("fixed"), "{stored}");
        assert!((DEADLINE - Duration::from_millis(200)..3 * DEADLINE).contains(&took), "{took:?}");
        assert!(scene.app.requests().is_empty(), "{stored}: nothing runs on the other path");
        assert_eq!((scene.updates("unknown"), scene.updates("applied")), (1.0, 1.0), "{stored}");
        assert_eq!((scene.found("applied"), scene.found("absent")), (0.0, 0.0), "{stored}");
        assert_eq!(scene.sum("interlock_exposed_updates_total", &[]), 0.0, "{stored}");

        relay.pass();
        scene.outage.wait_for_return();
        assert_eq!(scene.stored(FIRST), stored, "it was unknown for a reason");
        let next = scene.set(FIRST, "Arrived");
        assert_eq!((next.status, path_of(&next)), (200, Some("fixed")), "{stored}: {next:?}");
        assert_eq!(scene.stored(FIRST), "Arrived", "{stored}");
    }
}

#[test]
fn a_key_whose_edit_is_unknown_makes_no_other_edit_though_the_store_is_back() {
    for (fate, stored) in [(Fate::LastToArrive, "Departed"), (Fate::FirstToVanish, "Planned")] {
        let scene = Scene::with_timeouts("250ms", "1500ms", &edited("legacy"));
        scene.outage.relay.lie_in_wait("Departed", fate);
        let keyed = put_with("k", &FIRST.path(JOURNEY), &set_to("Departed"), "");

        scene.sidecar().call(&keyed).assert_problem(504, "unknown");
        scene.outage.relay.pass();
        scene.outage.wait_for_return();
        let again = eventually("the key's end to be told", || {
            let again = scene.sidecar().call(&keyed);
            (again.status != 409).then_some(again)
        });

        // Its receipt tells of an edit that was made; of one that is not there nobody knows whether it still comes.
        match stored {
            "Departed" => assert_eq!(again.headers.get("interlock-replayed"), Some("true")),
            _ => again.assert_problem(504, "unknown"),
        }
        assert_eq!(scene.stored(FIRST), stored);
        assert_eq!((scene.updates("unknown"), scene.updates("applied")), (1.0, 1.0), "{stored}");
        assert!(scene.app.requests().is_empty(), "{stored}");
    }
}

#[test]
fn an_edit_without_a_store_goes_to_the_app_and_says_so_where_the_flag_lets_it() {
    for loss in Loss::ALL {
        let mut scene = Scene::of(&edited("legacy"));

        scene.outage.lose_noticed(loss);
        let during = scene.set(FIRST, "Departed");
        let exposed = [("reason", "store_unreachable")];
        let exposed = scene.sum("interlock_exposed_updates_total", &exposed);
        let labels = [("protection", "exposed"), ("outcome", "applied"), ("path", "legacy")];
        let counted = scene.sum(UPDATES, &labels);

        assert_eq!((during.status, path_of(&during)), (200, Some("legacy")), "{loss:?}");
        assert!(degraded(&during).iter().any(|word| word == STORE_UNAVAILABLE), "{during:?}");
        assert_eq!((exposed, counted), (1.0, 1.0), "{loss:?}");
        let call = scene.app.only_request();
        assert_eq!(call.headers.get("interlock-path"), Some("legacy"), "{loss:?}");
        assert!(!call.headers.has("interlock-fencing-token"), "{loss:?}");

        assert_edits_again(&mut scene, loss);
    }
}

#[test]
fn an_edit_without_a_store_is_rejected_and_sent_nowhere_where_the_flag_says_so() {
    for loss in Loss::ALL {
        let mut scene = Scene::of(&edited("reject"));

        scene.outage.lose_noticed(loss);
        let during = scene.set(FIRST, "Departed");
        let refused = scene.sum("interlock_lease_refused_total", &[("reason", "store_lost")]);

        during.assert_problem(503, "safe");
        assert_eq!(during.headers.get("retry-after"), Some("1"), "{loss:?}");
        assert!(degraded(&during).iter().any(|word| word == STORE_UNAVAILABLE), "{during:?}");
        assert_eq!((refused, scene.updates("unknown")), (1.0, 0.0), "{loss:?}");
        assert!(scene.app.requests().is_empty(), "{loss:?}");

        assert_edits_again(&mut scene, loss);
    }
}

/// The store is there again: the next edit is made, without a restart and without the app.
#[track_caller]
fn assert_edits_again(scene: &mut Scene, loss: Loss) {
    let called = scene.app.requests().len();
    scene.outage.restore_noticed(loss);
    // A crash has forgotten it.
    store_journey(&scene.outage.store, JOURNEY);

    let after = scene.set(FIRST, "Arrived");

    assert_eq!((after.status, path_of(&after)), (200, Some("fixed")), "{loss:?}: {after:?}");
    assert!(degraded(&after).is_empty(), "{loss:?}: {after:?}");
    assert_eq!(scene.stored(FIRST), "Arrived", "{loss:?}");
    assert_eq!(scene.app.requests().len(), called, "{loss:?}");
}

#[test]
fn a_loss_that_nobody_has_noticed_yet_is_a_loss_to_the_edit_that_finds_it() {
    for (policy, status, calls) in [("legacy", 200, 1), ("reject", 503, 0)] {
        for loss in [Loss::Pause, Loss::BlackHole, Loss::Refusal] {
            let mut scene = Scene::of(&edited(policy));

            scene.outage.lose(loss);
            let during = scene.set(FIRST, "Departed");
            scene.outage.restore_noticed(loss);

            assert_eq!(during.status, status, "{policy} {loss:?}: {during:?}");
            assert!(degraded(&during).iter().any(|word| word == STORE_UNAVAILABLE), "{during:?}");
            assert_eq!(scene.app.requests().len(), calls, "{policy} {loss:?}");
            // Its document was looked at and no edit was sent.
            assert_eq!(scene.stored(FIRST), "Planned", "{policy} {loss:?}");
            assert_eq!(scene.updates("unknown"), 0.0, "{policy} {loss:?}");
        }
    }
}
