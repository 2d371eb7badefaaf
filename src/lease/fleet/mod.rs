//! Leases of the whole fleet, from its store.
//!
//! Inside a sidecar the calls for an entity stand in the queue of [`LocalLeases`]; the first of them asks the store, and what it
//! gets is handed from call to call up to [`COHORT`](hold::COHORT) times before it goes back: a cohort lock (Dice, Marathe,
//! Shavit, PPoPP 2012). What a call leaves behind for the next one, a lease or a place in the store's queue, lies in a slot; an
//! entity that falls quiet gives it back.
//!
//! This file is the workers' side. Whatever is said to the store is said by the [`Desk`] on the store's thread, off the
//! request's way but for the asking itself.

mod answer;
mod desk;
mod errand;
mod hold;
mod scripts;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::lease) mod trial;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::local::LocalLeases;
use super::shards::Shards;
use super::{
    End, FencingToken, Held, LONGEST, Lease, LeaseError, LeaseTerms, Leases, Reach, StoreTerms,
};
use crate::clock::{self, Instant};
use crate::domain::flag::OnStoreLoss;
use crate::fleet::gate::{Era, Gate, Standing, changes_by};
use crate::telemetry::labels::Exposure;
use crate::watch;
pub(crate) use desk::Desk;
pub(crate) use errand::Errand;
use errand::{Asked, Question, Refused};
use hold::Hold;

/// Between a failed question and the next look at the gate, while there is patience.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The longest that a call from before the store was lost may go on and still write.
pub(crate) fn quarantine(terms: &StoreTerms, settle: Duration) -> Duration {
    hold::ttl(terms, settle)
}

/// Leases of the whole fleet. Clones share everything.
#[derive(Clone)]
pub(crate) struct FleetLeases {
    inner: Arc<Inner>,
}

struct Inner {
    local: LocalLeases,
    slots: Shards<Slot>,
    gate: Gate,
    store_timeout: Duration,
    /// One question per entity at most, and one errand per lease: the queue is as long as there are calls, which are bounded.
    desk: mpsc::UnboundedSender<Errand>,
}

/// What a call leaves to the next one in the sidecar's queue.
enum Slot {
    Held(Hold),
    Asked(Asked),
}

impl FleetLeases {
    /// Leases that are asked for at the desk on the other end of `desk`; `store_timeout` is the longest that a
    /// question takes, and so the shortest wait.
    pub(crate) fn new(
        gate: Gate,
        store_timeout: Duration,
        desk: mpsc::UnboundedSender<Errand>,
    ) -> Self {
        let inner = Arc::new_cyclic(|inner: &std::sync::Weak<Inner>| {
            let inner = inner.clone();
            Inner {
                local: LocalLeases::telling(move |entity| {
                    if let Some(inner) = inner.upgrade() {
                        inner.clear(entity);
                    }
                }),
                slots: Shards::new(),
                gate,
                store_timeout,
                desk,
            }
        });
        Self { inner }
    }

    /// Forgets what ran out.
    pub(crate) fn sweep(&self) {
        self.inner.local.sweep();
    }
}

impl Leases for FleetLeases {
    async fn acquire(&self, entity: &str, terms: LeaseTerms) -> Result<Lease, LeaseError> {
        let since = clock::now();
        let local = self.inner.local.acquire(entity, terms).await?;
        let turn = Turn {
            inner: Arc::clone(&self.inner),
            entity: entity.into(),
            local: Some(local),
            terms,
        };
        turn.ask(since).await
    }
}

/// A call that is the first of its sidecar. Dropped, it leaves what it has to the next one.
struct Turn {
    inner: Arc<Inner>,
    entity: Arc<str>,
    /// `None` once it has become a lease.
    local: Option<Lease>,
    terms: LeaseTerms,
}

/// Why the store gave no lease.
enum NoLease {
    /// The gate has changed: look again.
    GateChanged,
    /// The store could not be asked.
    Failed(Exposure),
    /// The longest wait is over.
    TooLate,
}

