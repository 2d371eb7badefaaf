//! The admin plane: health, metrics, and the flags to read and change.
//!
//! A call's life is [`handle`]: is the host ours (`guard`), which endpoint (`router`), who calls and may they
//! ([`gate`], [`auth`]), what do they want (`input`, `precondition`), do it (`flags`), write it down as a `view` or
//! a `problem`, and tell of it (`audit`). `server` brings calls here from a socket, through [`tls`] where that is configured;
//! [`files`] follows tokens and certificates as they are replaced. Reading never asks the app, and of the store only
//! for divergence records, so it answers when everything else is gone; in a fleet a change asks the store.

mod accept;
mod audit;
pub mod auth;
mod divergences;
mod failures;
pub mod files;
mod flags;
mod fleet;
pub mod gate;
mod guard;
pub mod health;
mod input;
mod precondition;
mod problem;
mod router;
mod server;
pub mod tls;
mod turns;
mod view;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use crate::domain::flag::FlagState;
use crate::fleet::FleetView;
use crate::shadow::Records;
use crate::store::{Applied, FlagStore, FleetFlags};
use crate::telemetry::Telemetry;

use audit::Audit;
use gate::Gate;
pub use guard::HostPolicy;
use health::Health;
use problem::Refusal;
use router::{Access, Endpoint};
pub use server::serve;
use tls::Secure;
pub(crate) use turns::Turns;

/// What an answer's body is made of.
pub type AdminResponse = Response<Full<Bytes>>;

/// Everything that the admin plane shows and changes.
pub struct AdminState {
    /// The flags.
    pub store: FlagStore,
    /// What `/readyz` reports.
    pub health: Arc<Health>,
    /// What `/metrics` answers.
    pub metrics: MetricsPage,
    /// Who may read and change.
    pub gate: Gate,
    /// Makes connections secure; without it they are plain.
    pub secure: Option<Secure>,
    /// Which `Host` a call may name.
    pub hosts: HostPolicy,
    /// How flags are changed.
    pub changes: Changes,
    /// The sidecars as they were last seen; without a fleet, this one alone.
    pub fleet: Arc<ArcSwap<FleetView>>,
    /// The divergence records.
    pub(crate) records: Records,
    /// Whose turn it is to read.
    pub(crate) turns: Turns,
    /// Tells of changes and refusals.
    pub telemetry: Telemetry,
}

/// How flags are changed.
pub enum Changes {
    /// They are this process's own.
    Local(OnChange),
    /// A fleet shares them.
    Fleet(FleetFlags),
}

/// The metrics as text.
pub struct MetricsPage {
    /// Renders them.
    pub render: Box<dyn Fn() -> String + Send + Sync>,
    /// The `Content-Type` of what `render` makes.
    pub content_type: &'static str,
}

type ChangeHook = dyn Fn(&str, &FlagState, &FlagState) + Send + Sync;

/// Is told of every change made through the admin plane, in the order in which they were made.
pub struct OnChange {
    hook: Box<ChangeHook>,
    in_order: Mutex<()>,
}

impl OnChange {
    /// Takes a function of the flag's name, its state before, and its state after. It must not block for long.
    pub fn new(hook: impl Fn(&str, &FlagState, &FlagState) + Send + Sync + 'static) -> Self {
        Self { hook: Box::new(hook), in_order: Mutex::new(()) }
    }

    fn tell<E>(
        &self,
        flag: &str,
        change: impl FnOnce() -> Result<Applied, E>,
    ) -> Result<Applied, E> {
        let _in_order = self.in_order.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = change()?;
        (self.hook)(flag, &applied.before, &applied.after);
        Ok(applied)
    }

    /// Tells of the steps that `take` makes, through what it is given.
    pub(crate) fn tell_steps(&self, take: impl FnOnce(&ChangeHook)) {
        let _in_order = self.in_order.lock().unwrap_or_else(PoisonError::into_inner);
        take(&*self.hook);
    }
}

/// Answers one call from the other end of a connection. Never fails: what can't be done is an answer too.
pub async fn handle<B>(
    state: &Arc<AdminState>,
    peer: SocketAddr,
    request: Request<B>,
) -> AdminResponse
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let mut audit = Audit::of(peer, &parts.method);
    let answer = answer(state, &mut audit, peer, &parts, body).await;
    let response = answer.unwrap_or_else(|refusal| {
        audit.refused(&refusal, &state.telemetry);
        refusal.into_response()
    });
    finish(&parts.method, response)
}

async fn answer<B>(
    state: &Arc<AdminState>,
    audit: &mut Audit,
    peer: SocketAddr,
    parts: &Parts,
    body: B,
) -> Result<AdminResponse, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    state.hosts.check(parts)?;
    let endpoint = router::route(parts.uri.path());
    let access = match &endpoint {
        Ok(endpoint) => {
            audit.is_for(endpoint);
            endpoint.access(&parts.method)
        }
        Err(_) => Ok(Access::Read),
    };
    if let (Ok(endpoint), Ok(Access::Open)) = (&endpoint, &access)
        && state.gate.is_open(endpoint)
    {
        return Ok(open(state, endpoint));
    }
    // Before it is said what there is: whoever has no token learns only that one is needed.
    let caller = state.gate.admit(&parts.headers, peer.ip())?;
    audit.is_by(caller.clone());
    let (endpoint, access) = (endpoint?, access?);
    if access == Access::Open {
        return Ok(open(state, &endpoint));
    }
    let _turn = match access {
        Access::Read => state.turns.take(&caller).await,
        _ => None,
    };
    match &endpoint {
        Endpoint::Fleet => return fleet::read(state, parts.uri.query()),
        Endpoint::Divergences => return divergences::list(state, parts.uri.query()).await,
        Endpoint::Divergence { id } => return divergences::show(state, parts, id).await,
        _ => {}
    }
    if access == Access::Read {
        return flags::read(state, &endpoint, parts.uri.query());
    }
    caller.check_may_change()?;
    guard::check_write(parts)?;
    let body = input::read_body(body).await?;
    if let Endpoint::Forget { id } = &endpoint {
        return fleet::forget(state, audit, id, parts.uri.query(), &body).await;
    }
    flags::change(state, audit, &endpoint, parts, &body, caller).await
}

/// The endpoints for machines that carry no token.
fn open(state: &AdminState, endpoint: &Endpoint) -> AdminResponse {
    match endpoint {
        Endpoint::Metrics => {
            let text = (state.metrics.render)();
            body_response(StatusCode::OK, state.metrics.content_type, text.into())
        }
        Endpoint::Readyz => {
            let refused = match &state.changes {
                Changes::Local(_) => Arc::default(),
                Changes::Fleet(flags) => flags.refused(),
            };
            let report = state.health.report(state.store.snapshot().freshness, &refused);
            let status =
                if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json_response(status, &report)
        }
        _ => json_response(StatusCode::OK, &serde_json::json!({"live": true})),
    }
}

fn json_response(status: StatusCode, value: &impl serde::Serialize) -> AdminResponse {
    match serde_json::to_vec(value) {
        Ok(json) => body_response(status, "application/json", json.into()),
        Err(_) => Refusal::Internal.into_response(),
    }
}

fn body_response(status: StatusCode, content_type: &'static str, body: Bytes) -> AdminResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What every answer carries: nobody may cache, sniff or frame it, and `HEAD` gets the header alone.
fn finish(method: &Method, mut response: AdminResponse) -> AdminResponse {
    const ALWAYS: [(HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let length = response.body().size_hint().lower();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if method == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    response
}
