//! The `serialize` strategy: the unmodified app, one call at a time per entity.

use std::rc::Rc;

use http::header::EXPECT;
use http::{HeaderMap, HeaderValue, Request};

use super::Plan;
use super::update::Update;
use crate::domain::flag::{Path, Protection};
use crate::lease::{Lease, LeaseError, LeaseTerms, LeaseTrace, Purpose, Reach, StoreTerms};
use crate::proxy::body::RequestBody;
use crate::proxy::error::ProxyError;
use crate::proxy::headers::{INTERLOCK_FENCING_TOKEN, INTERLOCK_PATH};
use crate::proxy::pool::Pool;
use crate::proxy::worker::Worker;
use crate::telemetry::events::{LeaseGranted, LeaseRefused};
use crate::telemetry::labels::{LabelValue, LeaseRefusal};
use crate::telemetry::trace::{ActiveSpan, names};

/// Where an update goes, once it has its entity's lease, and what it leaves behind.
pub(super) async fn route<'w>(
    worker: &'w Worker,
    plan: &Plan<'_>,
    entity: &str,
    request: &mut Request<RequestBody>,
) -> Result<(&'w Rc<Pool>, Update), ProxyError> {
    let lease = lease_for(worker, plan, entity, request).await?;
    Ok(under(worker, Update::unguarded(worker, plan), lease, request))
}

/// Holds the body, and then waits for the entity's lease.
pub(super) async fn lease_for(
    worker: &Worker,
    plan: &Plan<'_>,
    entity: &str,
    request: &mut Request<RequestBody>,
) -> Result<Lease, ProxyError> {
    hold_body(worker, request).await?;
    Ok(acquire(worker, plan, entity, Purpose::Call).await?)
}

/// Holds the body; false for one that is larger than can be held, and streams.
pub(super) async fn hold_body(
    worker: &Worker,
    request: &mut Request<RequestBody>,
) -> Result<bool, ProxyError> {
    // A client that trickles its body must not hold the entity meanwhile.
    let held = request.body_mut().hold(worker.shared.config.proxy.max_body, &worker.memory).await?;
    if held {
        // It is here: the app's word is not waited for any more, least of all with the entity in hand.
        request.body_mut().wait_no_longer();
        request.headers_mut().remove(EXPECT);
    }
    Ok(held)
}

/// Where an update goes that has its entity's lease.
pub(super) fn under<'w>(
    worker: &'w Worker,
    update: Update,
    lease: Lease,
    request: &mut Request<RequestBody>,
) -> (&'w Rc<Pool>, Update) {
    let headers = request.headers_mut();
    if matches!(lease.reach(), Reach::Exposed(_)) {
        headers.insert(INTERLOCK_PATH, HeaderValue::from_static(Path::Legacy.as_str()));
    }
    tell_number(&lease, headers);
    (&worker.legacy, update.under(lease, Path::Legacy))
}

/// Tells the app the lease's number. Of one without the store it would say nothing to other sidecars.
pub(super) fn tell_number(lease: &Lease, headers: &mut HeaderMap) {
    if !matches!(lease.reach(), Reach::Exposed(_)) {
        headers.insert(INTERLOCK_FENCING_TOKEN, HeaderValue::from(lease.token().get()));
    }
}

/// Waits for the entity's lease.
pub(super) async fn acquire(
    worker: &Worker,
    plan: &Plan<'_>,
    entity: &str,
    purpose: Purpose,
) -> Result<Lease, LeaseError> {
    let flag = plan.route.flag_index;
    let telemetry = &worker.shared.telemetry;
    let (spec, legacy) = (plan.route.flag, &worker.shared.config.legacy);
    let mut span = telemetry.tracer().wait_for_lease(plan.trace);
    let wait = span.as_ref().map_or(plan.trace, ActiveSpan::context);
    let terms = LeaseTerms {
        wait: spec.lease.wait,
        max_waiters: spec.lease.max_waiters,
        settle: legacy.settle_after_timeout,
        store: StoreTerms {
            connect: legacy.connect_timeout,
            call: legacy.timeout,
            patience: spec.store_patience,
            loss: spec.on_store_loss,
            flag,
            trace: LeaseTrace { wait, call: plan.trace },
            purpose,
        },
    };
    let waiting = telemetry.lease_waiter(flag);
    let acquired = worker.shared.leases.acquire(entity, terms).await;
    drop(waiting);
    match &acquired {
        Ok(lease) => {
            LeaseGranted { flag, waited: lease.waited() }.emit(telemetry);
            if let Some(span) = &mut span {
                granted(span, lease);
            }
        }
        Err(error) => {
            let reason = match error {
                LeaseError::QueueFull { .. } => LeaseRefusal::QueueFull,
                LeaseError::WaitTimeout { .. } => LeaseRefusal::WaitTimeout,
                LeaseError::StoreLost => LeaseRefusal::StoreLost,
                LeaseError::RanOut => LeaseRefusal::RanOut,
            };
            LeaseRefused { flag, reason }.emit(telemetry);
            if let Some(span) = &mut span {
                span.set(names::LEASE_RESULT, reason.word());
                span.fail(reason.word());
            }
        }
    }
    acquired
}

fn granted(span: &mut ActiveSpan, lease: &Lease) {
    match lease.reach() {
        Reach::Exposed(why) => {
            span.set(names::LEASE_RESULT, Protection::Exposed.as_str());
            span.fail(why.word());
        }
        Reach::Process | Reach::Fleet => {
            span.set(names::LEASE_RESULT, "granted");
            span.set(names::FENCING_TOKEN, lease.token().get());
        }
    }
}
