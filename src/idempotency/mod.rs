//! `Idempotency-Key`: one decision and one effect per key, however often a call with it comes.
//!
//! The life of a key, in order:
//!
//! 1. [`key`] reads it from a call; [`Records::begin`] asks whether it is the first with it. The question and the record are
//!    one step, in this process ([`local`]) or in the fleet's store (`scripts.rs`, run by the [`Clerk`] on the store's thread).
//! 2. The first call goes on with a [`Claim`], and all others are told what became of it: [`Begun`].
//! 3. The claim ends in one of three ways. Nothing was sent: the record goes, and the next call is a first one. The app
//!    answered: its answer is kept, before the client has it. Neither is known, or whoever knew is gone: the record stays and
//!    says so, and no call with the key runs any more.

mod answer;
mod claim;
mod clerk;
mod fleet;
pub(crate) mod key;
mod local;
mod scripts;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(crate) use answer::{Served, StoredAnswer};
pub(crate) use claim::Claim;
pub(crate) use clerk::Clerk;
pub(crate) use fleet::{FleetRecords, Requests};
use key::{Payload, RecordName};
pub(crate) use local::LocalRecords;

/// Beyond all bounds of a call, for what a busy machine adds.
const SLACK: Duration = Duration::from_secs(1);

/// How long records last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long one is kept from its last change.
    pub(crate) keep: Duration,
    /// The longest that a call may run; one that has run for longer has nobody any more who will say what became of it.
    pub(crate) running: Duration,
}

impl Terms {
    /// For calls that run for so long at the most, by the bounds of their parts.
    pub(crate) fn new(keep: Duration, running: Duration) -> Self {
        let running = running.saturating_add(SLACK);
        // Forgotten earlier, it would run twice at once.
        Self { keep: keep.max(running), running }
    }
}

/// What is known of a key when a call with it comes.
pub(crate) enum Begun {
    /// Nothing: this call is the first, and the claim is its own.
    First(Claim),
    /// The store could not be asked. What becomes of the call is told to the store all the same, should it be back by then.
    Unrecorded(Claim),
    /// The first call was answered, by this.
    Answered(StoredAnswer),
    /// The first call runs.
    Running,
    /// The key came with another payload first.
    OtherPayload,
    /// Nobody has said what became of the first call: it was sent and not answered, or its sidecar is gone. Where it can be found
    /// out, its claim says so to all that come after.
    Abandoned(Option<Claim>),
}

/// Where the records of a sidecar are.
#[derive(Clone)]
pub(crate) enum Records {
    /// In this process.
    Local(LocalRecords),
    /// In the fleet's store.
    Fleet(FleetRecords),
}

impl Records {
    /// A call with a key comes. Ends within one `store.timeout`.
    pub(crate) async fn begin(&self, name: RecordName, payload: Payload, terms: Terms) -> Begun {
        match self {
            Self::Local(records) => records.begin(name, payload, terms),
            Self::Fleet(records) => records.begin(name, payload, terms).await,
        }
    }
}
