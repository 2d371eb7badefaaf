//! The paths: what serves a call once it is decided.
//!
//! - [`legacy`]: the app as it is, unguarded;
//! - [`serialize`]: the app as it is, one call at a time per entity;
//! - [`upstream`]: a fixed version of the app;
//! - [`atomic`]: no app, but a declared edit of the document in the store.
//!
//! Which of them it is, is the [`Stage`] of the call's entity. On the way from one path to the other an entity's calls hold its
//! lease, whichever app they go to.
//!
//! Beside them, [`mirror`] runs the path that does not serve, to see whether it would have given the same.
//!
//! All of them send through [`update`], or as it does: a call that was sent runs to its end.

mod atomic;
mod legacy;
pub(crate) mod mirror;
mod serialize;
#[cfg(test)]
pub(crate) mod simulated;
mod update;
mod upstream;

use std::cell::Cell;
use std::rc::Rc;

use http::Request;

pub(crate) use self::atomic::recalled;
use self::update::Update;
use crate::config::FixedConfig;
use crate::domain::decision::Decision;
use crate::domain::flag::Protection;
use crate::domain::trace::TraceContext;
use crate::domain::transition::Stage;
use crate::fleet::ledger::Underway;
use crate::lease::LeaseError;
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::error::ProxyError;
use crate::proxy::forward::Answered;
use crate::proxy::keyed::Keyed;
use crate::proxy::pool::Pool;
use crate::proxy::worker::{RouteOf, Worker};
use crate::shadow::notebook::Watched;
use crate::telemetry::trace::ServerSpan;

/// An update that is decided: what there is to know about it.
pub(crate) struct Plan<'s> {
    /// Its route and flag.
    pub(crate) route: RouteOf<'s>,
    /// Which path it takes.
    pub(crate) decision: Decision,
    /// The version of the flag's state that decided.
    pub(crate) version: u64,
    /// What it mutates; `None` where that could not be made out, and then the path is legacy.
    pub(crate) entity: Option<String>,
    /// The trace that it belongs to.
    pub(crate) trace: TraceContext,
    /// What the lost-update detector is to know of it; taken by whoever sends it.
    pub(crate) watched: Cell<Option<Box<Watched>>>,
    /// What it needs to keep its answer, where it is the first with its idempotency key; taken by whoever sends it.
    pub(crate) keyed: Cell<Option<Box<Keyed>>>,
    /// Its place among the updates under way; taken by whoever sends it.
    pub(crate) underway: Cell<Option<Underway>>,
    /// Its span, where it is traced.
    pub(crate) span: Option<Rc<ServerSpan>>,
}

/// Where an update goes that a strategy has looked at.
enum Routed<'w> {
    /// It has been answered.
    Answered(Answered),
    /// To an app.
    To(&'w Rc<Pool>, Update),
}

/// Serves an update on the path that was decided, or says on `told` how it came otherwise.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    plan: &Plan<'_>,
    mut request: Box<Request<RequestBody>>,
    told: &mut Told,
) -> Result<Answered, ProxyError> {
    let (pool, update) = match route(worker, plan, &mut request, told).await? {
        Routed::Answered(answered) => return Ok(answered),
        Routed::To(pool, update) => (pool, update),
    };
    told.path = Some(update.path());
    told.window = update.window();
    let (result, exposed) = update::send(worker, pool, request, update).await;
    told.without_store |= exposed;
    result
}

/// What the update's stage and its flag's strategy make of it: where it goes, unless it is answered here.
async fn route<'w>(
    worker: &'w Rc<Worker>,
    plan: &Plan<'_>,
    request: &mut Request<RequestBody>,
    told: &mut Told,
) -> Result<Routed<'w>, ProxyError> {
    let routed = match (plan.decision.stage, &plan.route.flag.fixed, &plan.entity) {
        (Stage::Legacy, _, _) | (_, _, None) => Ok(legacy::route(worker, plan)),
        (Stage::GuardedFixed, FixedConfig::Upstream { .. }, Some(entity)) => {
            upstream::guarded(worker, plan, entity, request).await
        }
        (Stage::Guarded | Stage::GuardedFixed, _, Some(entity))
        | (Stage::Fixed, FixedConfig::Serialize, Some(entity)) => {
            serialize::route(worker, plan, entity, request).await
        }
        (Stage::Fixed, FixedConfig::Upstream { .. }, Some(_)) => Ok(upstream::route(worker, plan)),
        (Stage::Fixed, FixedConfig::Atomic { .. }, Some(entity)) => {
            // Far larger than the others: every connection has room for this function's future, also while it is idle.
            match Box::pin(atomic::serve(worker, plan, entity, request, told)).await {
                Ok(Routed::Answered(answered)) => return Ok(Routed::Answered(answered)),
                Ok(Routed::To(pool, update)) => Ok((pool, update)),
                Err(error) => Err(error),
            }
        }
    };
    told.without_store |= matches!(routed, Err(ProxyError::Busy(LeaseError::StoreLost)));
    routed.map(|(pool, update)| Routed::To(pool, update))
}

/// The protection that an update has without a lease.
fn protection(plan: &Plan<'_>) -> Protection {
    match (plan.decision.stage, &plan.route.flag.fixed) {
        (Stage::Fixed, FixedConfig::Upstream { .. } | FixedConfig::Atomic { .. }) => {
            Protection::Protected
        }
        // Of those that have a lease, that tells: see `Update::protection`.
        _ => Protection::None,
    }
}
