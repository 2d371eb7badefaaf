//! The spans of calls that are made for a traced one: to an upstream, to the store, and the wait for a lease.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::server::{method_in_name, method_word};
use super::{ActiveSpan, Kind, SpanRecord, Tracer, current, names};
use crate::clock::{self, Instant};
use crate::domain::trace::TraceContext;
use crate::telemetry::labels::{LabelValue, Role, StoreOperation};

/// What is known of a traced call when it is sent on; travels with the request, as an extension.
#[derive(Clone, Debug)]
pub struct Onward {
    from: TraceContext,
    /// It is no part of the call that it is made for, and may end after it: its spans are linked to that call's.
    apart: bool,
    path: Arc<str>,
    attempts: u64,
}

impl Onward {
    /// A call that is sent on for the one at `from`; `path` is shown in place of its own.
    pub fn new(from: TraceContext, path: Arc<str>) -> Self {
        Self { from, apart: false, path, attempts: 0 }
    }

    /// A call that is made on the occasion of the one at `from`, such as a shadow: it gets a trace of its own.
    pub fn apart(from: TraceContext, path: Arc<str>) -> Self {
        Self { apart: true, ..Self::new(from, path) }
    }
}

/// Where a call is sent, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// The upstream's host, without brackets.
    pub host: &'t str,
    /// Its port.
    pub port: u16,
    /// Both, as a URL has them.
    pub authority: &'t str,
    /// What the call is for.
    pub role: Role,
}

impl Tracer<'_> {
    /// The span of an attempt to send a call on.
    pub fn send_on(
        self,
        onward: &mut Onward,
        method: &Method,
        target: Target<'_>,
        started: Instant,
    ) -> ActiveSpan {
        let (from, name) = (onward.from, method_in_name(method));
        let mut span = match onward.apart {
            false => self.client(from, name, started),
            true => SpanRecord::root(self.root(), Kind::Client, name, started),
        };
        if onward.apart {
            span.link(from);
        }
        span.set(names::HTTP_REQUEST_METHOD, method_word(method));
        span.set(names::SERVER_ADDRESS, target.host.to_owned());
        span.set(names::SERVER_PORT, target.port);
        span.set(names::URL_FULL, format!("http://{}{}", target.authority, onward.path));
        span.set(names::ROLE, target.role.word());
        if onward.attempts > 0 {
            span.set(names::HTTP_REQUEST_RESEND_COUNT, onward.attempts);
        }
        onward.attempts += 1;
        self.active(span)
    }

    /// The span of a wait for the lease of the entity of the call at `parent`, if that is traced.
    pub fn wait_for_lease(self, parent: TraceContext) -> Option<ActiveSpan> {
        if !parent.sampled || !self.is_on() {
            return None;
        }
        let (place, name) = (self.child(parent), names::LEASE_WAIT);
        let span = SpanRecord::child(place, parent, Kind::Internal, name, clock::now());
        Some(self.active(span))
    }

    /// The span of a command to the store, if it is sent for a traced call: see [`current()`].
    pub fn command(self, operation: StoreOperation, started: Instant) -> Option<ActiveSpan> {
        let parent = current();
        if !parent.sampled || !self.is_on() {
            return None;
        }
        let mut span = self.client(parent, "", started);
        span.set(names::DB_SYSTEM, "redis");
        span.set(names::STORE_OPERATION, operation.word());
        Some(self.active(span))
    }

    fn client(self, parent: TraceContext, name: &'static str, started: Instant) -> SpanRecord {
        SpanRecord::child(self.child(parent), parent, Kind::Client, name, started)
    }
}

impl ActiveSpan {
    /// An upstream has sent the head of its answer.
    pub fn answered(&mut self, code: StatusCode) {
        self.set(names::HTTP_RESPONSE_STATUS_CODE, code.as_u16());
        if code.is_client_error() || code.is_server_error() {
            self.fail(code.as_str().to_owned());
        }
    }

    /// This is the command that was sent to the store.
    pub fn commanded(&mut self, name: &'static str) {
        self.with(|span| span.name = name.into());
        self.set(names::DB_OPERATION, name);
    }
}
