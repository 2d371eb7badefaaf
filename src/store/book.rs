//! The flags as the store keeps them: state and history by name, also those that are not configured any more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::domain::flag::{FlagState, Strategy};

use super::history::{HistoryEntry, MAX_BYTES, MAX_ENTRIES};
use super::{FlagSeed, LoadReport};

/// All that is remembered. Never altered: a change makes another one, which shares what didn't change.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Book {
    pub(super) records: BTreeMap<String, Arc<Record>>,
}

/// One flag.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The template that the pins and the percentage were set for.
    pub(super) entity: String,
    /// The strategy that they were set for.
    pub(super) strategy: Strategy,
    pub(super) state: Arc<FlagState>,
    /// The latest last.
    pub(super) history: VecDeque<Arc<HistoryEntry>>,
    /// Whether it was changed, or read from the file or the fleet's store. Else the configuration alone makes it again: such
    /// a flag keeps following its configured start value.
    pub(super) remembered: bool,
}

impl Record {
    fn history_bytes(&self) -> usize {
        self.history.iter().map(|entry| entry.bytes()).sum()
    }
}

impl Book {
    pub(super) fn record(&self, name: &str) -> Option<&Record> {
        self.records.get(name).map(Arc::as_ref)
    }

    /// Adds what is configured to what is remembered, and reports how the two differ.
    pub(super) fn with_seeds(
        mut self,
        seeds: &[FlagSeed],
        now_ms: u64,
        report: &mut LoadReport,
    ) -> Self {
        let configured = |name: &String| seeds.iter().any(|seed| &seed.name == name);
        report.ignored = self.records.keys().filter(|name| !configured(name)).cloned().collect();
        for seed in seeds {
            let remembered = self.record(&seed.name);
            if let Some(record) = remembered {
                report.restored.push(seed.name.clone());
                if record.entity != seed.entity || record.strategy != seed.strategy {
                    report.redefined.push(seed.name.clone());
                }
            } else {
                report.started.push((seed.name.clone(), seed.percent));
            }
            let record = Record {
                entity: seed.entity.clone(),
                strategy: seed.strategy,
                state: remembered.map_or_else(
                    || Arc::new(FlagState::initial(seed.percent, now_ms)),
                    |record| Arc::clone(&record.state),
                ),
                history: remembered.map(|record| record.history.clone()).unwrap_or_default(),
                remembered: remembered.is_some(),
            };
            self.records.insert(seed.name.clone(), Arc::new(record));
        }
        self
    }

    /// The book after a change of one flag.
    pub(super) fn with_change(
        &self,
        name: &str,
        state: Arc<FlagState>,
        entry: Option<Arc<HistoryEntry>>,
    ) -> Self {
        self.with_record(name, |record| {
            record.state = state;
            record.remembered = true;
            record.history.extend(entry);
        })
    }

    /// The book with a state that somebody else made.
    pub(super) fn with_state(&self, name: &str, state: Arc<FlagState>) -> Self {
        self.with_record(name, |record| {
            record.state = state;
            record.remembered = true;
        })
    }

    /// The book with these changes in a flag's history, where they are not in it yet.
    pub(super) fn with_entries(&self, name: &str, entries: Vec<HistoryEntry>) -> Self {
        self.with_record(name, |record| {
            for entry in entries {
                if !record.history.iter().any(|known| **known == entry) {
                    record.history.push_back(Arc::new(entry));
                }
            }
            // A store that forgot may have seen a version twice: both changes were made.
            record.history.make_contiguous().sort_by_key(|entry| (entry.version, entry.at_ms));
        })
    }

    fn with_record(&self, name: &str, change: impl FnOnce(&mut Record)) -> Self {
        let mut next = self.clone();
        if let Some(record) = next.records.get_mut(name) {
            let record = Arc::make_mut(record);
            change(record);
            while record.history.len() > MAX_ENTRIES {
                record.history.pop_front();
            }
        }
        next.shorten_histories(MAX_BYTES);
        next
    }

    /// Drops entries, oldest first, of whichever flag has the longest history, until all fit.
    fn shorten_histories(&mut self, limit: usize) {
        let mut sizes: BTreeMap<&String, usize> =
            self.records.iter().map(|(name, record)| (name, record.history_bytes())).collect();
        let mut total: usize = sizes.values().sum();
        let mut drops: BTreeMap<String, usize> = BTreeMap::new();
        while total > limit {
            let Some((&name, _)) = sizes.iter().max_by_key(|(_, bytes)| **bytes) else {
                break;
            };
            let dropped = drops.entry(name.clone()).or_default();
            let entry = self.records.get(name).and_then(|record| record.history.get(*dropped));
            let Some(bytes) = entry.map(|entry| entry.bytes()) else {
                break;
            };
            *dropped += 1;
            total -= bytes;
            if let Some(size) = sizes.get_mut(name) {
                *size -= bytes;
            }
        }
        for (name, dropped) in drops {
            if let Some(record) = self.records.get_mut(&name) {
                Arc::make_mut(record).history.drain(..dropped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Changed;
    use super::*;
    use crate::domain::percent::Percent;

    fn record(entries: u64) -> Record {
        let entry = |version| HistoryEntry {
            version,
            at_ms: 1,
            by: "ann".into(),
            reason: "try it".into(),
            what: Changed::Killed { from: false, to: true },
        };
        Record {
            entity: "journey:{id}".into(),
            strategy: Strategy::Serialize,
            state: Arc::new(FlagState::initial(Percent::ZERO, 1)),
            history: (1..=entries).map(|version| Arc::new(entry(version))).collect(),
            remembered: true,
        }
    }

    #[test]
    fn the_longest_history_gives_way_oldest_first() {
        let records = [("long", 10), ("short", 2)];
        let mut book = Book {
            records: records.map(|(name, n)| (name.to_owned(), Arc::new(record(n)))).into(),
        };
        let one = record(1).history_bytes();

        book.shorten_histories(7 * one);

        let versions = |name| -> Vec<u64> {
            book.record(name).unwrap().history.iter().map(|entry| entry.version).collect()
        };
        assert_eq!(versions("long"), [6, 7, 8, 9, 10]);
        assert_eq!(versions("short"), [1, 2]);
    }

    #[test]
    fn a_flags_history_is_capped() {
        let mut book = Book::default();
        let start = record(MAX_ENTRIES as u64);
        let entry = HistoryEntry { version: 9_999, ..(*start.history[0]).clone() };
        book.records.insert("flag".into(), Arc::new(start.clone()));

        let next = book.with_change("flag", Arc::clone(&start.state), Some(Arc::new(entry)));

        let history = &next.record("flag").unwrap().history;
        assert_eq!(history.len(), MAX_ENTRIES);
        assert_eq!((history[0].version, history[MAX_ENTRIES - 1].version), (2, 9_999));
    }

    #[test]
    fn entries_that_are_known_are_not_added_again() {
        let mut book = Book::default();
        let known = record(3);
        let entries: Vec<HistoryEntry> =
            record(5).history.iter().rev().map(|entry| (**entry).clone()).collect();
        let other = HistoryEntry { at_ms: 2, ..entries[2].clone() };
        book.records.insert("flag".into(), Arc::new(known));

        let next = book.with_entries("flag", [entries, vec![other]].concat());

        let history = &next.record("flag").unwrap().history;
        let seen: Vec<_> = history.iter().map(|entry| (entry.version, entry.at_ms)).collect();
        assert_eq!(seen, [(1, 1), (2, 1), (3, 1), (3, 2), (4, 1), (5, 1)]);
    }
}
