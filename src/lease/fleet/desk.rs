//! The store thread's side: asks the store for leases, and gives them back, off the request's way.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::{FromRedisValue, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout_at};

use super::answer::{Answer, Grant};
use super::errand::{Errand, Question, Refused};
use super::hold::{self, COHORT, Hold};
use super::scripts::{ACQUIRE, KEEP, LEAVE, RELEASE};
use crate::clock::{self, Instant};
use crate::fleet::Keys;
use crate::fleet::gate::{Gate, Place};
use crate::lease::Purpose;
use crate::remote::{CallError, Lane, Pushed, Remote, Script};
use crate::telemetry::Telemetry;
use crate::telemetry::events::UpdateExposed;
use crate::telemetry::labels::Exposure;

/// Whoever waits looks again after so long at the latest: a grant may have got lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The same while nothing is pushed: then every grant gets lost.
const LOOK_EVERY_UNPUSHED: Duration = Duration::from_millis(25);

/// Whoever waits looks a little later than the lease runs out, and not all at once; in milliseconds.
const JITTER_MS: std::ops::Range<u64> = 2..20;

/// Between two tries to give something back.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Asks the store for leases.
#[derive(Clone)]
pub(crate) struct Desk {
    inner: Rc<Inner>,
}

struct Inner {
    sidecar: String,
    remote: Remote,
    keys: Keys,
    gate: Gate,
    telemetry: Telemetry,
    /// The store turned out to be another one.
    suspect: mpsc::UnboundedSender<()>,
    asked: Cell<u64>,
    /// Owners that wait or hold; a grant for any other is of no use to anybody.
    owners: RefCell<HashMap<Arc<str>, Option<oneshot::Sender<Grant>>>>,
}

impl Desk {
    pub(crate) fn new(
        sidecar: String,
        remote: Remote,
        keys: Keys,
        gate: Gate,
        suspect: mpsc::UnboundedSender<()>,
        telemetry: Telemetry,
    ) -> Self {
        let inner = Inner {
            sidecar,
            remote,
            keys,
            gate,
            telemetry,
            suspect,
            asked: Cell::new(0),
            owners: RefCell::default(),
        };
        Self { inner: Rc::new(inner) }
    }

    /// Does errands until it is told to close, and those to their end.
    pub(crate) async fn run(&self, mut errands: mpsc::UnboundedReceiver<Errand>) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                errand = errands.recv() => match errand {
                    None | Some(Errand::Close) => break,
                    Some(errand) => {
                        let inner = Rc::clone(&self.inner);
                        running.spawn_local(async move {
                            let trace = errand.trace();
                            let running = pin!(inner.run_errand(errand));
                            inner.telemetry.tracer().within(trace, running).await;
                        });
                    }
                },
                // One that panicked took its own lease along, which runs out.
                Some(_) = running.join_next() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// A lease was handed over to somebody here.
    pub(crate) fn pushed(&self, message: &Pushed) {
        let Pushed::Message { payload, .. } = message else { return };
        let Some(grant) = Grant::read(payload) else { return };
        let waits = match self.inner.owners.borrow_mut().get_mut(grant.owner.as_str()) {
            Some(waits) => waits.take(),
            None => {
                let inner = Rc::clone(&self.inner);
                spawn_local(async move { inner.decline(grant).await });
                return;
            }
        };
        if let Some(waits) = waits {
            // One that does not wait any more is about to leave the queue.
            drop(waits.send(grant));
        }
    }
}

impl Inner {
    async fn run_errand(&self, errand: Errand) {
        match errand {
            Errand::Ask(question) => self.ask(question).await,
            Errand::Release { entity, hold } => self.release(&entity, hold).await,
            Errand::Keep { entity, hold, settle } => self.keep(&entity, hold, settle).await,
            // Seen by whoever hands errands out.
            Errand::Close => {}
        }
    }

