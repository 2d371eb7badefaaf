//! Shadows: the path that does not serve is run beside the one that does, to see whether it would have given the same.
//!
//! The life of a shadow, in order:
//!
//! 1. [`hold`]: the call is one of the sample, its body is held whole, and a copy of it is made.
//! 2. The control is served. [`Mirrored::watch`] notes on which path, and captures its answer while it is relayed.
//! 3. The answer has passed: the shadow takes a place in its flag's lane, which bounds how many run and how many wait.
//! 4. [`candidate`] is called, over connections of its own, and its answer captured.
//! 5. Both answers are compared: here whether they are the same byte for byte, else by the judge's thread.
//!
//! It is sent only when the control's answer has passed: the worker writes that answer before it turns to the shadow, no
//! candidate is bothered with calls that failed, which path really served is known, and a candidate that reads
//! the control's own state always finds it as the control left it.
//!
//! Under `shadow.mode = "plan"` nothing is sent: 1 also sends a look at the document, and 4 is another look and the edit that is
//! planned on the first ([`planned`]).
//!
//! Wherever this ends early, a reason is counted, and the control knows nothing of it.

mod candidate;
mod mirrored;
mod planned;

use http::Request;

pub(crate) use self::mirrored::Mirrored;
use self::planned::Planned;
use super::Plan;
use super::atomic::Prepared;
use crate::config::ShadowMode;
use crate::domain::flag::Path;
use crate::domain::percent::Percent;
use crate::proxy::body::RequestBody;
use crate::proxy::error::Refusal;
use crate::proxy::shadows::Shadows;
use crate::proxy::worker::Worker;
use crate::telemetry::events::ShadowSkipped;
use crate::telemetry::labels::ShadowSkip;

/// Takes a copy of a call that is to be shadowed, its body held whole.
///
/// # Errors
/// Only those of the client's own body: what keeps a call from being shadowed is counted, and no fault of it.
pub(crate) async fn hold(
    worker: &Worker,
    plan: &Plan<'_>,
    request: &mut Request<RequestBody>,
) -> Result<Option<Box<Mirrored>>, Refusal> {
    let Some(shadows) = worker.shadows(plan.route.flag_place) else { return Ok(None) };
    let Some(entity) = &plan.entity else { return Ok(None) };
    let is_planned = shadows.terms.mode == ShadowMode::Plan;
    let declares = plan.route.config().is_some_and(|route| route.atomic.is_some());
    if is_planned && (plan.decision.path == Path::Fixed || !declares) {
        // There is nothing to compare: no edit, or one that is made.
        return Ok(None);
    }
    let skip = |reason| {
        ShadowSkipped { flag: shadows.flag, reason }.emit(&shadows.telemetry);
        Ok(None)
    };
    if shadows.lane.is_closed() {
        return skip(ShadowSkip::Draining);
    }
    if !draws(shadows.terms.sample) {
        return skip(ShadowSkip::Unsampled);
    }
    match request.body_mut().hold(shadows.limit, &shadows.memory).await {
        Ok(true) => {}
        Ok(false) | Err(Refusal::BodyMemory) => return skip(ShadowSkip::BodyTooLarge),
        Err(refusal) => return Err(refusal),
    }
    if is_planned {
        let Some(documents) = &worker.shared.documents else { return Ok(None) };
        return match Prepared::of(worker, &plan.route, request) {
            Err(_) => skip(ShadowSkip::PlanRefused),
            Ok(prepared) => {
                let planned = Planned::begin(shadows, plan, (documents, entity), prepared);
                Ok(Some(Box::new(Mirrored::planned(shadows, plan, entity.clone(), planned))))
            }
        };
    }
    match Mirrored::new(shadows, plan, entity.clone(), request) {
        Some(mirrored) => Ok(Some(Box::new(mirrored))),
        None => skip(ShadowSkip::BodyTooLarge),
    }
}

/// Whether a call, by chance, is one of a share.
fn draws(share: Percent) -> bool {
    let full = Percent::FULL.hundredths();
    share == Percent::FULL || fastrand::u16(..full) < share.hundredths()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_drawn_about_as_often_as_it_says() {
        fastrand::seed(7);
        let drawn = |hundredths| {
            let share = Percent::from_hundredths(hundredths).unwrap();
            (0..100_000).filter(|_| draws(share)).count()
        };

        assert_eq!(drawn(0), 0);
        assert_eq!(drawn(10_000), 100_000);
        assert!((24_000..26_000).contains(&drawn(2_500)), "{}", drawn(2_500));
        assert!(drawn(1) < 50, "{}", drawn(1));
    }
}
