//! Sending an update: once it was sent it runs to its end, whoever still waits for it, and then it is settled.
//!
//! A client that goes away must not cancel a call already sent: the app may be writing, and the entity's lease has to be held
//! until it has answered. The call therefore owns all that its end needs, and when nobody waits any more it goes on as a
//! task of its own.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::{Plan, protection};
use crate::clock::{self, Instant};
use crate::domain::effects::history::Ending;
use crate::domain::flag::{Path, Protection};
use crate::domain::trace::TraceContext;
use crate::domain::transition::Stage;
use crate::fleet::ledger::Underway;
use crate::idempotency::Served;
use crate::lease::{self, Lease, LeaseError, Reach};
use crate::proxy::body::RequestBody;
use crate::proxy::error::{ProxyError, leaves_outcome_open};
use crate::proxy::forward::{
    Answer, Answered, Attempts, ExchangeError, ForwardError, Patience, exchange,
};
use crate::proxy::keyed::Keyed;
use crate::proxy::pool::Pool;
use crate::proxy::traced;
use crate::proxy::worker::Worker;
use crate::shadow::notebook::{Noted, Watched};
use crate::shadow::{CrowdGuard, Window};
use crate::telemetry::events::{
    ClientGone, LeaseRefused, LeaseReleased, UpdateExposed, UpdateFinished,
};
use crate::telemetry::labels::{Exposure, LeaseRefusal, Outcome};
use crate::telemetry::trace::{self, ServerSpan};
use crate::telemetry::{FlagIndex, Telemetry};

/// What an update leaves behind: settled once, when its outcome is known or known to be unknown.
pub(super) struct Update {
    telemetry: Telemetry,
    flag: FlagIndex,
    path: Path,
    stage: Stage,
    protection: Protection,
    /// Until it is settled.
    underway: Option<Underway>,
    /// D: how long it may still write once it was given up.
    settle_after: Duration,
    lease: Option<(Lease, Instant)>,
    /// Until it is sent, what the detector is to know of it.
    watched: Option<Box<Watched>>,
    noted: Option<Noted>,
    crowd: Option<CrowdGuard>,
    keyed: Option<Box<Keyed>>,
    waited: Duration,
    sent: bool,
    settled: bool,
    trace: TraceContext,
    span: Option<Rc<ServerSpan>>,
}

impl Update {
    pub(super) fn unguarded(worker: &Worker, plan: &Plan<'_>) -> Self {
        let entity = plan.entity.as_deref();
        Self {
            telemetry: worker.shared.telemetry.clone(),
            crowd: entity.and_then(|entity| worker.enter_crowd(plan.route.flag, entity)),
            flag: plan.route.flag_index,
            path: plan.decision.path,
            stage: plan.decision.stage,
            protection: protection(plan),
            underway: plan.underway.take(),
            settle_after: worker.shared.config.legacy.settle_after_timeout,
            lease: None,
            watched: plan.watched.take().map(|watched| {
                let (path, trace) = (plan.decision.path, plan.trace);
                Box::new(Watched { path, trace, ..*watched })
            }),
            noted: None,
            keyed: plan.keyed.take(),
            waited: Duration::ZERO,
            sent: false,
            settled: false,
            trace: plan.trace,
            span: plan.span.clone(),
        }
    }

    /// The path that it takes: a call that goes on without the store takes legacy.
    pub(super) fn path(&self) -> Path {
        self.path
    }

    /// The time since it was about to be sent, among the updates of its entity.
    pub(super) fn window(&self) -> Option<Window> {
        self.crowd.as_ref().map(CrowdGuard::window)
    }

    /// The same update, sent under its entity's lease; it takes the path `without` where there is no store to grant one.
    pub(super) fn under(mut self, lease: Lease, without: Path) -> Self {
        self.waited += lease.waited();
        if matches!(lease.reach(), Reach::Exposed(_)) {
            self.path = without;
            if let Some(watched) = &mut self.watched {
                watched.path = without;
            }
        }
        self.lease = Some((lease, clock::now()));
        self
    }

    /// Its entity's lease, where it goes under one.
    pub(super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref().map(|(lease, _)| lease)
    }

    /// What its receipt is called and for how long it is to be kept, where a call with its key may ask for it.
    pub(super) fn receipt(&self) -> Option<(Arc<str>, Duration)> {
        self.keyed.as_ref()?.receipt()
    }

