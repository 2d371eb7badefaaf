//! The app's JSON documents in the fleet's Redis: read and edited in place, each in one step of the server.
//!
//! [`Documents`] is the workers' side; the store is asked by the [`DocumentDesk`] on the store's thread. [`Documents::read`] tells
//! a document and how its entity stands; [`Documents::edit`] does what was planned on those bytes, if nothing that counts has
//! changed since, and leaves a receipt. An edit whose outcome is not known is sent again as it is: the receipt makes both orders
//! of the two harmless.
//!
//! Whoever edits holds the era for as long as the edit is under way, as whoever has a lease does.
//!
//! In a cluster a document has to lie in its entity's slot, as it does where its key is the entity; else the server is not asked.

mod answer;
mod desk;
mod scripts;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{self, Instant};
use crate::domain::edit::{Anchor, Old};
use crate::domain::trace::TraceContext;
use crate::fleet::gate::{Gate, Place};
pub(crate) use desk::DocumentDesk;

/// Which document, for which update.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What the update is of: its lease and its receipts lie by it.
    pub(crate) entity: Arc<str>,
    /// The document's key.
    pub(crate) document: Arc<str>,
    /// The update's id: the same for each try, another one for each update.
    pub(crate) receipt: Arc<str>,
    /// The largest document that is read or made, in bytes.
    pub(crate) limit: usize,
    /// The span that the command goes under.
    pub(crate) trace: TraceContext,
}

/// What to make of a document that was read.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// Which.
    pub(crate) ask: Ask,
    /// The lease under which it is made, if under one: [`Lease::owner`](crate::lease::Lease::owner).
    pub(crate) owner: Option<Arc<str>>,
    /// As it was read with the document.
    pub(crate) fence: Fence,
    /// What to replace; all of it or nothing.
    pub(crate) splices: Vec<Splice>,
    /// What the receipt says, to whoever asks for the update again.
    pub(crate) text: Arc<str>,
    /// For how long the receipt is kept.
    pub(crate) keep: Duration,
}

/// Some of a document's bytes, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Splice {
    /// How the old bytes are found.
    pub(crate) anchor: Anchor,
    /// What is there.
    pub(crate) old: Old<Bytes>,
    /// What is to be there.
    pub(crate) new: Bytes,
}

/// How an entity stood when its document was read, and when that was. Two are equal if its lease was not granted between, and did
/// not end.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    /// Its last fencing token, and who had its lease.
    lease: Bytes,
    /// What the store's clock read, in milliseconds.
    read_ms: u64,
    /// When that was known, by ours: no sooner.
    known: Instant,
}

impl PartialEq for Fence {
    fn eq(&self, other: &Self) -> bool {
        self.lease == other.lease
    }
}

impl Eq for Fence {}

