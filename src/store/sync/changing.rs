//! Makes a change: in the store first, compared with the version that it started from, then here.

use crate::domain::flag::{Author, Change};
use crate::store::document::{MAX_DOCUMENT_BYTES, MAX_PINNED_BYTES, encode_shared};
use crate::store::history::Changed;
use crate::store::shelf::{ChangeOf, ChangeReply};
use crate::store::{Applied, Planned, StoreChangeError};

use super::{DEBOUNCE, FlagSync};

/// How often a change is sent that steps get ahead of, and a kill that others' changes get ahead of: it means the same whatever
/// they changed, and an emergency brake must not be refused for that.
const ATTEMPTS: usize = 5;

impl FlagSync {
    /// Changes a flag for the whole fleet.
    ///
    /// # Errors
    /// Nothing has changed then, but for [`StoreChangeError::OutcomeUnknown`].
    pub(super) async fn change(
        &mut self,
        name: &str,
        expected_version: Option<u64>,
        change: &Change,
        author: Author,
    ) -> Result<Applied, StoreChangeError> {
        let index = self.store.index_of(name).ok_or(StoreChangeError::UnknownFlag)?;
        if !self.known.current {
            self.read().await;
        }
        let insists = *change == Change::Kill && expected_version.is_none();
        let mut attempts = ATTEMPTS;
        loop {
            let planned = self.store.plan(name, expected_version, change, author.clone())?;
            let version = planned.applied.before.version;
            let outcome = self.send(index, name, planned).await;
            attempts -= 1;
            match outcome {
                // A step of the transition got ahead, which nobody who asks for a change has to know of.
                Err(StoreChangeError::VersionConflict { current })
                    if attempts > 0 && (insists || current == version) => {}
                outcome => return outcome,
            }
        }
    }

    pub(super) async fn send(
        &mut self,
        index: usize,
        name: &str,
        planned: Planned,
    ) -> Result<Applied, StoreChangeError> {
        let (before, after) = (&planned.applied.before, &planned.applied.after);
        let document = encode_shared(&planned.record, after)
            .map_err(|error| StoreChangeError::StoreUnreachable(error.into()))?;
        let pins = planned.entry.as_ref().is_some_and(|it| matches!(it.what, Changed::Pin { .. }));
        let most = if pins { MAX_PINNED_BYTES } else { MAX_DOCUMENT_BYTES };
        if document.len() > most {
            return Err(StoreChangeError::TooLarge { bytes: document.len(), most });
        }
        let seen = self.seen();
        let of = match planned.entry.as_deref() {
            Some(entry) => ChangeOf::Person(entry),
            None => ChangeOf::Transition { seen: &seen },
        };
        match self.shelf.change(name, before.turn(), &document, of).await {
            Ok(ChangeReply::Made { revision }) => Ok(self.made(index, name, planned, revision)),
            Ok(ChangeReply::Unreadable { place }) => {
                self.read_within(DEBOUNCE);
                Err(StoreChangeError::Unreadable { place })
            }
            Ok(ChangeReply::Conflict { current }) => {
                self.read().await;
                // It may be a later version that is refused here: then reading it again helps nobody.
                Err(match self.unreadable(index) {
                    Some(place) => StoreChangeError::Unreadable { place },
                    None => StoreChangeError::VersionConflict { current },
                })
            }
            Err(error) if error.is_not_executed() => {
                Err(StoreChangeError::StoreUnreachable(error.into()))
            }
            Err(_) => self.find_out(index, planned).await,
        }
    }

    /// Puts in force here what the store has accepted.
    fn made(&mut self, index: usize, name: &str, planned: Planned, revision: u64) -> Applied {
        self.store.make(name, &planned);
        self.touch();
        let Applied { before, after } = &planned.applied;
        (self.on_change)(name, before, after);
        self.note_seen(index, true);
        self.accepted(index);
        self.show_refusals();
        let next = self.applied.borrow().map(|applied| applied + 1);
        if next == Some(revision) {
            self.applied.send_replace(next);
        } else {
            self.read_within(DEBOUNCE);
        }
        planned.applied
    }

    /// The store did not answer. What it has may tell whether the change was made, and never that it will not be, unless
    /// another one took its version.
    async fn find_out(
        &mut self,
        index: usize,
        planned: Planned,
    ) -> Result<Applied, StoreChangeError> {
        self.read().await;
        let ours = &planned.applied.after;
        match self.store.snapshot().states.get(index) {
            Some(state) if state == ours => Ok(planned.applied),
            Some(state) if state.turn() >= ours.turn() => {
                Err(StoreChangeError::VersionConflict { current: state.version })
            }
            _ => Err(StoreChangeError::OutcomeUnknown),
        }
    }
}
