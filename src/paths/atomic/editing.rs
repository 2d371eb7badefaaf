//! One edit, from the first look at its document to what became of it.

use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::time::sleep;

use super::super::serialize;
use super::super::update::{OutlivesClient, Update, note};
use super::held::Held;
use super::{AtomicConfig, Edited, Plan, Prepared, made};
use crate::clock::{self, Instant};
use crate::documents::{Ask, Documents, Edit, Edited as Written, Failed, Fence, Read, Splice};
use crate::domain::edit::Planned;
use crate::fleet::gate::{Place, Standing, changes_by};
use crate::lease::{LeaseError, Purpose, Reach};
use crate::proxy::worker::Worker;
use crate::telemetry::events::{
    EditConflicted, EditInQueue, EditUnknown, OutcomeFound, Retried, RetryDenied,
};
use crate::telemetry::labels::{EditQueued, EditRefusal, Outcome, ReceiptFound, RetryReason};

/// An edit that has met others so often stands in the queue of its entity's lease: then it is made at the next try.
const MOST_CONFLICTS: u32 = 3;

/// Between two tries, at first; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A receipt is kept for so long at the least, unless a caller's key asks for more.
const RECEIPT_KEPT: Duration = Duration::from_secs(60);

/// What a receipt says: the answer is made from the declaration and the call.
const MADE: &str = "made";

/// An edit under way.
pub(super) struct Editing<'w> {
    worker: &'w Rc<Worker>,
    plan: &'w Plan<'w>,
    entity: &'w str,
    declared: &'w AtomicConfig,
    documents: &'w Documents,
    prepared: Prepared,
    /// What its receipt is called, and for how long it is kept: longer than any try of it can be under way.
    receipt: (Arc<str>, Duration),
    began: Instant,
    deadline: Instant,
    update: Option<Update>,
    lease: Option<Held>,
    queued: Duration,
    /// How often it has met another edit.
    conflicts: u32,
    tries: u32,
    /// A try was sent whose outcome is not known. From then on nothing else may become of the call.
    is_open: bool,
}

type Next = ControlFlow<Edited, Option<Read>>;

impl<'w> Editing<'w> {
    pub(super) fn new(
        worker: &'w Rc<Worker>,
        plan: &'w Plan<'w>,
        (entity, declared): (&'w str, &'w AtomicConfig),
        documents: &'w Documents,
        prepared: Prepared,
        update: Update,
    ) -> Self {
        let began = clock::now();
        let timeout = worker.shared.config.legacy.timeout;
        let keep = RECEIPT_KEPT.max(timeout.saturating_mul(2));
        let receipt = match update.receipt() {
            Some((name, asked_for)) => (name, keep.max(asked_for)),
            None => (documents.new_receipt(), keep),
        };
        Self {
            worker,
            plan,
            entity,
            declared,
            documents,
            prepared,
            receipt,
            began,
            deadline: began + timeout,
            update: Some(update),
            lease: None,
            queued: Duration::ZERO,
            conflicts: 0,
            tries: 0,
            is_open: false,
        }
    }

    /// Makes it; also tells how long that took.
    pub(super) async fn run(mut self) -> (Edited, Duration) {
        let mut known = None;
        let edited = loop {
            match self.step(known.take()).await {
                Continue(read) => known = read,
                Break(edited) => break edited,
            }
        };
        (edited, clock::now() - self.began)
    }

    /// One look at the document, unless it is known, and one try.
    async fn step(&mut self, known: Option<Read>) -> Next {
        let Some(place) = self.place().await else {
            return self.without_store().await;
        };
        let read = match known {
            Some(read) => read,
            None => match self.documents.read(&place, self.ask()).await {
                Ok(read) => read,
                Err(failed) => return self.failed(failed).await,
            },
        };
        match read {
            Read::Done(_) => self.done().await,
            Read::Replaced => self.look_again().await,
            Read::Document { holder: Some(holder), .. }
            | Read::Missing { holder: Some(holder), .. }
                if !self.holds(&holder) =>
            {
                self.queue(EditQueued::LeaseHeld).await
            }
            Read::Missing { .. } => self.missing(),
            Read::WrongType => self.refused(EditRefusal::DocumentType),
            Read::OtherSlot => self.refused(EditRefusal::Spelling),
            Read::TooLarge => self.refused(EditRefusal::TooLarge),
            Read::Document { .. } if self.conflicts >= MOST_CONFLICTS && !self.is_alone() => {
                self.queue(EditQueued::Contended).await
            }
            Read::Document { bytes, fence, .. } => self.attempt(place, &bytes, fence).await,
        }
    }

