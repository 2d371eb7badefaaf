//! The two ends between the admin plane's thread and the store's: who asks for changes, and who makes them.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::domain::flag::{Author, Change};
use crate::store::{Applied, Refusals, RefusedFlag, StoreChangeError};
use crate::watch;

/// The most changes that wait for the store. One takes a round trip, and people make them: more is a script gone wild.
const MAX_WAITING: usize = 64;

/// The flags of a fleet, as any thread may ask for changes of them. Clones share one queue.
#[derive(Clone, Debug)]
pub struct FleetFlags {
    requests: mpsc::Sender<Request>,
    applied: watch::Receiver<Option<u64>>,
    refusals: Refusals,
}

/// The other end, for the store's thread.
pub(crate) struct FleetRequests {
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) applied: watch::Sender<Option<u64>>,
    pub(super) refusals: Refusals,
}

/// What the store's thread is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Change {
        name: String,
        expected_version: Option<u64>,
        change: Change,
        author: Author,
        reply: oneshot::Sender<Result<Applied, StoreChangeError>>,
    },
    Read {
        reply: oneshot::Sender<()>,
    },
    /// Take a sidecar off the register.
    Forget {
        id: String,
        reply: oneshot::Sender<Result<(), StoreChangeError>>,
    },
}

#[cfg(test)]
impl FleetRequests {
    /// Plays the store's thread: answers the next change with `outcome`, and does `read` when it is asked to read.
    pub(crate) async fn play(
        &mut self,
        outcome: Result<Applied, StoreChangeError>,
        mut read: impl FnMut(),
    ) {
        while let Some(request) = self.requests.recv().await {
            match request {
                Request::Read { reply } => {
                    read();
                    reply.send(()).unwrap();
                }
                Request::Change { reply, .. } => return reply.send(outcome).unwrap(),
                Request::Forget { reply, .. } => reply.send(Ok(())).unwrap(),
            }
        }
    }
}

impl FleetFlags {
    /// Both ends.
    pub(crate) fn new() -> (Self, FleetRequests) {
        let (sender, requests) = mpsc::channel(MAX_WAITING);
        let (applied_sender, applied) = watch::channel(None);
        let refusals = Refusals::default();
        let handle = Self { requests: sender, applied, refusals: refusals.clone() };
        (handle, FleetRequests { requests, applied: applied_sender, refusals })
    }

    /// Makes a change for the whole fleet. It goes on when the future is dropped.
    ///
    /// # Errors
    /// Nothing has changed then, but for [`StoreChangeError::OutcomeUnknown`].
    pub async fn change(
        &self,
        name: &str,
        expected_version: Option<u64>,
        change: Change,
        author: Author,
    ) -> Result<Applied, StoreChangeError> {
        let (reply, answer) = oneshot::channel();
        let name = name.to_owned();
        self.ask(Request::Change { name, expected_version, change, author, reply })?;
        answer.await.unwrap_or(Err(StoreChangeError::OutcomeUnknown))
    }

    /// Takes a sidecar off the fleet's register: flips don't wait for it any more, unless it comes back.
    ///
    /// # Errors
    /// As of [`Self::change`].
    pub async fn forget(&self, id: &str) -> Result<(), StoreChangeError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Forget { id: id.to_owned(), reply })?;
        answer.await.unwrap_or(Err(StoreChangeError::OutcomeUnknown))
    }

    fn ask(&self, request: Request) -> Result<(), StoreChangeError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreChangeError::StoreBusy { waiting: MAX_WAITING }
            }
            mpsc::error::TrySendError::Closed(_) => StoreChangeError::Ending,
        })
    }

    /// Reads the flags from the store now, if it can be asked. Without it a change that was just made elsewhere may not be
    /// known here yet.
    pub async fn refresh(&self) {
        let (reply, answer) = oneshot::channel();
        // Where it can't be done, what is known here is all there is.
        if self.requests.try_send(Request::Read { reply }).is_ok() {
            answer.await.ok();
        }
    }

    /// Up to which of the store's revisions the flags were read last; `None` before the first time.
    pub fn applied(&self) -> watch::Receiver<Option<u64>> {
        self.applied.clone()
    }

    /// The flags of which the store has something that is not put in force here.
    pub fn refused(&self) -> Arc<Vec<RefusedFlag>> {
        self.refusals.standing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn kill(flags: &FleetFlags) -> Result<Applied, StoreChangeError> {
        let author = Author { by: "ann".into(), reason: "try it".into(), at_ms: 7 };
        flags.change("a", None, Change::Kill, author).await
    }

    #[tokio::test]
    async fn more_changes_than_may_wait_are_refused() {
        let (flags, _requests) = FleetFlags::new();
        for _ in 0..MAX_WAITING {
            flags.requests.try_send(Request::Read { reply: oneshot::channel().0 }).unwrap();
        }

        let refused = kill(&flags).await;

        assert!(matches!(refused, Err(StoreChangeError::StoreBusy { waiting: MAX_WAITING })));
    }

    #[tokio::test]
    async fn a_change_that_the_stores_thread_took_and_never_answered_may_have_been_made() {
        let (flags, mut requests) = FleetFlags::new();

        let (outcome, _taken) = tokio::join!(kill(&flags), async {
            drop(requests.requests.recv().await);
        });

        assert!(matches!(outcome, Err(StoreChangeError::OutcomeUnknown)));
        drop(requests);
        assert!(matches!(kill(&flags).await, Err(StoreChangeError::Ending)));
    }
}
