//! The span of a call that is served here.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, Version};
use sha2::{Digest, Sha256};

use super::{ActiveSpan, Kind, SpanRecord, Tracer, names};
use crate::clock::Instant;
use crate::domain::decision::{Decision, Reason};
use crate::domain::flag::{Path, Protection};
use crate::domain::route::PathTemplate;
use crate::domain::trace::TraceContext;
use crate::telemetry::labels::{LabelValue, Outcome};

/// What is known of a call when its head has come.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Its path as it came, without the query.
    pub path: &'r str,
    /// The version that the client speaks.
    pub version: Version,
    /// From where the client connected.
    pub client: IpAddr,
    /// What it says it is.
    pub user_agent: Option<&'r HeaderValue>,
    /// When it came.
    pub started: Instant,
}

/// What was decided about a call.
#[derive(Clone, Copy, Debug)]
pub struct Decided<'r> {
    /// The route's flag.
    pub flag: &'r str,
    /// The version of its state that decided.
    pub version: u64,
    /// The decision.
    pub decision: Decision,
    /// What the call mutates; only a hash of it is kept.
    pub entity: Option<&'r str>,
}

/// The span of a call: filled in as more is known of it, and recorded when nobody is left who could know more. A client may leave
/// before its update has come to its end.
pub struct ServerSpan {
    method: Method,
    state: RefCell<State>,
}

struct State {
    span: ActiveSpan,
    /// The path as spans show it.
    path: Arc<str>,
}

impl Tracer<'_> {
    /// The span of a call at `context`, if it is traced.
    pub fn serve(
        self,
        context: TraceContext,
        caller: Option<TraceContext>,
        incoming: Incoming<'_>,
    ) -> Option<Rc<ServerSpan>> {
        if !context.sampled || !self.is_on() {
            return None;
        }
        let Incoming { method, path, version, client, user_agent, started } = incoming;
        let parent = caller.unwrap_or(TraceContext::NONE);
        let mut span =
            SpanRecord::child(context, parent, Kind::Server, method_in_name(method), started);
        span.parent_is_remote = caller.is_some();
        span.set(names::HTTP_REQUEST_METHOD, method_word(method));
        span.set(names::URL_SCHEME, "http");
        span.set(names::NETWORK_PROTOCOL_VERSION, version_word(version));
        span.set(names::CLIENT_ADDRESS, client.to_canonical().to_string());
        if let Some(agent) = user_agent.and_then(|agent| agent.to_str().ok()) {
            span.set(names::USER_AGENT_ORIGINAL, agent.to_owned());
        }
        let state = State { span: self.active(span), path: path.into() };
        Some(Rc::new(ServerSpan { method: method.clone(), state: RefCell::new(state) }))
    }
}

impl ServerSpan {
    /// The call matches a route. From now on the values that the route takes out of the path show in no span.
    pub fn matched(&self, route: &PathTemplate) {
        let mut state = self.state.borrow_mut();
        let State { span, path } = &mut *state;
        let route = route.to_string();
        *path = route.as_str().into();
        let name = format!("{} {route}", method_in_name(&self.method));
        span.with(|span| span.name = name.into());
        span.set(names::HTTP_ROUTE, route);
    }

    /// A path was decided on for what matched a route.
    pub fn decided(&self, decided: Decided<'_>) {
        let Decided { flag, version, decision, entity } = decided;
        let span = &mut self.state.borrow_mut().span;
        span.set(names::FLAG_KEY, flag.to_owned());
        span.set(names::FLAG_VARIANT, decision.path.as_str());
        span.set(names::FLAG_REASON, reason_word(decision.reason));
        span.set(names::FLAG_VERSION, version.to_string());
        span.set(names::FLAG_PROVIDER, "interlock");
        if let Some(entity) = entity {
            span.set(names::FLAG_CONTEXT, entity_hash(entity));
        }
    }

    /// The path as spans show it.
    pub fn shown_path(&self) -> Arc<str> {
        Arc::clone(&self.state.borrow().path)
    }

    /// The update has come to its end.
    pub fn settled(&self, protection: Protection, outcome: Outcome) {
        let span = &mut self.state.borrow_mut().span;
        span.set(names::PROTECTION, protection.as_str());
        span.set(names::OUTCOME, outcome.word());
    }

    /// What it says under one of [`names`], as far as it is known.
    #[cfg(test)]
    pub(crate) fn says(&self, key: &'static str) -> Option<super::Value> {
        let mut said = None;
        self.state.borrow_mut().span.with(|span| {
            let found = span.attributes.iter().rfind(|(name, _)| *name == key);
            said = found.map(|(_, value)| value.clone());
        });
        said
    }

    /// The answer has come to its end, or the client has left; `path` is the one that served what matched a route.
    pub fn ended(&self, code: Option<StatusCode>, path: Option<Path>, at: Instant) {
        let span = &mut self.state.borrow_mut().span;
        span.with(|span| span.end(at));
        if let Some(path) = path {
            span.set(names::PATH, path.as_str());
        }
        let Some(code) = code else { return };
        span.set(names::HTTP_RESPONSE_STATUS_CODE, code.as_u16());
        if code.is_server_error() {
            span.fail(code.as_str().to_owned());
        }
    }
}

impl Drop for ServerSpan {
    fn drop(&mut self) {
        let State { span, path } = self.state.get_mut();
        span.set(names::URL_PATH, path.as_ref().to_owned());
    }
}

/// A method as the attribute has it: what is not one of the known ones is none.
pub(super) fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ => names::OTHER_METHOD,
    }
}

/// A method as a span's name has it.
pub(super) fn method_in_name(method: &Method) -> &'static str {
    match method_word(method) {
        names::OTHER_METHOD => "HTTP",
        known => known,
    }
}

fn version_word(version: Version) -> &'static str {
    if version < Version::HTTP_11 { "1.0" } else { "1.1" }
}

/// Why, in OpenTelemetry's words.
fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Split => "split",
        Reason::Pinned => "targeting_match",
        Reason::Killed => "disabled",
        Reason::Static => "static",
        Reason::Stale => "stale",
        Reason::Default => "default",
        Reason::NoEntity => "error",
    }
}

/// Tells entities apart without naming them: the first 64 bits of its SHA-256, in hexadecimal.
pub fn entity_hash(entity: &str) -> String {
    let hash = Sha256::digest(entity);
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
