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
//! [`LocalLeases`] holds within this process alone. Any implementation has to pass the suite in `conformance`.

mod local;
mod queue;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod model;
#[cfg(test)]
mod stress;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use local::{LocalLeases, SWEEP_EVERY};

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
    home: Arc<dyn Home>,
    entity: Arc<str>,
    token: FencingToken,
    waited: Duration,
    end: End,
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

    /// Hands the entity to the next waiter at once: the call's outcome is known.
    pub fn release(mut self) {
        self.end = End::Released;
    }

    /// Leaves the entity alone for the settle time from now: the call's outcome is unknown.
    pub fn keep(self) {
        drop(self);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.home.end(&self.entity, self.token, self.end);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("entity", &self.entity)
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

/// What granted a lease, and takes it back. `end` is called once a lease, on any thread, inside a runtime or outside.
trait Home: Send + Sync {
    fn end(&self, entity: &Arc<str>, token: FencingToken, end: End);
}
