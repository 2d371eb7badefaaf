//! Whose turn it is to read: one answer at a time for viewers, and one for operators.
//!
//! Making a long answer keeps the plane's one thread busy. Probes and changes have no turn to wait for, so they wait for one such answer at
//! most, and an operator never waits behind what viewers ask for.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::auth::Caller;

/// The turns of readers.
pub(crate) struct Turns {
    viewers: Semaphore,
    operators: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self { viewers: Semaphore::new(1), operators: Semaphore::new(1) }
    }
}

impl Turns {
    /// Those of viewers, for a test that holds one.
    #[cfg(test)]
    pub(super) fn viewers(&self) -> &Semaphore {
        &self.viewers
    }

    /// Waits until it is this reader's turn, which lasts until the permit is dropped.
    pub(super) async fn take(&self, reader: &Caller) -> Option<SemaphorePermit<'_>> {
        let turns = if reader.is_viewer() { &self.viewers } else { &self.operators };
        // Nobody closes them.
        turns.acquire().await.ok()
    }
}