    /// Keeps an answer that was made here for calls with the same key; false where that should be and can't.
    pub(super) async fn keep_made(&mut self, answer: &Response<Bytes>) -> bool {
        let served = Served { path: self.path, protection: self.protection().0 };
        match self.keyed.take() {
            Some(keyed) => keyed.keep_made(answer, served).await,
            None => true,
        }
    }

    /// [`Self::settle`], unless it is settled.
    pub(super) fn settle_once(&mut self, outcome: Outcome) {
        if !self.settled {
            self.settle(outcome);
        }
    }

    /// Whether it is on its way; dropped while it is, its outcome is unknown.
    pub(super) fn set_sent(&mut self, sent: bool) {
        self.sent = sent;
        if let Some(keyed) = &mut self.keyed {
            keyed.set_sent(sent);
        }
    }

    /// Tells how it ended and ends its lease; whether it was exposed for want of the store.
    pub(super) fn settle(&mut self, outcome: Outcome) -> bool {
        self.settled = true;
        if let Some(noted) = self.noted.take() {
            noted.end(match outcome {
                Outcome::Applied | Outcome::Replayed => Ending::Acknowledged,
                Outcome::Rejected => Ending::Rejected,
                Outcome::Unknown => Ending::Unknown,
            });
        }
        let (protection, exposure) = self.protection();
        self.protection = protection;
        if let Some(underway) = self.underway.take()
            && outcome == Outcome::Unknown
        {
            underway.leave_open(self.settle_after);
        }
        if let Some(span) = self.span.take() {
            span.settled(protection, outcome);
        }
        let Self { flag, path, .. } = *self;
        UpdateFinished { flag, path, protection, outcome }.emit(&self.telemetry);
        // What was not sent was exposed to nothing.
        let exposure = exposure.filter(|_| self.sent);
        if let Some(reason) = exposure {
            UpdateExposed { flag, reason }.emit(&self.telemetry);
        }
        let lacks_store = exposure.is_some_and(is_of_the_store);
        let Some((lease, since)) = self.lease.take() else {
            return lacks_store;
        };
        LeaseReleased { flag, held: clock::now() - since }.emit(&self.telemetry);
        match outcome {
            Outcome::Unknown => lease.keep(),
            Outcome::Applied | Outcome::Rejected | Outcome::Replayed => lease.release(),
        }
        lacks_store
    }

    /// The protection that it really had, now that it has ended.
    fn protection(&self) -> (Protection, Option<Exposure>) {
        let reach = self.lease().map(Lease::reach);
        lease::protection(self.stage, reach, self.protection, self.underway.as_ref())
    }

    fn settle_by(&mut self, result: &Result<Answered, ForwardError>) -> bool {
        let outcome = match result {
            Ok(answered) => outcome_of(&answered.answer),
            // Nothing was sent.
            Err(ForwardError::Connect(_)) => Outcome::Rejected,
            // Part of the message may have been enough for the app to act on.
            Err(ForwardError::Unanswered(_) | ForwardError::Client(_)) => Outcome::Unknown,
        };
        self.settle(outcome)
    }
}

/// Whether the store was missed. A flip that did not wait for all is no fault of the store.
fn is_of_the_store(exposure: Exposure) -> bool {
    match exposure {
        Exposure::StoreUnreachable | Exposure::StoreReplaced | Exposure::LeaseLost => true,
        Exposure::FlipForced | Exposure::SilentSidecar | Exposure::ForeignWriter => false,
    }
}

/// What an answer says of the update's effect. An app that answered writes no more, but one that passes on that something
/// behind it did not answer doesn't know.
pub(super) fn outcome_of(answer: &Answer) -> Outcome {
    let status = match answer {
        Answer::Response(response) => response.status(),
        Answer::Upgrade(head, ..) => head.status(),
        Answer::Made(response) => response.status(),
    };
    if leaves_outcome_open(status) {
        Outcome::Unknown
    } else if status.is_client_error() || status.is_server_error() {
        Outcome::Rejected
    } else {
        Outcome::Applied
    }
}

impl Drop for Update {
    /// Dropped unsettled: before it was sent, nothing has happened; after that nobody knows.
    fn drop(&mut self) {
        if self.sent && !self.settled {
            self.settle(Outcome::Unknown);
        } else if let Some((lease, _)) = self.lease.take() {
            lease.release();
        }
    }
}

