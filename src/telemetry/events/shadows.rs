//! Events of shadows that no comparison tells.

use std::fmt::Arguments;

use crate::domain::divergence::Verdict;
use crate::domain::flag::Path;
use crate::telemetry::labels::{LabelValue, UpstreamError};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::{FlagIndex, Telemetry};

/// A call to a candidate has failed. It moves no series of those that serve: what came of it is a mismatch.
#[derive(Clone, Copy, Debug)]
pub struct CandidateFailed<'a> {
    /// The path on trial.
    pub path: Path,
    /// How.
    pub error: UpstreamError,
    /// Where it listens, and what is known of the failure.
    pub details: Arguments<'a>,
}

impl CandidateFailed<'_> {
    /// Tells of it, in the log alone.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { path, error, details } = self;
        telemetry.fault(Fault::Candidate(error), || {
            tracing::warn!(
                target: TARGET,
                event = "candidate_failed",
                path = path.as_str(),
                error_type = error.word(),
                details = %details,
                "a call to a candidate failed; calls that serve are not touched by it"
            );
        });
    }
}

/// Two answers of legacy to the same call were compared.
#[derive(Clone, Copy, Debug)]
pub struct NoiseCompared {
    /// The flag.
    pub flag: FlagIndex,
    /// What it came to; a call that failed is a mismatch.
    pub verdict: Verdict,
}

impl NoiseCompared {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let place = [self.flag.get(), self.verdict.index()];
        telemetry.series().noise_comparisons.at(place).increment(1);
    }
}

/// A place was found to differ by itself: differences there no longer count.
#[derive(Clone, Copy, Debug)]
pub struct NoiseFound<'a> {
    /// The flag.
    pub flag: FlagIndex,
    /// The place, with `*` for what may be an index.
    pub pointer: &'a str,
}

impl NoiseFound<'_> {
    /// Tells of it, in the log alone: once for each place, of which there are only so many.
    pub fn emit(self, telemetry: &Telemetry) {
        tracing::info!(
            target: TARGET,
            event = "noise_found",
            flag = telemetry.flag_name(self.flag),
            pointer = self.pointer,
            "a place differs by itself: differences there are excused"
        );
    }
}

/// A panic was caught in the comparing of answers.
#[derive(Clone, Copy, Debug)]
pub struct ComparerPanicked<'a> {
    /// What it said.
    pub said: &'a str,
}

impl ComparerPanicked<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().worker_panics.at([]).increment(1);
        telemetry.fault(Fault::Panic, || {
            tracing::error!(
                target: TARGET,
                event = "comparer_panicked",
                said = self.said,
                "comparing two answers panicked: please report this"
            );
        });
    }
}
