//! What a sidecar does about what the fleet's store has of a flag: the rules, and putting it in force here.
//!
//! The version in force never goes down, and one version never means two things, whatever the store says: a store that
//! lost changes must not move entities back. Such a flag is frozen until somebody changes it.

use std::sync::{Arc, PoisonError};

use crate::domain::decision::Freshness;
use crate::domain::flag::FlagState;
use crate::domain::transition::{Transit, Turn};

use super::book::{Book, Record};
use super::document::SharedFlag;
use super::history::HistoryEntry;
use super::{DocumentRefusal, FlagStore, PersistError, Planned, snapshot_of};

/// What is to be done about a flag.
#[derive(Debug)]
pub(super) enum Ruling {
    /// The store has what is in force here.
    Keep,
    /// This is to be in force here.
    Adopt(FlagState),
    /// What is in force here is to be written to the store, which doesn't have it, or has a start value again.
    Restore,
    /// What is in force here is to be written over this turn of the same change: the store has lost steps.
    Repeat(Turn),
    /// What is in force here holds.
    Refuse(DocumentRefusal),
}

/// Rules on what the store has; `None` is nothing.
pub(super) fn rule(ours: &Record, theirs: Option<Result<SharedFlag, DocumentRefusal>>) -> Ruling {
    let theirs = match theirs {
        None => return Ruling::Restore,
        Some(Err(refusal)) => return Ruling::Refuse(refusal),
        Some(Ok(shared)) => shared.state,
    };
    let (stored, known) = (theirs.turn(), ours.state.turn());
    // Start values differ from one configuration to the next. The one that came first to the store counts for all.
    if !ours.remembered || stored > known {
        return Ruling::Adopt(theirs);
    }
    if stored < known {
        // A sidecar without memory came first after the store had lost everything. This one knows better.
        if theirs == FlagState::initial(theirs.percent, theirs.changed_at_ms) {
            return Ruling::Restore;
        }
        if is_one_change(&theirs, &ours.state) {
            return Ruling::Repeat(stored);
        }
        let (stored, known) = (stored.version, known.version);
        return Ruling::Refuse(DocumentRefusal::Backwards { stored, known });
    }
    if theirs == *ours.state {
        Ruling::Keep
    } else if decides_the_same(&theirs, &ours.state) {
        Ruling::Adopt(theirs)
    } else {
        Ruling::Refuse(DocumentRefusal::Different { version: stored.version })
    }
}

/// Whether two states differ at most in the steps that were taken since a change.
fn is_one_change(one: &FlagState, other: &FlagState) -> bool {
    let same_change = (one.version, one.changed_at_ms, &one.changed_by, &one.reason)
        == (other.version, other.changed_at_ms, &other.changed_by, &other.reason);
    same_change
        && (one.percent, one.killed, &one.pins) == (other.percent, other.killed, &other.pins)
}

/// Whether two states differ at most in who made them, when and why.
fn decides_the_same(one: &FlagState, other: &FlagState) -> bool {
    one.percent == other.percent
        && one.previous_percent == other.previous_percent
        && one.killed == other.killed
        && one.pins == other.pins
        && one.forced == other.forced
        && one.transit.as_ref().map(|it| Transit { since_ms: 0, ..(**it).clone() })
            == other.transit.as_ref().map(|it| Transit { since_ms: 0, ..(**it).clone() })
}

impl FlagStore {
    /// A flag as it is kept here.
    pub(super) fn record(&self, name: &str) -> Option<Arc<Record>> {
        self.shared.book.load().records.get(name).map(Arc::clone)
    }

    /// Puts a state in force that the fleet's store has. In memory alone, as everything here but [`Self::save`].
    pub(super) fn adopt(&self, name: &str, state: Arc<FlagState>) {
        self.update(|book| book.with_state(name, state));
    }

    /// Puts a change in force that the fleet's store has accepted.
    pub(super) fn make(&self, name: &str, planned: &Planned) {
        self.update(|book| planned.made_in(name, book));
    }

    /// Adds to a flag's history what is not in it yet.
    pub(super) fn learn(&self, name: &str, entries: Vec<HistoryEntry>) {
        self.update(|book| book.with_entries(name, entries));
    }

    /// Says how well the flags are known.
    pub(super) fn set_freshness(&self, freshness: Freshness) {
        let shared = &*self.shared;
        let _changing = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let book = shared.book.load();
        shared.snapshot.store(Arc::new(snapshot_of(&shared.seeds, &book, freshness)));
    }

    /// Writes everything to the snapshot file, where one is configured. Blocks, and holds up nobody else. Not to be called
    /// twice at once.
    ///
    /// # Errors
    /// The file holds what it held before, as far as a failing disk allows.
    pub(super) fn save(&self) -> Result<(), PersistError> {
        let book = self.shared.book.load_full();
        // What is in force is what counts, so there is nothing else to fall back to.
        self.shared.write(&book, &book)
    }

