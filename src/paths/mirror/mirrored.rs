//! A call that is shadowed: from the copy of it to what is told of both answers.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use tokio::time::timeout_at;

use super::candidate::Candidate;
use super::planned::{Documented, Planned};
use super::{Plan, Shadows, draws};
use crate::clock::{self, Instant};
use crate::domain::compare::same_bytes;
use crate::domain::divergence::{Cause, Verdict};
use crate::domain::flag::Path;
use crate::domain::percent::Percent;
use crate::domain::trace::TraceContext;
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::candidate::{Call, CandidateError};
use crate::proxy::tap::{Capture, CaptureError, Tap};
use crate::shadow::{Captured, Case, Finding, Job, Place, Subject, Window};
use crate::telemetry::GaugeGuard;
use crate::telemetry::events::{Compared, ShadowSkipped};
use crate::telemetry::labels::{LabelValue, ShadowSkip, UpstreamError};
use crate::telemetry::trace::{ActiveSpan, Onward};

/// A candidate that had less of the time than one part in so many is not blamed for the want of an answer.
const FAIR_SHARE: u32 = 2;

/// A call that is shadowed.
pub(crate) struct Mirrored {
    shadows: Rc<Shadows>,
    /// What is counted where it ends now.
    skipped_as: Option<ShadowSkip>,
    /// The same call once more; gone once it was answered.
    call: Option<Call>,
    /// In its stead: the edit that is planned and not made.
    planned: Option<Planned>,
    route: usize,
    entity: String,
    trace: TraceContext,
    noise: bool,
    served: Option<Served>,
    deadline: Instant,
    counted: Option<GaugeGuard>,
}

/// What is known of the control.
struct Served {
    path: Path,
    window: Option<Window>,
    answer: Capture,
    /// Nobody knows what the app did.
    failed: bool,
}

impl Mirrored {
    /// Copies a call whose body is held whole; `None` where no memory is left for it.
    pub(super) fn new(
        shadows: &Rc<Shadows>,
        plan: &Plan<'_>,
        entity: String,
        request: &Request<RequestBody>,
    ) -> Option<Self> {
        let onward = plan.span.as_ref().map(|span| Onward::apart(plan.trace, span.shown_path()));
        let call = Call::copy_of(request, onward, shadows.memory.hold())?;
        let mut mirrored = Self::of(shadows, plan, entity);
        mirrored.call = Some(call);
        mirrored.noise = draws(shadows.terms.noise);
        Some(mirrored)
    }

    /// A call whose declared edit is planned.
    pub(super) fn planned(
        shadows: &Rc<Shadows>,
        plan: &Plan<'_>,
        entity: String,
        planned: Planned,
    ) -> Self {
        let mut mirrored = Self::of(shadows, plan, entity);
        mirrored.planned = Some(planned);
        mirrored
    }

    fn of(shadows: &Rc<Shadows>, plan: &Plan<'_>, entity: String) -> Self {
        Self {
            shadows: Rc::clone(shadows),
            skipped_as: Some(ShadowSkip::ControlFailed),
            call: None,
            planned: None,
            route: plan.route.route_place,
            entity,
            trace: plan.trace,
            noise: false,
            served: None,
            deadline: clock::now(),
            counted: None,
        }
    }

