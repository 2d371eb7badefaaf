//! Events of an update: its decision, its lease, its end.

use std::time::Duration;

use crate::domain::decision::Decision;
use crate::domain::flag::{Path, Protection};
use crate::telemetry::labels::{Exposure, KeyResult, LabelValue, LeaseRefusal, Outcome};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::trace;
use crate::telemetry::{FlagIndex, Telemetry};

/// A call's path was decided.
#[derive(Clone, Copy, Debug)]
pub struct Decided {
    /// By which flag.
    pub flag: FlagIndex,
    /// How.
    pub decision: Decision,
}

impl Decided {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Decision { path, reason, .. } = self.decision;
        let place = [self.flag.get(), path.index(), reason.index()];
        telemetry.series().decisions.at(place).increment(1);
    }
}

/// An update has come to its end.
#[derive(Clone, Copy, Debug)]
pub struct UpdateFinished {
    /// Its flag.
    pub flag: FlagIndex,
    /// The path that it took.
    pub path: Path,
    /// The protection that it really had.
    pub protection: Protection,
    /// What became of it.
    pub outcome: Outcome,
}

impl UpdateFinished {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let kind = [self.path.index(), self.protection.index(), self.outcome.index()];
        let [path, protection, outcome] = kind;
        let place = [self.flag.get(), path, protection, outcome];
        telemetry.series().updates.at(place).increment(1);
    }
}

/// An update with an idempotency key has come, and it is known what it comes to.
#[derive(Clone, Copy, Debug)]
pub struct KeySeen {
    /// The update's flag.
    pub flag: FlagIndex,
    /// What it comes to.
    pub result: KeyResult,
}

impl KeySeen {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { flag, result } = self;
        telemetry.series().idempotent_requests.at([flag.get(), result.index()]).increment(1);
        tracing::debug!(
            target: TARGET,
            event = "idempotency_key_seen",
            trace_id = trace::trace_id(),
            span_id = trace::span_id(),
            flag = telemetry.flag_name(flag),
            result = result.word(),
            "an update with an idempotency key"
        );
    }
}

/// An update had a weaker guarantee than its flag promises.
#[derive(Clone, Copy, Debug)]
pub struct UpdateExposed {
    /// Its flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: Exposure,
}

impl UpdateExposed {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { flag, reason } = self;
        telemetry.series().exposed_updates.at([flag.get(), reason.index()]).increment(1);
        telemetry.fault(Fault::Exposed(reason), || {
            tracing::warn!(
                target: TARGET,
                event = "update_exposed",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                flag = telemetry.flag_name(flag),
                reason = reason.word(),
                "an update had a weaker guarantee than its flag promises"
            );
        });
    }
}

/// A call has got its entity's lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseGranted {
    /// The call's flag.
    pub flag: FlagIndex,
    /// How long it waited.
    pub waited: Duration,
}

impl LeaseGranted {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().lease_wait.at([self.flag.get()]).record(self.waited);
    }
}

/// A call no longer holds its entity's lease.
#[derive(Clone, Copy, Debug)]
pub struct LeaseReleased {
    /// The call's flag.
    pub flag: FlagIndex,
    /// How long it held the lease.
    pub held: Duration,
}

impl LeaseReleased {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().lease_hold.at([self.flag.get()]).record(self.held);
    }
}

/// A call could not get its entity's lease; nothing of it was sent.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRefused {
    /// The call's flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: LeaseRefusal,
}

impl LeaseRefused {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { flag, reason } = self;
        telemetry.series().lease_refused.at([flag.get(), reason.index()]).increment(1);
        telemetry.fault(Fault::Lease(reason), || {
            tracing::warn!(
                target: TARGET,
                event = "lease_refused",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                flag = telemetry.flag_name(flag),
                reason = reason.word(),
                "an update could not get its entity's lease and was not sent"
            );
        });
    }
}
