//! Updates with an `Idempotency-Key`: the first one runs, and its answer is kept; the others are given it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, Response};
use tokio::time::timeout;

use super::body::{RequestBody, ResponseBody};
use super::call::Told;
use super::error::{ProxyError, Refusal, is_bodiless, leaves_outcome_open};
use super::forward::{Answer, Answered, ForwardError};
use super::memory::BodyMemory;
use super::worker::{RouteOf, Worker};
use crate::config::{Config, FlagConfig};
use crate::domain::flag::{OnStoreLoss, Path, Protection};
use crate::idempotency::key::{self, IDEMPOTENCY_KEY, KeyFault, Payload, RecordName};
use crate::idempotency::{Begun, Claim, Served, StoredAnswer, Terms};
use crate::telemetry::events::{KeySeen, UpdateFinished};
use crate::telemetry::labels::{KeyResult, Outcome};

/// Says on an answer that it was given to an earlier call.
const REPLAYED: HeaderName = HeaderName::from_static("interlock-replayed");
/// Says of such an answer that its body was not kept.
const BODY: HeaderName = HeaderName::from_static("interlock-body");

/// The most connections that a call may begin one after the other: see `Attempts`.
const CONNECTS: u32 = 3;

/// For so long after the longest run of a call with a key the receipt of its edit is there, for callers that come again.
const RECEIPT_KEPT: Duration = Duration::from_secs(10 * 60);

/// Why an update with a key is not served now. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyedError {
    /// The first one runs.
    #[error("the first call with this Idempotency-Key is still running: retry with the same key")]
    Running,
    /// The first one was another call.
    #[error(
        "this Idempotency-Key came with another method, path, query, body or Authorization before: \
         use a new key for another call"
    )]
    OtherPayload,
    /// The first one was sent, and has no answer.
    #[error(
        "nobody knows whether the first call with this Idempotency-Key took effect, and it is not run again: \
         read the entity, and use a new key"
    )]
    Unknown,
    /// Whether it is the first can't be found out.
    #[error(
        "the store that remembers idempotency keys can't be asked (on_store_loss = \"reject\"): retry with the same key"
    )]
    StoreLost,
}

/// What a first update has for its record.
pub(crate) struct Keyed {
    claim: Claim,
    max_body: usize,
    memory: Rc<BodyMemory>,
    /// The longest that the body of its answer is waited for.
    patience: Duration,
    /// The longest that it may run.
    running: Duration,
}

/// Looks an update's key up, where it has one. The first with its key is left with what it needs to keep its answer; for
/// any other the answer is given here. `recall` gives the answer to the edit of an earlier call whose receipt is called so, if
/// there is that receipt.
pub(crate) async fn begin(
    worker: &Worker,
    route: &RouteOf<'_>,
    keyed: &Cell<Option<Box<Keyed>>>,
    request: &mut Request<RequestBody>,
    told: &mut Told,
    recall: impl AsyncFnOnce(Arc<str>, &mut Request<RequestBody>) -> Option<Response<Bytes>>,
) -> Result<Option<Response<ResponseBody>>, ProxyError> {
    if !request.headers().contains_key(&IDEMPOTENCY_KEY) {
        return Ok(None);
    }
    let (config, flag) = (&worker.shared.config, route.flag);
    if flag.idempotency.keep.is_zero() || request.method().is_safe() {
        return Ok(None);
    }
    let name = match key::read(request.headers()) {
        Ok(Some(key)) => RecordName::of(&flag.name, &key),
        Ok(None) => return Ok(None),
        Err(KeyFault::Several) => return Err(Refusal::SeveralKeys.into()),
        Err(KeyFault::Malformed) => return Err(Refusal::KeySyntax.into()),
    };
    let limit = config.proxy.max_body;
    if !request.body_mut().hold(limit, &worker.memory).await? {
        return Err(Refusal::BodyTooLarge { limit }.into());
    }
    let payload = Payload::of(request, request.body().held());
    let terms = Terms::new(flag.idempotency.keep, longest_run(config, flag));
    let begun = worker.shared.keys.begin(name, payload, terms).await;
    let seen = |result| KeySeen { flag: route.flag_index, result }.emit(&worker.shared.telemetry);
    let claim = match begun {
        Begun::First(claim) => {
            seen(KeyResult::First);
            claim
        }
        Begun::Unrecorded(claim) => {
            seen(KeyResult::Unrecorded);
            told.without_store = true;
            if flag.on_store_loss == OnStoreLoss::Reject {
                return Err(KeyedError::StoreLost.into());
            }
            claim
        }
        Begun::Answered(answer) => {
            seen(KeyResult::Replayed);
            return Ok(Some(replayed(worker, route, answer, told)));
        }
        Begun::Running => {
            seen(KeyResult::Running);
            return Err(KeyedError::Running.into());
        }
        Begun::OtherPayload => {
            seen(KeyResult::OtherPayload);
            return Err(KeyedError::OtherPayload.into());
        }
        Begun::Abandoned(first) => {
            let made = match first.as_ref().and_then(receipt_of) {
                Some(receipt) => recall(receipt, request).await,
                None => None,
            };
            let found = found_out(first, made, flag.idempotency.max_body, told).await;
            seen(if found.is_some() { KeyResult::Replayed } else { KeyResult::Unknown });
            let answer = found.ok_or(KeyedError::Unknown)?;
            return Ok(Some(replayed(worker, route, answer, told)));
        }
    };
    let (max_body, memory) = (flag.idempotency.max_body, Rc::clone(&worker.memory));
    let patience = config.legacy.timeout;
    let running = terms.running;
    keyed.set(Some(Box::new(Keyed { claim, max_body, memory, patience, running })));
    Ok(None)
}

