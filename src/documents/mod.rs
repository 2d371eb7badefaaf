//! The app's documents in the store, as the strategy `atomic` reads and edits them.
//!
//! This file is the workers' side: what is asked, and what may come of it. The scripts are run by the [`DocumentDesk`] on the
//! store's thread, over connections of their own, so that no lease and no beat waits behind a large document.

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

pub(crate) use self::desk::DocumentDesk;
use crate::domain::edit::Anchor;
use crate::domain::trace::TraceContext;
use crate::fleet::gate::{Gate, Place};

/// Which document is meant, for which update.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The entity, by whose lease others are kept out.
    pub(crate) entity: Arc<str>,
    /// The document's key.
    pub(crate) document: Arc<str>,
    /// What the update's receipt is called; the same for every try of it.
    pub(crate) receipt: Arc<str>,
    /// The largest that the document may be, in bytes.
    pub(crate) limit: usize,
    /// The trace under which the store is asked.
    pub(crate) trace: TraceContext,
}

/// An edit, planned on a document as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) ask: Ask,
    /// Who may hold the entity's lease; nobody, unless the call has it.
    pub(crate) owner: Option<Arc<str>>,
    /// The lease's counter as it was read: nobody was granted the lease since.
    pub(crate) fence: Bytes,
    /// How long the receipt is kept.
    pub(crate) keep: Duration,
    pub(crate) splices: Vec<Splice>,
}

/// Bytes that are replaced.
#[derive(Clone, Debug)]
pub(crate) struct Splice {
    pub(crate) anchor: Anchor,
    pub(crate) old: Bytes,
    pub(crate) new: Bytes,
}

/// What a look at a document shows.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    /// There it is, with the lease's counter and whoever holds the lease.
    Document { bytes: Bytes, fence: Bytes, holder: Option<Arc<str>> },
    /// There is none.
    Missing { holder: Option<Arc<str>> },
    /// The key holds something else than a string.
    WrongType,
    /// It is over the limit.
    TooLarge,
    /// The update was made by an earlier try.
    Done,
    /// The store is another one.
    Replaced,
}

/// What came of an edit. Nothing was written but with `Applied`.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    Applied,
    /// By an earlier try.
    Already,
    /// Somebody else holds the entity's lease.
    Held,
    /// The document is no longer what the edit was planned on; this is what there is.
    Changed(Read),
    /// It would be over the limit.
    TooLarge,
    /// The store is another one.
    Replaced,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The command certainly did not run.
    NotExecuted,
    /// It may have run.
    Unknown,
}

/// What workers ask the desk for.
pub(crate) enum Request {
    Read { place: Arc<Place>, ask: Ask, reply: oneshot::Sender<Result<Read, Failed>> },
    Edit { place: Arc<Place>, edit: Edit, reply: oneshot::Sender<Result<Written, Failed>> },
}

impl Request {
    fn trace(&self) -> TraceContext {
        match self {
            Self::Read { ask, .. } | Self::Edit { edit: Edit { ask, .. }, .. } => ask.trace,
        }
    }
}

/// The documents, as a worker reaches them. Clones share everything.
#[derive(Clone)]
pub(crate) struct Documents {
    inner: Arc<Inner>,
}

struct Inner {
    gate: Gate,
    /// What this process's receipts begin with.
    sidecar: String,
    receipts: AtomicU64,
    desk: mpsc::UnboundedSender<Request>,
}

impl Documents {
    /// Of a sidecar, at the desk on the other end; `sidecar` is a name that no other process has, or had.
    pub(crate) fn new(gate: Gate, sidecar: String) -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (desk, requests) = mpsc::unbounded_channel();
        let inner = Inner { gate, sidecar, receipts: AtomicU64::new(0), desk };
        (Self { inner: Arc::new(inner) }, requests)
    }

    /// Tells where the store is, while it may be written to.
    pub(crate) fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// A name for the receipt of an update that has none from its caller.
    pub(crate) fn new_receipt(&self) -> Arc<str> {
        let number = self.inner.receipts.fetch_add(1, Ordering::Relaxed);
        format!("{}/{number:x}", self.inner.sidecar).into()
    }

    /// Looks at a document.
    ///
    /// # Errors
    /// There is no answer within `store.timeout`, or the store refuses.
    pub(crate) async fn read(&self, place: &Arc<Place>, ask: Ask) -> Result<Read, Failed> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Read { place: Arc::clone(place), ask, reply });
        answer.await.unwrap_or(Err(Failed::NotExecuted))
    }

    /// Makes an edit. Whoever drops the future does not stop it.
    ///
    /// # Errors
    /// There is no answer within `store.timeout`, or the store refuses; it says whether the edit may have been made.
    pub(crate) async fn edit(&self, place: &Arc<Place>, edit: Edit) -> Result<Written, Failed> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Edit { place: Arc::clone(place), edit, reply });
        // A desk that ends may have sent it.
        answer.await.unwrap_or(Err(Failed::Unknown))
    }

    fn send(&self, request: Request) {
        // A desk that is gone drops it, and with it the reply.
        drop(self.inner.desk.send(request));
    }
}
