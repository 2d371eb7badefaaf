//! How many records a flag may leave: an app that loses every second update must not fill the store with it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Between two records of one flag and sidecar, in the long run, in milliseconds: 5 a second.
const EVERY_MS: u64 = 200;

/// Records of one flag that may come at once.
pub(super) const BURST: u64 = 20;

/// How far records may run ahead of their rate, in milliseconds.
const AHEAD_MS: u64 = EVERY_MS * (BURST - 1);

/// The rate of one flag: when the next record would be due if all kept their distance, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Rate(AtomicU64);

impl Rate {
    /// Whether there may be another record. `now_ms` is since any fixed moment.
    pub(super) fn admit(&self, now_ms: u64) -> bool {
        let next = |due: u64| {
            let due = due.max(now_ms);
            (due - now_ms <= AHEAD_MS).then(|| due.saturating_add(EVERY_MS))
        };
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rate: &Rate, now_ms: u64, tries: usize) -> u64 {
        (0..tries).map(|_| u64::from(rate.admit(now_ms))).sum()
    }

    #[test]
    fn a_burst_is_let_through_and_then_five_a_second() {
        let rate = Rate::default();

        assert_eq!(admitted(&rate, 1_000, 100), BURST);
        assert_eq!(admitted(&rate, 1_199, 100), 0);
        assert_eq!(admitted(&rate, 1_200, 100), 1);
        assert_eq!((1..=50).map(|n| admitted(&rate, 1_200 + n * 100, 10)).sum::<u64>(), 25);
    }

    #[test]
    fn silence_brings_back_one_burst_and_no_more() {
        let rate = Rate::default();
        admitted(&rate, 0, 100);

        assert_eq!(admitted(&rate, 1_000_000, 100), BURST);
    }

    #[test]
    fn no_time_overflows() {
        let rate = Rate::default();

        assert!(rate.admit(u64::MAX));
        assert!(rate.admit(u64::MAX));
        assert!(rate.admit(0) || !rate.admit(0));
    }
}
