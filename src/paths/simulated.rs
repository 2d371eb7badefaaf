//! An update's way where the app at its end is a simulated one: for the simulation of a fleet.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::time::sleep;

use super::update::{OutlivesClient, outcome_of};
use super::{Plan, Routed, route};
use crate::lease::{Lease, LeaseError, Reach};
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::error::ProxyError;
use crate::proxy::worker::Worker;
use crate::telemetry::labels::Outcome;

/// As [`super::serve`], but what goes to an app goes to `app`, once it is connected. That is told whether the update goes on without
/// the store.
pub(crate) async fn serve<Call: Future<Output = Outcome> + 'static>(
    worker: &Rc<Worker>,
    plan: &Plan<'_>,
    mut request: Box<Request<RequestBody>>,
    told: &mut Told,
    (connects, app): (Duration, impl FnOnce(bool) -> Call),
) -> Result<Outcome, ProxyError> {
    let mut update = match route(worker, plan, &mut request, told).await? {
        Routed::Answered(answered) => return Ok(outcome_of(&answered.answer)),
        Routed::To(_, update) => update,
    };
    sleep(connects).await;
    if update.lease().is_some_and(|lease| !lease.covers_a_call()) {
        update.settle(Outcome::Rejected);
        return Err(LeaseError::RanOut.into());
    }
    let exposed = matches!(update.lease().map(Lease::reach), Some(Reach::Exposed(_)));
    let sent = app(exposed);
    let call = async move {
        update.set_sent(true);
        let outcome = sent.await;
        update.settle(outcome);
        let mut answer = Response::new(Bytes::new());
        match outcome {
            Outcome::Applied | Outcome::Replayed => {}
            Outcome::Rejected => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            // There is none.
            Outcome::Unknown => return outcome,
        }
        update.keep_made(&answer).await;
        outcome
    };
    Ok(OutlivesClient::new(worker, (plan.route.flag_index, plan.trace), call).await)
}