    fn update(&self, change: impl FnOnce(&Book) -> Book) {
        let shared = &*self.shared;
        let _changing = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = change(&shared.book.load());
        let freshness = shared.snapshot.load().freshness;
        shared.put_in_force(next, freshness);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::flag::{Author, Change, Strategy as FixedStrategy};
    use crate::domain::percent::Percent;

    fn percent(hundredths: u16) -> Percent {
        Percent::from_hundredths(hundredths).unwrap()
    }

    fn start(hundredths: u16) -> FlagState {
        FlagState::initial(percent(hundredths), 1)
    }

    fn set(state: &FlagState, hundredths: u16, by: &str) -> FlagState {
        let author = Author { by: by.into(), reason: "step".into(), at_ms: 7 };
        state
            .changed(
                "flag",
                FixedStrategy::Serialize,
                &Change::Percent(percent(hundredths)),
                author,
            )
            .unwrap()
    }

    fn record(state: FlagState, remembered: bool) -> Record {
        Record {
            entity: "journey:{id}".into(),
            strategy: FixedStrategy::Serialize,
            state: Arc::new(state),
            history: VecDeque::new(),
            remembered,
        }
    }

    fn shared(state: FlagState) -> SharedFlag {
        SharedFlag { entity: "journey:{id}".into(), strategy: FixedStrategy::Serialize, state }
    }

    fn ruling(ours: &FlagState, theirs: &FlagState) -> Ruling {
        rule(&record(ours.clone(), true), Some(Ok(shared(theirs.clone()))))
    }

    #[test]
    fn a_later_version_is_put_in_force_and_the_same_is_kept() {
        let second = set(&start(0), 1000, "ann");

        let later = ruling(&start(0), &second);
        let same = ruling(&second, &second);

        assert!(matches!(later, Ruling::Adopt(state) if state == second));
        assert!(matches!(same, Ruling::Keep));
    }

    #[test]
    fn steps_that_the_store_has_lost_are_written_again() {
        let change = set(&start(0), 1000, "ann");
        let stepped = change.stepped("flag", FixedStrategy::Serialize, Default::default()).unwrap();
        let other = set(&start(0), 1000, "bob");

        assert!(matches!(ruling(&stepped, &change), Ruling::Repeat(turn) if turn == change.turn()));
        assert!(matches!(ruling(&change, &stepped), Ruling::Adopt(state) if state == stepped));
        assert!(matches!(ruling(&stepped, &other), Ruling::Refuse(_)));
    }

    #[test]
    fn a_start_value_gives_way_to_what_the_store_has() {
        let ours = record(start(0), false);

        let other = rule(&ours, Some(Ok(shared(start(5000)))));

        assert!(matches!(other, Ruling::Adopt(state) if state == start(5000)));
    }

    #[test]
    fn what_is_remembered_does_not_go_back() {
        let second = set(&start(0), 1000, "ann");
        let third = set(&second, 2000, "ann");

        let back = ruling(&third, &second);
        let other = ruling(&second, &set(&start(0), 5000, "bob"));

        let backwards = DocumentRefusal::Backwards { stored: 2, known: 3 };
        assert!(matches!(back, Ruling::Refuse(why) if why.to_string() == backwards.to_string()));
        assert!(matches!(other, Ruling::Refuse(DocumentRefusal::Different { version: 2 })));
    }

    #[test]
    fn a_change_that_another_made_with_the_same_effect_moves_nobody_and_is_taken() {
        let (ours, theirs) = (set(&start(0), 1000, "ann"), set(&start(0), 1000, "bob"));

        assert!(matches!(ruling(&ours, &theirs), Ruling::Adopt(state) if state == theirs));
    }

    #[test]
    fn a_store_that_forgot_is_given_what_is_remembered() {
        let second = set(&start(0), 1000, "ann");

        let nothing = rule(&record(second.clone(), true), None);
        let start_value = ruling(&second, &start(5000));
        let changed_start = FlagState { changed_by: "bob".into(), ..start(5000) };

        assert!(matches!(nothing, Ruling::Restore));
        assert!(matches!(start_value, Ruling::Restore));
        assert!(
            matches!(ruling(&second, &changed_start), Ruling::Refuse(_)),
            "what somebody made is not overwritten"
        );
    }

    /// Documents as stores may hand them out: some sound, some old, some that contradict others, some refused.
    fn any_stored() -> impl Strategy<Value = Option<Result<SharedFlag, DocumentRefusal>>> {
        let state =
            (1u64..6, 0u16..4, any::<bool>(), prop_oneof![Just("ann"), Just("configuration")]);
        prop_oneof![
            1 => Just(()).prop_map(|()| None),
            1 => Just(()).prop_map(|()| Some(Err(DocumentRefusal::Impossible { key: "percent" }))),
            8 => state.prop_map(|(version, quarters, killed, by)| {
                let state = FlagState { version, killed, ..start(quarters * 2500) };
                Some(Ok(shared(FlagState { changed_by: by.into(), ..state })))
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_store_says_versions_grow_and_mean_one_thing(
            remembered in any::<bool>(),
            stored in prop::collection::vec(any_stored(), 1..12),
        ) {
            let mut ours = record(start(0), remembered);
            for theirs in stored {
                let before = ours.clone();
                if let Ruling::Adopt(state) = rule(&ours, theirs) {
                    ours = record(state, true);
                }

                prop_assert!(ours.state.version >= before.state.version);
                if before.remembered && ours.state.version == before.state.version {
                    prop_assert!(decides_the_same(&ours.state, &before.state));
                }
            }
        }

        #[test]
        fn what_is_put_in_force_is_kept_when_it_is_read_again(theirs in any_stored()) {
            let Some(Ok(theirs)) = theirs else { return Ok(()) };

            if let Ruling::Adopt(state) = rule(&record(start(0), true), Some(Ok(theirs.clone()))) {
                prop_assert!(matches!(rule(&record(state, true), Some(Ok(theirs))), Ruling::Keep));
            }
        }
    }
}
