//! Which entities were seen lately, and how many reads the detector may still make: by atomics, as workers ask.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many entities are remembered at once, at most. One that is pushed out is read ahead once more, which does no harm.
const SLOTS: usize = 16 * 1024;

/// An entity that was not updated for so long counts as not seen, in seconds: half of what a journal is kept for, so that
/// none is ever without its first look.
const FORGOTTEN_AFTER: u64 = 300;

/// Entities seen lately. Each has one slot, by its hash; the latest of those that share one has it.
pub(super) struct Sights {
    /// The hash's upper half, and the second in which it was seen.
    slots: Box<[AtomicU64]>,
}

impl Sights {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Notes that an entity is seen; whether it was not before. `seconds` is since any fixed moment, from 1.
    pub(super) fn is_first(&self, hash: u64, seconds: u64) -> bool {
        let Some(slot) = self.slot(hash) else { return false };
        let (tag, now) = (hash >> 32, seconds & 0xffff_ffff);
        let seen = slot.swap(tag << 32 | now, Relaxed);
        seen >> 32 != tag || now.saturating_sub(seen & 0xffff_ffff) > FORGOTTEN_AFTER || seen == 0
    }

    /// The entity counts as not seen.
    pub(super) fn forget(&self, hash: u64) {
        if let Some(slot) = self.slot(hash) {
            slot.store(0, Relaxed);
        }
    }

    fn slot(&self, hash: u64) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(hash % SLOTS as u64).ok()?)
    }

    /// Forgets all of them.
    pub(super) fn clear(&self) {
        for slot in &self.slots {
            slot.store(0, Relaxed);
        }
    }
}

/// So many reads a second, and no more.
pub(super) struct Budget {
    most: u64,
    /// The second, and how many were made in it.
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(most: u32) -> Self {
        Self { most: u64::from(most), used: AtomicU64::new(0) }
    }

    /// Whether one more may be made; it counts as made then.
    pub(super) fn take(&self, seconds: u64) -> bool {
        let step = |used: u64| {
            let (second, count) = (used >> 32, used & 0xffff_ffff);
            let now = seconds & 0xffff_ffff;
            let count = if second == now { count } else { 0 };
            (count < self.most).then_some(now << 32 | (count + 1))
        };
        self.used.fetch_update(Relaxed, Relaxed, step).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_is_first_once_and_again_when_it_was_away_for_long() {
        let sights = Sights::new();

        assert!(sights.is_first(7, 1));
        assert!(!sights.is_first(7, 2));
        assert!(!sights.is_first(7, 2 + FORGOTTEN_AFTER));
        assert!(sights.is_first(7, 3 + 2 * FORGOTTEN_AFTER));
        sights.forget(7);
        assert!(sights.is_first(7, 4 + 2 * FORGOTTEN_AFTER));
        sights.clear();
        assert!(sights.is_first(7, 4 + 2 * FORGOTTEN_AFTER));
    }

    #[test]
    fn one_that_shares_its_place_pushes_it_out() {
        let sights = Sights::new();
        let other = 7 + (1 << 40);

        assert!(sights.is_first(7, 1));
        assert!(sights.is_first(other, 1));
        assert!(sights.is_first(7, 1));
    }

    #[test]
    fn a_budget_is_for_each_second() {
        let budget = Budget::new(2);

        assert_eq!([budget.take(5), budget.take(5), budget.take(5)], [true, true, false]);
        assert!(budget.take(6));
    }
}
