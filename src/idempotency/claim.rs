//! The right to run the call of a key, and the duty to say what became of it.

use super::StoredAnswer;
use super::fleet::FleetClaim;
use super::local::LocalClaim;

/// A first call's own. Dropped, it says by itself what is known: before the call was sent, nothing has happened; after that
/// nobody knows.
pub(crate) struct Claim {
    held: Option<Held>,
    sent: bool,
}

pub(super) enum Held {
    Local(LocalClaim),
    Fleet(FleetClaim),
}

impl Claim {
    pub(super) fn new(held: Held) -> Self {
        Self { held: Some(held), sent: false }
    }

    /// That of a call whose sidecar has said nothing more: dropped, it says that nobody knows.
    pub(super) fn of_another(held: Held) -> Self {
        Self { held: Some(held), sent: true }
    }

    /// The name that no other call has; `None` for one that this process alone knows.
    pub(crate) fn ticket(&self) -> Option<&str> {
        match self.held.as_ref()? {
            Held::Local(_) => None,
            Held::Fleet(claim) => Some(claim.ticket()),
        }
    }

    /// It is none after all, or says nothing new.
    pub(crate) fn forget(mut self) {
        self.held = None;
    }

    /// What it holds, for a test.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Option<Held> {
        self.held.take()
    }

    /// Whether the call is on its way: from then on the app may have acted.
    pub(crate) fn set_sent(&mut self, sent: bool) {
        self.sent = sent;
    }

    /// The app has answered. Says whether that is recorded: from then on every call with the key is answered so. Ends within
    /// one `store.timeout`; where the store could not be told by then, it is told later, if it comes back soon.
    pub(crate) async fn answered(mut self, answer: StoredAnswer) -> bool {
        match self.held.take() {
            None => false,
            Some(Held::Local(claim)) => {
                claim.answered(answer);
                true
            }
            Some(Held::Fleet(claim)) => claim.answered(&answer).await,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match (self.held.take(), self.sent) {
            (None, _) => {}
            (Some(Held::Local(claim)), true) => claim.abandoned(),
            (Some(Held::Local(claim)), false) => claim.withdrawn(),
            (Some(Held::Fleet(claim)), true) => claim.abandoned(),
            (Some(Held::Fleet(claim)), false) => claim.withdrawn(),
        }
    }
}
