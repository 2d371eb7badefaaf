//! A call as its end sees it: what lasts as long as it does, and what is told of it then.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Version};

use super::watch::Watch;
use crate::clock::{self, Instant};
use crate::domain::decision::Freshness;
use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::shadow::Window;
use crate::telemetry::events::RequestAnswered;
use crate::telemetry::trace::{self, ServerSpan};
use crate::telemetry::{GaugeGuard, RouteIndex, Telemetry};

/// Lasts until the end of a call's answer, or until its client has left.
pub(crate) struct CallGuard {
    pub(crate) told: Told,
    watch: Arc<Watch>,
    /// The client speaks HTTP/1.0: the end of the connection may be the end of the message.
    ends_with_connection: bool,
    _inflight: GaugeGuard,
}

impl CallGuard {
    /// A call begins.
    pub(crate) fn new(telemetry: &Telemetry, watch: &Arc<Watch>, version: Version) -> Self {
        Self {
            told: Told::new(telemetry.clone()),
            watch: Arc::clone(watch),
            ends_with_connection: version < Version::HTTP_11,
            _inflight: telemetry.inflight(),
        }
    }

    /// Its answer ends before its end, and the client must see that.
    pub(crate) fn break_off(&self) {
        if self.ends_with_connection {
            self.watch.break_off();
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        // What is left of the answer leaves after this.
        self.watch.set_answering(true);
        self.watch.set_busy(false);
    }
}

/// What is told of a call at its end.
pub(crate) struct Told {
    telemetry: Telemetry,
    pub(super) started: Instant,
    /// The trace that it belongs to, and its span where it is traced.
    pub(super) trace: TraceContext,
    pub(super) span: Option<Rc<ServerSpan>>,
    route: Option<RouteIndex>,
    /// Which path it took; `None` where it matched no route.
    pub(crate) path: Option<Path>,
    /// Of a call that an upstream answered: its time there, and what it waited for before: its body, its entity, a connection.
    pub(crate) elsewhere: Option<Duration>,
    /// Decided by flags that may be old.
    pub(crate) stale_flags: bool,
    /// It was refused, or ran with a weaker guarantee, as the store was gone.
    pub(crate) without_store: bool,
    /// It matched a route, and its method does more than read.
    pub(crate) is_update: bool,
    /// When it was sent, among the updates of its entity.
    pub(crate) window: Option<Window>,
    overhead: Option<Duration>,
    code: Option<StatusCode>,
}

impl Told {
    /// A call begins.
    pub(crate) fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            started: clock::now(),
            trace: TraceContext::NONE,
            span: None,
            route: None,
            path: None,
            elsewhere: None,
            stale_flags: false,
            without_store: false,
            is_update: false,
            window: None,
            overhead: None,
            code: None,
        }
    }

    /// It matched a route.
    pub(crate) fn about(
        &mut self,
        route: RouteIndex,
        path: Path,
        freshness: Freshness,
        changes: bool,
    ) {
        self.route = Some(route);
        self.path = Some(path);
        self.stale_flags = freshness != Freshness::Live;
        self.is_update = changes;
    }

    /// The head of its answer is ready.
    pub(crate) fn answered(&mut self, code: StatusCode) {
        self.code = Some(code);
        let elapsed = clock::now() - self.started;
        self.overhead = self.elsewhere.map(|elsewhere| elapsed.saturating_sub(elsewhere));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _working = trace::enter(self.trace);
        let now = clock::now();
        if let Some(span) = &self.span {
            span.ended(self.code, self.path, now);
        }
        RequestAnswered {
            route: self.route,
            path: self.path.unwrap_or(Path::Legacy),
            code: self.code,
            elapsed: now - self.started,
            overhead: self.overhead,
        }
        .emit(&self.telemetry);
    }
}
