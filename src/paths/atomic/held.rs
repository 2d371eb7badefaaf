//! The lease under which an edit is made.

use crate::clock::{self, Instant};
use crate::lease::{Lease, Purpose};
use crate::telemetry::events::LeaseReleased;
use crate::telemetry::{FlagIndex, Telemetry};

/// The entity's lease, which is given back when this is dropped. An edit that may still be on its way then does nothing once
/// the lease is another's: its script sees to that.
pub(super) struct Held {
    lease: Option<Lease>,
    purpose: Purpose,
    since: Instant,
    flag: FlagIndex,
    telemetry: Telemetry,
}

impl Held {
    pub(super) fn new(
        (lease, purpose): (Lease, Purpose),
        flag: FlagIndex,
        telemetry: &Telemetry,
    ) -> Self {
        let (since, telemetry) = (clock::now(), telemetry.clone());
        Self { lease: Some(lease), purpose, since, flag, telemetry }
    }

    /// As the store knows whoever has it.
    pub(super) fn owner(&self) -> Option<&str> {
        self.lease.as_ref().and_then(Lease::owner)
    }

    /// Whether other edits wait for this one.
    pub(super) fn excludes_edits(&self) -> bool {
        self.purpose == Purpose::Call
    }

    /// The lease, for a call of the app that goes on with it. Other edits would write beside one that is an edit's: that one is
    /// given back.
    pub(super) fn hand_on(mut self) -> Option<Lease> {
        match self.purpose {
            Purpose::Call => self.lease.take(),
            Purpose::Edit => None,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let held = clock::now() - self.since;
            LeaseReleased { flag: self.flag, held }.emit(&self.telemetry);
            lease.release();
        }
    }
}