    async fn ask(&self, mut question: Question) {
        let lasts = hold::ttl(&question.terms.0, question.terms.1);
        let ttl = lasts.as_millis().to_string();
        let number = self.asked.get();
        self.asked.set(number + 1);
        // As the scripts tell one from the other.
        let mark = match question.terms.0.purpose {
            Purpose::Call => "",
            Purpose::Edit => "0",
        };
        let owner: Arc<str> = format!("{}/{mark}{number}/{ttl}/{COHORT}", self.sidecar).into();
        let place = Arc::clone(&question.place);
        let outcome = self.wait(&mut question, &owner, &ttl).await;
        match outcome {
            Ok(hold) => {
                self.owners.borrow_mut().insert(Arc::clone(&owner), None);
                if let Err(Ok(unwanted)) = question.reply.send(Ok(hold)) {
                    self.release(&question.entity, unwanted).await;
                }
            }
            Err(end) => {
                self.owners.borrow_mut().remove(&owner);
                if end.refused == Refused::Replaced && self.gate.is_open_at(&place) {
                    self.suspect.send(()).ok();
                }
                // Whoever asked may have gone.
                drop(question.reply.send(Err(end.refused)));
                if end.stands {
                    let keys = self.keys.lease(&question.entity);
                    self.leave(&keys, (&owner, place.cluster), clock::now() + lasts).await;
                }
            }
        }
    }

    /// Waits for the lease.
    async fn wait(
        &self,
        question: &mut Question,
        owner: &Arc<str>,
        ttl: &str,
    ) -> Result<Hold, Ended> {
        let place = Arc::clone(&question.place);
        let held = |top, at, ttl| {
            Hold::granted(Arc::clone(owner), Arc::clone(&place), top, at, ttl, question.terms)
        };
        let keys = self.keys.lease(&question.entity);
        let mut stands = false;
        loop {
            // Before the question: the grant may come before the answer.
            let (tell, mut granted) = oneshot::channel();
            self.owners.borrow_mut().insert(Arc::clone(owner), Some(tell));
            let sent = clock::now();
            let (runs_out, read_ms) = match self.acquire(&keys, owner, ttl, &place).await {
                Ok(Answer::Granted { top, ttl }) => return Ok(held(top, sent, ttl)),
                Ok(Answer::Queued { runs_out, read_ms }) => (runs_out, read_ms),
                Ok(Answer::Replaced) => return Err(Ended { refused: Refused::Replaced, stands }),
                Err(unasked) => {
                    let stands = stands || unasked == Unasked::Unknown;
                    return Err(Ended { refused: Refused::Unreachable, stands });
                }
            };
            stands = true;
            tokio::select! {
                biased;
                // In a cluster it has to be confirmed; and so does one whose sender was replaced, or that comes too late to be
                // of this question.
                grant = &mut granted => if let Ok(grant) = grant
                    && !place.cluster
                    && let Some(at) =
                        hold::instant_of(grant.at_ms, read_ms, sent, clock::now())
                {
                    return Ok(held(grant.top, at, grant.ttl));
                },
                () = question.reply.closed() => {
                    return Err(Ended { refused: Refused::Unreachable, stands });
                }
                () = sleep(self.look_again_after(runs_out)) => {}
            }
        }
    }

    fn look_again_after(&self, runs_out: Duration) -> Duration {
        let pushed = self.remote.status().borrow().push;
        let most = if pushed { LOOK_EVERY } else { LOOK_EVERY_UNPUSHED };
        runs_out.min(most) + Duration::from_millis(fastrand::u64(JITTER_MS))
    }

    async fn acquire(
        &self,
        keys: &str,
        owner: &str,
        ttl: &str,
        place: &Place,
    ) -> Result<Answer, Unasked> {
        let block = COHORT.to_string();
        let more = [ttl, &block, &place.epoch];
        let generation = Some(place.generation);
        match self.run(&ACQUIRE, keys, (owner, place.cluster), &more, generation).await {
            Ok(value) => Answer::read(value).map_err(|error| {
                self.remote.tell_of_answer(&ACQUIRE, &error);
                Unasked::Unknown
            }),
            Err(CallError::NotExecuted(_)) => Err(Unasked::NotExecuted),
            Err(CallError::Unknown(_)) => Err(Unasked::Unknown),
        }
    }

