//! What holds for any sequence of changes and any damage to the file.

use std::fs;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::{TempDir, author, open, percents, set, states};
use crate::domain::decision::Freshness;
use crate::domain::flag::{Change, FlagState, Path, Pins};
use crate::domain::percent::Percent;
use crate::store::LoadSource;

fn any_change() -> impl Strategy<Value = Change> {
    let path = prop_oneof![Just(None), Just(Some(Path::Legacy)), Just(Some(Path::Fixed))];
    prop_oneof![
        (0u16..=10_000).prop_map(|n| Change::Percent(Percent::from_hundredths(n).unwrap())),
        Just(Change::Kill),
        Just(Change::Resume),
        (".{1,20}", path).prop_map(|(entity, path)| Change::Pin { entity, path }),
    ]
}

/// A file that holds a few changes, and the states in it; made once, as writing it waits for the disk.
static WRITTEN: LazyLock<(Vec<u8>, Vec<FlagState>)> = LazyLock::new(|| {
    let dir = TempDir::new();
    let (store, _) = open(&dir.file());
    set(&store, "a", "25").unwrap();
    let pin = Change::Pin { entity: "journey:7".into(), path: Some(Path::Legacy) };
    store.change("b", None, &pin, author("vip")).unwrap();
    (fs::read(dir.file()).unwrap(), states(&store))
});

proptest! {
    // Every case writes and syncs files.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_changes_read_back_as_they_were_made(
        changes in prop::collection::vec((any_change(), any::<bool>(), ".{1,30}"), 1..12),
    ) {
        let dir = TempDir::new();
        let (store, _) = open(&dir.file());
        for (change, first, reason) in changes {
            let flag = if first { "a" } else { "b" };
            let outcome = store.change(flag, None, &change, author(&reason));
            prop_assert_eq!(outcome.is_err(), reason.trim().is_empty());
        }

        let (again, _) = open(&dir.file());

        for (flag, state) in ["a", "b"].into_iter().zip(states(&store)) {
            let (_, read) = again.flag(flag).unwrap();
            prop_assert_eq!(again.history(flag), store.history(flag));
            if state.version > 1 {
                prop_assert_eq!(&*read, &state);
            } else {
                prop_assert_eq!(read.percent, state.percent);
            }
        }
    }
}

proptest! {
    #[test]
    fn a_corrupt_file_gives_what_was_written_or_nothing(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        truncate in any::<bool>(),
    ) {
        let dir = TempDir::new();
        let (mut bytes, expected) = WRITTEN.clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(dir.file(), &bytes).unwrap();

        let (store, report) = open(&dir.file());

        if matches!(report.source, LoadSource::File) {
            prop_assert_eq!(states(&store), expected);
        } else {
            prop_assert_eq!(percents(&store), ["0%", "5%"]);
            prop_assert!(states(&store).iter().all(|state| state.pins == Pins::default()));
            prop_assert_eq!(store.snapshot().freshness, Freshness::NeverLoaded);
        }
    }
}
