//! The barrier: whether a call from before a flag's present turn may still write, anywhere in the fleet.

use super::Turn;
use crate::domain::flag::FlagState;

/// A sidecar that was not heard of for so long, in milliseconds, is silent: three beats have failed.
pub const SILENT_AFTER_MS: u64 = 3_000;

/// What a sidecar said of a flag when it was heard of last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its id.
    pub sidecar: String,
    /// How long ago that was, in milliseconds.
    pub silent_ms: u64,
    /// The turn that it decides by; `None` where it said nothing that can be read.
    pub applied: Option<Turn>,
    /// The fingerprint of the state that it decides by.
    pub state: u32,
    /// No call that it decided by an earlier turn may still write.
    pub clear: Option<Turn>,
    /// Calls that were decided by an earlier turn and have not ended.
    pub calls: u64,
    /// How long ago the oldest of what is not clear began, in milliseconds.
    pub oldest_ms: u64,
}

impl Report {
    /// Whether it decides by this state, and no call of it from before may still write.
    pub fn is_past(&self, (turn, state): (Turn, u32)) -> bool {
        let decides_by_it = self.applied == Some(turn) && self.state == state;
        decides_by_it && self.clear.is_some_and(|clear| clear >= turn)
    }

    /// Of a sidecar that said nothing of the flag.
    pub fn nothing(sidecar: &str, silent_ms: u64) -> Self {
        let sidecar = sidecar.to_owned();
        Self { sidecar, silent_ms, applied: None, state: 0, clear: None, calls: 0, oldest_ms: 0 }
    }
}

/// A sidecar that the barrier waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its id.
    pub sidecar: String,
    /// Why.
    pub why: Why,
}

/// Why a sidecar is waited for. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not heard of for so long, and nobody knows what it does.
    Silent {
        /// Since it was heard of.
        ms: u64,
    },
    /// It still decides by an earlier turn.
    Behind,
    /// Calls from before are running.
    Calls {
        /// How many.
        count: u64,
        /// Since the oldest of them began.
        oldest_ms: u64,
    },
    /// A call from before was given up, and may still write.
    Settling {
        /// Since the oldest of them began.
        oldest_ms: u64,
    },
}

/// Whom a flag's next step waits for; nobody where it is settled.
pub fn waits(flag: &FlagState, reports: &[Report]) -> Vec<Waiting> {
    match flag.transit {
        Some(_) => barrier((flag.turn(), flag.fingerprint()), reports),
        None => Vec::new(),
    }
}

/// Whom the step that leaves `turn` waits for: nobody, once the barrier is passed. `state` is the fingerprint of the flag's state in
/// that turn: a store that went back may count a turn twice, and a sidecar may decide by the other one.
///
/// A sidecar that is clear of all turns before this one stays so: it never decides by an earlier one again. So one that has
/// fallen silent since holds up nobody, and any other silent one does.
pub fn barrier((turn, state): (Turn, u32), reports: &[Report]) -> Vec<Waiting> {
    let waited_for = reports.iter().filter(|report| !report.is_past((turn, state)));
    let waiting = |report: &Report| {
        let why = why((turn, state), report);
        Waiting { sidecar: report.sidecar.clone(), why }
    };
    waited_for.map(waiting).collect()
}

fn why((turn, state): (Turn, u32), report: &Report) -> Why {
    let Report { silent_ms, applied, calls, oldest_ms, .. } = *report;
    if silent_ms > SILENT_AFTER_MS {
        Why::Silent { ms: silent_ms }
    } else if applied != Some(turn) || report.state != state {
        Why::Behind
    } else if calls > 0 {
        Why::Calls { count: calls, oldest_ms }
    } else {
        Why::Settling { oldest_ms }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        match *self {
            Self::Silent { ms } => write!(f, "silent for {}", seconds(ms)),
            Self::Behind => f.write_str("has not applied the change yet"),
            Self::Calls { count: 1, oldest_ms } => {
                write!(f, "a call running for {}", seconds(oldest_ms))
            }
            Self::Calls { count, oldest_ms } => {
                write!(f, "{count} calls running, the oldest for {}", seconds(oldest_ms))
            }
            Self::Settling { oldest_ms } => {
                write!(f, "a call of {} ago was given up and may still write", seconds(oldest_ms))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Turn = Turn { version: 7, step: 1 };
    const STATE: u32 = 77;
    const BEFORE: Turn = Turn { version: 7, step: 0 };

    fn report(clear: Turn) -> Report {
        Report {
            sidecar: "a".into(),
            silent_ms: 0,
            applied: Some(NOW),
            state: STATE,
            clear: Some(clear),
            calls: 0,
            oldest_ms: 2_100,
        }
    }

    #[test]
    fn names_whom_it_waits_for_and_why() {
        let check = |report: Report, expected: &str| {
            let waiting = barrier((NOW, STATE), &[self::report(NOW), report]);
            let told: Vec<String> = waiting.iter().map(|it| it.why.to_string()).collect();
            assert_eq!(told, [expected]);
        };

        check(Report { calls: 1, ..report(BEFORE) }, "a call running for 2.1 s");
        check(Report { calls: 3, ..report(BEFORE) }, "3 calls running, the oldest for 2.1 s");
        check(report(BEFORE), "a call of 2.1 s ago was given up and may still write");
        check(Report { applied: Some(BEFORE), ..report(BEFORE) }, "has not applied the change yet");
        check(
            Report { applied: None, clear: None, ..report(NOW) },
            "has not applied the change yet",
        );
        check(Report { silent_ms: 12_300, calls: 1, ..report(BEFORE) }, "silent for 12.3 s");
    }

    #[test]
    fn one_that_is_clear_holds_up_nobody_even_when_it_falls_silent() {
        assert_eq!(barrier((NOW, STATE), &[report(NOW), report(NOW)]), []);
        assert_eq!(barrier((NOW, STATE), &[Report { silent_ms: 60_000, ..report(NOW) }]), []);
        assert_eq!(barrier((NOW, STATE), &[]), []);
    }

    /// After a store has gone back, two states may have one turn, and one may be ahead of what the store has.
    #[test]
    fn one_that_decides_by_another_state_is_waited_for_whatever_its_turn() {
        let (other, ahead) = (STATE + 1, Turn { version: 8, step: 0 });

        for report in [
            Report { state: other, ..report(NOW) },
            Report { applied: Some(ahead), ..report(ahead) },
        ] {
            let waiting = barrier((NOW, STATE), &[report]);
            assert!(matches!(waiting[..], [Waiting { why: Why::Behind, .. }]), "{waiting:?}");
        }
    }
}