    /// Where the store is, while it may be written to. With an open try it is waited for.
    async fn place(&self) -> Option<Arc<Place>> {
        let gate = self.documents.gate();
        let mut changes = gate.watch();
        loop {
            changes.borrow_and_update();
            if let Standing::Open(era) = &*gate.standing() {
                return Some(Arc::clone(&era.place));
            }
            if !self.is_open || !changes_by(&mut changes, self.deadline).await {
                return None;
            }
        }
    }

    /// Whether the holder of the entity's lease is this call.
    fn holds(&self, holder: &str) -> bool {
        self.lease.as_ref().is_some_and(|held| held.owner() == Some(holder))
    }

    /// Whether all others of the entity wait for this call.
    fn is_alone(&self) -> bool {
        self.lease.as_ref().is_some_and(Held::excludes_edits)
    }

    /// Sends the edit, planned on this document.
    async fn attempt(&mut self, place: Arc<Place>, document: &Bytes, fence: Fence) -> Next {
        let (splices, answer) = match self.prepared.plan(document) {
            Err(refused) => return self.refused(refused.into()),
            Ok(Planned::Missing) => return self.missing(),
            Ok(Planned::Splices { splices, values }) => {
                let splices = splices.into_iter().map(|splice| Splice {
                    anchor: splice.anchor,
                    old: splice.old.map(|bytes| document.slice_ref(bytes)),
                    new: splice.new.into(),
                });
                let answer = self.prepared.answer(self.declared, &values);
                (splices.collect(), made(&self.declared.answer, answer))
            }
        };
        if self.is_open && !self.spend(RetryReason::Unknown) {
            return self.unknown();
        }
        let Some(mut update) = self.update.take() else { return self.unknown() };
        note(self.worker, &mut update);
        let held = self.lease.take();
        let owner = held.as_ref().and_then(Held::owner).map(Arc::from);
        let (ask, keep) = (self.ask(), self.receipt.1);
        let seen = fence.clone();
        let edit = Edit { ask, owner, fence, splices, text: MADE.into(), keep };
        let (documents, was_open) = (self.documents.clone(), self.is_open);
        let of = (self.plan.route.flag_index, self.plan.trace);
        // All that its end needs goes along, the lease as well, in case that its caller leaves.
        let call = async move {
            update.set_sent(true);
            let written = documents.edit(&place, edit).await;
            let mut kept = true;
            match &written {
                Ok(Written::Applied | Written::Already(_)) => {
                    update.settle(Outcome::Applied);
                    kept = update.keep_made(&answer).await;
                }
                Err(Failed::Unknown) => {}
                Ok(_) | Err(Failed::NotExecuted | Failed::Refused) => update.set_sent(was_open),
            }
            (written, update, held, answer, kept)
        };
        let (written, update, held, answer, kept) =
            OutlivesClient::new(self.worker, of, call).await;
        (self.update, self.lease) = (Some(update), held);
        match written {
            Ok(Written::Applied) => self.applied(ReceiptFound::Absent, answer, kept),
            Ok(Written::Already(_)) => self.applied(ReceiptFound::Applied, answer, kept),
            Ok(Written::Held) => self.queue(EditQueued::LeaseHeld).await,
            Ok(Written::TooLarge) => self.refused(EditRefusal::TooLarge),
            Ok(Written::Replaced) => self.look_again().await,
            Ok(Written::Changed(read)) => self.met_another(read, &seen),
            Err(failed) => {
                self.is_open |= failed == Failed::Unknown;
                self.failed(failed).await
            }
        }
    }

    /// The store did not do what was asked. What it refuses for good is not asked for again, unless an open try's receipt is to be
    /// found: rights may come back before the time is over.
    async fn failed(&mut self, failed: Failed) -> Next {
        if failed == Failed::Refused && !self.is_open {
            return self.refused(EditRefusal::Store);
        }
        self.look_again().await
    }

    fn met_another(&mut self, read: Read, seen: &Fence) -> Next {
        // Where a lease was granted or ended meanwhile that is reason enough, and says nothing of edits.
        if matches!(&read, Read::Document { fence, .. } if fence == seen) {
            self.conflicts += 1;
        }
        EditConflicted { flag: self.plan.route.flag_index }.emit(&self.worker.shared.telemetry);
        match clock::now() < self.deadline {
            true => Continue(Some(read)),
            false if self.is_open => self.unknown(),
            false => self.busy(LeaseError::WaitTimeout { waited: clock::now() - self.began }),
        }
    }

