//! The journal of a sidecar without a store: in memory, and its own alone.

use std::collections::HashMap;

use crate::clock::{self, Instant};
use crate::domain::effects::history::Entry;
use crate::shadow::journal::{Claimed, Exchange, Exchanged, JournalKey, MAX_ENTRIES, Ticket};

/// The most entities whose journal is kept.
const MAX_ENTITIES: usize = 16 * 1024;

/// How long a journal is kept that nobody adds to.
const KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// Journals by entity.
#[derive(Debug, Default)]
pub(super) struct LocalJournal {
    journals: HashMap<JournalKey, Journal>,
}

#[derive(Debug)]
struct Journal {
    entries: Vec<Entry>,
    /// How many entries were pushed out at the front since it was claimed last.
    pushed_out: usize,
    /// Some of them were not taken by any check.
    overflowed: bool,
    touched: Instant,
}

impl Journal {
    /// What is in it, and whether that is not all.
    fn claim(&mut self) -> (Vec<Entry>, bool) {
        self.overflowed |= self.pushed_out > 0;
        self.pushed_out = 0;
        (self.entries.clone(), self.overflowed)
    }
}

impl LocalJournal {
    /// As [`crate::shadow::journal`] has it; nobody else takes part.
    pub(super) fn exchange(&mut self, exchange: Exchange) -> Exchanged {
        let now = clock::now();
        let settled = vec![true; exchange.settled.len()];
        for settled in exchange.settled {
            if let Some(journal) = self.journals.get_mut(&settled.key) {
                // What was pushed out is not at the front any more.
                let taken = settled.taken.saturating_sub(journal.pushed_out);
                journal.entries.drain(..taken.min(journal.entries.len()));
                journal.overflowed = journal.pushed_out > settled.taken;
                journal.pushed_out = 0;
                journal.entries.extend(settled.keep);
            }
        }
        for (key, entries) in exchange.appends {
            if self.journals.len() >= MAX_ENTITIES && !self.journals.contains_key(&key) {
                self.make_room();
            }
            let fresh =
                || Journal { entries: Vec::new(), pushed_out: 0, overflowed: false, touched: now };
            let journal = self.journals.entry(key).or_insert_with(fresh);
            journal.touched = now;
            journal.entries.extend(entries);
            let surplus = journal.entries.len().saturating_sub(MAX_ENTRIES);
            journal.pushed_out += surplus;
            journal.entries.drain(..surplus);
        }
        let claimed = exchange.claims.iter().map(|key| {
            let journal = self.journals.get_mut(key);
            let (entries, overflowed) = journal.map(Journal::claim).unwrap_or_default();
            Some(Claimed { ticket: Ticket::default(), count: entries.len(), entries, overflowed })
        });
        Exchanged {
            settled,
            claimed: claimed.collect(),
            marks: Vec::new(),
            last_heard: None,
            store_now: 0,
            asked: now,
            answered: now,
            identity: String::new(),
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.journals.clear();
    }

    /// Forgets journals that nobody has added to for long.
    pub(super) fn prune(&mut self) {
        self.journals.retain(|_, journal| journal.touched.elapsed() < KEPT_FOR);
    }

    /// Forgets the quarter that was not added to for the longest time.
    fn make_room(&mut self) {
        let mut touched: Vec<Instant> =
            self.journals.values().map(|journal| journal.touched).collect();
        let quarter = touched.len() / 4;
        let (_, oldest_kept, _) = touched.select_nth_unstable(quarter);
        let oldest_kept = *oldest_kept;
        self.journals.retain(|_, journal| journal.touched > oldest_kept);
    }
}
