//! The `upstream` strategy: a fixed version of the app, at a URL of its own.

use std::rc::Rc;

use super::Plan;
use super::update::Update;
use crate::proxy::pool::Pool;
use crate::proxy::worker::Worker;

/// Where an update goes, and what it leaves behind.
pub(super) fn route<'w>(worker: &'w Worker, plan: &Plan<'_>) -> (&'w Rc<Pool>, Update) {
    // A flag with this strategy always has its pool; legacy is what remains if that were ever broken.
    let pool = worker.fixed(plan.route.flag_place).unwrap_or(&worker.legacy);
    (pool, Update::unguarded(worker, plan))
}
