//! The admin plane: health, metrics, and the flags to read and change.
//!
//! A call's life is [`handle`]: is the host ours (`guard`), which endpoint (`router`), who calls and may they
//! ([`auth`]), what do they want (`input`, `precondition`), do it (`flags`), and write it down as a `view` or
//! a `problem`. `server` brings calls here from a socket. Reading never asks the app or a store, so it answers when
//! everything else is gone; in a fleet a change asks the store.

mod accept;
pub mod auth;
mod divergences;
mod flags;
mod fleet;
mod guard;
pub mod health;
mod input;
mod precondition;
mod problem;
mod router;
mod server;
mod view;

#[cfg(test)]
mod tests;

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

use auth::Tokens;
pub use guard::HostPolicy;
use health::Health;
use problem::Refusal;
use router::{Access, Endpoint};
pub use server::serve;

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
    /// Who may read and change; without them everybody who can connect may do both.
    pub tokens: Option<Tokens>,
    /// Which `Host` a call may name.
    pub hosts: HostPolicy,
    /// How flags are changed.
    pub changes: Changes,
    /// The sidecars as they were last seen; without a fleet, this one alone.
    pub fleet: Arc<ArcSwap<FleetView>>,
    /// The divergence records.
    pub(crate) records: Records,
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
}

/// Answers one call. Never fails: what can't be done is an answer too.
pub async fn handle<B>(state: &Arc<AdminState>, request: Request<B>) -> AdminResponse
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let answer = answer(state, &parts, body).await;
    finish(&parts.method, answer.unwrap_or_else(Refusal::into_response))
}

async fn answer<B>(
    state: &Arc<AdminState>,
    parts: &Parts,
    body: B,
) -> Result<AdminResponse, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    state.hosts.check(parts)?;
    let endpoint = router::route(parts.uri.path())?;
    let access = endpoint.access(&parts.method)?;
    if access == Access::Open {
        return Ok(open(state, &endpoint));
    }
    let caller = auth::caller(state.tokens.as_ref(), &parts.headers)?;
    match &endpoint {
        Endpoint::Fleet => return fleet::read(state, parts.uri.query()),
        Endpoint::Divergences => return divergences::list(state, parts.uri.query()).await,
        Endpoint::Divergence { id } => return divergences::show(state, parts, id).await,
        _ => {}
    }
    if access == Access::Read {
        return flags::read(&state.store, &endpoint, parts.uri.query());
    }
    caller.check_may_change()?;
    guard::check_write(parts)?;
    let body = input::read_body(body).await?;
    flags::change(state, &endpoint, parts, &body, caller).await
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
