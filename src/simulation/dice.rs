//! Random choices, all from one seed.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// Clones share their sequence.
#[derive(Clone)]
pub(super) struct Dice(Rc<RefCell<fastrand::Rng>>);

impl Dice {
    pub(super) fn of(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))))
    }

    /// Others that depend on this one, and from here on on nothing but themselves.
    pub(super) fn fork(&self) -> Self {
        Self::of(self.0.borrow_mut().u64(..))
    }

    pub(super) fn number(&self, range: Range<u64>) -> u64 {
        self.0.borrow_mut().u64(range)
    }

    /// One time in so many.
    pub(super) fn one_in(&self, many: u64) -> bool {
        self.number(0..many) == 0
    }

    pub(super) fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.number(range))
    }

    /// Some time around so many milliseconds, as between events that have nothing to do with each other.
    pub(super) fn around(&self, mean_ms: f64) -> Duration {
        let uniform = self.0.borrow_mut().f64();
        Duration::from_secs_f64((1.0 - uniform).ln().abs() * mean_ms / 1000.0)
    }

    pub(super) fn choose<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        self.0.borrow_mut().choice(from)
    }
}
