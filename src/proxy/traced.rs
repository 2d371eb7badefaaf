//! A call's trace: read where it comes in, and written where it is sent on. All but the first look is for traced calls alone.

use std::rc::Rc;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::body::Incoming;

use super::body::RequestBody;
use super::call::Told;
use super::forward::{Answer, ExchangeError, ForwardError};
use super::handler::Client;
use super::pool::Pool;
use super::worker::Worker;
use crate::clock::{self, Instant};
use crate::domain::trace::TraceContext;
use crate::telemetry::labels::LabelValue;
use crate::telemetry::trace::{self, ActiveSpan, Onward, Target};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where `http://` is served when no port is written.
const HTTP: u16 = 80;

/// What an attempt that was not begun to be sent is said to have failed of.
const UNSENT: &str = "unsent";
/// What an attempt without a connection is said to have failed of.
const UNCONNECTED: &str = "connect";

/// A call comes in: finds out which trace it belongs to, and begins its span where it is traced.
pub(super) fn begin(
    worker: &Worker,
    client: &Client,
    request: &mut Request<Incoming>,
    told: &mut Told,
) {
    let tracer = worker.shared.telemetry.tracer();
    let caller = caller(request.headers());
    told.trace = tracer.begin(caller);
    told.span = tracer.serve(
        told.trace,
        caller,
        trace::Incoming {
            method: request.method(),
            path: request.uri().path(),
            version: request.version(),
            client: client.peer,
            user_agent: request.headers().get(http::header::USER_AGENT),
            started: told.started,
        },
    );
    let Some(span) = &told.span else { return };
    let found = worker.shared.router.find(request.method(), request.uri().path());
    let route = found.and_then(|(index, _)| worker.shared.route(index));
    if let Some(route) = route.and_then(|it| it.flag.routes.get(it.route_place)) {
        span.matched(&route.path);
    }
    if caller.is_none() {
        // It says something of a trace that is not the one that begins here.
        request.headers_mut().remove(TRACESTATE);
    }
}

/// The place that a caller names, unless it says two things or none that can be understood.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => TraceContext::parse(value.as_bytes()),
        _ => None,
    }
}

/// Lets whoever sends a traced call on know that it is one.
pub(super) fn mark(told: &Told, request: &mut Request<RequestBody>) {
    if let Some(span) = &told.span {
        request.extensions_mut().insert(Onward::new(told.trace, span.shown_path()));
    }
}

/// Now, if the call is traced.
pub(crate) fn since(request: &Request<RequestBody>) -> Option<Instant> {
    request.extensions().get::<Onward>().map(|_| clock::now())
}

/// There was no connection for a traced call, for which one was looked for since then.
pub(crate) fn unconnected(
    pool: &Rc<Pool>,
    request: &mut Request<RequestBody>,
    since: Option<Instant>,
) {
    if let Some(mut span) = since.and_then(|since| begin_attempt(pool, request, since)) {
        span.fail(UNCONNECTED);
    }
}

/// A call is sent on: begins a span for the attempt, and makes it the parent of what the upstream does.
pub(super) fn send_on(
    pool: &Rc<Pool>,
    request: &mut Request<RequestBody>,
    since: Instant,
) -> Option<ActiveSpan> {
    let span = begin_attempt(pool, request, since)?;
    let traceparent = HeaderValue::from_str(span.context().traceparent().as_str()).ok()?;
    request.headers_mut().insert(TRACEPARENT, traceparent);
    Some(span)
}

fn begin_attempt(
    pool: &Rc<Pool>,
    request: &mut Request<RequestBody>,
    since: Instant,
) -> Option<ActiveSpan> {
    request.extensions().get::<Onward>()?;
    let method = request.method().clone();
    let onward = request.extensions_mut().get_mut()?;
    let authority = pool.host.to_str().unwrap_or_default();
    let parsed: Option<Authority> = authority.parse().ok();
    let host = parsed.as_ref().map_or("", Authority::host);
    let target = Target {
        host: host.trim_start_matches('[').trim_end_matches(']'),
        port: parsed.as_ref().and_then(Authority::port_u16).unwrap_or(HTTP),
        authority,
        role: pool.role,
    };
    Some(pool.telemetry.tracer().send_on(onward, &method, target, since))
}

/// The head of an answer has come, or there will be none.
pub(super) fn sent(span: &mut ActiveSpan, result: &Result<Answer, ExchangeError>) {
    match result {
        Ok(Answer::Response(response)) => span.answered(response.status()),
        Ok(Answer::Made(response)) => span.answered(response.status()),
        Ok(Answer::Upgrade(head, ..)) => span.answered(head.status()),
        Err(ExchangeError::Unsent(_)) => span.fail(UNSENT),
        Err(ExchangeError::Failed(ForwardError::Connect(_))) => span.fail(UNCONNECTED),
        Err(ExchangeError::Failed(ForwardError::Unanswered(why))) => span.fail(why.label().word()),
        Err(ExchangeError::Failed(ForwardError::Client(why))) => span.fail(why.label().word()),
    }
}