    /// Gives a lease back, for as long as that makes a difference.
    async fn release(&self, entity: &str, hold: Hold) {
        self.owners.borrow_mut().remove(&hold.owner);
        let keys = self.keys.lease(entity);
        let owner = (&*hold.owner, hold.place.cluster);
        let mut first = true;
        loop {
            if let Ok(answer) = self.run(&RELEASE, &keys, owner, &[], None).await {
                // Answered after a try whose fate is not known, it may have been given back by that one.
                if first {
                    self.count_lost(&answer, &hold);
                }
                return;
            }
            first = false;
            if !self.connected_by(hold.until).await {
                return;
            }
        }
    }

    /// Where this fails the lease runs out no sooner than it should.
    async fn keep(&self, entity: &str, hold: Hold, settle: Duration) {
        self.owners.borrow_mut().remove(&hold.owner);
        let settle = settle.as_millis().to_string();
        let keys = self.keys.lease(entity);
        let owner = (&*hold.owner, hold.place.cluster);
        if let Ok(answer) = self.run(&KEEP, &keys, owner, &[&settle], None).await {
            self.count_lost(&answer, &hold);
        }
    }

    /// Leaves the queue. A question whose fate is not known may be answered much later, by a store that stood still; so this is
    /// tried for as long as a lease would last that nobody knows of.
    async fn leave(&self, keys: &str, owner: (&str, bool), until: Instant) {
        while self.run(&LEAVE, keys, owner, &[], None).await.is_err() {
            if !self.connected_by(until).await {
                return;
            }
        }
    }

    /// Waits before another try to give something back; false when that would be of no use any more.
    async fn connected_by(&self, until: Instant) -> bool {
        sleep(TRY_AGAIN_AFTER).await;
        let mut status = self.remote.status();
        let connected = status.wait_for(|status| status.connected.is_some());
        timeout_at(until, connected).await.is_ok()
    }

    /// A grant for somebody who has given up.
    async fn decline(&self, grant: Grant) {
        let connected = self.remote.status().borrow().connected.clone();
        let cluster = connected.is_some_and(|connected| connected.cluster);
        let until = clock::now() + grant.ttl;
        self.leave(&grant.keys, (&grant.owner, cluster), until).await;
    }

    /// A lease that is gone when it is given back has protected nobody from whenever it went.
    fn count_lost(&self, answer: &Value, hold: &Hold) {
        let gone = String::from_redis_value_ref(answer).is_ok_and(|word| word == "gone");
        if gone && self.gate.is_open_at(&hold.place) {
            for _ in 0..hold.uses {
                let (flag, reason) = (hold.terms.flag, Exposure::LeaseLost);
                UpdateExposed { flag, reason }.emit(&self.telemetry);
            }
        }
    }

    /// Runs one of the scripts on an entity's keys, for an owner in a cluster or outside of one.
    async fn run(
        &self,
        script: &Script,
        keys: &str,
        (owner, cluster): (&str, bool),
        more: &[&str],
        generation: Option<u64>,
    ) -> Result<Value, CallError> {
        let [holder, queue, fence] =
            ["holder", "queue", "fence"].map(|name| format!("{keys}{name}"));
        let epoch = self.keys.epoch();
        let mut names = vec![holder.as_str(), &queue, &fence];
        // A script of a cluster reaches one slot alone.
        if !cluster {
            names.push(&epoch);
        }
        let grants = self.keys.grants();
        let first = [owner, &grants, if cluster { "1" } else { "0" }];
        let words = first.into_iter().chain(more.iter().copied());
        let arguments: Vec<&[u8]> = words.map(str::as_bytes).collect();
        self.remote.run_or_tell(Lane::Lease, script, &names, &arguments, generation).await
    }
}

/// A wait that ended without a lease.
struct Ended {
    refused: Refused,
    /// Whether there may be a place in the queue, or a lease, to be given back.
    stands: bool,
}

/// The store could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unasked {
    /// It certainly did nothing.
    NotExecuted,
    /// It may have done it.
    Unknown,
}