enum Sent {
    /// And whether it was exposed, or its answer could not be kept.
    Ended(Result<Answered, ForwardError>, bool),
    /// Certain to be unsent: another connection may take it.
    Again(Box<Request<RequestBody>>, Update),
}

/// Sends an update and waits for the head of its answer; tells whether it was exposed. Dropping the future gives the call
/// up only as long as nothing was sent.
pub(super) async fn send(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    mut request: Box<Request<RequestBody>>,
    mut update: Update,
) -> (Result<Answered, ProxyError>, bool) {
    let mut attempts = Attempts::new(pool);
    loop {
        let since = traced::since(&request);
        let link = match attempts.link().await {
            Ok(link) => link,
            Err(error) => {
                traced::unconnected(pool, &mut request, since);
                let result = Err(ForwardError::Connect(error));
                let exposed = update.settle_by(&result);
                return (result.map_err(ProxyError::from), exposed);
            }
        };
        // This process may have stood still, or connecting took long: a lease that runs out under the call protects nothing.
        if update.lease().is_some_and(|lease| !lease.covers_a_call()) {
            let (flag, reason) = (update.flag, LeaseRefusal::RanOut);
            LeaseRefused { flag, reason }.emit(&update.telemetry);
            let exposed = update.settle(Outcome::Rejected);
            return (Err(LeaseError::RanOut.into()), exposed);
        }
        let (flag, trace) = (update.flag, update.trace);
        let pool = Rc::clone(pool);
        note(worker, &mut update);
        let call = async move {
            update.set_sent(true);
            let patience = match update.lease {
                Some(_) => Patience::Fixed,
                None => Patience::WhileItMoves,
            };
            let mut result = match exchange(&pool, link, request, patience).await {
                Err(ExchangeError::Unsent(unsent)) => {
                    update.set_sent(false);
                    return Sent::Again(unsent, update);
                }
                Err(ExchangeError::Failed(error)) => Err(error),
                Ok(answered) => {
                    Ok(Answered { waited: answered.waited + update.waited, ..answered })
                }
            };
            let served = Served { path: update.path, protection: update.protection().0 };
            let mut without_store = update.settle_by(&result);
            if let Some(keyed) = update.keyed.take() {
                without_store |= !keyed.keep(&mut result, served).await;
            }
            Sent::Ended(result, without_store)
        };
        match OutlivesClient::new(worker, (flag, trace), call).await {
            Sent::Ended(result, exposed) => return (result.map_err(ProxyError::from), exposed),
            Sent::Again(unsent, again) => (request, update) = (unsent, again),
        }
    }
}

/// Tells the detector that it is about to be sent.
pub(super) fn note(worker: &Worker, update: &mut Update) {
    if let (Some(notebook), Some(watched)) = (&worker.shared.notebook, update.watched.take()) {
        update.noted = notebook.note(watched, worker.shared.config.legacy.settle_after_timeout);
    }
}

/// A call that goes on as a task of its own when nobody waits for it any more.
pub(super) struct OutlivesClient<T: 'static> {
    worker: Rc<Worker>,
    flag: FlagIndex,
    trace: TraceContext,
    call: Option<Pin<Box<dyn Future<Output = T>>>>,
}

impl<T> OutlivesClient<T> {
    /// An update's call that is about to be sent.
    pub(super) fn new(
        worker: &Rc<Worker>,
        (flag, trace): (FlagIndex, TraceContext),
        call: impl Future<Output = T> + 'static,
    ) -> Self {
        Self { worker: Rc::clone(worker), flag, trace, call: Some(Box::pin(call)) }
    }
}

impl<T> Future for OutlivesClient<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(call) = &mut self.call else {
            return Poll::Pending;
        };
        let sent = call.as_mut().poll(cx);
        if sent.is_ready() {
            self.call = None;
        }
        sent
    }
}

impl<T> Drop for OutlivesClient<T> {
    fn drop(&mut self) {
        let Some(call) = self.call.take() else { return };
        if self.worker.stopped.get() {
            return;
        }
        ClientGone { flag: self.flag }.emit(&self.worker.shared.telemetry);
        let (running, trace) = (self.worker.run_on(), self.trace);
        tokio::task::spawn_local(async move {
            drop(trace::within(trace, call).await);
            drop(running);
        });
    }
}
