//! A request's life, from its head to the head of its answer.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde_json::Value;

use super::body::{RequestBody, ResponseBody};
use super::call::{CallGuard, Told};
use super::error::{self, ProxyError, Refusal, Unanswered};
use super::facts::{self, Forwards};
use super::forward::{Answer, Answered, forward};
use super::headers::{self, Hop, INTERLOCK_DEGRADED, INTERLOCK_FLAG, INTERLOCK_PATH};
use super::keyed;
use super::server::Admitted;
use super::traced;
use super::tunnel;
use super::verify;
use super::watch::Watch;
use super::worker::{self, Worker};
use crate::domain::decision::Freshness;
use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::paths::mirror::{self, Mirrored};
use crate::paths::{self, Plan};
use crate::telemetry::events::{ClientRefused, Decided};
use crate::telemetry::trace;

/// A body up to this length leaves with its head in one write.
const SMALL_BODY: u64 = 64 * 1024;

/// One client connection.
pub(crate) struct Client {
    pub(crate) watch: Arc<Watch>,
    /// Its place among the worker's connections.
    pub(crate) admitted: Rc<Admitted>,
    pub(super) peer: IpAddr,
    hop: Hop,
}

impl Client {
    pub(crate) fn new(peer: SocketAddr, watch: Arc<Watch>, admitted: Rc<Admitted>) -> Self {
        Self { watch, admitted, peer: peer.ip(), hop: Hop::new(peer.ip()) }
    }
}

/// Serves one request. Always an answer: what goes wrong becomes a problem document.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    client: Rc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    client.watch.set_busy(true);
    let mut call = CallGuard::new(&worker.shared.telemetry, &client.watch, request.version());
    let method = request.method().clone();

    traced::begin(&worker, &client, &mut request, &mut call.told);
    let trace = call.told.trace;

    let served = {
        let serving = pin!(serve(&worker, &client, request, &mut call.told));
        trace::within(trace, serving).await
    };

    let _working = trace::enter(trace);
    let mut response = served.unwrap_or_else(|error| {
        if let ProxyError::Refused(refusal) | ProxyError::BrokenOff(refusal) = &error {
            ClientRefused { reason: refusal.label() }.emit(&worker.shared.telemetry);
            client.watch.set_linger();
        }
        error.into_response(&method)
    });
    mark(&worker, &mut response, &call.told);
    call.told.answered(response.status());
    response.body_mut().call = Some(call);
    Ok(response)
}

async fn serve(
    worker: &Rc<Worker>,
    client: &Client,
    request: Request<Incoming>,
    told: &mut Told,
) -> Result<Response<ResponseBody>, ProxyError> {
    let watch = Arc::clone(&client.watch);
    let mut request = Box::new(request.map(|body| RequestBody::streamed(body, watch)));
    facts::check(&mut request, client.watch.has_conflict())?;
    let expects_continue = facts::expects_continue(&request)?;
    if facts::count_forwards(&mut request) == Forwards::Here {
        return Ok(error::options_here());
    }

    let mut plan = match plan(worker, &request, None) {
        Planned::Body(limit) => {
            let json = hold_json(worker, request.body_mut(), limit).await?;
            plan(worker, &request, Some(&json)).done()
        }
        planned => planned.done(),
    };
    if let Some((plan, freshness)) = &mut plan {
        (plan.trace, plan.span) = (told.trace, told.span.clone());
        if let Some(span) = &plan.span {
            let Plan { decision, version, .. } = *plan;
            let (flag, entity) = (&plan.route.flag.name, plan.entity.as_deref());
            span.decided(trace::Decided { flag, version, decision, entity });
        }
        let changes = !request.method().is_safe();
        told.about(plan.route.route_index, plan.decision.path, *freshness, changes);
    }
    traced::mark(told, &mut request);

    if let Some((plan, _)) = &plan
        && plan.entity.is_some()
        && let Some(replayed) = replayed(worker, plan, &mut request, told).await?
    {
        return Ok(replayed);
    }
    if let Some((plan, _)) = &plan
        && let Some(mut watched) = plan.watched.take()
    {
        verify::hold_value(worker, &plan.route, &mut watched, &mut request).await?;
        verify::look_ahead(worker, &watched);
        plan.watched.set(Some(watched));
    }

    let version = request.version();
    let switch = request.extensions_mut().remove::<OnUpgrade>();
    let protocol = client
        .hop
        .prepare(request.headers_mut(), version)
        // HTTP/1.0 knows no change of protocol (RFC 9110 section 7.8).
        .filter(|_| version >= Version::HTTP_11);
    address(worker, &plan, protocol.as_ref(), &mut request);
    let mirrored = match &plan {
        Some((plan, _)) => mirror::hold(worker, plan, &mut request).await?,
        None => None,
    };
    frame(&mut request);
    pace(&mut request, expects_continue).await?;

    let answered = match &plan {
        Some((plan, _)) => paths::serve(worker, plan, request, told).await?,
        None => forward(&worker.legacy, request).await.map_err(ProxyError::from)?,
    };
    told.elsewhere = Some(answered.elapsed + answered.waited);
    answer(client, answered, switch.filter(|_| protocol.is_some()), told, mirrored)
}

