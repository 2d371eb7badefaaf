//! Events of the flags: their changes, and how well they are known.

use super::one_if;
use crate::domain::decision::Freshness;
use crate::domain::flag::FlagState;
use crate::domain::transition::{Turn, Waiting};
use crate::telemetry::labels::{ChangeKind, FlagsError, LabelValue, TransitionStep, WaitingFor};
use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::{FlagIndex, Telemetry};

const MILLIS_PER_SECOND: f64 = 1e3;

/// A flag's state is known, without a change: at start.
#[derive(Clone, Copy, Debug)]
pub struct FlagRead<'a> {
    /// Which flag.
    pub flag: FlagIndex,
    /// How it stands.
    pub state: &'a FlagState,
}

impl FlagRead<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        show(telemetry, self.flag, self.state);
        tracing::info!(
            target: TARGET,
            event = "flag_read",
            flag = telemetry.flag_name(self.flag),
            percent = self.state.percent.as_f64(),
            killed = self.state.killed,
            version = self.state.version,
            "flag read"
        );
    }
}

/// A flag's new state is in force.
#[derive(Clone, Copy, Debug)]
pub struct FlagChanged<'a> {
    /// Which flag.
    pub flag: FlagIndex,
    /// How it stood.
    pub from: &'a FlagState,
    /// How it stands.
    pub to: &'a FlagState,
}

impl FlagChanged<'_> {
    /// Tells of it. A change that moved several things counts once for each, one that moved nothing not at all; a step of a
    /// transition is no change.
    pub fn emit(self, telemetry: &Telemetry) {
        let Self { flag, from, to } = self;
        show(telemetry, flag, to);
        if to.version != from.version {
            self.tell_change(telemetry);
        }
        let (step, was) = (TransitionStep::of(to), TransitionStep::of(from));
        if step != was || to.transit.is_some() {
            TransitionStepped { flag, step, turn: to.turn() }.emit(telemetry);
        }
    }

    fn tell_change(self, telemetry: &Telemetry) {
        let Self { flag, from, to } = self;
        for kind in kinds(from, to) {
            telemetry.series().flag_changes.at([flag.get(), kind.index()]).increment(1);
        }
        tracing::info!(
            target: TARGET,
            event = "flag_changed",
            flag = telemetry.flag_name(flag),
            from_percent = from.percent.as_f64(),
            percent = to.percent.as_f64(),
            killed = to.killed,
            pins = to.pins.legacy.len() + to.pins.fixed.len(),
            version = to.version,
            by = to.changed_by.as_str(),
            reason = to.reason.as_str(),
            "flag changed"
        );
    }
}

fn kinds(from: &FlagState, to: &FlagState) -> impl Iterator<Item = ChangeKind> {
    [
        (to.percent > from.percent, ChangeKind::Up),
        (to.percent < from.percent, ChangeKind::Down),
        (to.killed && !from.killed, ChangeKind::Kill),
        (!to.killed && from.killed, ChangeKind::Resume),
        (to.pins != from.pins, ChangeKind::Pin),
        (to.transit.as_ref().is_some_and(|transit| transit.force), ChangeKind::Force),
    ]
    .into_iter()
    .filter_map(|(happened, kind)| happened.then_some(kind))
}

fn show(telemetry: &Telemetry, flag: FlagIndex, state: &FlagState) {
    let series = telemetry.series();
    let place = [flag.get()];
    series.flag_percent.at(place).set(state.percent.as_f64());
    series.flag_killed.at(place).set(one_if(state.killed));
    series.flag_version.at(place).set(state.version as f64);
    show_step(telemetry, flag, TransitionStep::of(state));
    series.flag_last_change.at(place).set(state.changed_at_ms as f64 / MILLIS_PER_SECOND);
}

/// A flag's transition has come to a step.
#[derive(Clone, Copy, Debug)]
pub struct TransitionStepped {
    /// Which flag.
    pub flag: FlagIndex,
    /// The step that it is at now.
    pub step: TransitionStep,
    /// The turn that the flag is at now.
    pub turn: Turn,
}