    /// The store gave no answer that could be used. While a try is open its receipt is looked for until the time is over;
    /// before that a try costs.
    async fn look_again(&mut self) -> Next {
        let pause = PAUSE.saturating_mul(1 << self.tries.min(8)).min(LONGEST_PAUSE);
        self.tries += 1;
        let in_time = clock::now() + pause < self.deadline;
        if self.is_open {
            if !in_time {
                return self.unknown();
            }
        } else if !in_time || !self.spend(RetryReason::NotExecuted) {
            return self.refused(EditRefusal::Store);
        }
        // Not all at once.
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        Continue(None)
    }

    /// Stands in the queue of the entity's lease.
    async fn queue(&mut self, reason: EditQueued) -> Next {
        EditInQueue { flag: self.plan.route.flag_index, reason }
            .emit(&self.worker.shared.telemetry);
        self.lease = None;
        // One that others stand in the way of is to be alone.
        let purpose = if self.conflicts == 0 { Purpose::Edit } else { Purpose::Call };
        self.acquire(purpose).await
    }

    /// The store is gone, or was: whether the call goes on without it is for the lease to say.
    async fn without_store(&mut self) -> Next {
        if self.is_open || clock::now() >= self.deadline {
            return self.refused(EditRefusal::Store);
        }
        self.lease = None;
        self.acquire(Purpose::Edit).await
    }

    async fn acquire(&mut self, purpose: Purpose) -> Next {
        let began = clock::now();
        let acquired = serialize::acquire(self.worker, self.plan, self.entity, purpose).await;
        let waited = clock::now() - began;
        self.queued += waited;
        self.deadline += waited;
        match acquired {
            Err(_) if self.is_open => self.unknown(),
            Err(error) => self.busy(error),
            Ok(lease) if matches!(lease.reach(), Reach::Exposed(_)) => match self.let_go() {
                Some(update) => Break(Edited::WithoutStore { lease, update }),
                None => {
                    lease.release();
                    self.unknown()
                }
            },
            Ok(lease) => {
                let telemetry = &self.worker.shared.telemetry;
                let (lease, flag) = ((lease, purpose), self.plan.route.flag_index);
                self.lease = Some(Held::new(lease, flag, telemetry));
                Continue(None)
            }
        }
    }

    /// An earlier try was made.
    async fn done(&mut self) -> Next {
        let answer = made(&self.declared.answer, self.prepared.answer_unseen(self.declared));
        let mut kept = true;
        if let Some(update) = &mut self.update {
            update.settle_once(Outcome::Applied);
            kept = update.keep_made(&answer).await;
        }
        self.applied(ReceiptFound::Applied, answer, kept)
    }

    fn applied(&mut self, found: ReceiptFound, answer: Response<Bytes>, kept: bool) -> Next {
        if self.is_open {
            let flag = self.plan.route.flag_index;
            OutcomeFound { flag, result: found }.emit(&self.worker.shared.telemetry);
        }
        self.update = None;
        Break(Edited::Applied { answer, queued: self.queued, kept })
    }

    fn missing(&mut self) -> Next {
        match self.let_go() {
            Some(update) => Break(Edited::Missing {
                answer: made(&self.declared.missing, self.prepared.missing(self.declared)),
                update,
                queued: self.queued,
            }),
            None => self.unknown(),
        }
    }

    fn refused(&mut self, reason: EditRefusal) -> Next {
        match self.let_go() {
            Some(update) => {
                let lease = self.lease.take().and_then(Held::hand_on);
                Break(Edited::Refused { reason, update, lease })
            }
            None => self.unknown(),
        }
    }

    /// The update, for whatever else becomes of it; with an open try nothing else may.
    fn let_go(&mut self) -> Option<Update> {
        if self.is_open { None } else { self.update.take() }
    }

    fn busy(&mut self, error: LeaseError) -> Next {
        if let Some(mut update) = self.update.take() {
            update.settle(Outcome::Rejected);
        }
        Break(Edited::Busy(error))
    }

    fn unknown(&mut self) -> Next {
        EditUnknown { flag: self.plan.route.flag_index }.emit(&self.worker.shared.telemetry);
        if let Some(mut update) = self.update.take() {
            update.settle(Outcome::Unknown);
        }
        Break(Edited::Unknown)
    }

    /// Takes one more try from the budget.
    fn spend(&self, reason: RetryReason) -> bool {
        let (flag, telemetry) = (self.plan.route.flag_index, &self.worker.shared.telemetry);
        let granted = self.worker.may_retry();
        match granted {
            true => Retried { flag, reason }.emit(telemetry),
            false => RetryDenied { flag }.emit(telemetry),
        }
        granted
    }

    fn ask(&self) -> Ask {
        Ask {
            entity: self.entity.into(),
            document: Arc::clone(&self.prepared.document),
            receipt: Arc::clone(&self.receipt.0),
            limit: self.prepared.limit(),
            trace: self.plan.trace,
        }
    }
}
