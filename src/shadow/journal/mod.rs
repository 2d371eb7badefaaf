//! The detector's journal as a fleet shares it: what the sidecars noted of each entity, in the store.
//!
//! The detector's thread has a [`FleetJournal`], which writes an [`Exchange`] down as a command (`command.rs`) and reads what
//! comes back (`answer.rs`); the store's thread has the [`JournalClerk`], which runs it. What happens in the store is told in
//! `scripts.rs`.
//!
//! Journals are kept by the store's clock, and there is one set of them for each store that there ever was: after a failover
//! or a restart everything begins anew, as what was stamped by one clock says nothing beside what is stamped by another.

mod answer;
mod clerk;
mod command;
mod handle;
mod scripts;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

use crate::clock::Instant;
use crate::domain::effects::history::Entry;
use crate::remote::CallError;

pub(crate) use clerk::JournalClerk;
pub(crate) use handle::{FleetJournal, JournalRequests};

/// The most entries that the journal of one entity holds. With more the earliest go, and the journal says so.
pub(crate) const MAX_ENTRIES: usize = 1024;

/// Whose journal: of a flag and an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JournalKey {
    /// The flag's name.
    pub(crate) flag: String,
    /// The entity's key.
    pub(crate) entity: String,
}

/// All that a sidecar has for the shared journals at one time: one command, or several where it is large.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exchange {
    /// The store by whose clock all of it is stamped: [`Exchanged::identity`] as it was told last. Empty before the first time.
    pub(crate) store: String,
    /// What it noted.
    pub(crate) appends: Vec<(JournalKey, Vec<Entry>)>,
    /// The entities that it wants to check, or is checking: nobody else may meanwhile. A claim lasts 15 s from the last time
    /// that it was made. Those that are being checked come first, as an answer has room for so much.
    pub(crate) claims: Vec<JournalKey>,
    /// The entities that it has checked. They are settled before anything else in the exchange, and their claims end.
    pub(crate) settled: Vec<Settled>,
    /// On the common clock, in microseconds: all updates that this sidecar sent before it have been appended by this
    /// command or an earlier one.
    pub(crate) mark: u64,
}

/// An entity was checked: what its journal is from now on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settled {
    /// Which.
    pub(crate) key: JournalKey,
    /// The claim under which it was checked, as [`Claimed::ticket`] named it.
    pub(crate) ticket: Ticket,
    /// How many entries, from the front, `keep` stands for: [`Claimed::count`] as it was told with the ticket, or 0.
    pub(crate) taken: usize,
    /// What is left of them.
    pub(crate) keep: Vec<Entry>,
}

/// What the store said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exchanged {
    /// For each entity that was settled: whether it is, by this exchange or by the same one sent before. Where it is not, the
    /// claim had run out, and whoever has it next checks the entity anew.
    pub(crate) settled: Vec<bool>,
    /// For each claim: the entity's journal, or `None` where another sidecar is checking it, or the answer had no room for it.
    pub(crate) claimed: Vec<Option<Claimed>>,
    /// How far every other sidecar has come. One that is in the fleet's register and has said nothing yet has come nowhere.
    pub(crate) marks: Vec<Mark>,
    /// When one of those was heard of last that did not leave, and have been silent for so long that nobody waits for them any
    /// more: what they had not told nobody will tell. `None` where there are none.
    pub(crate) last_heard: Option<u64>,
    /// The store's clock, in microseconds since 1970 UTC, at some moment between `asked` and `answered`.
    pub(crate) store_now: u64,
    /// Before the command was sent.
    pub(crate) asked: Instant,
    /// After it was answered.
    pub(crate) answered: Instant,
    /// Which store it was, and since when it remembers: another text is one that may have forgotten the journals.
    pub(crate) identity: String,
}

/// An entity's journal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claimed {
    /// Which claim it is, to be handed back with what is settled.
    pub(crate) ticket: Ticket,
    /// Its entries, the earliest appended first.
    pub(crate) entries: Vec<Entry>,
    /// How many there are, those included that could not be read.
    pub(crate) count: usize,
    /// It had more than it may hold, or something else stood in its place: some entries are gone that nobody has settled.
    pub(crate) overflowed: bool,
}

/// Which claim it is of all those of this sidecar, and how much of the journal had gone for want of room when it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u64,
    lost: u64,
}

impl Ticket {
    /// Whether both are of one claim: if not, others may have checked the entity in between.
    pub(crate) fn is_of_the_claim_of(self, other: Self) -> bool {
        self.number == other.number
    }
}

/// How far a sidecar has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which.
    pub(crate) sidecar: String,
    /// All its updates that were sent before this moment of the common clock are in the journals.
    pub(crate) until: u64,
    /// When it said so, on the common clock.
    pub(crate) written: u64,
}

/// Why an exchange did not come about. It may have been carried out all the same, in part or whole. What it brought should be
/// brought again: whatever of it is there already does not come to be there twice.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The store is gone.
    #[error("the store is gone")]
    StoreGone,
    /// It is another one than the exchange was stamped for, or an earlier one that had failed: nothing was done. This is what
    /// the new one says.
    #[error("the store is another one")]
    OtherStore(Box<Exchanged>),
    /// The command failed.
    #[error("the journals could not be reached: {0}")]
    Failed(#[from] CallError),
    /// The store did not answer as it should.
    #[error("the store's answer is not one to an exchange")]
    Nonsense,
}