    /// The control was answered: its answer is captured from here on.
    pub(crate) fn watch(
        mut self: Box<Self>,
        told: &Told,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Box<dyn Tap> {
        let mut head = Captured::with_status(status);
        for (name, value) in headers {
            head.keep_field(&self.shadows.terms.rules, name.as_str(), value.as_bytes());
        }
        let (path, window) = (told.path.unwrap_or(Path::Legacy), told.window);
        let answer = Capture::new(head, &self.shadows.memory, self.shadows.limit);
        self.served = Some(Served { path, window, answer, failed: status.is_server_error() });
        self
    }

    fn skip_as(&mut self, reason: ShadowSkip) {
        self.skipped_as = Some(reason);
    }

    /// Runs the candidate and sees to it that what comes of it is told.
    async fn trial(mut self: Box<Self>) {
        let Some(served) = self.served.take() else { return };
        if let Some(planned) = self.planned.take() {
            return self.compare_plan(served, planned).await;
        }
        let Some(mut call) = self.call.take() else { return };
        let shadows = Rc::clone(&self.shadows);
        let candidate = Candidate::beside(served.path, self.noise, &shadows);
        let mut span = candidate.begin(&mut call);
        let fair = clock::now() + shadows.terms.timeout / FAIR_SHARE;
        let answer = timeout_at(self.deadline, candidate.answer(&call, &mut span)).await;
        drop(call);
        let shadow = ended(span, answer.is_ok());
        let contended = served.window.is_some_and(|window| shadows.crowd.was_contended(window));
        let finding = match answer {
            // It waited for so long that the candidate had hardly a chance.
            Err(_) if clock::now() < fair => return self.skip_as(ShadowSkip::Deadline),
            Err(_) => Finding::Failed(Cause::Timeout),
            Ok(Err(CandidateError::Capture(CaptureError::NoMemory))) => {
                return self.skip_as(ShadowSkip::BodyTooLarge);
            }
            Ok(Err(_)) => Finding::Failed(Cause::Error),
            Ok(Ok(answer)) if !candidate.is_same() && self.are_same(&served, &answer) => {
                return self.matched(contended);
            }
            Ok(Ok(candidate)) => {
                Finding::Answers { control: served.answer.into_answer(), candidate }
            }
        };
        self.submit(finding, (served.path, contended), Some(shadow), candidate.is_same());
    }

    /// Compares what the edit would have written with what the app wrote.
    async fn compare_plan(&mut self, served: Served, planned: Planned) {
        if served.failed {
            return self.skip_as(ShadowSkip::ControlFailed);
        }
        let shadows = Rc::clone(&self.shadows);
        let looked = timeout_at(self.deadline, planned.documents(shadows.memory.hold())).await;
        let both = match looked {
            Err(_) => return self.skip_as(ShadowSkip::Deadline),
            Ok(Err(reason)) => return self.skip_as(reason),
            Ok(Ok(both)) => both,
        };
        let contended = served.window.is_some_and(|window| shadows.crowd.was_contended(window));
        let Documented { control, candidate, has_values, .. } = both;
        if control.in_one_piece() == candidate.in_one_piece() {
            return self.matched(contended);
        }
        let finding = Finding::Documents { control, candidate, has_values };
        self.submit(finding, (served.path, contended), None, false);
    }

    fn matched(&mut self, contended: bool) {
        self.skipped_as = None;
        let shadows = &self.shadows;
        if shadows.terms.noise != Percent::ZERO {
            shadows.judge.matched(shadows.flag);
        }
        let (flag, verdict, entity) = (shadows.flag, Verdict::Matched, &*self.entity);
        let told = Compared { flag, verdict, cause: None, contended, entity, pointer: "" };
        told.emit(&shadows.telemetry);
    }

    fn submit(
        &mut self,
        finding: Finding,
        (path, contended): (Path, bool),
        shadow: Option<TraceContext>,
        noise: bool,
    ) {
        let shadows = Rc::clone(&self.shadows);
        let subject = Subject {
            flag: shadows.flag,
            route: self.route,
            entity: std::mem::take(&mut self.entity),
            path,
            noise,
            contended,
            trace: self.trace,
            shadow: shadow.unwrap_or(TraceContext::NONE),
        };
        self.skipped_as = match shadows.judge.submit(Case { subject, finding }) {
            Ok(()) => None,
            Err(_) => Some(ShadowSkip::CompareBusy),
        };
    }

    /// Whether both answers are the same without a look at what they mean.
    fn are_same(&self, served: &Served, candidate: &Captured) -> bool {
        let control = served.answer.answer();
        let (Some(one), Some(other)) = (control.in_one_piece(), candidate.in_one_piece()) else {
            return false;
        };
        let rules = &self.shadows.terms.rules;
        let headers = |of: &Captured| match rules.headers.is_empty() {
            true => HeaderMap::new(),
            false => of.headers(),
        };
        let (mine, its) = (headers(control), headers(candidate));
        same_bytes(rules, &control.answer(&mine, one), &candidate.answer(&its, other))
    }
}

/// Lets a span go; gives the trace that it began.
fn ended(span: Option<ActiveSpan>, in_time: bool) -> TraceContext {
    let Some(mut span) = span else { return TraceContext::NONE };
    if !in_time {
        span.fail(UpstreamError::Timeout.word());
    }
    span.context()
}

impl Tap for Mirrored {
    fn pass(&mut self, data: &Bytes) {
        let Some(served) = self.served.as_mut().filter(|_| self.planned.is_none()) else { return };
        if let Err(CaptureError::TooLarge { .. } | CaptureError::NoMemory) =
            served.answer.take_shared(data)
        {
            self.skip_as(ShadowSkip::BodyTooLarge);
            // Nothing is held for it any more, however long the answer goes on.
            (self.served, self.call) = (None, None);
        }
    }

    fn end(mut self: Box<Self>) {
        if self.served.is_none() {
            return;
        }
        self.deadline = clock::now() + self.shadows.terms.timeout;
        self.counted = Some(self.shadows.telemetry.shadow());
        // The runtime may end while it waits or runs.
        self.skip_as(ShadowSkip::Draining);
        let lane = Rc::clone(&self.shadows.lane);
        lane.admit(self);
    }
}

impl Job for Mirrored {
    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn start(self: Box<Self>, place: Place) {
        tokio::task::spawn_local(place.hold(self.trial()));
    }

    fn skip(mut self: Box<Self>, why: ShadowSkip) {
        self.skip_as(why);
    }
}

impl Drop for Mirrored {
    fn drop(&mut self) {
        if let Some(reason) = self.skipped_as {
            let flag = self.shadows.flag;
            ShadowSkipped { flag, reason }.emit(&self.shadows.telemetry);
        }
    }
}
