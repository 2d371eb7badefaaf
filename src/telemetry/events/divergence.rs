//! Events of shadows, comparisons, the lost-update detector and traces.

use super::one_if;
use crate::domain::divergence::{Cause, Verdict};
use crate::domain::flag::Path;
use crate::telemetry::labels::{
    DetectorState, Inconclusive, LabelValue, ReadResult, ShadowSkip, SpanDrop,
};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::{FlagIndex, Telemetry};

/// Acknowledged updates are gone, and no later ones explain it.
#[derive(Clone, Copy, Debug)]
pub struct UpdatesLost<'a> {
    /// Their flag.
    pub flag: FlagIndex,
    /// The path that they took.
    pub path: Path,
    /// How many.
    pub count: u64,
    /// Whose they were.
    pub entity: &'a str,
    /// A field that one of them wrote.
    pub field: &'a str,
    /// The trace of one of them.
    pub trace_id: &'a str,
}

impl UpdatesLost<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let (flag, series) = (self.flag.get(), telemetry.series());
        series.lost_updates.at([flag, self.path.index()]).increment(self.count);
        series.mismatches.at([flag, Cause::LostUpdate.index()]).increment(self.count);
        telemetry.fault(Fault::Divergence(Cause::LostUpdate), || {
            tracing::warn!(
                target: TARGET,
                event = "update_lost",
                flag = telemetry.flag_name(self.flag),
                path = self.path.as_str(),
                count = self.count,
                entity = self.entity,
                field = self.field,
                trace_id = (!self.trace_id.is_empty()).then_some(self.trace_id),
                "acknowledged updates are gone, and no later ones explain it"
            );
        });
    }
}

/// The detector came to a conclusion about acknowledged updates.
#[derive(Clone, Copy, Debug)]
pub struct UpdatesVerified {
    /// Their flag.
    pub flag: FlagIndex,
    /// The path that they took.
    pub path: Path,
    /// How many.
    pub count: u64,
}

impl UpdatesVerified {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.path.index()];
        telemetry.series().verified_updates.at(place).increment(self.count);
    }
}

/// A value is there that no sidecar wrote.
#[derive(Clone, Copy, Debug)]
pub struct UnmanagedWrite<'a> {
    /// The flag.
    pub flag: FlagIndex,
    /// The entity.
    pub entity: &'a str,
    /// Where the value stands.
    pub field: &'a str,
}

impl UnmanagedWrite<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let (flag, series) = (self.flag.get(), telemetry.series());
        series.unmanaged_writes.at([flag]).increment(1);
        series.mismatches.at([flag, Cause::UnmanagedWriter.index()]).increment(1);
        telemetry.fault(Fault::Divergence(Cause::UnmanagedWriter), || {
            tracing::warn!(
                target: TARGET,
                event = "unmanaged_write",
                flag = telemetry.flag_name(self.flag),
                entity = self.entity,
                field = self.field,
                "a value is there that no sidecar wrote: somebody writes past them"
            );
        });
    }
}

/// A check came to no conclusion.
#[derive(Clone, Copy, Debug)]
pub struct VerifyInconclusive {
    /// The flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: Inconclusive,
}

impl VerifyInconclusive {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.reason.index()];
        telemetry.series().verify_inconclusive.at(place).increment(1);
        // What is configured wrong shows in these, and lasts.
        let advice = match self.reason {
            Inconclusive::ReadFailed => {
                "verify.read does not answer with a JSON document: see whether it wants credentials"
            }
            Inconclusive::NoPlace => {
                "the document of verify.read has no such place as a route's effect names, or has it twice"
            }
            _ => return,
        };
        telemetry.fault(Fault::Inconclusive(self.reason), || {
            tracing::warn!(
                target: TARGET,
                event = "verify_inconclusive",
                flag = telemetry.flag_name(self.flag),
                reason = self.reason.word(),
                advice,
                "whether updates are lost can't be told"
            );
        });
    }
}

/// The journals did not take a conclusion: its claim had run out. The entity is checked anew.
#[derive(Clone, Copy, Debug)]
pub struct ConclusionLate<'a> {
    /// The entity.
    pub entity: &'a str,
}

