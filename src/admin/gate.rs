//! Who gets past the door: what is open to everybody, and what a token is needed for.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::header::HeaderMap;

use super::auth::{self, Caller, Tokens};
use super::failures::Failures;
use super::problem::Refusal;
use super::router::Endpoint;
use crate::clock;
use crate::config::AdminOpen;

/// What of the endpoints for machines needs no token at a listener: on loopback all of it, beyond it what is configured so.
pub fn open_at(listener: SocketAddr, beyond: AdminOpen) -> AdminOpen {
    let everything = AdminOpen { probes: true, metrics: true };
    if listener.ip().is_loopback() { everything } else { beyond }
}

/// Lets callers in, or not.
pub struct Gate {
    /// Those in force; without any, everybody who can connect may do everything.
    tokens: Option<Arc<ArcSwap<Tokens>>>,
    open: AdminOpen,
    failures: Mutex<Failures>,
}

impl Gate {
    /// One before which nobody has failed yet.
    pub fn new(tokens: Option<Arc<ArcSwap<Tokens>>>, open: AdminOpen) -> Self {
        Self { tokens, open, failures: Mutex::default() }
    }

    /// Whether an endpoint needs no token.
    pub(super) fn is_open(&self, endpoint: &Endpoint) -> bool {
        match endpoint {
            Endpoint::Livez | Endpoint::Readyz => self.open.probes,
            Endpoint::Metrics => self.open.metrics,
            _ => false,
        }
    }

    /// Who calls.
    pub(super) fn admit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, Refusal> {
        let tokens = self.tokens.as_ref().map(|tokens| tokens.load());
        let caller = auth::caller(tokens.as_ref().map(|tokens| &***tokens), headers);
        let Err(Refusal::BadToken) = caller else {
            return caller;
        };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.note(peer, clock::now()) {
            Ok(()) => Err(Refusal::BadToken),
            Err(wait) => Err(Refusal::TooManyFailures { wait }),
        }
    }
}
