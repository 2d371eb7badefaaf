//! The legacy path: the app as it is.

use std::rc::Rc;

use super::Plan;
use super::update::Update;
use crate::proxy::pool::Pool;
use crate::proxy::worker::Worker;

/// Where an update goes, and what it leaves behind.
pub(super) fn route<'w>(worker: &'w Worker, plan: &Plan<'_>) -> (&'w Rc<Pool>, Update) {
    (&worker.legacy, Update::unguarded(worker, plan))
}