impl ConclusionLate<'_> {
    /// Tells of it.
    pub fn emit(self) {
        tracing::debug!(
            target: TARGET,
            event = "conclusion_late",
            entity = self.entity,
            "a conclusion came too late, and does not count: the entity is checked anew"
        );
    }
}

/// The detector read an entity.
#[derive(Clone, Copy, Debug)]
pub struct VerifyRead {
    /// The flag.
    pub flag: FlagIndex,
    /// How it ended.
    pub result: ReadResult,
}

impl VerifyRead {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.result.index()];
        telemetry.series().verify_reads.at(place).increment(1);
    }
}

/// The detector keeps its journal elsewhere than before.
#[derive(Clone, Copy, Debug)]
pub struct DetectorChanged {
    /// Where.
    pub state: DetectorState,
}

impl DetectorChanged {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        for state in DetectorState::VALUES {
            let gauge = telemetry.series().detector.at([state.index()]);
            gauge.set(one_if(*state == self.state));
        }
        if self.state == DetectorState::Suspended {
            tracing::warn!(
                target: TARGET,
                event = "detector_suspended",
                state = self.state.word(),
                "the journals in the store can't be written: updates are noted, and checked for losses when they can"
            );
        } else {
            tracing::info!(
                target: TARGET,
                event = "detector_changed",
                state = self.state.word(),
                "the lost-update detector keeps its journal here"
            );
        }
    }
}

/// A candidate's answer was compared with the control's.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// The flag.
    pub flag: FlagIndex,
    /// What it came to.
    pub verdict: Verdict,
    /// Why, for a mismatch.
    pub cause: Option<Cause>,
    /// Whether another update of the entity was in flight meanwhile.
    pub contended: bool,
    /// The entity.
    pub entity: &'a str,
    /// The first place that differs; empty where there is none.
    pub pointer: &'a str,
}

impl Compared<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let (flag, series) = (self.flag.get(), telemetry.series());
        series.comparisons.at([flag, self.verdict.index()]).increment(1);
        if self.contended {
            series.contended_comparisons.at([flag, self.verdict.index()]).increment(1);
        }
        let Some(cause) = self.cause else { return };
        series.mismatches.at([flag, cause.index()]).increment(1);
        telemetry.fault(Fault::Divergence(cause), || {
            tracing::warn!(
                target: TARGET,
                event = "mismatch",
                flag = telemetry.flag_name(self.flag),
                cause = cause.as_str(),
                contended = self.contended,
                entity = self.entity,
                pointer = self.pointer,
                "a candidate's answer differs from the control's"
            );
        });
    }
}

/// A call that a flag shadows was not compared.
#[derive(Clone, Copy, Debug)]
pub struct ShadowSkipped {
    /// The flag.
    pub flag: FlagIndex,
    /// Why.
    pub reason: ShadowSkip,
}

impl ShadowSkipped {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.reason.index()];
        telemetry.series().shadow_skipped.at(place).increment(1);
    }
}

/// A divergence record was kept, or had to be left out.
#[derive(Clone, Copy, Debug)]
pub struct DivergenceKept {
    /// The flag.
    pub flag: FlagIndex,
    /// Whether it was kept.
    pub kept: bool,
}

impl DivergenceKept {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let series = telemetry.series();
        let table = if self.kept { &series.divergences_kept } else { &series.divergences_dropped };
        table.at([self.flag.get()]).increment(1);
    }
}

/// The collector took spans.
#[derive(Clone, Copy, Debug)]
pub struct SpansExported {
    /// How many.
    pub count: u64,
}

impl SpansExported {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().spans_exported.at([]).increment(self.count);
    }
}

/// Spans were not exported.
#[derive(Clone, Copy, Debug)]
pub struct SpansDropped<'a> {
    /// Why.
    pub reason: SpanDrop,
    /// How many.
    pub count: u64,
    /// What is known of it, for the log.
    pub details: &'a str,
}

impl SpansDropped<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().spans_dropped.at([self.reason.index()]).increment(self.count);
        telemetry.fault(Fault::Spans(self.reason), || {
            tracing::warn!(
                target: TARGET,
                event = "spans_dropped",
                reason = self.reason.word(),
                count = self.count,
                details = self.details,
                "spans were not exported"
            );
        });
    }
}
