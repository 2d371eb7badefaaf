//! The flags of this process: read by every request without waiting, changed rarely and durably.
//!
//! Requests read an immutable [`Snapshot`] behind an atomic pointer; a change makes a new one beside it and swaps the
//! pointer. With a snapshot file a change is on the disk before it counts, so what a request saw survives a restart,
//! and a change that can't be written changes nothing.
//!
//! [`history`] is the audit trail, `book` the flags as they are kept, `document` and `wire` their stored form, `file` the
//! disk.
//!
//! In a fleet the flags live in a Redis that all sidecars share, and what is here is this sidecar's copy. `sync` keeps
//! the copy in step and makes changes, by the commands of `shelf`; what it does about what it finds is ruled in `adopt`,
//! and what it does not put in force is a `refusal`.

mod adopt;
mod book;
mod document;
mod error;
mod file;
pub mod history;
mod refusal;
mod report;
mod shelf;
mod steps;
mod sync;
mod wire;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::clock;
use crate::domain::decision::Freshness;
use crate::domain::entity::MAX_ENTITY_BYTES;
use crate::domain::flag::{Author, Change, FlagState, OnStoreLoss, Strategy};
use crate::domain::percent::Percent;
use crate::fleet::ledger::Ledger;

use book::{Book, Record};
pub use error::{PersistError, SnapshotFileError, StoreChangeError, StoreError};
use file::SnapshotFile;
use history::HistoryEntry;
use refusal::{DocumentRefusal, Refusals};
pub use refusal::{Place, RefusedFlag};
pub use report::{LoadReport, LoadSource};
pub use sync::FleetFlags;
pub(crate) use sync::{Crew, FlagSync, FleetRequests};

/// A flag as it is configured: what no change through the store can alter, and the percentage to start from.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagSeed {
    /// The flag's name.
    pub name: String,
    /// The percentage while nothing else is remembered.
    pub percent: Percent,
    /// The entity's template as written.
    pub entity: String,
    /// How the fixed path works.
    pub strategy: Strategy,
    /// What happens while the store is gone.
    pub on_store_loss: OnStoreLoss,
}

/// All flags at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Indexed like the configured flags.
    pub states: Box<[Arc<FlagState>]>,
    /// How well they are known.
    pub freshness: Freshness,
}

/// What a worker keeps to read the flags: `load()` compares one pointer, and takes no lock.
pub type SnapshotReader = arc_swap::cache::Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

/// A change that took effect.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The flag as it was.
    pub before: Arc<FlagState>,
    /// The flag as it is.
    pub after: Arc<FlagState>,
}

/// The flags of this process; clones share them.
#[derive(Clone)]
pub struct FlagStore {
    shared: Arc<Shared>,
}

struct Shared {
    seeds: Box<[FlagSeed]>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    book: ArcSwap<Book>,
    /// Held across the disk write, so that changes queue up; nothing that only reads takes it.
    changing: Mutex<()>,
    file: Option<SnapshotFile>,
    /// The updates under way, by the turns that decided them.
    ledger: Arc<Ledger>,
    /// Whether the file was refused when it was read, or could not be written the last time.
    file_refused: AtomicBool,
}

impl Shared {
    /// Writes `next` to the snapshot file, where one is configured.
    fn write(&self, present: &Book, next: &Book) -> Result<(), PersistError> {
        let written = self.file.as_ref().map_or(Ok(()), |file| file.replace(present, next));
        self.file_refused.store(written.is_err(), Ordering::Relaxed);
        written
    }
}

impl FlagStore {
    /// Opens the store. What the snapshot file remembers wins over the configured percentages. A file that can't be
    /// trusted never stops the sidecar: it is set aside, the configured percentages count, and the report says so.
    ///
    /// # Errors
    /// Only for a configuration that can't work: a flag named twice, or a snapshot path that is no regular file.
    pub fn new(
        flags: &[FlagSeed],
        snapshot_file: Option<PathBuf>,
    ) -> Result<(Self, LoadReport), StoreError> {
        Self::open(flags, snapshot_file, LoadReport::freshness)
    }