/// What a call gets that came before with its key.
async fn replayed(
    worker: &Worker,
    plan: &Plan<'_>,
    request: &mut Request<RequestBody>,
    told: &mut Told,
) -> Result<Option<Response<ResponseBody>>, ProxyError> {
    let recall = async |receipt, request: &mut Request<RequestBody>| {
        paths::recalled(worker, plan, receipt, request).await
    };
    keyed::begin(worker, &plan.route, &plan.keyed, request, told, recall).await
}

/// What is known of a call before its body was looked at.
enum Planned<'w> {
    /// A call that is none of ours.
    Passed,
    /// An update, decided by flags that are that fresh.
    Update(Plan<'w>, Freshness),
    /// The entity stands in the body, of which so much may be held.
    Body(usize),
}

impl<'w> Planned<'w> {
    fn done(self) -> Option<(Plan<'w>, Freshness)> {
        match self {
            Self::Update(plan, freshness) => Some((plan, freshness)),
            Self::Passed | Self::Body(_) => None,
        }
    }
}

/// Finds out which flag the call belongs to, what it mutates and which path it takes.
fn plan<'w>(
    worker: &'w Worker,
    request: &Request<RequestBody>,
    json: Option<&Option<Value>>,
) -> Planned<'w> {
    let found = worker.shared.router.find(request.method(), request.uri().path());
    let Some((index, captures)) = found else { return Planned::Passed };
    let Some(route) = worker.shared.route(index) else { return Planned::Passed };
    if json.is_none() && facts::needs_body(route.sources()) {
        return Planned::Body(worker.shared.config.proxy.max_body);
    }
    let json = json.and_then(Option::as_ref);
    let values = route.config().and_then(|spec| facts::values(spec, request, &captures, json));
    let entity = values.as_ref().and_then(|values| route.flag.entity.fill(values));
    let watched = entity.as_deref().zip(values.as_ref()).and_then(|(entity, values)| {
        verify::watch(worker, &route, entity, values, request, &captures)
    });
    let worker::Decided { decision, freshness, version, underway } =
        worker.decide(&route, entity.as_deref());
    Decided { flag: route.flag_index, decision }.emit(&worker.shared.telemetry);
    let (trace, keyed) = (TraceContext::NONE, Cell::new(None));
    let (watched, underway) = (Cell::new(watched), Cell::new(underway));
    let plan =
        Plan { route, decision, version, entity, trace, span: None, watched, keyed, underway };
    Planned::Update(plan, freshness)
}

/// The body as JSON. One that is no JSON has no entity; the app will say what it thinks of it.
async fn hold_json(
    worker: &Worker,
    body: &mut RequestBody,
    limit: usize,
) -> Result<Option<Value>, ProxyError> {
    if !body.hold(limit, &worker.memory).await? {
        return Err(Refusal::BodyTooLarge { limit }.into());
    }
    Ok(serde_json::from_slice(&body.join_held()).ok())
}