impl Fence {
    /// What the store's clock will read after `rest`, or later.
    fn store_ms_after(&self, rest: Duration) -> u64 {
        let passed = clock::now().saturating_duration_since(self.known) + rest;
        self.read_ms.saturating_add(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What the store says of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// It is there.
    Document {
        /// As it is, byte for byte.
        bytes: Bytes,
        /// For an edit of it.
        fence: Fence,
        /// The owner of the entity's lease, while one has it beside whom nobody may write.
        holder: Option<Arc<str>>,
    },
    /// It is not there.
    Missing {
        /// The owner of the entity's lease, while one has it beside whom nobody may write.
        holder: Option<Arc<str>>,
    },
    /// What is there is no string.
    WrongType,
    /// In a cluster: it does not lie in its entity's slot, so that no script reaches both. The server was not asked.
    OtherSlot,
    /// It is larger than the limit.
    TooLarge,
    /// The update was applied, and this is what its receipt says.
    Done(String),
    /// The store is another one than that of the place.
    Replaced,
}

/// What has become of an edit. Only with [`Applied`](Self::Applied) anything was written by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edited {
    /// It was made.
    Applied,
    /// The update was applied before, and this is what its receipt says.
    Already(String),
    /// Somebody else has the entity's lease.
    Held,
    /// The document, or the entity's fence, is no longer as it was read. This is how it is: never [`Read::Done`] or
    /// [`Read::Replaced`].
    Changed(Read),
    /// The document would be larger than the limit.
    TooLarge,
    /// The store is another one than that of the place.
    Replaced,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failed {
    /// Nothing was written, and nothing will be.
    #[error("the store was not asked, or refused: nothing was written")]
    NotExecuted,
    /// The same, and another try would be refused like this one: the store has no such command, or not for us.
    #[error("the store refuses for good: nothing was written")]
    Refused,
    /// It may have been written, or still be: the same edit, sent again, finds out.
    #[error("the store did not answer: it may have been written")]
    Unknown,
}

/// Documents as the workers use them. Clones share everything.
#[derive(Clone)]
pub(crate) struct Documents {
    gate: Gate,
    receipts: Arc<Receipts>,
    /// Each call has one errand at most: the queue is as long as there are calls, which are bounded.
    desk: mpsc::UnboundedSender<Errand>,
}

/// What receipts are called.
struct Receipts {
    sidecar: String,
    next: AtomicU64,
}

/// What the workers have done at the desk.
pub(crate) struct DocumentRequests(mpsc::UnboundedReceiver<Errand>);

/// What is done for a worker: where, what, and who waits for it.
struct Errand {
    place: Arc<Place>,
    order: Order,
}

enum Order {
    Read(Ask, oneshot::Sender<Result<Read, Failed>>),
    Edit(Edit, oneshot::Sender<Result<Edited, Failed>>),
}

impl Errand {
    fn trace(&self) -> TraceContext {
        match &self.order {
            Order::Read(ask, _) => ask.trace,
            Order::Edit(edit, _) => edit.ask.trace,
        }
    }
}

impl Documents {
    /// The workers' side, and what goes to a [`DocumentDesk`].
    ///
    /// `sidecar` is a name that no other process has, or had: receipts begin with it.
    pub(crate) fn new(gate: Gate, sidecar: String) -> (Self, DocumentRequests) {
        let (desk, errands) = mpsc::unbounded_channel();
        let receipts = Arc::new(Receipts { sidecar, next: AtomicU64::new(0) });
        (Self { gate, receipts, desk }, DocumentRequests(errands))
    }

    /// A name for the receipt of an update: the same for each of its tries, another one for each update.
    pub(crate) fn new_receipt(&self) -> Arc<str> {
        let Receipts { sidecar, next } = &*self.receipts;
        format!("{sidecar}/{:x}", next.fetch_add(1, Ordering::Relaxed)).into()
    }

    /// Whether the store is there, and in which era.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Reads a document, over the connections of the place; ends within `store.timeout` of its turn.
    ///
    /// # Errors
    /// [`Failed::NotExecuted`], [`Failed::Refused`].
    pub(crate) async fn read(&self, place: &Arc<Place>, ask: Ask) -> Result<Read, Failed> {
        let (reply, answer) = oneshot::channel();
        self.send(place, Order::Read(ask, reply))?;
        answer.await.unwrap_or(Err(Failed::NotExecuted))
    }

    /// Edits a document, over the connections of the place; ends within `store.timeout` of its turn. Dropped before its turn it
    /// is not sent; after that it goes on by itself.
    ///
    /// # Errors
    /// [`Failed`] tells whether it may have been made.
    pub(crate) async fn edit(&self, place: &Arc<Place>, edit: Edit) -> Result<Edited, Failed> {
        let (reply, answer) = oneshot::channel();
        self.send(place, Order::Edit(edit, reply))?;
        // A desk that has ended says nothing: it may have sent the edit before.
        answer.await.unwrap_or(Err(Failed::Unknown))
    }

    fn send(&self, place: &Arc<Place>, order: Order) -> Result<(), Failed> {
        let errand = Errand { place: Arc::clone(place), order };
        self.desk.send(errand).map_err(|_| Failed::NotExecuted)
    }
}
