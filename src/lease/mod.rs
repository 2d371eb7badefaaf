//! The lease port: the right to update one entity for a bounded time, and its ever-growing number.
//!
//! A lease is keyed by the entity alone, so whatever writes an entity excludes whatever else writes it, across routes
//! and flags. Waiters queue first come, first served; how many wait and how long is bounded by [`LeaseTerms`].
//!
//! A lease ends in one of two ways:
//!
//! - [`Lease::release`]: the outcome of the call is known. The next waiter has the lease at once.
//! - [`Lease::keep`], or dropping it without a word: the outcome is unknown (a timeout, a broken connection, a panic, a
//!   cancelled future), so a write may still land. Nobody gets the entity until [`LeaseTerms::settle`] has passed:
//!   handing it over earlier loses updates.
//!
//! [`LocalLeases`] holds within this process alone, `FleetLeases` in every sidecar over one store. Any implementation has
//! to pass the suite in `conformance`.

mod fleet;
mod local;
mod protection;
mod queue;
mod shards;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod model;
#[cfg(test)]
mod stress;

use std::fmt;
use std::time::Duration;

use crate::domain::flag::OnStoreLoss;
use crate::domain::trace::TraceContext;
use crate::telemetry::FlagIndex;
use crate::telemetry::labels::Exposure;
pub(crate) use fleet::{Desk, Errand, FleetLeases, quarantine};
pub use local::{LocalLeases, SWEEP_EVERY};
pub(crate) use protection::protection;

/// The longest wait or settle time that is honoured; longer ones count as this. It keeps sums with instants in range.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The bounds under which a call asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// The longest wait; zero takes the lease only if it is free.
    pub wait: Duration,
    /// The most calls that wait for one entity.
    pub max_waiters: usize,
    /// D: how long the entity is left alone after a call whose outcome is unknown.
    pub settle: Duration,
    /// What matters only where leases come from a store.
    pub store: StoreTerms,
}

/// The terms under which a lease is asked for at a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTerms {
    /// The longest from the lease to the sending of the call.
    pub connect: Duration,
    /// The longest from the sending of the call to its end.
    pub call: Duration,
    /// How long a call is held while the store is gone, before `loss` decides.
    pub patience: Duration,
    /// What happens to a call while the store is gone.
    pub loss: OnStoreLoss,
    /// The flag that it is counted for.
    pub flag: FlagIndex,
    /// The trace for which the store is asked.
    pub trace: LeaseTrace,
    /// What is done under it.
    pub purpose: Purpose,
}

/// What is done under a lease, as the store knows it: one that was asked for for an edit is not handed on to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A call, beside which nobody may write.
    Call,
    /// An edit in the store, whose turn it is among calls. Edits write beside it: the store's script sees to what they meet.
    Edit,
}

impl Purpose {
    /// Whether a lease for this may be used for the other.
    const fn allows(self, other: Self) -> bool {
        matches!((self, other), (Self::Call, _) | (Self::Edit, Self::Edit))
    }
}

/// The spans that what is said to the store goes under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTrace {
    /// The wait for the lease: it is asked for within it.
    pub wait: TraceContext,
    /// The call: the lease is given back after it.
    pub call: TraceContext,
}

impl LeaseTrace {
    /// No trace.
    pub const NONE: Self = Self { wait: TraceContext::NONE, call: TraceContext::NONE };
}

impl StoreTerms {
    /// For leases that come from no store.
    pub const NONE: Self = Self {
        connect: Duration::ZERO,
        call: Duration::ZERO,
        patience: Duration::ZERO,
        loss: OnStoreLoss::Reject,
        flag: FlagIndex(0),
        trace: LeaseTrace::NONE,
        purpose: Purpose::Call,
    };
}

/// How far a lease reaches: what it really protects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every call of this process.
    Process,
    /// Every call of every sidecar.
    Fleet,
    /// Other calls of this sidecar only, though the fleet was meant.
    Exposed(Exposure),
}

