//! When to try again, when a connection counts as dead, and when to tell of it: pure, and so tested without a store.

use std::time::Duration;

use crate::clock::Instant;
use crate::telemetry::labels::Breaker;

/// The first wait between two attempts: a server that restarts is back within some of these.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest wait between two attempts: what an outage lasts longer because of us.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that served this long was a good one: after it, the first attempt is made at once.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// Commands in a row without an answer after which a connection is given up: one may be a hiccup of the server.
const SILENT_AFTER: u8 = 3;

/// The waits between attempts to connect.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// How long to wait before the next attempt. `random` is from 0 to 1: it spreads the sidecars of a fleet.
    pub(super) fn pause(&mut self, random: f64) -> Duration {
        let before = self.attempts;
        self.attempts = before.saturating_add(1);
        let Some(doublings) = before.checked_sub(1) else {
            return Duration::ZERO;
        };
        let full = FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE);
        full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// A connection ended after it had served so long. One that ends at once is no reason to hurry.
    pub(super) fn served(&mut self, long: Duration) {
        if long >= SETTLED_AFTER {
            self.attempts = 0;
        }
    }
}

/// Counts the commands in a row that one connection did not answer.
///
/// Of those that wait at the same time only one counts: a stall of one timeout must not look like three.
#[derive(Debug, Default)]
pub(super) struct Silence {
    count: u8,
    counted: Option<Instant>,
}

impl Silence {
    /// The server has answered, whatever it said.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A command that was sent then has no answer now; whether the connection counts as dead.
    pub(super) fn timed_out(&mut self, sent: Instant, now: Instant) -> bool {
        if self.counted.is_none_or(|counted| sent >= counted) {
            self.count += 1;
            self.counted = Some(now);
        }
        self.count >= SILENT_AFTER
    }

    /// Whether an answer is missing: it should be asked at once whether the server is still there.
    pub(super) fn is_suspicious(&self) -> bool {
        self.count > 0
    }
}

/// What is to be told after a step of the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// It has changed, for people to read.
    Changed(Breaker),
    /// It moves between trying and waiting: a gauge's matter.
    Moved(Breaker),
    /// The outage goes on for another reason than those told before.
    Reason,
}

/// Whether commands are sent, and what was told of it. `K` is a kind of reason: in one outage each is told once.
#[derive(Debug)]
pub(super) struct Outage<K> {
    up: bool,
    told: Vec<K>,
}

impl<K: PartialEq> Outage<K> {
    /// Before the first attempt: not up, and nothing was told.
    pub(super) fn new() -> Self {
        Self { up: false, told: Vec::new() }
    }

    /// All that is needed is connected.
    pub(super) fn connected(&mut self) -> Option<Tell> {
        self.told.clear();
        let was_up = std::mem::replace(&mut self.up, true);
        (!was_up).then_some(Tell::Changed(Breaker::Closed))
    }

    /// An attempt begins.
    pub(super) fn tried(&self) -> Option<Tell> {
        (!self.up).then_some(Tell::Moved(Breaker::HalfOpen))
    }

    /// A connection was lost, or an attempt has failed.
    pub(super) fn failed(&mut self, kind: K) -> [Option<Tell>; 2] {
        self.up = false;
        if self.told.contains(&kind) {
            return [Some(Tell::Moved(Breaker::Open)), None];
        }
        let first = self.told.is_empty();
        self.told.push(kind);
        match first {
            true => [Some(Tell::Changed(Breaker::Open)), None],
            false => [Some(Tell::Moved(Breaker::Open)), Some(Tell::Reason)],
        }
    }
}

#[cfg(test)]
mod tests;
