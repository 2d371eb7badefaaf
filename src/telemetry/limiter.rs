//! A bound on log lines about faults that repeat: a few a second of each kind, then one line with how many were left out.

use std::sync::atomic::{AtomicU64, Ordering};

use super::labels::{
    AdminRefusal, ClientError, EditRefusal, Exposure, FlagsError, Inconclusive, LabelValue,
    LeaseRefusal, SpanDrop, UpstreamError,
};
use crate::domain::divergence::Cause;
use crate::domain::flag::Path;

/// The most lines a second for one kind of fault: enough to see what is wrong, too few to fill a disk.
pub(super) const MAX_LINES_PER_SECOND: u64 = 5;

/// A fault that can repeat at the rate of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Upstream(Path, UpstreamError),
    Client(ClientError),
    Lease(LeaseRefusal),
    Exposed(Exposure),
    Flags(FlagsError),
    Divergence(Cause),
    Candidate(UpstreamError),
    Spans(SpanDrop),
    Inconclusive(Inconclusive),
    Admin(AdminRefusal),
    Edit(EditRefusal),
    EditUnknown,
    RetriesDenied,
    Store,
    Panic,
}

impl Fault {
    /// The event that it is logged as.
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Upstream(..) => "upstream_failed",
            Self::Client(_) => "client_refused",
            Self::Lease(_) => "lease_refused",
            Self::Exposed(_) => "update_exposed",
            Self::Flags(_) => "flags_rejected",
            Self::Divergence(Cause::LostUpdate) => "update_lost",
            Self::Divergence(Cause::UnmanagedWriter) => "unmanaged_write",
            Self::Divergence(_) => "mismatch",
            Self::Candidate(_) => "candidate_failed",
            Self::Spans(_) => "spans_dropped",
            Self::Inconclusive(_) => "verify_inconclusive",
            Self::Admin(_) => "audit",
            Self::Edit(_) => "edit_refused",
            Self::EditUnknown => "edit_unknown",
            Self::RetriesDenied => "retry_denied",
            Self::Store => "store_fault",
            Self::Panic => "worker_panicked",
        }
    }

    /// Its reason; empty where it has none.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Upstream(_, error) => error.word(),
            Self::Client(error) => error.word(),
            Self::Lease(refusal) => refusal.word(),
            Self::Exposed(exposure) => exposure.word(),
            Self::Flags(error) => error.word(),
            Self::Divergence(cause) => cause.as_str(),
            Self::Candidate(error) => error.word(),
            Self::Spans(drop) => drop.word(),
            Self::Inconclusive(reason) => reason.word(),
            Self::Admin(refusal) => refusal.word(),
            Self::Edit(refusal) => refusal.word(),
            Self::EditUnknown | Self::RetriesDenied | Self::Store | Self::Panic => "",
        }
    }

    fn all() -> Vec<Self> {
        let upstream = Path::ALL
            .iter()
            .flat_map(|path| UpstreamError::VALUES.iter().map(|e| Self::Upstream(*path, *e)));
        upstream
            .chain(ClientError::VALUES.iter().copied().map(Self::Client))
            .chain(LeaseRefusal::VALUES.iter().copied().map(Self::Lease))
            .chain(Exposure::VALUES.iter().copied().map(Self::Exposed))
            .chain(FlagsError::VALUES.iter().copied().map(Self::Flags))
            .chain(Cause::ALL.into_iter().map(Self::Divergence))
            .chain(UpstreamError::VALUES.iter().copied().map(Self::Candidate))
            .chain(SpanDrop::VALUES.iter().copied().map(Self::Spans))
            .chain(Inconclusive::VALUES.iter().copied().map(Self::Inconclusive))
            .chain(AdminRefusal::VALUES.iter().copied().map(Self::Admin))
            .chain(EditRefusal::VALUES.iter().copied().map(Self::Edit))
            .chain([Self::EditUnknown, Self::RetriesDenied, Self::Store, Self::Panic])
            .collect()
    }
}

/// What to do with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Write it, after telling of as many that were left out before.
    Write { left_out_before: u64 },
    /// Leave it out.
    LeaveOut,
}

/// A limit for every kind of fault.
pub(super) struct Limiter {
    windows: Vec<(Fault, Window)>,
}

impl Limiter {
    /// One that has seen nothing.
    pub(super) fn new() -> Self {
        let fresh = |fault| (fault, Window::default());
        Self { windows: Fault::all().into_iter().map(fresh).collect() }
    }

