//! The steps of a flag's transition, without a fleet: this process alone waits for its own updates.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use crate::domain::flag::FlagState;
use crate::domain::transition::Transit;

use super::{Applied, FlagStore, Planned};
use crate::fleet::ledger::Progress;

impl FlagStore {
    /// What a step would make of a flag that is on the move, with the barrier passed but for `silent`.
    pub(super) fn plan_step(&self, name: &str, silent: BTreeSet<String>) -> Option<Planned> {
        let record = self.record(name)?;
        let after = record.state.stepped(name, record.strategy, silent)?;
        Some(Planned::without_entry(record, after))
    }

    /// What becomes of a flag once sidecars that were gone past are back, or known to be gone.
    pub(super) fn plan_return(&self, name: &str, back: &BTreeSet<String>) -> Option<Planned> {
        let record = self.record(name)?;
        let after = record.state.caught_up(back)?;
        Some(Planned::without_entry(record, after))
    }

    /// Takes each step for which this process's own updates are over, and tells `on_step` of it. Blocks for as long as the
    /// disk takes. A step that can't be written down is taken all the same: from the one before it a restart goes on.
    pub(crate) fn take_steps(&self, on_step: impl Fn(&str, &FlagState, &FlagState)) {
        for _ in 0..Transit::MAX_STEPS {
            let mut taken = false;
            for (index, seed) in self.shared.seeds.iter().enumerate() {
                if let Some(applied) = self.take_step(index, &seed.name) {
                    on_step(&seed.name, &applied.before, &applied.after);
                    taken = true;
                }
            }
            if !taken {
                break;
            }
        }
    }

    /// Whether a flag is on the move that waits for no update of this process.
    pub(crate) fn can_step(&self) -> bool {
        self.moving().any(|progress| progress.clear >= progress.applied)
    }

    /// Whether a flip waits for updates of this process.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.moving().any(|progress| progress.clear < progress.applied)
    }

    /// How far the updates of flags are that are on the move.
    fn moving(&self) -> impl Iterator<Item = Progress> {
        let snapshot = self.snapshot();
        let count = snapshot.states.len();
        let is_moving = move |index: &usize| {
            snapshot.states.get(*index).is_some_and(|state| state.transit.is_some())
        };
        (0..count).filter(is_moving).filter_map(|index| self.shared.ledger.progress(index))
    }

    fn take_step(&self, index: usize, name: &str) -> Option<Applied> {
        let shared = &*self.shared;
        shared.snapshot.load().states.get(index)?.transit.as_ref()?;
        let _changing = shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = self.plan_step(name, BTreeSet::new())?;
        let progress = shared.ledger.progress(index)?;
        if progress.clear < planned.applied.before.turn() {
            return None;
        }
        let book = shared.book.load_full();
        let next = planned.made_in(name, &book);
        if let Err(error) = shared.write(&book, &next) {
            tracing::warn!(event = "step_not_saved", flag = name, %error, "a step of a flip could not be written down");
        }
        let freshness = shared.snapshot.load().freshness;
        shared.put_in_force(next, freshness);
        Some(planned.applied)
    }
}

impl Planned {
    fn without_entry(record: Arc<super::Record>, after: FlagState) -> Self {
        let applied = Applied { before: Arc::clone(&record.state), after: Arc::new(after) };
        Self { record, applied, entry: None }
    }
}
