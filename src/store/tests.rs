//! The store as its users see it, over real files.

mod properties;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{fs, thread};

use super::history::Changed;
use super::*;
use crate::domain::flag::{ChangeError, Path, Strategy};

/// A directory of its own for each test, gone afterwards.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("interlock-store-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("flags.json")
    }

    /// What has to be writable for the file to be.
    pub(super) fn in_the_way(&self) -> PathBuf {
        self.0.join("flags.json.tmp")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(super) fn percent(text: &str) -> Percent {
    text.parse().unwrap()
}

pub(super) fn seed(name: &str, start: &str) -> FlagSeed {
    FlagSeed {
        name: name.into(),
        percent: percent(start),
        entity: "journey:{id}".into(),
        strategy: Strategy::Serialize,
        on_store_loss: OnStoreLoss::Legacy,
    }
}

fn seeds() -> Vec<FlagSeed> {
    vec![seed("a", "0"), seed("b", "5")]
}

fn open(file: &FsPath) -> (FlagStore, LoadReport) {
    FlagStore::new(&seeds(), Some(file.to_owned())).unwrap()
}

fn in_memory() -> FlagStore {
    FlagStore::new(&seeds(), None).unwrap().0
}

fn author(reason: &str) -> Author {
    Author { by: "ann".into(), reason: reason.into(), at_ms: 7 }
}

fn set(store: &FlagStore, flag: &str, to: &str) -> Result<Applied, StoreChangeError> {
    store.change(flag, None, &Change::Percent(percent(to)), author("try it"))
}

fn states(store: &FlagStore) -> Vec<FlagState> {
    store.snapshot().states.iter().map(|state| (**state).clone()).collect()
}

fn percents(store: &FlagStore) -> Vec<String> {
    states(store).iter().map(|state| state.percent.to_string()).collect()
}

#[test]
fn starts_from_the_configured_percentages() {
    let store = in_memory();

    assert_eq!(percents(&store), ["0%", "5%"]);
    assert_eq!(store.snapshot().freshness, Freshness::Live);
    assert_eq!(store.history("a").unwrap(), []);
}

#[test]
fn a_worker_sees_a_change_at_its_next_request() {
    let store = in_memory();
    let mut reader = store.reader();
    assert_eq!(reader.load().states[0].percent, Percent::ZERO);

    let applied = set(&store, "a", "25").unwrap();

    assert_eq!(reader.load().states[0], applied.after);
    assert_eq!((applied.before.version, applied.after.version), (1, 2));
}

#[test]
fn a_restart_remembers_states_and_history() {
    let dir = TempDir::new();
    let (store, report) = open(&dir.file());
    assert!(matches!(report.source, LoadSource::FirstStart));
    set(&store, "a", "12.34").unwrap();
    let pin = Change::Pin { entity: "journey:7".into(), path: Some(Path::Fixed) };
    store.change("a", Some(2), &pin, author("vip")).unwrap();
    store.change("a", Some(3), &Change::Kill, author("fire")).unwrap();

    let (again, report) = open(&dir.file());

    assert!(matches!(report.source, LoadSource::File));
    assert_eq!(report.restored, ["a"]);
    assert_eq!(states(&again)[0], states(&store)[0]);
    let history = again.history("a").unwrap();
    assert_eq!(history, store.history("a").unwrap());
    let whats: Vec<Changed> = history.iter().map(|entry| entry.what.clone()).collect();
    let pinned = Changed::Pin { entity: "journey:7".into(), from: None, to: Some(Path::Fixed) };
    assert_eq!(
        whats,
        [
            Changed::Killed { from: false, to: true },
            pinned,
            Changed::Percent { from: Percent::ZERO, to: percent("12.34") },
        ]
    );
    assert_eq!(dir.names(), ["flags.json"], "nothing is left lying about");
}

#[test]
fn a_flag_that_nobody_changed_follows_its_configured_start_value() {
    let dir = TempDir::new();
    set(&open(&dir.file()).0, "a", "25").unwrap();

    let reconfigured = [seed("a", "50"), seed("b", "60")];
    let (store, _) = FlagStore::new(&reconfigured, Some(dir.file())).unwrap();

    assert_eq!(percents(&store), ["25%", "60%"]);
}

#[test]
fn a_flag_left_out_of_the_configuration_is_not_forgotten() {
    let dir = TempDir::new();
    set(&open(&dir.file()).0, "a", "25").unwrap();

    let (without, report) = FlagStore::new(&[seed("b", "5")], Some(dir.file())).unwrap();
    assert_eq!(report.ignored, ["a"]);
    assert!(matches!(set(&without, "a", "30"), Err(StoreChangeError::UnknownFlag)));
    set(&without, "b", "10").unwrap();
    let (with, _) = open(&dir.file());

    assert_eq!(percents(&with), ["25%", "10%"]);
}

#[test]
fn a_flag_that_means_something_else_now_is_reported() {
    let dir = TempDir::new();
    set(&open(&dir.file()).0, "a", "25").unwrap();

    let redefined = FlagSeed { entity: "trip:{id}".into(), ..seed("a", "0") };
    let (_, report) = FlagStore::new(&[redefined], Some(dir.file())).unwrap();

    assert_eq!(report.redefined, ["a"]);
}

#[test]
fn a_file_that_cannot_be_trusted_is_set_aside_until_a_change_is_written() {
    let dir = TempDir::new();
    fs::write(dir.file(), "garbage").unwrap();

    let (store, report) = open(&dir.file());
    assert!(matches!(report.source, LoadSource::Rejected { aside: Ok(_), .. }));
    assert!(store.is_snapshot_refused());
    assert_eq!(store.snapshot().freshness, Freshness::NeverLoaded);
    assert_eq!(percents(&store), ["0%", "5%"]);
    assert_eq!(fs::read_to_string(dir.0.join("flags.json.rejected")).unwrap(), "garbage");

    let (store, report) = open(&dir.file());
    assert!(matches!(report.source, LoadSource::RejectedEarlier { .. }));
    assert_eq!(store.snapshot().freshness, Freshness::NeverLoaded);
    assert!(store.is_snapshot_refused());

    set(&store, "a", "25").unwrap();
    assert!(!store.is_snapshot_refused());
    assert_eq!(store.snapshot().freshness, Freshness::Live);
    assert_eq!(open(&dir.file()).0.snapshot().freshness, Freshness::Live);
}

#[test]
fn a_change_that_cannot_be_written_changes_nothing() {
    let dir = TempDir::new();
    let (store, _) = open(&dir.file());
    set(&store, "a", "25").unwrap();
    let before = (states(&store), store.history("a").unwrap());
    let written = fs::read(dir.file()).unwrap();
    // A directory in the way of the temporary file stands for a disk that refuses: it stops root as well.
    fs::create_dir(dir.in_the_way()).unwrap();

    let refused = set(&store, "a", "50");

    assert!(matches!(refused, Err(StoreChangeError::NotPersisted(PersistError::Io { .. }))));
    assert_eq!((states(&store), store.history("a").unwrap()), before);
    assert_eq!(fs::read(dir.file()).unwrap(), written);
    assert!(open(&dir.file()).1.unwritable.is_some(), "a start says that changes will be refused");
    assert!(open(&dir.file()).0.is_snapshot_refused());

    assert!(store.is_snapshot_refused());
    set(&store, "nobody's", "50").unwrap_err();
    assert!(store.is_snapshot_refused(), "nothing was written");
    fs::remove_dir(dir.in_the_way()).unwrap();
    set(&store, "a", "50").unwrap();
    assert!(!store.is_snapshot_refused());
}

#[test]
fn a_missing_directory_is_made_for_its_owner_alone() {
    let dir = TempDir::new();
    let file = dir.0.join("not/yet/flags.json");

    let (store, report) = open(&file);

    assert!(report.unwritable.is_none(), "{:?}", report.unwritable);
    set(&store, "a", "50").unwrap();
    assert_eq!(percents(&open(&file).0), ["50%", "5%"]);
    let mode = fs::metadata(dir.0.join("not")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_directory_that_cannot_be_made_is_reported_and_refuses_changes() {
    let dir = TempDir::new();
    fs::write(dir.0.join("gone"), "in the way").unwrap();

    let (store, report) = open(&dir.0.join("gone/flags.json"));

    let told = report.unwritable.unwrap().to_string();
    assert!(told.contains("gone/flags.json") && told.contains("store.snapshot"), "{told}");
    assert!(matches!(set(&store, "a", "50"), Err(StoreChangeError::NotPersisted(_))));
    assert_eq!(percents(&store), ["0%", "5%"]);
}

#[test]
fn what_another_process_wrote_is_not_replaced() {
    let dir = TempDir::new();
    let (first, second) = (open(&dir.file()).0, open(&dir.file()).0);
    set(&first, "a", "25").unwrap();
    let written = fs::read(dir.file()).unwrap();

    let refused = set(&second, "b", "50").unwrap_err();

    let StoreChangeError::NotPersisted(error @ PersistError::ChangedByAnother { .. }) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("flags.json was changed by another process"), "{error}");
    assert_eq!(fs::read(dir.file()).unwrap(), written);
    assert_eq!(percents(&second), ["0%", "5%"]);
    set(&first, "a", "30").unwrap();
    set(&open(&dir.file()).0, "b", "50").unwrap();
    assert_eq!(percents(&open(&dir.file()).0), ["30%", "50%"], "a restart takes over");
}

#[test]
fn the_report_says_where_a_rejected_file_went_what_holds_and_what_to_do() {
    let dir = TempDir::new();
    fs::write(dir.file(), "garbage").unwrap();

    for _ in 0..2 {
        let told = open(&dir.file()).1.to_string();

        for part in ["flags.json.rejected", "start values hold: a 0%, b 5%", "flag set"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let dir = TempDir::new();

    let directory = FlagStore::new(&seeds(), Some(dir.0.clone())).err().unwrap();
    let device = FlagStore::new(&seeds(), Some("/dev/full".into())).err().unwrap();
    let twice = FlagStore::new(&[seed("a", "0"), seed("a", "5")], None).err().unwrap();

    assert!(matches!(directory, StoreError::NotAFile { .. }));
    assert!(matches!(device, StoreError::NotAFile { .. }));
    assert!(matches!(twice, StoreError::DuplicateFlag { name } if name == "a"));
}

#[test]
fn of_two_changes_to_one_version_one_wins() {
    let dir = TempDir::new();
    let (store, _) = open(&dir.file());

    let outcomes: Vec<_> = thread::scope(|scope| {
        let change = |to: &'static str| {
            let store = store.clone();
            scope.spawn(move || {
                store.change("a", Some(1), &Change::Percent(percent(to)), author("race"))
            })
        };
        [change("10"), change("20")].map(|thread| thread.join().unwrap()).into()
    });

    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let conflict = |outcome: &Result<_, _>| {
        matches!(outcome, Err(StoreChangeError::VersionConflict { current: 2 }))
    };
    assert_eq!(outcomes.iter().filter(|outcome| conflict(outcome)).count(), 1);
    assert_eq!(states(&open(&dir.file()).0)[0], states(&store)[0]);
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let store = in_memory();
    let pin = |entity: String| Change::Pin { entity, path: Some(Path::Fixed) };

    let unreasoned = store.change("a", None, &Change::Kill, author(" "));
    let nobody = store.change("a", None, &pin(String::new()), author("vip"));
    let endless = store.change("a", None, &pin("x".repeat(1025)), author("vip"));

    assert!(matches!(unreasoned, Err(StoreChangeError::Refused(ChangeError::NoReason))));
    assert!(matches!(nobody, Err(StoreChangeError::BadEntity { bytes: 0 })));
    assert!(matches!(endless, Err(StoreChangeError::BadEntity { bytes: 1025 })));
    assert_eq!(states(&store)[0].version, 1);
}
