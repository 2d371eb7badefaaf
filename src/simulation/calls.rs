//! An update's way through a sidecar, as `proxy` and `paths::update` go it, with simulated apps at its end. Those of documents
//! go another one: see `edits`.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::app::{Answer, UpdateId, Work, Writer};
use super::plan::Tampering;
use super::settings::{self, CALL, CONNECT, FLAGS, SETTLE};
use super::world::World;
use crate::domain::decision::{Decision, decide};
use crate::domain::flag::{Protection, Strategy};
use crate::domain::transition::Stage;
use crate::fleet::ledger::{Desk, Underway};
use crate::lease::{
    self, Lease, LeaseError, LeaseTerms, LeaseTrace, Purpose, Reach, SidecarLeases, StoreTerms,
};
use crate::proxy::worker::Worker;
use crate::store::{FlagStore, SnapshotReader};
use crate::telemetry::FlagIndex;
use crate::telemetry::labels::{Exposure, Outcome};

/// A sidecar's data plane.
pub(super) struct Caller {
    pub(super) world: World,
    pub(super) id: String,
    /// For updates of documents.
    pub(super) worker: Rc<Worker>,
    leases: SidecarLeases,
    flags: RefCell<SnapshotReader>,
    underway: Desk,
    pub(super) store: FlagStore,
}

/// An update that is on its way.
struct Update {
    id: UpdateId,
    entity: &'static str,
    decision: Decision,
    strategy: Strategy,
    /// Whether a kill left out F' on its way.
    is_after_kill: bool,
    underway: Option<Underway>,
    lease: Option<Lease>,
}

impl Caller {
    pub(super) fn new(world: World, id: String, worker: Rc<Worker>) -> Self {
        let (leases, store) = (worker.shared.leases.clone(), worker.shared.store.clone());
        let underway = Desk::new(Arc::clone(store.ledger()));
        Self { world, id, worker, leases, flags: RefCell::new(store.reader()), underway, store }
    }

    /// Makes an update of an entity, and tells how it ended. `hesitates` is what lies between its decision and its path.
    pub(super) async fn update(&self, flag: usize, entity: &'static str, hesitates: Duration) {
        let (decision, is_after_kill, underway) = self.decide(flag, entity);
        let mut update = Update {
            id: self.world.next_update(),
            entity,
            decision,
            strategy: self.store.seeds()[flag].strategy,
            is_after_kill,
            underway: Some(underway),
            lease: None,
        };
        sleep(hesitates).await;
        if update.needs_lease() {
            match self.leases.acquire(entity, self.terms(flag)).await {
                Ok(lease) => update.lease = Some(lease),
                Err(error) => return self.refused(&update, &error),
            }
        }
        sleep(self.world.dice.millis(0..2)).await;
        if update.lease.as_ref().is_some_and(|lease| !lease.covers_a_call()) {
            self.refused(&update, &LeaseError::RanOut);
            if let Some(lease) = update.lease.take() {
                lease.release();
            }
            return;
        }
        self.send(update).await;
    }

    fn decide(&self, flag: usize, entity: &str) -> (Decision, bool, Underway) {
        loop {
            let snapshot = Arc::clone(self.flags.borrow_mut().load());
            let state = &snapshot.states[flag];
            let mut decision = decide(FLAGS[flag].0, state, snapshot.freshness, entity);
            if self.world.plan.tampering == Some(Tampering::DirectFlip) {
                decision.path = state.path_at_rest(FLAGS[flag].0, entity);
                decision.stage = Stage::at_rest(decision.path);
            }
            if let Some(underway) = self.underway.enter(flag, state.turn()) {
                let skipped = state.transit.as_ref().is_some_and(|transit| transit.skipped);
                return (decision, skipped, underway);
            }
        }
    }

