//! Events of a declared edit: what came in its way, and how its outcome was found out.

use crate::telemetry::labels::{EditQueued, EditRefusal, LabelValue, ReceiptFound, RetryReason};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::trace;
use crate::telemetry::{FlagIndex, Telemetry};

/// A declared edit can't be made safely; nothing of it was written.
#[derive(Clone, Copy, Debug)]
pub struct EditRefused {
    /// Its flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: EditRefusal,
}

impl EditRefused {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { flag, reason } = self;
        telemetry.series().edits_refused.at([flag.get(), reason.index()]).increment(1);
        telemetry.fault(Fault::Edit(reason), || {
            tracing::warn!(
                target: TARGET,
                event = "edit_refused",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                flag = telemetry.flag_name(flag),
                reason = reason.word(),
                "a declared edit could not be made safely and was not made"
            );
        });
    }
}

/// An edit found the document changed since it was read.
#[derive(Clone, Copy, Debug)]
pub struct EditConflicted {
    /// Its flag.
    pub flag: FlagIndex,
}

impl EditConflicted {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().edit_conflicts.at([self.flag.get()]).increment(1);
    }
}

/// An edit joins the queue of its entity's lease.
#[derive(Clone, Copy, Debug)]
pub struct EditInQueue {
    /// Its flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: EditQueued,
}

impl EditInQueue {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.reason.index()];
        telemetry.series().edits_queued.at(place).increment(1);
    }
}

/// The answer to an edit was lost, and what became of it was found out.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeFound {
    /// Its flag.
    pub flag: FlagIndex,
    /// What.
    pub result: ReceiptFound,
}

impl OutcomeFound {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.result.index()];
        telemetry.series().receipts_found.at(place).increment(1);
    }
}

/// Nobody knows whether an edit was made, and its time is over.
#[derive(Clone, Copy, Debug)]
pub struct EditUnknown {
    /// Its flag.
    pub flag: FlagIndex,
}

impl EditUnknown {
    /// Tells of it. It is counted with the update's end.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.fault(Fault::EditUnknown, || {
            tracing::warn!(
                target: TARGET,
                event = "edit_unknown",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                flag = telemetry.flag_name(self.flag),
                "the store did not tell in time whether an edit was made"
            );
        });
    }
}

/// A command of an update is sent once more.
#[derive(Clone, Copy, Debug)]
pub struct Retried {
    /// The update's flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: RetryReason,
}

impl Retried {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.reason.index()];
        telemetry.series().retries.at(place).increment(1);
    }
}

/// A try was not made as the budget for them is spent.
#[derive(Clone, Copy, Debug)]
pub struct RetryDenied {
    /// The update's flag.
    pub flag: FlagIndex,
}

impl RetryDenied {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().retries_denied.at([self.flag.get()]).increment(1);
        telemetry.fault(Fault::RetriesDenied, || {
            tracing::warn!(
                target: TARGET,
                event = "retry_denied",
                trace_id = trace::trace_id(),
                span_id = trace::span_id(),
                flag = telemetry.flag_name(self.flag),
                "the budget for retries is spent"
            );
        });
    }
}
