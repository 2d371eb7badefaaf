//! The lease under which an edit is made.

use crate::clock::{self, Instant};
use crate::lease::Lease;
use crate::telemetry::events::LeaseReleased;
use crate::telemetry::{FlagIndex, Telemetry};

/// The entity's lease, which is given back when this is dropped. An edit that may still be on its way then does nothing once
/// the lease is another's: its script sees to that.
pub(super) struct Held {
    lease: Option<Lease>,
    since: Instant,
    flag: FlagIndex,
    telemetry: Telemetry,
}

impl Held {
    pub(super) fn new(lease: Lease, flag: FlagIndex, telemetry: &Telemetry) -> Self {
        Self { lease: Some(lease), since: clock::now(), flag, telemetry: telemetry.clone() }
    }

    /// As the store knows whoever has it.
    pub(super) fn owner(&self) -> Option<&str> {
        self.lease.as_ref().and_then(Lease::owner)
    }

    /// The lease, for whoever goes on with it.
    pub(super) fn hand_on(mut self) -> Option<Lease> {
        self.lease.take()
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