    /// Asks for a line; `now` is in seconds since any fixed moment.
    pub(super) fn admit(&self, fault: Fault, now: u64) -> Admission {
        match self.windows.iter().find(|(kind, _)| *kind == fault) {
            Some((_, window)) => window.admit(now),
            None => Admission::Write { left_out_before: 0 },
        }
    }

    /// The faults that fell silent with lines left out that nobody was told of yet.
    pub(super) fn close(&self, now: u64) -> impl Iterator<Item = (Fault, u64)> {
        let closed = move |(fault, window): &(Fault, Window)| Some((*fault, window.close(now)?));
        self.windows.iter().filter_map(closed)
    }
}

/// The second that is being counted, in the upper half, and the lines asked for within it, in the lower.
#[derive(Default)]
struct Window(AtomicU64);

impl Window {
    fn admit(&self, now: u64) -> Admission {
        let mut left_out_before = 0;
        let mut asked = 0;
        let step = |state: u64| {
            let (second, before) = unpack(state);
            let same = second == now;
            left_out_before = if same { 0 } else { before.saturating_sub(MAX_LINES_PER_SECOND) };
            asked = if same { before + 1 } else { 1 };
            Some(pack(now, asked))
        };
        // The step never declines.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
        if asked > MAX_LINES_PER_SECOND {
            Admission::LeaveOut
        } else {
            Admission::Write { left_out_before }
        }
    }

    fn close(&self, now: u64) -> Option<u64> {
        let step = |state: u64| {
            let (second, asked) = unpack(state);
            (second != now && asked > MAX_LINES_PER_SECOND).then(|| pack(now, 0))
        };
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        Some(unpack(before).1 - MAX_LINES_PER_SECOND)
    }
}

const HALF: u64 = 1 << 32;

fn pack(second: u64, asked: u64) -> u64 {
    (second % HALF) * HALF + asked.min(HALF - 1)
}

fn unpack(state: u64) -> (u64, u64) {
    (state / HALF, state % HALF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: Fault = Fault::Upstream(Path::Legacy, UpstreamError::Reset);

    fn written(limiter: &Limiter, fault: Fault, times: u64, now: u64) -> u64 {
        (0..times).filter(|_| limiter.admit(fault, now) != Admission::LeaveOut).count() as u64
    }

    #[test]
    fn a_storm_writes_a_few_lines_a_second() {
        let limiter = Limiter::new();

        assert_eq!(written(&limiter, RESET, 1_000, 7), MAX_LINES_PER_SECOND);
        assert_eq!(written(&limiter, RESET, 1_000, 8), MAX_LINES_PER_SECOND);
    }

    #[test]
    fn the_next_second_tells_once_how_many_were_left_out() {
        let limiter = Limiter::new();
        written(&limiter, RESET, MAX_LINES_PER_SECOND + 3, 7);

        assert_eq!(limiter.admit(RESET, 9), Admission::Write { left_out_before: 3 });
        assert_eq!(limiter.admit(RESET, 9), Admission::Write { left_out_before: 0 });
    }

    #[test]
    fn a_fault_that_falls_silent_is_told_of_at_upkeep_and_only_once() {
        let limiter = Limiter::new();
        written(&limiter, RESET, MAX_LINES_PER_SECOND + 3, 7);

        assert_eq!(limiter.close(7).next(), None, "its second is not over");
        assert_eq!(limiter.close(8).collect::<Vec<_>>(), [(RESET, 3)]);
        assert_eq!(limiter.close(9).next(), None);
        assert_eq!(limiter.admit(RESET, 9), Admission::Write { left_out_before: 0 });
    }

    #[test]
    fn one_fault_does_not_silence_another() {
        let limiter = Limiter::new();
        written(&limiter, RESET, 1_000, 7);

        for fault in Fault::all().into_iter().filter(|fault| *fault != RESET) {
            assert_eq!(
                limiter.admit(fault, 7),
                Admission::Write { left_out_before: 0 },
                "{fault:?}"
            );
        }
    }

    #[test]
    fn every_line_is_either_written_or_told_of_from_many_threads() {
        let limiter = Limiter::new();

        let (lines, told) = std::thread::scope(|scope| {
            let ask = || {
                (0..10_000u64).fold((0, 0), |(lines, told), n| {
                    match limiter.admit(RESET, n / 1_000) {
                        Admission::Write { left_out_before } => (lines + 1, told + left_out_before),
                        Admission::LeaveOut => (lines, told),
                    }
                })
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            let add = |sum: (u64, u64), (lines, told)| (sum.0 + lines, sum.1 + told);
            threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), add)
        });
        let left: u64 = limiter.close(u64::from(u32::MAX)).map(|(_, count)| count).sum();

        assert_eq!(lines + told + left, 40_000);
    }
}
