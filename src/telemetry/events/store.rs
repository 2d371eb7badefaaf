//! Events of the store and the fleet: commands, outages, recovery.

use std::time::Duration;

use super::one_if;
use crate::telemetry::Telemetry;
use crate::telemetry::labels::{Breaker, LabelValue, LeaseGate, StoreOperation, StoreResult};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;

/// A store is configured; it is not connected yet.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfigured;

impl StoreConfigured {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().store_configured.at([]).set(1.0);
    }
}

/// A command to the store has ended.
#[derive(Clone, Copy, Debug)]
pub struct StoreAnswered {
    /// What it was for.
    pub operation: StoreOperation,
    /// How it ended.
    pub result: StoreResult,
    /// How long it took; `None` where it was never sent.
    pub took: Option<Duration>,
}

impl StoreAnswered {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { operation, result, took } = self;
        let series = telemetry.series();
        series.store_operations.at([operation.index(), result.index()]).increment(1);
        if let Some(took) = took {
            series.store_duration.at([operation.index()]).record(took);
        }
    }
}

/// The breaker before the store has changed. To be emitted once a change: each writes a line.
#[derive(Clone, Copy, Debug)]
pub struct BreakerChanged<'a> {
    /// What it is now.
    pub state: Breaker,
    /// Why, for people; with passwords masked.
    pub why: &'a str,
}

impl BreakerChanged<'_> {
    /// Tells of it. Half-open writes no line: it comes again and again during an outage.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { state, why } = self;
        BreakerMoved { state }.emit(telemetry);
        let event = "store_breaker_changed";
        match state {
            Breaker::Closed => {
                tracing::info!(target: TARGET, event, state = state.word(), why, "the store is connected")
            }
            Breaker::Open => {
                tracing::warn!(target: TARGET, event, state = state.word(), why, "degraded: the store is gone, and no call waits for it")
            }
            Breaker::HalfOpen => {}
        }
    }
}

/// The breaker is at another state. Between open and half-open it moves at every attempt to connect: the gauge alone tells.
#[derive(Clone, Copy, Debug)]
pub struct BreakerMoved {
    /// What it is now.
    pub state: Breaker,
}

impl BreakerMoved {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        for other in Breaker::VALUES {
            let gauge = telemetry.series().store_breaker.at([other.index()]);
            gauge.set(one_if(*other == self.state));
        }
        let is_up = self.state == Breaker::Closed;
        telemetry.series().store_up.at([]).set(one_if(is_up));
    }
}

/// During an outage, connecting fails for a reason that was not told of before.
#[derive(Clone, Copy, Debug)]
pub struct StoreUnreachable<'a> {
    /// Why, for people; with passwords masked.
    pub why: &'a str,
}

impl StoreUnreachable<'_> {
    /// Tells of it.
    pub fn emit(self, _telemetry: &Telemetry) {
        let (event, why) = ("store_unreachable", self.why);
        tracing::warn!(target: TARGET, event, why, "the store can't be connected to");
    }
}

/// Whether the store pushes messages has changed.
#[derive(Clone, Copy, Debug)]
pub struct StorePushChanged<'a> {
    /// Whether it does now.
    pub up: bool,
    /// Why, for people; with passwords masked.
    pub why: &'a str,
}

impl StorePushChanged<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().store_push.at([]).set(one_if(self.up));
        let (event, Self { up, why }) = ("store_push_changed", self);
        if up {
            tracing::info!(target: TARGET, event, up, why, "the store pushes changes");
        } else {
            tracing::warn!(target: TARGET, event, up, why, "degraded: the store pushes nothing, changes are polled for");
        }
    }
}

/// Whether fleet-wide leases are granted has changed. To be emitted once a change: each writes a line.
#[derive(Clone, Copy, Debug)]
pub struct LeaseGateChanged<'a> {
    /// What holds now.
    pub state: LeaseGate,
    /// Why, for people.
    pub why: &'a str,
}

impl LeaseGateChanged<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { state, why } = self;
        for other in LeaseGate::VALUES {
            let gauge = telemetry.series().lease_gate.at([other.index()]);
            gauge.set(one_if(*other == state));
        }
        let (event, word) = ("lease_gate_changed", state.word());
        match state {
            LeaseGate::Local | LeaseGate::Open => {
                tracing::info!(target: TARGET, event, state = word, why, "leases are granted")
            }
            LeaseGate::Lost => {
                tracing::warn!(target: TARGET, event, state = word, why, "degraded: no fleet-wide leases, on_store_loss decides")
            }
            LeaseGate::Recovering => {
                tracing::warn!(target: TARGET, event, state = word, why, "degraded: no fleet-wide leases until earlier calls have ended")
            }
        }
    }
}

/// The fleet was read.
#[derive(Clone, Copy, Debug)]
pub struct FleetCounted {
    /// Sidecars that are registered.
    pub sidecars: usize,
}

impl FleetCounted {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().fleet_sidecars.at([]).set(self.sidecars as f64);
    }
}

/// A command to the store failed, or its answer can't be read.
#[derive(Clone, Copy, Debug)]
pub struct StoreFault<'a> {
    /// What it was for.
    pub operation: StoreOperation,
    /// What is wrong.
    pub error: &'a (dyn std::error::Error + 'static),
    /// Whether the store is there and says no: nothing else tells of that.
    pub refused: bool,
}

impl StoreFault<'_> {
    /// Tells of it, in the log alone: the command itself is counted.
    pub fn emit(self, telemetry: &Telemetry) {
        let (event, operation, error) = ("store_fault", self.operation.word(), self.error);
        if self.refused {
            telemetry.fault(Fault::Store, || {
                tracing::warn!(target: TARGET, event, operation, error, "degraded: the store refuses a command");
            });
        } else {
            tracing::debug!(target: TARGET, event, operation, error, "a command to the store failed");
        }
    }
}
