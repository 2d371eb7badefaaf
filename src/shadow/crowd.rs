//! Whether updates of one entity crowd: were two of them in flight in this sidecar at once?
//!
//! A table of fixed size that is indexed by the entity's hash and never locked. Two entities that share a place make a window
//! look crowded that was not; the other mistake is impossible.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::bucket;

/// Places in the table: with a hundred updates in flight, one in forty looks crowded by mistake.
const PLACES: usize = 4096;

/// One more update has begun, and is in flight: the upper half counts the former, and wraps; the lower half the latter.
const BEGIN: u64 = BEGUN_ONE | 1;
const BEGUN_ONE: u64 = 1 << 32;
const IN_FLIGHT: u64 = BEGUN_ONE - 1;

/// Updates in flight in this sidecar, by entity. All workers share one.
pub(crate) struct CrowdTable(Box<[AtomicU64]>);

impl CrowdTable {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self((0..PLACES).map(|_| AtomicU64::new(0)).collect()))
    }

    fn place(&self, index: u32) -> Option<&AtomicU64> {
        self.0.get(index as usize % PLACES)
    }
}

/// One worker's way to the table: it is handed on without touching what workers share.
#[derive(Clone)]
#[allow(clippy::redundant_allocation, reason = "workers would share the count of an `Arc`")]
pub(crate) struct Crowd(Rc<Arc<CrowdTable>>);

impl Crowd {
    pub(crate) fn new(table: &Arc<CrowdTable>) -> Self {
        Self(Rc::new(Arc::clone(table)))
    }

    /// An update of an entity begins; it is in flight until the guard is dropped.
    pub(crate) fn enter(&self, entity: &str) -> CrowdGuard {
        let index = bucket::hash("", entity);
        let before = self.0.place(index).map_or(0, |place| place.fetch_add(BEGIN, Relaxed));
        let window = Window {
            index,
            begun: before.wrapping_add(BEGUN_ONE) & !IN_FLIGHT,
            joined_others: before & IN_FLIGHT > 0,
        };
        CrowdGuard { crowd: self.clone(), window }
    }

    /// Whether any other update of the entity was in flight at some time since a window began.
    pub(crate) fn was_contended(&self, window: Window) -> bool {
        let now = self.0.place(window.index).map_or(0, |place| place.load(Relaxed));
        window.joined_others || now & !IN_FLIGHT != window.begun
    }
}

/// An update in flight.
pub(crate) struct CrowdGuard {
    crowd: Crowd,
    window: Window,
}

impl CrowdGuard {
    /// The time since it began.
    pub(crate) fn window(&self) -> Window {
        self.window
    }
}

impl Drop for CrowdGuard {
    fn drop(&mut self) {
        if let Some(place) = self.crowd.0.place(self.window.index) {
            // It was counted there: the lower half never falls below zero.
            place.fetch_sub(1, Relaxed);
        }
    }
}

/// A time that began with an update of an entity; it may be looked at after that update has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    index: u32,
    begun: u64,
    joined_others: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        Crowd::new(&CrowdTable::new())
    }

    #[test]
    fn an_update_alone_is_not_contended_even_when_looked_at_later() {
        let crowd = crowd();

        let update = crowd.enter("journey:1");
        let window = update.window();
        assert!(!crowd.was_contended(window));
        drop(update);

        assert!(!crowd.was_contended(window));
    }

    #[test]
    fn one_that_joins_another_is_contended_and_so_is_the_other() {
        let crowd = crowd();

        let first = crowd.enter("journey:1");
        let second = crowd.enter("journey:1");

        assert!(crowd.was_contended(first.window()));
        assert!(crowd.was_contended(second.window()));
    }

    #[test]
    fn one_that_came_and_went_within_the_window_is_noticed() {
        let crowd = crowd();
        let window = crowd.enter("journey:1").window();

        drop(crowd.enter("journey:1"));

        assert!(crowd.was_contended(window));
    }

    #[test]
    fn updates_that_ended_before_leave_no_trace() {
        let crowd = crowd();
        for _ in 0..10_000 {
            drop(crowd.enter("journey:1"));
        }

        let update = crowd.enter("journey:1");

        assert!(!crowd.was_contended(update.window()));
    }

    #[test]
    fn another_entity_does_not_contend() {
        let crowd = crowd();

        let window = crowd.enter("journey:1").window();
        let _other = crowd.enter("journey:2");

        assert!(!crowd.was_contended(window));
    }

    #[test]
    fn the_count_of_updates_wraps_without_touching_those_in_flight() {
        let table = CrowdTable::new();
        let index = bucket::hash("", "journey:1");
        table.place(index).unwrap().store(!IN_FLIGHT, Relaxed);
        let crowd = Crowd::new(&table);

        let window = crowd.enter("journey:1").window();

        assert!(!crowd.was_contended(window));
        drop(crowd.enter("journey:1"));
        assert!(crowd.was_contended(window));
    }

    #[test]
    fn workers_see_each_others_updates() {
        let table = CrowdTable::new();
        let (one, other) = (Crowd::new(&table), Crowd::new(&table));

        let window = one.enter("journey:1").window();
        drop(other.enter("journey:1"));

        assert!(one.was_contended(window));
    }
}