/// The number of a lease. Of two leases on one entity, the later one has the larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why there is no lease. Nothing was sent, so the call may be retried safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// As many calls as may already wait for the entity.
    #[error(
        "{waiters} calls already wait for the entity's lease: retry later, or raise the flag's `lease.max_waiters`"
    )]
    QueueFull {
        /// How many wait.
        waiters: usize,
    },
    /// The lease did not come free in time.
    #[error(
        "the entity's lease did not come free within {waited:?}: retry later, or raise the flag's `lease.wait`"
    )]
    WaitTimeout {
        /// How long the call waited.
        waited: Duration,
    },
    /// The store that grants leases is gone, and the flag says to refuse then.
    #[error(
        "the store grants no lease: it can't be asked, or calls from before it was lost have not ended (on_store_loss = \"reject\"): retry later, or see the metric interlock_lease_gate and the log"
    )]
    StoreLost,
    /// The lease would not have lasted to the end of the call: this process stood still, or its connections took too long.
    #[error("the entity's lease was about to run out before the call was sent: retry")]
    RanOut,
}

/// Where the leases of a sidecar come from.
#[derive(Clone)]
pub(crate) enum SidecarLeases {
    /// This process.
    Local(LocalLeases),
    /// The fleet's store.
    Fleet(FleetLeases),
}

impl SidecarLeases {
    /// Forgets what ran out. Call it every [`SWEEP_EVERY`].
    pub(crate) fn sweep(&self) {
        match self {
            Self::Local(leases) => leases.sweep(),
            Self::Fleet(leases) => leases.sweep(),
        }
    }

    /// As [`Leases::acquire`].
    pub(crate) async fn acquire(
        &self,
        entity: &str,
        terms: LeaseTerms,
    ) -> Result<Lease, LeaseError> {
        match self {
            Self::Local(leases) => leases.acquire(entity, terms).await,
            Self::Fleet(leases) => leases.acquire(entity, terms).await,
        }
    }
}

/// Where leases come from.
pub trait Leases {
    /// Waits for the right to update `entity`. The place in the queue is taken when the future is first polled, and
    /// given up when the future is dropped: whoever goes away holds up nobody.
    ///
    /// # Errors
    /// When the queue is full, or the wait is over. Nothing is held then.
    fn acquire(
        &self,
        entity: &str,
        terms: LeaseTerms,
    ) -> impl Future<Output = Result<Lease, LeaseError>> + Send;
}

/// The right to update one entity.
///
/// Say how it ends: with [`release`](Self::release) where the outcome is known, or where nothing was sent at all, else
/// with [`keep`](Self::keep). Dropping it means `keep`.
#[must_use = "a lease that is dropped blocks its entity for the settle time: release it"]
pub struct Lease {
    /// `None` once it has ended.
    held: Option<Box<dyn Held>>,
    token: FencingToken,
    waited: Duration,
    settle: Duration,
}

impl Lease {
    /// Its number.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// How long the call waited for it; zero if it was free.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// What it protects from, as far as is known now. Ask again when the call has ended: a store may be lost meanwhile.
    pub fn reach(&self) -> Reach {
        self.held.as_ref().map_or(Reach::Process, |held| held.reach())
    }

    /// As the store knows whoever has it; `None` where it is not from a store.
    pub fn owner(&self) -> Option<&str> {
        self.held.as_ref().and_then(|held| held.owner())
    }

    /// Whether a call that is sent now will have ended, and settled, before the lease runs out.
    pub fn covers_a_call(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.covers_a_call())
    }

    /// Hands the entity to the next waiter at once: the call's outcome is known.
    pub fn release(mut self) {
        if let Some(held) = self.held.take() {
            held.end(End::Released);
        }
    }

    /// Leaves the entity alone for the settle time from now: the call's outcome is unknown.
    pub fn keep(self) {
        drop(self);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            held.end(End::KeptFor(self.settle));
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("token", &self.token)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

/// How a lease ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The next one may go.
    Released,
    /// Nobody may go for that long from now.
    KeptFor(Duration),
}

/// A lease as whoever granted it knows it. It ends once, on any thread, inside a runtime or outside.
trait Held: Send + Sync {
    fn end(self: Box<Self>, end: End);
    fn reach(&self) -> Reach;
    fn covers_a_call(&self) -> bool;
    fn owner(&self) -> Option<&str> {
        None
    }
}