    /// Opens this sidecar's copy of a fleet's flags. As [`Self::new`], but the flags are not live before they were read from
    /// the fleet's store.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_fleet(
        flags: &[FlagSeed],
        snapshot_file: Option<PathBuf>,
    ) -> Result<(Self, LoadReport), StoreError> {
        let (store, report) = Self::open(flags, snapshot_file, LoadReport::freshness_in_fleet)?;
        store.ledger().set_apart(true);
        Ok((store, report))
    }

    fn open(
        flags: &[FlagSeed],
        snapshot_file: Option<PathBuf>,
        freshness: impl FnOnce(&LoadReport) -> Freshness,
    ) -> Result<(Self, LoadReport), StoreError> {
        if let Some(name) = first_duplicate(flags) {
            return Err(StoreError::DuplicateFlag { name });
        }
        let file = snapshot_file.map(SnapshotFile::at).transpose()?;
        let (remembered, mut report) = report::load(file.as_ref());
        let book = remembered.with_seeds(flags, clock::wall_ms(), &mut report);
        let snapshot = snapshot_of(flags, &book, freshness(&report));
        let ledger = Arc::new(Ledger::new(&snapshot.states));
        let shared = Shared {
            ledger,
            seeds: flags.into(),
            snapshot: Arc::new(ArcSwap::from_pointee(snapshot)),
            book: ArcSwap::from_pointee(book),
            changing: Mutex::new(()),
            file,
            file_refused: AtomicBool::new(report.is_file_refused()),
        };
        Ok((Self { shared: Arc::new(shared) }, report))
    }

    /// The flags now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    /// A reader for one worker to keep and ask once per request.
    pub fn reader(&self) -> SnapshotReader {
        SnapshotReader::new(Arc::clone(&self.shared.snapshot))
    }

    /// Whether the snapshot file does not hold the flags: it was refused at the start and not written since, or could not be
    /// written the last time.
    pub fn is_snapshot_refused(&self) -> bool {
        self.shared.file_refused.load(Ordering::Relaxed)
    }

    /// Where the snapshot file is; `None` where none is configured.
    fn snapshot_path(&self) -> Option<&Path> {
        self.shared.file.as_ref().map(SnapshotFile::path)
    }

    /// The flags as configured, in the order of [`Snapshot::states`].
    pub fn seeds(&self) -> &[FlagSeed] {
        &self.shared.seeds
    }

    /// Where a flag stands in [`Self::seeds`] and [`Snapshot::states`].
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.shared.seeds.iter().position(|seed| seed.name == name)
    }

    /// One flag: as configured and as it stands. `None` for a name that is not configured.
    pub fn flag(&self, name: &str) -> Option<(&FlagSeed, Arc<FlagState>)> {
        let index = self.index_of(name)?;
        let seed = self.shared.seeds.get(index)?;
        let state = self.snapshot().states.get(index).map(Arc::clone)?;
        Some((seed, state))
    }

    /// The changes of a flag, the latest first. `None` for a name that is not configured.
    pub fn history(&self, name: &str) -> Option<Vec<Arc<HistoryEntry>>> {
        self.index_of(name)?;
        let book = self.shared.book.load();
        book.record(name).map(|record| record.history.iter().rev().map(Arc::clone).collect())
    }

    /// Makes a change, on the disk first; the next request sees it. Blocks for as long as the disk takes: call it
    /// where blocking is allowed.
    ///
    /// # Errors
    /// Nothing has changed then: see [`StoreChangeError`].
    pub fn change(
        &self,
        name: &str,
        expected_version: Option<u64>,
        change: &Change,
        author: Author,
    ) -> Result<Applied, StoreChangeError> {
        let shared = &*self.shared;
        let _changing = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = self.plan(name, expected_version, change, author)?;
        let book = shared.book.load_full();
        let next = planned.made_in(name, &book);
        let freshness = match shared.write(&book, &next) {
            // Whatever the file was at the start, it now holds what the flags are.
            Ok(()) => Freshness::Live,
            // The emergency brake must not hang on a disk. The next change that is written writes it as well.
            Err(error) if *change == Change::Kill => {
                tracing::error!(
                    event = "kill_not_saved",
                    flag = name,
                    %error,
                    "killed until a restart: what the flags are could not be written down"
                );
                shared.snapshot.load().freshness
            }
            Err(error) => return Err(error.into()),
        };
        shared.put_in_force(next, freshness);
        Ok(planned.applied)
    }

    /// The updates under way.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.shared.ledger
    }

    /// What a change would make of the flag as it is here.
    fn plan(
        &self,
        name: &str,
        expected_version: Option<u64>,
        change: &Change,
        author: Author,
    ) -> Result<Planned, StoreChangeError> {
        check_pin(change)?;
        let book = self.shared.book.load();
        let record = self
            .index_of(name)
            .and_then(|_| book.records.get(name))
            .ok_or(StoreChangeError::UnknownFlag)?;
        let before = Arc::clone(&record.state);
        if expected_version.is_some_and(|expected| expected != before.version) {
            return Err(StoreChangeError::VersionConflict { current: before.version });
        }
        let after = Arc::new(before.changed(name, record.strategy, change, author)?);
        let entry = Some(Arc::new(HistoryEntry::of(&before, &after, change)));
        Ok(Planned { record: Arc::clone(record), applied: Applied { before, after }, entry })
    }
}

impl Shared {
    /// What requests are decided by from here on. Called by one at a time.
    fn put_in_force(&self, book: Book, freshness: Freshness) {
        let snapshot = Arc::new(snapshot_of(&self.seeds, &book, freshness));
        for (index, state) in snapshot.states.iter().enumerate() {
            self.ledger.warn(index, state);
        }
        self.book.store(Arc::new(book));
        self.snapshot.store(Arc::clone(&snapshot));
        // After the snapshot: whoever is told that its turn has passed must find the next one.
        for (index, state) in snapshot.states.iter().enumerate() {
            self.ledger.publish(index, state);
        }
    }
}

/// A change that was computed and not made yet.
struct Planned {
    record: Arc<Record>,
    applied: Applied,
    /// None of a step that a transition makes.
    entry: Option<Arc<HistoryEntry>>,
}

impl Planned {
    fn made_in(&self, name: &str, book: &Book) -> Book {
        book.with_change(name, Arc::clone(&self.applied.after), self.entry.clone())
    }
}

fn snapshot_of(seeds: &[FlagSeed], book: &Book, freshness: Freshness) -> Snapshot {
    let states = seeds.iter().filter_map(|seed| book.record(&seed.name));
    Snapshot { states: states.map(|record| Arc::clone(&record.state)).collect(), freshness }
}

fn first_duplicate(flags: &[FlagSeed]) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    flags.iter().find(|flag| !seen.insert(&flag.name)).map(|flag| flag.name.clone())
}

/// No call ever has an entity that is empty or over the bound, so such a pin could only waste room.
fn check_pin(change: &Change) -> Result<(), StoreChangeError> {
    match change {
        Change::Pin { entity, .. } if entity.is_empty() || entity.len() > MAX_ENTITY_BYTES => {
            Err(StoreChangeError::BadEntity { bytes: entity.len() })
        }
        _ => Ok(()),
    }
}
