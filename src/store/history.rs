//! The audit trail of a flag: who changed what, when, why, from what to what.

use crate::domain::flag::{Change, FlagState, Path};
use crate::domain::percent::Percent;

/// The most changes remembered per flag; the oldest give way.
pub const MAX_ENTRIES: usize = 1_000;

/// The most bytes of history over all flags: the file is written anew at every change, and read at start. Past it the
/// flag with the longest history gives up its oldest entries.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// One change of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The version that it made.
    pub version: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What.
    pub what: Changed,
}

/// What a change changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The percentage.
    Percent {
        /// Before.
        from: Percent,
        /// After.
        to: Percent,
    },
    /// The kill switch.
    Killed {
        /// Before.
        from: bool,
        /// After.
        to: bool,
    },
    /// The pin of one entity; `None` is no pin.
    Pin {
        /// The entity's key.
        entity: String,
        /// Before.
        from: Option<Path>,
        /// After.
        to: Option<Path>,
    },
    /// The transition: it goes on without sidecars that are silent.
    Forced,
}

impl HistoryEntry {
    /// What a change of `before` into `after` leaves in the history.
    pub(super) fn of(before: &FlagState, after: &FlagState, change: &Change) -> Self {
        let what = match change {
            Change::Percent(_) => Changed::Percent { from: before.percent, to: after.percent },
            Change::Kill | Change::Resume => {
                Changed::Killed { from: before.killed, to: after.killed }
            }
            Change::Pin { entity, path } => {
                let from = before.pins.path_of(entity);
                Changed::Pin { entity: entity.clone(), from, to: *path }
            }
            Change::Force => Changed::Forced,
        };
        Self {
            version: after.version,
            at_ms: after.changed_at_ms,
            by: after.changed_by.clone(),
            reason: after.reason.clone(),
            what,
        }
    }

    /// About how many bytes it takes in the file.
    pub(super) fn bytes(&self) -> usize {
        const FRAME: usize = 160;
        let entity = match &self.what {
            Changed::Pin { entity, .. } => entity.len(),
            Changed::Percent { .. } | Changed::Killed { .. } | Changed::Forced => 0,
        };
        FRAME + self.by.len() + self.reason.len() + entity
    }
}