impl Turn {
    async fn ask(self, since: Instant) -> Result<Lease, LeaseError> {
        // Whether the lease is free takes a question.
        let deadline = since + self.terms.wait.min(LONGEST).max(self.inner.store_timeout);
        let patience = deadline.min(since + self.terms.store.patience.min(LONGEST));
        let mut changes = self.inner.gate.watch();
        loop {
            changes.borrow_and_update();
            let standing = self.inner.gate.standing();
            let (era, why) = match &*standing {
                Standing::Open(era) => match self.hold(era, &mut changes, deadline).await {
                    Ok((hold, token)) => return Ok(self.into_lease(since, Ok(hold), token, era)),
                    Err(NoLease::GateChanged) => continue,
                    Err(NoLease::TooLate) => {
                        return Err(LeaseError::WaitTimeout { waited: clock::now() - since });
                    }
                    Err(NoLease::Failed(_)) if clock::now() < patience => {
                        let again = patience.min(clock::now() + AGAIN_AFTER);
                        changes_by(&mut changes, again).await;
                        continue;
                    }
                    // The session is about to see it too.
                    Err(NoLease::Failed(Exposure::StoreReplaced))
                        if changes_by(&mut changes, clock::now() + self.inner.store_timeout)
                            .await =>
                    {
                        continue;
                    }
                    Err(NoLease::Failed(why)) => (Arc::clone(era), why),
                },
                Standing::Lost(era) => {
                    if clock::now() < patience && changes_by(&mut changes, patience).await {
                        continue;
                    }
                    (Arc::clone(era), Exposure::StoreUnreachable)
                }
                Standing::Rallying(era) => {
                    let until = if self.rejects() { deadline } else { patience };
                    if clock::now() < until && changes_by(&mut changes, until).await {
                        continue;
                    }
                    (Arc::clone(era), Exposure::StoreUnreachable)
                }
                // A call that began now could outlast the opening of the gate.
                Standing::Draining => {
                    if changes_by(&mut changes, deadline).await {
                        continue;
                    }
                    return Err(LeaseError::WaitTimeout { waited: clock::now() - since });
                }
            };
            if self.rejects() {
                return Err(LeaseError::StoreLost);
            }
            let token = self.local.as_ref().map_or(FencingToken(0), Lease::token);
            return Ok(self.into_lease(since, Err(why), token, &era));
        }
    }

    fn rejects(&self) -> bool {
        self.terms.store.loss == OnStoreLoss::Reject
    }

    /// A lease from the store: the one that the call before left, or a new one.
    async fn hold(
        &self,
        era: &Arc<Era>,
        changes: &mut watch::Receiver<()>,
        deadline: Instant,
    ) -> Result<(Hold, FencingToken), NoLease> {
        let purpose = self.terms.store.purpose;
        let mut asked = match self.inner.take(&self.entity) {
            Some(Slot::Held(mut hold)) => {
                // One from before the store was lost is of no use, but may still be there; and so is one for something else.
                if Arc::ptr_eq(&hold.place, &era.place)
                    && hold.terms.purpose.allows(purpose)
                    && let Some(token) = hold.take(clock::now())
                {
                    return Ok((hold, token));
                }
                self.inner.send(Errand::Release { entity: Arc::clone(&self.entity), hold });
                self.question(era)
            }
            Some(Slot::Asked(asked))
                if Arc::ptr_eq(&asked.place, &era.place) && asked.purpose.allows(purpose) =>
            {
                asked
            }
            // Dropped, an old question is withdrawn, and one for something else.
            Some(Slot::Asked(_)) | None => self.question(era),
        };
        loop {
            let answer = tokio::select! {
                biased;
                answer = &mut asked.answer => answer,
                _ = changes.changed() => return Err(NoLease::GateChanged),
                () = sleep_until(deadline) => {
                    // The next one in this sidecar keeps the place.
                    self.inner.put(&self.entity, Slot::Asked(asked));
                    return Err(NoLease::TooLate);
                }
            };
            asked.answered = true;
            let mut hold = match answer {
                Ok(Ok(hold)) => hold,
                Ok(Err(Refused::Replaced)) => return Err(NoLease::Failed(Exposure::StoreReplaced)),
                // A desk that is gone is a store that can't be asked.
                Ok(Err(Refused::Unreachable)) | Err(_) => {
                    return Err(NoLease::Failed(Exposure::StoreUnreachable));
                }
            };
            if let Some(token) = hold.take(clock::now()) {
                return Ok((hold, token));
            }
            // It came too late to be of use: this process stood still.
            self.inner.send(Errand::Release { entity: Arc::clone(&self.entity), hold });
            asked = self.question(era);
        }
    }

    fn question(&self, era: &Arc<Era>) -> Asked {
        let (reply, answer) = oneshot::channel();
        let (entity, place) = (Arc::clone(&self.entity), Arc::clone(&era.place));
        let terms = (self.terms.store, self.terms.settle);
        let question =
            Question { entity: Arc::clone(&entity), place: Arc::clone(&place), terms, reply };
        self.inner.send(Errand::Ask(question));
        let (purpose, desk) = (self.terms.store.purpose, self.inner.desk.clone());
        Asked { entity, place, purpose, answer, answered: false, desk }
    }

