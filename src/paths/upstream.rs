//! The `upstream` strategy: a fixed version of the app, at a URL of its own.

use std::rc::Rc;

use http::Request;

use super::update::Update;
use super::{Plan, serialize};
use crate::domain::flag::Path;
use crate::proxy::body::RequestBody;
use crate::proxy::error::ProxyError;
use crate::proxy::pool::Pool;
use crate::proxy::worker::Worker;

/// Where an update goes, and what it leaves behind.
pub(super) fn route<'w>(worker: &'w Worker, plan: &Plan<'_>) -> (&'w Rc<Pool>, Update) {
    // A flag with this strategy always has its pool; legacy is what remains if that were ever broken.
    let pool = worker.fixed(plan.route.flag_place).unwrap_or(&worker.legacy);
    (pool, Update::unguarded(worker, plan))
}

/// Where an update goes while its entity is on its way to the fixed app or back: there, under the entity's lease. There also
/// where the store can't grant one: a legacy call without a lease could undo updates of sidecars that are already past this
/// stage.
pub(super) async fn guarded<'w>(
    worker: &'w Worker,
    plan: &Plan<'_>,
    entity: &str,
    request: &mut Request<RequestBody>,
) -> Result<(&'w Rc<Pool>, Update), ProxyError> {
    let lease = serialize::lease_for(worker, plan, entity, request).await?;
    serialize::tell_number(&lease, request.headers_mut());
    let (pool, update) = route(worker, plan);
    Ok((pool, update.under(lease, Path::Fixed)))
}