/// The answer to a first call of which nobody has said what became of it: if it was an edit and was made, its receipt told.
async fn found_out(
    first: Option<Claim>,
    made: Option<Response<Bytes>>,
    max_body: usize,
    told: &mut Told,
) -> Option<StoredAnswer> {
    let claim = first?;
    let Some(made) = made else {
        claim.forget();
        return None;
    };
    let served = Served { path: Path::Fixed, protection: Protection::Protected };
    let answer = made_answer(&made, served, max_body);
    told.without_store |= !claim.answered(answer.clone()).await;
    Some(answer)
}

/// What the receipt of a call's edit is called; no receipt of a call without a key is called so.
fn receipt_of(claim: &Claim) -> Option<Arc<str>> {
    claim.ticket().map(|ticket| format!("key/{ticket}").into())
}

/// What is kept of an answer that no app gave.
fn made_answer(answer: &Response<Bytes>, served: Served, max_body: usize) -> StoredAnswer {
    let body = (answer.body().len() <= max_body).then(|| answer.body().clone());
    StoredAnswer::of(answer.status(), answer.headers(), served, body)
}

/// Counts a replay, and makes it.
fn replayed(
    worker: &Worker,
    route: &RouteOf<'_>,
    answer: StoredAnswer,
    told: &mut Told,
) -> Response<ResponseBody> {
    let Served { path, protection } = answer.served;
    told.path = Some(path);
    let (flag, outcome) = (route.flag_index, Outcome::Replayed);
    UpdateFinished { flag, path, protection, outcome }.emit(&worker.shared.telemetry);
    replay(answer)
}

/// The longest that an update may run: its lease, its connections, its answer's head and body, and what it may still write.
fn longest_run(config: &Config, flag: &FlagConfig) -> Duration {
    let legacy = &config.legacy;
    [legacy.connect_timeout * CONNECTS, legacy.timeout * 2, legacy.settle_after_timeout]
        .into_iter()
        .fold(flag.lease.wait, Duration::saturating_add)
}

/// The first answer again.
fn replay(answer: StoredAnswer) -> Response<ResponseBody> {
    let StoredAnswer { status, mut headers, body, .. } = answer;
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    if body.is_none() {
        headers.insert(BODY, HeaderValue::from_static("missing"));
        // They are about a body.
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_ENCODING);
    }
    let body = match body {
        Some(body) if !body.is_empty() && !is_bodiless(status) => ResponseBody::full(body),
        _ => ResponseBody::empty(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

impl Keyed {
    /// Whether the update is on its way.
    pub(crate) fn set_sent(&mut self, sent: bool) {
        self.claim.set_sent(sent);
    }

    /// What the receipt of its edit is called, where calls with its key can ask for it, and for how long it is to be kept.
    pub(crate) fn receipt(&self) -> Option<(Arc<str>, Duration)> {
        Some((receipt_of(&self.claim)?, self.running.saturating_add(RECEIPT_KEPT)))
    }

    /// Keeps an answer that no app gave; says whether it is kept.
    pub(crate) async fn keep_made(self, answer: &Response<Bytes>, served: Served) -> bool {
        self.claim.answered(made_answer(answer, served, self.max_body)).await
    }

    /// Keeps the answer to an update that was sent, its body held for as long as that takes; says whether it is kept. Of one
    /// without an answer, or whose answer leaves its outcome open, the record says that nobody knows.
    pub(crate) async fn keep(
        self,
        result: &mut Result<Answered, ForwardError>,
        served: Served,
    ) -> bool {
        let Ok(Answered { answer: Answer::Response(response), .. }) = result else { return true };
        let status = response.status();
        if leaves_outcome_open(status) {
            return true;
        }
        let relay = response.body_mut();
        let read = relay.read_ahead(self.max_body, self.memory.hold());
        // Past it, or broken off, the client is given what there is as it comes.
        let whole = timeout(self.patience, read).await.unwrap_or(false);
        let body = whole.then(|| relay.held());
        let answer = StoredAnswer::of(status, response.headers(), served, body);
        self.claim.answered(answer).await
    }
}
