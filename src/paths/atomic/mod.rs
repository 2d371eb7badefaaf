//! The `atomic` strategy: the declared edit, made in the store itself.
//!
//! An edit is optimistic: the document is read, the edit planned on it, and made by a script only where the document still has
//! what the plan was made on. Edits of different elements do not meet, nor do edits of one field. Whoever calls the app instead,
//! under the entity's lease, is kept apart by that script as well: it refuses while a call holds the lease, and where one was granted
//! since the document was read. So an edit that finds the lease held by a call stands in its queue; beside an edit that got the
//! lease in that way others go on.
//!
//! The order, in [`serve`]: what the call wants to edit ([`Prepared`]), the turn among this process's edits of the same field, the
//! edit itself ([`Editing`]). What can't be edited safely, and what the store can't do, goes to the app under the lease, as by
//! `serialize`; but never once an edit was sent whose outcome is not known.

mod editing;
mod held;
mod prepared;
mod recalled;

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};

use self::editing::Editing;
pub(crate) use self::prepared::Prepared;
pub(crate) use self::recalled::recalled;
use super::update::Update;
use super::{Plan, Routed, serialize};
use crate::clock::{self, Instant};
use crate::config::{AnswerConfig, AtomicConfig, FixedConfig, OnRefusal};
use crate::lease::{Lease, LeaseError, LeaseTerms, Leases, Purpose, StoreTerms};
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::error::ProxyError;
use crate::proxy::forward::{Answer, Answered};
use crate::proxy::worker::Worker;
use crate::telemetry::events::EditRefused;
use crate::telemetry::labels::{EditRefusal, Outcome};

/// What became of an edit.
enum Edited {
    /// It was made; the update is settled.
    Applied { answer: Response<Bytes>, queued: Duration, kept: bool },
    /// There is nothing to edit.
    Missing { answer: Response<Bytes>, update: Update, queued: Duration },
    /// It can't be made safely; perhaps the entity's lease is held.
    Refused { reason: EditRefusal, update: Update, lease: Option<Lease> },
    /// The store is gone, and the flag lets calls go on without it.
    WithoutStore { lease: Lease, update: Update },
    /// The entity's lease was not to be had.
    Busy(LeaseError),
    /// It was sent, and nobody knows whether it was made; the update is settled.
    Unknown,
}

/// Makes the edit that a call's route declares, or says where the call goes instead.
pub(super) async fn serve<'w>(
    worker: &'w Rc<Worker>,
    plan: &Plan<'_>,
    entity: &str,
    request: &mut Request<RequestBody>,
    told: &mut Told,
) -> Result<Routed<'w>, ProxyError> {
    let declared = plan.route.config().and_then(|route| route.atomic.as_ref());
    let (Some(declared), Some(documents)) = (declared, &worker.shared.documents) else {
        let (pool, update) = serialize::route(worker, plan, entity, request).await?;
        return Ok(Routed::To(pool, update));
    };
    let began = clock::now();
    worker.retries.borrow_mut().earn();
    let held = serialize::hold_body(worker, request).await?;
    let arrived = clock::now();
    let prepared = match held {
        true => Prepared::of(worker, &plan.route, request).map_err(EditRefusal::from),
        false => Err(EditRefusal::NoValue),
    };
    let update = Update::unguarded(worker, plan);
    told.window = update.window();
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => return refused(worker, plan, entity, request, (reason, update, None)).await,
    };
    let turn = turn(worker, plan, &prepared).await?;
    let waited = turn.waited() + (arrived - began);
    let editing = Editing::new(worker, plan, (entity, declared), documents, prepared, update);
    let edited = editing.run().await;
    // Nothing can be under way any more that somebody else's edit would meet.
    turn.release();
    let (edited, spent) = edited;
    match edited {
        Edited::Applied { answer, queued, kept } => {
            told.without_store |= !kept;
            Ok(Routed::Answered(answered(answer, (began, waited + queued))))
        }
        Edited::Missing { answer, mut update, queued } => {
            update.settle(Outcome::Rejected);
            told.without_store |= !update.keep_made(&answer).await;
            Ok(Routed::Answered(answered(answer, (began, waited + queued))))
        }
        Edited::Refused { reason, update, lease } => {
            refused(worker, plan, entity, request, (reason, update, lease)).await
        }
        Edited::WithoutStore { lease, update } => {
            let (pool, update) = serialize::under(worker, update, lease, request);
            Ok(Routed::To(pool, update))
        }
        Edited::Busy(error) => Err(error.into()),
        Edited::Unknown => Err(ProxyError::EditUnknown { within: spent }),
    }
}

/// The turn among this process's edits of the same fields: of those that would meet in the store one is made at a time.
async fn turn(worker: &Worker, plan: &Plan<'_>, prepared: &Prepared) -> Result<Lease, ProxyError> {
    let lease = plan.route.flag.lease;
    let terms = LeaseTerms {
        wait: lease.wait,
        max_waiters: lease.max_waiters,
        settle: Duration::ZERO,
        store: StoreTerms::NONE,
    };
    Ok(worker.shared.edit_turns.acquire(&prepared.fields(), terms).await?)
}

/// A call whose edit is not made: nothing of it was written, so that it may go to the app.
async fn refused<'w>(
    worker: &'w Rc<Worker>,
    plan: &Plan<'_>,
    entity: &str,
    request: &mut Request<RequestBody>,
    (reason, mut update, lease): (EditRefusal, Update, Option<Lease>),
) -> Result<Routed<'w>, ProxyError> {
    EditRefused { flag: plan.route.flag_index, reason }.emit(&worker.shared.telemetry);
    let rejects =
        matches!(plan.route.flag.fixed, FixedConfig::Atomic { refused: OnRefusal::Reject });
    // What a store refuses is no fault of the edit's: whether the call may do without is `on_store_loss`'s to say.
    if rejects && reason != EditRefusal::Store {
        if let Some(lease) = lease {
            lease.release();
        }
        update.settle(Outcome::Rejected);
        return Err(ProxyError::EditRefused(reason));
    }
    let lease = match lease {
        Some(lease) => lease,
        None => serialize::acquire(worker, plan, entity, Purpose::Call).await?,
    };
    let (pool, update) = serialize::under(worker, update, lease, request);
    Ok(Routed::To(pool, update))
}

/// The answer that is declared, with its body.
fn made(declared: &AnswerConfig, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    // The configuration allows status codes alone.
    *response.status_mut() = StatusCode::from_u16(declared.status).unwrap_or_default();
    if declared.body.is_some() {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

fn answered(response: Response<Bytes>, (began, waited): (Instant, Duration)) -> Answered {
    let elapsed = (clock::now() - began).saturating_sub(waited);
    Answered { answer: Answer::Made(response), elapsed, waited }
}