    fn terms(&self, flag: usize) -> LeaseTerms {
        let config = settings::config(self.world.plan.on_store_loss);
        let spec = &config.flags[flag];
        LeaseTerms {
            wait: spec.lease.wait,
            max_waiters: spec.lease.max_waiters,
            settle: SETTLE,
            store: StoreTerms {
                connect: CONNECT,
                call: CALL,
                patience: spec.store_patience,
                loss: spec.on_store_loss,
                flag: FlagIndex(u16::try_from(flag).unwrap()),
                trace: LeaseTrace::NONE,
                purpose: Purpose::Call,
            },
        }
    }

    /// Nothing was sent.
    fn refused(&self, update: &Update, error: &LeaseError) {
        let Update { id, entity, .. } = update;
        self.world.history.note(format_args!("{} #{id} {entity} refused: {error}", self.id));
        self.world.tally.borrow_mut().refused(error);
    }

    async fn send(&self, mut update: Update) {
        let exposed = matches!(update.lease.as_ref().map(Lease::reach), Some(Reach::Exposed(_)));
        let fixed = !exposed && update.goes_to_fixed_app();
        let writer = Writer {
            id: update.id,
            sidecar: self.id.clone(),
            stage: update.decision.stage.as_str(),
            is_exposed: exposed,
            is_after_kill: update.is_after_kill,
        };
        let append = if fixed { Work::AppendFixed } else { Work::Append };
        let outcome = outcome(self.world.apps.send(append(update.entity), writer)).await;
        let (protection, why) = update.protection();
        self.settle(&mut update, outcome);
        let (id, entity, stage) = (update.id, update.entity, update.decision.stage.as_str());
        let to = if fixed { "fixed" } else { "legacy" };
        self.world.history.note(format_args!(
            "{} #{id} {entity} in {stage} at {to}: {} {} {why:?}",
            self.id,
            outcome_word(outcome),
            protection.as_str(),
        ));
        self.world.tally.borrow_mut().ended(update.entity, id, outcome, protection);
    }

    fn settle(&self, update: &mut Update, outcome: Outcome) {
        let tampering = self.world.plan.tampering;
        if let Some(underway) = update.underway.take()
            && outcome == Outcome::Unknown
            && tampering != Some(Tampering::NoDrain)
        {
            underway.leave_open(SETTLE);
        }
        let Some(lease) = update.lease.take() else { return };
        match outcome {
            Outcome::Unknown if tampering == Some(Tampering::ReleaseOnTimeout) => lease.release(),
            Outcome::Unknown => lease.keep(),
            Outcome::Applied | Outcome::Rejected | Outcome::Replayed => lease.release(),
        }
    }
}

impl Update {
    fn needs_lease(&self) -> bool {
        match (self.decision.stage, self.strategy) {
            (Stage::Legacy, _) => false,
            (Stage::Guarded | Stage::GuardedFixed, _) => true,
            (Stage::Fixed, strategy) => strategy == Strategy::Serialize,
        }
    }

    fn goes_to_fixed_app(&self) -> bool {
        let fixed = [Stage::GuardedFixed, Stage::Fixed];
        self.strategy == Strategy::Upstream && fixed.contains(&self.decision.stage)
    }

    /// The protection that it really had, now that it has ended.
    fn protection(&self) -> (Protection, Option<Exposure>) {
        let without = match self.decision.stage {
            Stage::Fixed => Protection::Protected,
            _ => Protection::None,
        };
        let reach = self.lease.as_ref().map(Lease::reach);
        lease::protection(self.decision.stage, reach, without, self.underway.as_ref())
    }
}

/// Waits for an app's answer, and not too long; what it says of the update.
pub(super) async fn outcome(answer: oneshot::Receiver<Answer>) -> Outcome {
    match timeout(CALL, answer).await {
        Ok(Ok(Answer::Done)) => Outcome::Applied,
        Ok(Ok(Answer::Refused)) => Outcome::Rejected,
        // It broke, or was given up.
        Ok(Err(_)) | Err(_) => Outcome::Unknown,
    }
}

pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "applied",
        Outcome::Rejected => "rejected",
        Outcome::Unknown => "unknown",
        Outcome::Replayed => "replayed",
    }
}
