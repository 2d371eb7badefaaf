//! Two fleets under the same fault at the same time, as tests of faults are slow: one that refuses what it can't protect, and
//! one that lets it pass and counts it. What must hold for each is checked in the end.

use std::time::Duration;

use super::config::JOURNEYS;
use super::fleet::{Fleet, FleetPlan};
use super::load::Load;
use super::oracle::{Findings, findings, unexplained};
use super::updates::{Knowledge, Sent};
use super::wait::{eventually, in_parallel, take_time};

/// How long the load goes on before a fault and after it.
const CALM: Duration = Duration::from_millis(700);

/// How long a write may land after its call was given up: as the fleets are configured, and a second for the machine.
const SETTLE: Duration = Duration::from_secs(2);

/// The two fleets: at a hundred percent, over one store, strangers to each other.
pub(crate) struct Trial {
    /// Refuses updates while they can't be protected.
    pub(crate) strict: Fleet,
    /// Lets them pass.
    pub(crate) lenient: Fleet,
}

/// What a trial saw.
pub(crate) struct Verdict {
    /// The updates at the strict fleet.
    pub(crate) strict: Vec<Sent>,
    /// The updates at the lenient one.
    pub(crate) lenient: Vec<Sent>,
}

impl Trial {
    /// Starts both and waits until they are whole.
    #[track_caller]
    pub(crate) fn of(plan: &FleetPlan) -> Self {
        let mut fleets = in_parallel(2, |n| {
            let policy = ["reject", "legacy"][n];
            let mut plan = plan.clone().on_store_loss(policy);
            plan.store += &format!("prefix = \"{policy}\"\n");
            plan.start()
        });
        let lenient = fleets.pop().expect("two fleets");
        let strict = fleets.pop().expect("two fleets");
        Self { strict, lenient }
    }

    /// Both.
    pub(crate) fn fleets(&self) -> [&Fleet; 2] {
        [&self.strict, &self.lenient]
    }

    /// Loads both while `happens` runs, and until both are whole again.
    #[track_caller]
    pub(crate) fn through(&self, happens: impl FnOnce(&Self)) -> Verdict {
        let load = Load::moderate();
        let mut lenient = Vec::new();
        let strict = load.during(&self.strict.targets(), || {
            lenient = load.during(&self.lenient.targets(), || {
                take_time(CALM);
                happens(self);
                self.fleets().iter().for_each(|fleet| fleet.wait_until_whole());
                take_time(CALM);
            });
        });
        self.assert_protected_again();
        Verdict { strict, lenient }
    }

    /// New updates come to be protected as before the fault, at every sidecar. A Sentinel may cut connections once more after all
    /// have come back.
    #[track_caller]
    fn assert_protected_again(&self) {
        for fleet in self.fleets() {
            let mut tries = 0;
            let sent = eventually("all updates to be protected again", || {
                tries += 1;
                let sent = fleet.burst(&fleet.journeys[..2], 6, &format!("again-{tries}"));
                let protected = |update: &Sent| update.acknowledged() && !update.unprotected();
                sent.iter().all(protected).then_some(sent)
            });
            let expected = Findings { acknowledged: sent.len(), ..Findings::default() };
            assert_eq!(findings(&fleet.documents, &sent), expected);
        }
    }
}

impl Verdict {
    /// What must hold whatever happened.
    ///
    /// Strict: no acknowledged update is lost. Lenient: none is refused, a lost one met one without protection, and each of those
    /// is counted. Both: what was refused did not happen, and nothing happened twice.
    #[track_caller]
    pub(crate) fn assert_promises(&self, trial: &Trial) {
        eprintln!("strict: {}", summary(&self.strict));
        eprintln!("lenient: {}", summary(&self.lenient));
        let strict = findings(&trial.strict.documents, &self.strict);
        let expected = Findings { acknowledged: strict.acknowledged, ..Findings::default() };
        assert_eq!(strict, expected);
        let unprotected = self.strict.iter().filter(|update| update.unprotected());
        assert_eq!(unprotected.count(), 0, "nothing runs without protection at the strict fleet");

        let lenient = findings(&trial.lenient.documents, &self.lenient);
        assert!(lenient.repeated.is_empty() && lenient.disowned.is_empty(), "{lenient:?}");
        let lost = unexplained(&trial.lenient.documents, &self.lenient, SETTLE);
        assert!(lost.is_empty(), "lost under protection: {lost:?}");
        let refused = self.lenient.iter().find(|update| update.status() == Some(503));
        assert!(refused.is_none(), "refused: {refused:?}");
        self.assert_all_counted(&trial.lenient);
    }

    /// The clients and the sidecars count the same updates without protection, as long as clients saw all answers. That a lease
    /// ran out may show only after the answer.
    #[track_caller]
    fn assert_all_counted(&self, fleet: &Fleet) {
        let told = self.lenient.iter().filter(|update| update.unprotected()).count() as f64;
        let open = self.lenient.iter().filter(|update| update.knowledge() == Knowledge::Unknown);
        let exposed = |reason| {
            fleet.sum("interlock_exposed_updates_total", &[("flag", JOURNEYS), ("reason", reason)])
        };
        let counted = exposed("store_unreachable") + exposed("store_replaced");
        let lost = exposed("lease_lost");
        let all = fleet.sum("interlock_exposed_updates_total", &[]);
        let seen = format!("clients: {told}, sidecars: {counted} and {lost} lost leases of {all}");
        assert!(told <= counted + lost && counted <= told + open.count() as f64, "{seen}");
        assert_eq!(counted + lost, all, "{seen}");
    }

    /// Whether the fault was felt at all: some updates were refused at the strict fleet, and some unprotected at the other.
    #[track_caller]
    pub(crate) fn assert_that_it_was_felt(&self) {
        let refused = self.strict.iter().any(|update| update.status() == Some(503));
        let passed = self.lenient.iter().any(|update| update.unprotected());
        assert!(refused && passed, "refused: {refused}, unprotected: {passed}");
    }

    /// Every update at both fleets was acknowledged and protected.
    #[track_caller]
    pub(crate) fn assert_that_nobody_felt_it(&self) {
        for update in self.strict.iter().chain(&self.lenient) {
            assert!(update.acknowledged() && !update.unprotected(), "{update:?}");
        }
    }
}

/// How many updates ended how, for whoever reads the output of a test.
fn summary(sent: &[Sent]) -> String {
    let statuses = [Some(200), Some(502), Some(503), Some(504), None];
    let count = |status| sent.iter().filter(|update| update.status() == status).count();
    let counts: Vec<String> =
        statuses.iter().map(|status| format!("{status:?}: {}", count(*status))).collect();
    let unprotected = sent.iter().filter(|update| update.unprotected()).count();
    let slowest = sent.iter().map(Sent::took).max().unwrap_or_default();
    format!("{}, {unprotected} unprotected, slowest {slowest:?}", counts.join(", "))
}
