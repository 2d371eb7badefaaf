//! Gauges of things that are there as long as a guard lives.

use metrics::Gauge;

use super::labels::LabelValue;
use super::{FlagIndex, Telemetry};
use crate::domain::flag::Path;

/// Counts one thing in a gauge until it is dropped.
#[derive(Debug)]
#[must_use = "the thing counts only as long as the guard lives"]
pub struct GaugeGuard(Gauge);

impl GaugeGuard {
    fn enter(gauge: &Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Telemetry {
    /// Counts a request as being served.
    pub fn inflight(&self) -> GaugeGuard {
        GaugeGuard::enter(self.series().inflight.at([]))
    }

    /// Counts a client connection as open.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::enter(self.series().connections.at([]))
    }

    /// Counts a connection to an upstream as open.
    pub fn upstream_connection(&self, upstream: Path) -> GaugeGuard {
        GaugeGuard::enter(self.series().upstream_connections.at([upstream.index()]))
    }

    /// Counts a shadow as waiting or running.
    pub fn shadow(&self) -> GaugeGuard {
        GaugeGuard::enter(self.series().shadow_queue_depth.at([]))
    }

    /// Counts a call as waiting for a lease.
    pub fn lease_waiter(&self, flag: FlagIndex) -> GaugeGuard {
        GaugeGuard::enter(self.series().lease_waiters.at([flag.get()]))
    }
}