impl TransitionStepped {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        show_step(telemetry, self.flag, self.step);
        tracing::info!(
            target: TARGET,
            event = "transition_stepped",
            flag = telemetry.flag_name(self.flag),
            step = self.step.word(),
            turn = %self.turn,
            "a flip has come to a step"
        );
    }
}

fn show_step(telemetry: &Telemetry, flag: FlagIndex, present: TransitionStep) {
    for step in TransitionStep::VALUES {
        let gauge = telemetry.series().flag_transition.at([flag.get(), step.index()]);
        gauge.set(one_if(*step == present));
    }
}

/// Whom a flag's transition waits for.
#[derive(Clone, Copy, Debug)]
pub struct TransitionWaits<'a> {
    /// Which flag.
    pub flag: FlagIndex,
    /// Nobody where it is settled.
    pub waiting: &'a [Waiting],
}

impl TransitionWaits<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        for why in WaitingFor::VALUES {
            let count = self.waiting.iter().filter(|it| WaitingFor::of(it.why) == *why).count();
            let place = [self.flag.get(), why.index()];
            telemetry.series().transition_waiting.at(place).set(count as f64);
        }
    }
}

/// The flags were read or written well.
#[derive(Clone, Copy, Debug)]
pub struct FlagsLoaded {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl FlagsLoaded {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        let seconds = self.at_ms as f64 / MILLIS_PER_SECOND;
        telemetry.series().flags_last_success.at([]).set(seconds);
    }
}

/// How well the flags are known now; may be emitted again without a change.
#[derive(Clone, Copy, Debug)]
pub struct FreshnessChanged {
    /// The state.
    pub state: Freshness,
}

impl FreshnessChanged {
    /// Tells of it; writes a line only where it is news.
    pub fn emit(self, telemetry: &Telemetry) {
        let Some(before) = telemetry.enter(self.state) else {
            return;
        };
        for state in Freshness::VALUES {
            let gauge = telemetry.series().freshness.at([state.index()]);
            gauge.set(one_if(*state == self.state));
        }
        let (state, before) = (self.state.as_str(), before.map(Freshness::as_str));
        let event = "freshness_changed";
        if self.state == Freshness::Live {
            tracing::info!(target: TARGET, event, state, before, "flags are live");
        } else {
            tracing::warn!(target: TARGET, event, state, before, "degraded: flags may be old");
        }
    }
}

/// Flags were read and not put in force, or could not be read or kept; the last good ones hold.
#[derive(Clone, Copy, Debug)]
pub struct FlagsRejected<'a> {
    /// Why.
    pub reason: FlagsError,
    /// Which file or document.
    pub origin: &'a str,
    /// What is wrong with it.
    pub error: &'a (dyn std::error::Error + 'static),
}

impl FlagsRejected<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().flags_rejected.at([self.reason.index()]).increment(1);
        telemetry.fault(Fault::Flags(self.reason), || {
            tracing::error!(
                target: TARGET,
                event = "flags_rejected",
                reason = self.reason.word(),
                origin = self.origin,
                error = self.error,
                "flags refused: what was known before holds, else the configured start values"
            );
        });
    }
}

/// Whether what the store has of a flag is refused now; to be emitted again without a change.
#[derive(Clone, Copy, Debug)]
pub struct FlagRefused {
    /// Which flag.
    pub flag: FlagIndex,
    /// Whether it is.
    pub refused: bool,
}

impl FlagRefused {
    /// Shows it. [`FlagsRejected`] writes the line.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().flag_refused.at([self.flag.get()]).set(one_if(self.refused));
    }
}

/// Whether the snapshot file fails to hold the flags now; to be emitted again without a change.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRefused {
    /// Whether it was refused, or could not be written.
    pub refused: bool,
}

impl SnapshotRefused {
    /// Shows it. [`FlagsRejected`] writes the line.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().snapshot_refused.at([]).set(one_if(self.refused));
    }
}
