//! Fetches what others changed, so that every sidecar can show a flag's whole history, in an outage too.

use crate::store::history::{HistoryEntry, MAX_ENTRIES};
use crate::store::shelf::{HISTORY_PAGE, ShelfError};

use super::FlagSync;

/// The most pages of a history: more than is kept of it.
const MAX_PAGES: usize = MAX_ENTRIES.div_ceil(HISTORY_PAGE);

impl FlagSync {
    /// Reads the new part of each history that may have one. What fails is tried again with the next read.
    pub(super) async fn catch_up_with_histories(&mut self) {
        for index in 0..self.flags.len() {
            let Some(flag) = self.flags.get(index).filter(|flag| flag.history_behind) else {
                continue;
            };
            let name = flag.name.clone();
            if self.catch_up(&name).await.is_err() {
                return;
            }
            if let Some(flag) = self.flags.get_mut(index) {
                flag.history_behind = false;
            }
        }
    }

    /// From the latest change backwards, to one that is known.
    async fn catch_up(&self, name: &str) -> Result<(), ShelfError> {
        let mut before: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let page = self.shelf.history(name, before.as_deref()).await?;
            let is_last = page.len() < HISTORY_PAGE;
            before = page.last().map(|change| change.id.clone());
            let entries: Vec<HistoryEntry> =
                page.into_iter().filter_map(|change| change.entry).collect();
            let met = entries.last().is_some_and(|oldest| self.knows(name, oldest));
            if entries.iter().any(|entry| !self.knows(name, entry)) {
                self.store.learn(name, entries);
                self.touch();
            }
            if is_last || met {
                break;
            }
        }
        Ok(())
    }

    fn knows(&self, name: &str, entry: &HistoryEntry) -> bool {
        let record = self.store.record(name);
        record.is_some_and(|record| record.history.iter().any(|known| **known == *entry))
    }
}
