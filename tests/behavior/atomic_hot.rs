//! Edits of one entity that come to several sidecars all the time: what they cost the store, counted.

use crate::atomic::{document, flag, planned};
use crate::support::{
    Flavor, Gate, Part, Redis, Sidecar, Upstream, in_parallel, key_of, put, segment_of, set_to,
    status_of, until,
};

const CONFLICTS: &str = "interlock_edit_conflicts_total";
const QUEUED: &str = "interlock_edits_queued_total";
const SIDECARS: usize = 3;
const CALLERS: usize = 24;
const EACH: usize = 60;
/// The most calls and edits that have one lease, one after the other.
const COHORT: usize = 16;
const UPDATES: usize = CALLERS * EACH;

/// Sidecars in front of an app that answers once its gate is open, over one store.
struct Fleet {
    sidecars: Vec<Sidecar>,
    redis: Redis,
    _app: Upstream,
}

impl Fleet {
    fn new(flavor: Flavor) -> (Self, Gate) {
        let redis = Redis::start_with(flavor, &[]);
        redis.set(&key_of("A"), &document(planned));
        let (app, gate) = Upstream::gated();
        // On a busy machine an edit would be late.
        let (hasty, patient) = ("timeout = \"50ms\"", "timeout = \"5s\"");
        let toml = flag(&redis, "reject", "").replacen(hasty, patient, 1);
        let start = |_| Sidecar::at(&app.url()).with(&toml).start();
        (Self { sidecars: (0..SIDECARS).map(start).collect(), redis, _app: app }, gate)
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sidecars.iter().filter_map(|it| it.metrics().sum(name, labels)).sum()
    }

    fn queued(&self, reason: &str) -> f64 {
        self.sum(QUEUED, &[("reason", reason)])
    }

    /// How many scripts the store has run.
    fn scripts(&self) -> u64 {
        self.redis.calls_of("evalsha")
    }

    /// Each caller sets one field after the other, or the same one, and is answered 200.
    fn edit(&self, field: impl Fn(usize, usize) -> usize + Sync) {
        in_parallel(CALLERS, |caller| {
            let mut client = self.sidecars[caller % SIDECARS].client();
            for n in 0..EACH {
                let path = segment_of("A", Part::Segment(field(caller, n)));
                let answer = client.call(&put(&path, &set_to(&format!("{caller}-{n}"))));
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        });
        assert_eq!(self.sum("interlock_edits_refused_total", &[]), 0.0);
    }

    /// The last status of a segment, as its caller and his how manieth update.
    fn stored(&self, segment: usize) -> (usize, usize) {
        let stored = self.redis.get(&key_of("A")).unwrap();
        let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
        let status = stored["Segments"][segment - 1]["Status"].as_str().unwrap().to_owned();
        let (caller, n) = status.split_once('-').unwrap();
        (caller.parse().unwrap(), n.parse().unwrap())
    }
}

fn edits_of_one_field(flavor: Flavor) {
    let (fleet, _gate) = Fleet::new(flavor);
    let before = fleet.scripts();

    fleet.edit(|_, _| 1);

    let scripts = fleet.scripts() - before;
    assert_eq!((fleet.sum(CONFLICTS, &[]), fleet.sum(QUEUED, &[])), (0.0, 0.0));
    // A look and an edit for each; the rest is what sidecars say all the time.
    assert!(scripts <= 2 * UPDATES as u64 + 100, "{scripts} scripts for {UPDATES} updates");
    let applied = [("outcome", "applied"), ("protection", "protected")];
    assert_eq!(fleet.sum("interlock_updates_total", &applied), UPDATES as f64);
    assert_eq!(fleet.stored(1).1, EACH - 1, "whoever was last was at his last update");
}

#[test]
fn edits_of_one_field_from_three_sidecars_do_not_meet_on_redis() {
    edits_of_one_field(Flavor::Redis);
}

#[test]
fn edits_of_one_field_from_three_sidecars_do_not_meet_on_valkey() {
    edits_of_one_field(Flavor::Valkey);
}

#[test]
fn after_a_call_of_the_app_edits_do_not_queue_behind_one_another() {
    let (fleet, gate) = Fleet::new(Flavor::Redis);
    let before = fleet.scripts();

    std::thread::scope(|scope| {
        let call = scope.spawn(|| fleet.sidecars[0].call(&put(&status_of("A"), &set_to("Off"))));
        let lease = format!("interlock:lease:{{{}}}:holder", key_of("A"));
        until("the app to be at its call", || fleet.redis.get(&lease).is_some());
        // No two callers of a sidecar have a field in common.
        let edits = scope.spawn(|| fleet.edit(|caller, _| caller / SIDECARS + 1));
        until("every caller to wait", || fleet.queued("lease_held") == CALLERS as f64);
        gate.open();
        assert_eq!(call.join().unwrap().status, 200);
        edits.join().unwrap();
    });

    // Each caller once, for the call; and those that came while edits of one sidecar had what was left of the call's lease.
    let queued = fleet.queued("lease_held");
    assert!(queued <= (CALLERS + COHORT) as f64, "{queued} of {UPDATES} edits stood in the queue");
    assert_eq!(fleet.queued("contended"), 0.0);
    let scripts = fleet.scripts() - before;
    assert!(scripts * 10 <= 24 * UPDATES as u64, "{scripts} scripts for {UPDATES} updates");
    assert_eq!(
        fleet.sum("interlock_updates_total", &[("outcome", "applied")]),
        UPDATES as f64 + 1.0
    );
    for segment in 1..=CALLERS / SIDECARS {
        assert_eq!(fleet.stored(segment).1, EACH - 1, "SEG-{segment}");
    }
}
