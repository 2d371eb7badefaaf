//! The budget for tries that are made again: a share of the updates, and a little beside, so that a store in trouble is not
//! asked for several times as much as in good days.

use std::time::Duration;

/// What an update adds to the budget, in thousandths of a try: 10 %.
const PER_UPDATE: u64 = 100;

/// What a millisecond adds, in thousandths of a try: one a second, for those who have few updates.
const PER_MILLISECOND: u64 = 1;

/// The most that is saved up, in thousandths of a try: ten seconds of a quiet time, or a hundred updates.
const MOST: u64 = 10_000;

/// The price of a try, in thousandths.
const TRY: u64 = 1_000;

/// How many tries may be made again. Time is handed in, as what has passed since some fixed moment.
#[derive(Debug)]
pub struct RetryBudget {
    /// In thousandths of a try.
    saved: u64,
    /// Up to when the seconds have been added.
    filled: Duration,
}

impl RetryBudget {
    /// A full one.
    pub fn new(now: Duration) -> Self {
        Self { saved: MOST, filled: now }
    }

    /// An update begins.
    pub fn earn(&mut self) {
        self.saved = MOST.min(self.saved + PER_UPDATE);
    }

    /// Takes what one more try costs; false where that is not there, and nothing is taken then.
    #[must_use]
    pub fn spend(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.saved = MOST.min(self.saved.saturating_add(passed.saturating_mul(PER_MILLISECOND)));
        // What is left of a millisecond counts next time.
        self.filled = self.filled.saturating_add(Duration::from_millis(passed));
        match self.saved.checked_sub(TRY) {
            None => false,
            Some(left) => {
                self.saved = left;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How many tries may be made at once.
    fn drain(budget: &mut RetryBudget, now: Duration) -> usize {
        std::iter::from_fn(|| budget.spend(now).then_some(())).take(1_000).count()
    }

    #[test]
    fn a_quiet_time_saves_up_ten_tries_and_no_more() {
        let mut budget = RetryBudget::new(at(0));

        assert_eq!(drain(&mut budget, at(0)), 10);
        assert_eq!(drain(&mut budget, at(3_600_000)), 10);
    }

    #[test]
    fn whoever_asks_all_the_time_gets_no_less() {
        let mut budget = RetryBudget::new(at(0));
        drain(&mut budget, at(0));

        let tries = (1..=4_000u64).filter(|n| budget.spend(Duration::from_micros(n * 500)));

        assert_eq!(tries.count(), 2);
    }

    #[test]
    fn one_try_a_second_is_free_and_one_in_ten_updates_earns_another() {
        let mut budget = RetryBudget::new(at(0));
        drain(&mut budget, at(0));

        assert_eq!(drain(&mut budget, at(999)), 0);
        assert_eq!(drain(&mut budget, at(1_000)), 1);
        (0..9).for_each(|_| budget.earn());
        assert_eq!(drain(&mut budget, at(1_000)), 0);
        budget.earn();
        assert_eq!(drain(&mut budget, at(1_000)), 1);
    }

    proptest! {
        #[test]
        fn never_more_tries_than_a_tenth_of_the_updates_and_one_a_second_beyond_what_was_saved(
            steps in prop::collection::vec((0u64..3_000, any::<bool>()), 0..300)
        ) {
            let mut budget = RetryBudget::new(at(0));
            let (mut now, mut updates, mut tries) = (0, 0u64, 0u64);
            for (passes, is_update) in steps {
                now += passes;
                if is_update {
                    updates += 1;
                    budget.earn();
                } else {
                    tries += u64::from(budget.spend(at(now)));
                }
            }

            prop_assert!(tries <= 10 + updates / 10 + now / 1_000 + 1);
        }

        #[test]
        fn a_clock_that_stands_or_goes_back_gives_nothing(back in 0u64..10_000) {
            let mut budget = RetryBudget::new(at(10_000));
            drain(&mut budget, at(10_000));

            prop_assert!(!budget.spend(at(10_000 - back)));
            prop_assert!(!budget.spend(at(10_000)));
        }
    }
}