/// Addresses the request to the upstream, in our name.
fn address(
    worker: &Worker,
    plan: &Option<(Plan<'_>, Freshness)>,
    protocol: Option<&HeaderValue>,
    request: &mut Request<RequestBody>,
) {
    let old = request.version() < Version::HTTP_11;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    if old && !headers.contains_key(HOST) {
        headers.insert(HOST, host_of(worker, plan).clone());
    }
    // A call without an entity goes to legacy untouched.
    if let Some((plan, _)) = plan.as_ref().filter(|(plan, _)| plan.entity.is_some()) {
        headers.insert(INTERLOCK_PATH, path_value(plan.decision.path));
        headers.insert(INTERLOCK_FLAG, plan.route.name.clone());
    }
    if let Some(protocol) = protocol {
        let options = if headers.contains_key(TE) { "te, upgrade" } else { "upgrade" };
        headers.insert(CONNECTION, HeaderValue::from_static(options));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Says that a body of unknown length comes in chunks: for some methods hyper would take it that there is none.
fn frame(request: &mut Request<RequestBody>) {
    let body = request.body();
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// The host of the upstream that will serve.
fn host_of<'w>(worker: &'w Worker, plan: &Option<(Plan<'_>, Freshness)>) -> &'w HeaderValue {
    let fixed = plan.as_ref().filter(|(plan, _)| plan.decision.path == Path::Fixed);
    let pool = fixed.and_then(|(plan, _)| worker.fixed(plan.route.flag_place));
    &pool.unwrap_or(&worker.legacy).host
}

/// Settles when the body goes: at the upstream's word where the client waits for one, with the head where it is small, as
/// it comes otherwise.
async fn pace(
    upstream: &mut Request<RequestBody>,
    expects_continue: bool,
) -> Result<(), ProxyError> {
    let length = upstream.body().size_hint().exact();
    if !expects_continue {
        if length.is_some_and(|length| length <= SMALL_BODY) {
            upstream.body_mut().fill_first().await?;
        }
        return Ok(());
    }
    if upstream.body().is_held() {
        // We asked the client for it already.
        upstream.headers_mut().remove(EXPECT);
        return Ok(());
    }
    let open = upstream.body_mut().wait_for_continue();
    hyper::ext::on_informational(upstream, move |response| {
        if error::asks_for_body(response.status()) {
            open.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    Ok(())
}

fn answer(
    client: &Client,
    answered: Answered,
    switch: Option<OnUpgrade>,
    told: &Told,
    mirrored: Option<Box<Mirrored>>,
) -> Result<Response<ResponseBody>, ProxyError> {
    match answered.answer {
        Answer::Response(response) => {
            let (mut parts, relay) = response.into_parts();
            let tap = mirrored.map(|it| it.watch(told, parts.status, &parts.headers));
            headers::prepare_response(&mut parts.headers);
            if relay.is_early() {
                parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            parts.version = Version::HTTP_11;
            Ok(Response::from_parts(parts, ResponseBody::relayed(relay, tap)))
        }
        Answer::Made(response) => {
            let (parts, body) = response.into_parts();
            if let Some(mirrored) = mirrored {
                let mut tap = mirrored.watch(told, parts.status, &parts.headers);
                tap.pass(&body);
                tap.end();
            }
            Ok(Response::from_parts(parts, ResponseBody::full(body)))
        }
        Answer::Upgrade(head, tcp, first) => {
            // One that nobody asked for was refused by `exchange`; without the client's half there is none to make either.
            let switch = switch.ok_or(Unanswered::Protocol { source: None })?;
            tunnel::open(client, switch, tcp, first);
            let mut response = head.map(|()| ResponseBody::empty());
            keep_upgrade(response.headers_mut());
            Ok(response)
        }
    }
}

/// An answer that changes the protocol names it hop by hop, by its nature.
fn keep_upgrade(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    headers::prepare_response(headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
}

/// Says on the answer what is to be said of its making.
fn mark(worker: &Worker, response: &mut Response<ResponseBody>, told: &Told) {
    let status = response.status();
    let headers = response.headers_mut();
    if let Some(path) = told.path
        && worker.shared.config.proxy.path_header
    {
        headers.insert(INTERLOCK_PATH, path_value(path));
    }
    if told.is_update && error::leaves_outcome_open(status) {
        headers.insert(error::OUTCOME, HeaderValue::from_static("unknown"));
    }
    let degraded = match (told.without_store, told.stale_flags) {
        (false, false) => None,
        (false, true) => Some("stale-flags"),
        (true, false) => Some("store-unavailable"),
        (true, true) => Some("store-unavailable, stale-flags"),
    };
    if let Some(degraded) = degraded {
        headers.insert(INTERLOCK_DEGRADED, HeaderValue::from_static(degraded));
    }
    if worker.draining.get() && !error::switches(status) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

fn path_value(path: Path) -> HeaderValue {
    HeaderValue::from_static(path.as_str())
}
