//! Seeing divergence: records of it, the lost-update detector, and the judging of shadows.
//!
//! Nothing here is on a request's way: what a call leaves is put into a bounded queue, and looked at on a thread of its own.
//! What runs on a worker is small and says so: a [`Lane`] bounds the shadows that run there, a [`Crowd`] tells which updates
//! of one entity overlapped.
//!
//! Of the detector read in this order: [`notebook`] is what a worker notes of an update, [`sights`] which entities were seen
//! before, [`detector`] what becomes of it; [`journal`] is where a fleet keeps it together, [`records`] where findings go.

mod crowd;
pub(crate) mod detector;
pub(crate) mod journal;
mod judge;
mod lane;
pub(crate) mod notebook;
pub(crate) mod records;
mod sights;

pub(crate) use crowd::{Crowd, CrowdGuard, CrowdTable, Window};
pub(crate) use journal::{FleetJournal, JournalClerk, JournalRequests};
pub(crate) use judge::{Captured, Case, Comparer, Finding, Judge, Subject, WORTH_SHARING};
pub(crate) use lane::{Job, Lane, Place};
pub(crate) use records::Records;
