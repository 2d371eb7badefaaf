//! What the audit trail says of a call. The flags' history stays the record of changes; this also tells who was refused.

use std::net::SocketAddr;

use http::Method;

use super::auth::Caller;
use super::problem::Refusal;
use super::router::Endpoint;
use crate::telemetry::Telemetry;
use crate::telemetry::events::{AdminCall, AdminChanged, AdminRefused, SidecarForgotten};

/// What is known of a call so far.
#[derive(Clone, Debug)]
pub(super) struct Audit {
    peer: SocketAddr,
    method: &'static str,
    path: &'static str,
    caller: Option<Caller>,
}

impl Audit {
    /// A call of which nothing is known but where it came from.
    pub(super) fn of(peer: SocketAddr, method: &Method) -> Self {
        Self { peer, method: word(method), path: "", caller: None }
    }

    /// It is for this endpoint.
    pub(super) fn is_for(&mut self, endpoint: &Endpoint) {
        self.path = endpoint.template();
    }

    /// It is this one's.
    pub(super) fn is_by(&mut self, caller: Caller) {
        self.caller = Some(caller);
    }

    /// It has changed a flag, which has this version since.
    pub(super) fn changed(&self, flag: &str, version: u64) {
        AdminChanged { call: self.call(), flag, version }.emit();
    }

    /// It has taken a sidecar off the register.
    pub(super) fn forgot(&self, sidecar: &str, reason: &str) {
        SidecarForgotten { call: self.call(), sidecar, reason }.emit();
    }

    /// It was refused.
    pub(super) fn refused(&self, refusal: &Refusal, telemetry: &Telemetry) {
        let (status, reason) = refusal.kind();
        let refusal = refusal.counted_as();
        AdminRefused { call: self.call(), refusal, reason, status: status.as_u16() }
            .emit(telemetry);
    }

    fn call(&self) -> AdminCall<'_> {
        let (by, role) =
            self.caller.as_ref().map_or(("", ""), |caller| (&caller.name, caller.role.word()));
        AdminCall { by, role, peer: self.peer, method: self.method, path: self.path }
    }
}

/// A word of a closed set: what a client sends does not get into the log.
fn word(method: &Method) -> &'static str {
    const SERVED: [(&Method, &str); 7] = [
        (&Method::GET, "GET"),
        (&Method::HEAD, "HEAD"),
        (&Method::PATCH, "PATCH"),
        (&Method::POST, "POST"),
        (&Method::PUT, "PUT"),
        (&Method::DELETE, "DELETE"),
        (&Method::OPTIONS, "OPTIONS"),
    ];
    SERVED.iter().find(|(known, _)| *known == method).map_or("_OTHER", |(_, word)| word)
}
