//! Label values of flips.

use super::LabelValue;
use crate::domain::flag::FlagState;
use crate::domain::transition::{Stage, Why};

label_enum! {
    /// How far a flip has come.
    TransitionStep {
        /// Nothing is under way.
        Settled => "settled",
        /// Calls of moving entities go to legacy under the lease while the barrier is awaited.
        Guarding => "guarding",
        /// Calls of moving entities go to the fixed app under the lease while the barrier is awaited.
        Switching => "switching",
    }
}

label_enum! {
    /// Why a flip waits for a sidecar.
    WaitingFor {
        /// It was not heard of lately.
        Silent => "silent",
        /// It has not applied the change yet.
        Behind => "behind",
        /// Calls from before the change are running.
        Calls => "calls",
        /// A call from before the change was given up, and may still write.
        Settling => "settling",
    }
}

impl TransitionStep {
    /// Of a flag as it stands.
    pub fn of(state: &FlagState) -> Self {
        match &state.transit {
            None => Self::Settled,
            Some(transit) if transit.has(Stage::GuardedFixed) => Self::Switching,
            Some(_) => Self::Guarding,
        }
    }
}

impl WaitingFor {
    /// The label for a reason.
    pub fn of(why: Why) -> Self {
        match why {
            Why::Silent { .. } => Self::Silent,
            Why::Behind => Self::Behind,
            Why::Calls { .. } => Self::Calls,
            Why::Settling { .. } => Self::Settling,
        }
    }
}