    fn into_lease(
        mut self,
        since: Instant,
        hold: Result<Hold, Exposure>,
        token: FencingToken,
        era: &Arc<Era>,
    ) -> Lease {
        // It may be one that an earlier call has left.
        let trace = self.terms.store.trace;
        let hold = hold.map(|hold| hold.for_call(trace));
        let held = FleetHeld {
            inner: Arc::clone(&self.inner),
            entity: Arc::clone(&self.entity),
            local: self.local.take(),
            hold,
            era: Arc::clone(era),
            loss: self.terms.store.loss,
        };
        let waited = clock::now() - since;
        Lease { held: Some(Box::new(held)), token, waited, settle: self.terms.settle }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            // Nothing was done under it.
            local.release();
        }
    }
}

impl Inner {
    fn take(&self, entity: &Arc<str>) -> Option<Slot> {
        self.slots.of(entity).remove(entity)
    }

    fn put(&self, entity: &Arc<str>, slot: Slot) {
        let before = self.slots.of(entity).insert(Arc::clone(entity), slot);
        // Only the first of an entity's queue puts, after it took: there is nothing to lose here.
        drop(before);
    }

    /// Gives back what lies there for nobody.
    fn clear(&self, entity: &Arc<str>) {
        let slot = self.take(entity);
        if let Some(Slot::Held(hold)) = slot {
            self.send(Errand::Release { entity: Arc::clone(entity), hold });
        }
    }

    fn send(&self, errand: Errand) {
        // A desk that is gone gives nothing out any more, and what it gave runs out.
        drop(self.desk.send(errand));
    }
}

/// A lease that one call has.
struct FleetHeld {
    inner: Arc<Inner>,
    entity: Arc<str>,
    local: Option<Lease>,
    /// From the store; or why there is none.
    hold: Result<Hold, Exposure>,
    /// Held for as long as the call runs, so that its end is known.
    era: Arc<Era>,
    loss: OnStoreLoss,
}

impl Held for FleetHeld {
    fn end(mut self: Box<Self>, end: End) {
        let entity = Arc::clone(&self.entity);
        if let End::KeptFor(settle) = end {
            self.era.leave_open(settle);
        }
        // Then the call itself has told of it.
        let told = self.reach() != Reach::Fleet;
        if let Ok(hold) = &mut self.hold {
            hold.uses = hold.uses.saturating_sub(u64::from(told));
        }
        match (&self.hold, end) {
            (Ok(hold), End::Released) => {
                let hold = hold.clone();
                if self.inner.gate.is_open_at(&hold.place) && hold.has_more(clock::now()) {
                    self.inner.put(&entity, Slot::Held(hold));
                } else {
                    self.inner.send(Errand::Release { entity, hold });
                }
            }
            (Ok(hold), End::KeptFor(settle)) => {
                let hold = hold.clone();
                self.inner.send(Errand::Keep { entity, hold, settle });
            }
            (Err(_), _) => {}
        }
        // Last, as the next one may look at once.
        match (self.local.take(), end) {
            (Some(local), End::Released) => local.release(),
            (Some(local), End::KeptFor(_)) => local.keep(),
            (None, _) => {}
        }
    }

    fn reach(&self) -> Reach {
        let hold = match &self.hold {
            Err(why) => return Reach::Exposed(*why),
            Ok(hold) => hold,
        };
        if clock::now() > hold.until {
            return Reach::Exposed(Exposure::LeaseLost);
        }
        match &*self.inner.gate.standing() {
            Standing::Open(era) if Arc::ptr_eq(&era.place, &hold.place) => Reach::Fleet,
            // Nobody is granted a lease before this call has ended. But where a lost store means legacy, others may have
            // gone that way meanwhile.
            _ if self.loss == OnStoreLoss::Reject => Reach::Fleet,
            Standing::Lost(_) | Standing::Rallying(_) => Reach::Exposed(Exposure::StoreUnreachable),
            Standing::Open(_) | Standing::Draining => Reach::Exposed(Exposure::StoreReplaced),
        }
    }

    fn owner(&self) -> Option<&str> {
        self.hold.as_ref().ok().map(|hold| &*hold.owner)
    }

    fn covers_a_call(&self) -> bool {
        self.hold.as_ref().map_or(true, |hold| hold.covers_a_call(clock::now()))
    }
}
