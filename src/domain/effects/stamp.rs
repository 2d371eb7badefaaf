//! Moments that were noted on different machines, and which of them certainly came before which.
//!
//! Two clocks never agree. Every sidecar therefore says of a moment between which two readings of one common clock it lies
//! (Cristian's algorithm: the time that the store told in an answer lies between sending the question and having the
//! answer), and a moment is before another only where that is certain. Moments on one sidecar's own clock are
//! ordered exactly.

use serde::{Deserialize, Serialize};

/// A moment. All of its figures are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Whose clock; the same number is the same clock.
    #[serde(rename = "c")]
    pub clock: u64,
    /// On that clock.
    #[serde(rename = "t")]
    pub ticks: u64,
    /// On the common clock, at the earliest.
    #[serde(rename = "e")]
    pub earliest: u64,
    /// On the common clock, at the latest.
    #[serde(rename = "l")]
    pub latest: u64,
}

impl Stamp {
    /// A moment on a clock that is the only one.
    pub const fn alone(ticks: u64) -> Self {
        Self { clock: 0, ticks, earliest: ticks, latest: ticks }
    }

    /// Whether this moment certainly came before the other.
    pub const fn is_before(&self, other: &Self) -> bool {
        if self.clock == other.clock {
            self.ticks < other.ticks
        } else {
            self.latest < other.earliest
        }
    }

    /// The moment that much later on the same clock.
    pub const fn plus(self, micros: u64) -> Self {
        Self {
            clock: self.clock,
            ticks: self.ticks.saturating_add(micros),
            earliest: self.earliest.saturating_add(micros),
            latest: self.latest.saturating_add(micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(clock: u64, ticks: u64, earliest: u64, latest: u64) -> Stamp {
        Stamp { clock, ticks, earliest, latest }
    }

    #[test]
    fn one_clock_orders_exactly_and_two_only_where_it_is_certain() {
        let check = |a: Stamp, b: Stamp, expected: bool| {
            assert_eq!(a.is_before(&b), expected, "{a:?} {b:?}");
            assert!(!(a.is_before(&b) && b.is_before(&a)));
        };

        check(stamp(1, 10, 0, 100), stamp(1, 11, 0, 100), true);
        check(stamp(1, 11, 0, 100), stamp(1, 11, 0, 100), false);
        check(stamp(1, 10, 100, 110), stamp(2, 7, 111, 120), true);
        check(stamp(1, 10, 100, 111), stamp(2, 7, 111, 120), false);
        check(stamp(2, 7, 111, 120), stamp(1, 10, 100, 111), false);
    }

    #[test]
    fn later_is_later_on_every_scale() {
        let later = stamp(1, 10, 20, 30).plus(5);

        assert_eq!(later, stamp(1, 15, 25, 35));
        assert_eq!(stamp(1, u64::MAX, 0, 0).plus(5).ticks, u64::MAX);
    }
}
