//! The fleet: who is there, and when leases may be granted again after the store was lost.

pub(crate) mod gate;
mod keys;
pub(crate) mod ledger;
mod registry;
pub(crate) mod session;
mod view;

pub(crate) use keys::Keys;
pub(crate) use registry::PART;
pub use view::{FleetView, SidecarView};

/// What the regular beat learns about the store, for whoever reads flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contact {
    /// Whether the store answered lately: the flags are live if they are read up to `revision`.
    pub(crate) live: bool,
    /// Grows with every change of any flag; 0 where the store has none. `None` before the first answer. A smaller one than
    /// before is a store that forgot.
    pub(crate) revision: Option<u64>,
}
