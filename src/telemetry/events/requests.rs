//! Events of the data plane: requests, clients, upstreams.

use std::fmt::Arguments;
use std::time::Duration;

use http::StatusCode;

use crate::domain::flag::Path;
use crate::telemetry::labels::{ClientError, CodeClass, LabelValue, Role, UpstreamError};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::trace;
use crate::telemetry::{FlagIndex, RouteIndex, Telemetry};

/// A request has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct RequestAnswered {
    /// The route that it matched.
    pub route: Option<RouteIndex>,
    /// The path that served it; `Legacy` for what matched no route.
    pub path: Path,
    /// The answer's status; `None` where no answer could be given.
    pub code: Option<StatusCode>,
    /// From the request's header to the end of the answer.
    pub elapsed: Duration,
    /// The share of it that the sidecar itself added, where it is known.
    pub overhead: Option<Duration>,
}

impl RequestAnswered {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let series = telemetry.series();
        let route = self.route.map_or(0, |route| usize::from(route.0) + 1);
        let (path, class) = (self.path.index(), CodeClass::from(self.code));
        series.requests.at([route, path, class.index()]).increment(1);
        series.request_duration.at([route, path]).record(self.elapsed);
        if let Some(overhead) = self.overhead {
            series.overhead.at([]).record(overhead);
        }
        tracing::debug!(
            target: TARGET,
            event = "request_answered",
            trace_id = trace::trace_id(),
            span_id = trace::span_id(),
            route = self.route.map(|route| route.0),
            path = self.path.as_str(),
            code = self.code.map(|code| code.as_u16()),
            elapsed_us = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            "request answered"
        );
    }
}

/// An upstream has sent the header of its answer.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamAnswered {
    /// Which one.
    pub upstream: Path,
    /// What the call was for.
    pub role: Role,
    /// From sending the call.
    pub elapsed: Duration,
}

impl UpstreamAnswered {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.upstream.index(), self.role.index()];
        telemetry.series().upstream_duration.at(place).record(self.elapsed);
    }
}

/// A call to an upstream has failed.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamFailed<'a> {
    /// Which one.
    pub upstream: Path,
    /// How.
    pub error: UpstreamError,
    /// Where it listens, and what is known of the failure: for the log.
    pub details: Arguments<'a>,
}

impl UpstreamFailed<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { upstream, error, details } = self;
        telemetry.series().upstream_errors.at([upstream.index(), error.index()]).increment(1);
        telemetry.fault(Fault::Upstream(upstream, error), || {
            tracing::warn!(
                target: TARGET,
                event = "upstream_failed",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                upstream = upstream.as_str(),
                error_type = error.word(),
                details = %details,
                "a call to an upstream failed"
            );
        });
    }
}

/// A request or a connection was refused at the edge.
#[derive(Clone, Copy, Debug)]
pub struct ClientRefused {
    /// Why.
    pub reason: ClientError,
}

impl ClientRefused {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let reason = self.reason;
        telemetry.series().client_errors.at([reason.index()]).increment(1);
        telemetry.fault(Fault::Client(reason), || {
            tracing::info!(
                target: TARGET,
                event = "client_refused",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                reason = reason.word(),
                "refused a client"
            );
        });
    }
}

/// A client left while its update ran on.
#[derive(Clone, Copy, Debug)]
pub struct ClientGone {
    /// The update's flag.
    pub flag: FlagIndex,
}

impl ClientGone {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().client_gone.at([self.flag.get()]).increment(1);
    }
}
