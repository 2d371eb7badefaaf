//! The common clock as one sidecar knows it: between which two readings it stands.
//!
//! Cristian's algorithm: what the store's clock showed in an answer it showed at some moment between the question and the
//! answer. Each exchange so gives an interval; all of them hold at once, so the true reading lies in what they have in common
//! (Marzullo's intersection), each made wider by what the two clocks may have drifted apart since. A good round trip thus
//! serves many later moments. Intervals that have nothing in common are proof that the common clock was set, or is another one.

use super::stamp::Stamp;

/// How much faster or slower the common clock may run than this process's, in millionths. NTP turns a clock by up to 500, and
/// either clock may be turned: the opposite ways at worst.
pub const MAX_DRIFT_PPM: u64 = 1000;

/// What the store's clock tells is rounded down, by less than this.
const STORE_QUANTUM: i128 = 1;

/// The common time while one tick passes, rounded up: a moment is somewhere within its tick.
const TICK: i128 = 2;

/// What one sidecar knows of the common clock. All times are in microseconds; ticks are those of this process's own monotonic
/// clock.
#[derive(Clone, Debug)]
pub struct CommonClock {
    clock_id: u64,
    known: Option<Interval>,
}

/// What an exchange said of the common clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It goes on as before.
    Fine,
    /// It was set, or is another one. Stamps that were made before mean nothing beside those that are made from now on, but
    /// for the order of one sidecar's own.
    Stepped,
}

/// Between which readings the common clock stood at the beginning of a tick.
#[derive(Clone, Copy, Debug)]
struct Interval {
    ticks: u64,
    earliest: i128,
    latest: i128,
}

impl Interval {
    /// Where it stood at the beginning of another tick, earlier or later.
    fn at(&self, ticks: u64) -> Self {
        let passed = i128::from(ticks) - i128::from(self.ticks);
        let drift = drift_over(ticks.abs_diff(self.ticks));
        Self {
            ticks,
            earliest: self.earliest + passed - drift,
            latest: self.latest + passed + drift,
        }
    }

    /// What two have in common, at the second one's tick; `None` where that is nothing.
    fn and(&self, other: &Self) -> Option<Self> {
        let own = self.at(other.ticks);
        let (earliest, latest) = (own.earliest.max(other.earliest), own.latest.min(other.latest));
        (earliest <= latest).then_some(Self { ticks: other.ticks, earliest, latest })
    }
}

impl CommonClock {
    /// Nothing is known yet. `clock_id` is this process's own: no other sidecar has it.
    pub const fn new(clock_id: u64) -> Self {
        Self { clock_id, known: None }
    }

    /// Takes in an exchange: the store's clock showed `store_now` after `asked_ticks` had begun and before `answered_ticks` were
    /// over.
    pub fn note(&mut self, asked_ticks: u64, store_now: u64, answered_ticks: u64) -> Noted {
        let took = answered_ticks.saturating_sub(asked_ticks);
        let shown = i128::from(store_now);
        let new = Interval {
            ticks: answered_ticks,
            // It was shown before this tick was over,
            earliest: shown - TICK,
            // and after the first one had begun.
            latest: shown + STORE_QUANTUM + i128::from(took) + drift_over(took),
        };
        let (known, noted) = match &self.known {
            None => (new, Noted::Fine),
            Some(known) => match known.and(&new) {
                Some(both) => (both, Noted::Fine),
                None => (new, Noted::Stepped),
            },
        };
        self.known = Some(known);
        noted
    }

    /// This process's clock, among all sidecars'.
    pub const fn id(&self) -> u64 {
        self.clock_id
    }

    /// The moment of these ticks, past or to come: what the common clock would have shown, had it always been as it is now.
    /// `None` before the first exchange.
    pub fn stamp(&self, ticks: u64) -> Option<Stamp> {
        let interval = self.known?.at(ticks);
        let on_scale = |time: i128| u64::try_from(time.max(0)).unwrap_or(u64::MAX);
        Some(Stamp {
            clock: self.clock_id,
            ticks,
            earliest: on_scale(interval.earliest),
            latest: on_scale(interval.latest + TICK),
        })
    }
}

/// How far two clocks may drift apart over so many ticks.
fn drift_over(ticks: u64) -> i128 {
    i128::from(ticks.div_ceil(1_000_000 / MAX_DRIFT_PPM))
}

#[cfg(test)]
mod tests;
