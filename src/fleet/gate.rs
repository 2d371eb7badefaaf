//! The gate before the fleet's leases: open, lost or recovering, as every thread sees it.
//!
//! Whoever holds a lease, or runs a call without one as the store is gone, holds the [`Era`] in which it began. Once an era
//! has passed and nobody holds it any more, its calls have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::timeout_at;

use crate::clock::{self, Instant};
use crate::watch;

/// Which store, over which connections.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The store's connections; leases are asked for on these alone.
    pub(crate) generation: u64,
    /// Which store it is.
    pub(crate) epoch: String,
    /// Whether it is a Redis Cluster.
    pub(crate) cluster: bool,
}

/// A stretch of time in which the gate did not change. To have one is to have a call under way.
#[derive(Debug)]
pub(crate) struct Era {
    /// Where leases come from.
    pub(crate) place: Arc<Place>,
    began: Instant,
    /// Milliseconds since `began` until which a call of unknown outcome may write.
    open_until: AtomicU64,
}

impl Era {
    pub(crate) fn at(place: Place) -> Self {
        Self { place: Arc::new(place), began: clock::now(), open_until: AtomicU64::new(0) }
    }

    /// One without a store.
    pub(crate) fn nowhere() -> Self {
        Self::at(Place::default())
    }

    /// A call has ended whose write may still land within `settle`.
    pub(crate) fn leave_open(&self, settle: Duration) {
        let until = (clock::now() - self.began).saturating_add(settle).as_millis();
        // Rounded up: the part of a millisecond that was cut off.
        let until = u64::try_from(until).unwrap_or(u64::MAX).saturating_add(1);
        self.open_until.fetch_max(until, Ordering::Relaxed);
    }

    /// Whether nothing that began in it can write any more, given that nobody can begin anything in it now.
    fn is_over(era: &Arc<Self>) -> bool {
        if Arc::strong_count(era) > 1 {
            return false;
        }
        // Whoever held it said how its call ended before it let go: that is to be seen once the letting go is.
        fence(Ordering::Acquire);
        let passed = (clock::now() - era.began).as_millis();
        passed >= u128::from(era.open_until.load(Ordering::Relaxed))
    }
}

/// Whether leases are granted.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// They are.
    Open(Arc<Era>),
    /// The store is gone; the era is for calls that run without.
    Lost(Arc<Era>),
    /// The store is back, other sidecars may not be: calls run without, in this era, or wait.
    Rallying(Arc<Era>),
    /// Everybody is back; calls from before may still write, so that no other begins.
    Draining,
}

/// The gate, seen from every thread. Clones are the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    present: Arc<ArcSwap<Standing>>,
    changed: watch::Sender<()>,
}

impl Gate {
    /// One that is not open yet.
    pub(crate) fn new() -> Self {
        let nowhere = Standing::Rallying(Arc::new(Era::nowhere()));
        let present = Arc::new(ArcSwap::from_pointee(nowhere));
        Self { present, changed: watch::Sender::new(()) }
    }

    /// How it stands; takes no lock.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.present.load_full()
    }

    /// Whether it is open, with leases from there.
    pub(crate) fn is_open_at(&self, place: &Arc<Place>) -> bool {
        matches!(&**self.present.load(), Standing::Open(era) if Arc::ptr_eq(&era.place, place))
    }

    /// Notes changes from here on: ask before looking at the standing, so that none is missed.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn set(&self, standing: Standing) {
        self.present.store(Arc::new(standing));
        self.changed.send_replace(());
    }
}

/// Waits for the gate to change; false when the deadline came first.
pub(crate) async fn changes_by(changes: &mut watch::Receiver<()>, deadline: Instant) -> bool {
    // The sender lives as long as the gate, which whoever waits holds.
    timeout_at(deadline, changes.changed()).await.is_ok()
}

/// The one that opens and shuts the gate.
pub(crate) struct Keeper {
    gate: Gate,
    /// Eras that have passed, with calls that may not have ended.
    passed: Vec<Arc<Era>>,
}

impl Keeper {
    pub(crate) fn new(gate: Gate) -> Self {
        Self { gate, passed: Vec::new() }
    }

    /// Lets the present era pass and begins another standing.
    pub(crate) fn turn(&mut self, standing: Standing) {
        match &*self.gate.standing() {
            Standing::Open(era) | Standing::Lost(era) | Standing::Rallying(era) => {
                self.passed.push(Arc::clone(era));
            }
            Standing::Draining => {}
        }
        self.gate.set(standing);
    }

    /// Whether every call from an era that has passed is over.
    pub(crate) fn is_drained(&mut self) -> bool {
        self.passed.retain(|era| !Era::is_over(era));
        self.passed.is_empty()
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.gate.standing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era() -> Arc<Era> {
        Arc::new(Era::nowhere())
    }

    #[tokio::test(start_paused = true)]
    async fn an_era_is_over_when_its_calls_have_ended() {
        let mut keeper = Keeper::new(Gate::new());
        keeper.turn(Standing::Open(era()));
        let Standing::Open(call) = (*keeper.standing()).clone() else { panic!("not open") };

        keeper.turn(Standing::Draining);
        assert!(!keeper.is_drained());

        drop(call);
        assert!(keeper.is_drained());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_unknown_outcome_holds_its_era_open_for_the_settle_time() {
        const SETTLE: Duration = Duration::from_secs(5);
        let mut keeper = Keeper::new(Gate::new());
        let call = era();
        keeper.turn(Standing::Lost(Arc::clone(&call)));
        keeper.turn(Standing::Draining);

        call.leave_open(SETTLE);
        drop(call);

        assert!(!keeper.is_drained());
        tokio::time::advance(SETTLE - Duration::from_millis(1)).await;
        assert!(!keeper.is_drained());
        tokio::time::advance(Duration::from_millis(3)).await;
        assert!(keeper.is_drained());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_sees_every_change() {
        let gate = Gate::new();
        let mut keeper = Keeper::new(gate.clone());
        let mut changes = gate.watch();
        let soon = clock::now() + Duration::from_secs(1);

        keeper.turn(Standing::Open(era()));

        assert!(changes_by(&mut changes, soon).await);
        assert!(!changes_by(&mut changes, soon).await, "there was one change");
    }
}
