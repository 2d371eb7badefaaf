//! Takes the steps of transitions, once nobody is waited for any more. Any sidecar may: the store takes the step that comes first,
//! and the others find it taken.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::flag::FlagState;
use crate::domain::transition::{Report, Transit, Waiting, Why, waits};
use crate::fleet::FleetView;
use crate::fleet::gate::{Gate, Standing};
use crate::store::{Applied, Planned};
use crate::telemetry::FlagIndex;
use crate::telemetry::events::TransitionWaits;

use super::FlagSync;

/// The fleet, as far as flips have to know it.
pub(crate) struct Crew {
    /// This sidecar's id.
    pub(crate) me: String,
    /// Open once everybody who was there before the store was lost had the time to come back.
    pub(crate) gate: Gate,
    /// Who is there, and how far their updates are.
    pub(crate) view: Arc<ArcSwap<FleetView>>,
}

impl FlagSync {
    /// Makes it take the steps of transitions too.
    pub(crate) fn with(mut self, crew: Crew) -> Self {
        self.crew = Some(crew);
        self
    }

    /// Takes each step that may be taken now.
    pub(super) async fn drive(&mut self) {
        for index in 0..self.flags.len() {
            for _ in 0..Transit::MAX_STEPS {
                if !self.take_step(index).await {
                    break;
                }
            }
        }
    }

    async fn take_step(&mut self, index: usize) -> bool {
        let Some(name) = self.flags.get(index).map(|flag| flag.name.clone()) else { return false };
        let Some(state) = self.store.snapshot().states.get(index).map(Arc::clone) else {
            return false;
        };
        let Some(reports) = self.reports(index, &name) else {
            // While it can't be asked, nobody is waited for.
            self.tell_of_waits(index, &[]);
            return false;
        };
        let waiting = waits(&state, &reports);
        self.tell_of_waits(index, &waiting);
        match self.next(&name, &state, &waiting, &reports) {
            // Whoever was faster has taken it, and a store that is gone will be asked again.
            Some(planned) => match self.send(index, &name, planned).await {
                Ok(applied) => {
                    tell_of_force(&name, &applied);
                    true
                }
                Err(_) => false,
            },
            None => false,
        }
    }

    fn tell_of_waits(&self, index: usize, waiting: &[Waiting]) {
        if let Ok(flag) = u16::try_from(index) {
            TransitionWaits { flag: FlagIndex(flag), waiting }.emit(&self.telemetry);
        }
    }

    /// The ids of those on the register, as it was seen last.
    pub(super) fn seen(&self) -> Vec<Vec<u8>> {
        let Some(crew) = &self.crew else { return Vec::new() };
        let view = crew.view.load();
        let ids = view.sidecars.iter().map(|sidecar| sidecar.id.clone().into_bytes());
        ids.chain(view.passed_over.iter().cloned()).collect()
    }

    /// What the sidecars said; `None` while it is not known who there is, or how the flag stands in the store.
    fn reports(&self, index: usize, name: &str) -> Option<Vec<Report>> {
        let crew = self.crew.as_ref().filter(|_| self.known.live && self.known.current)?;
        let is_sure = self.flags.get(index).is_some_and(|flag| flag.refused.is_none());
        if !is_sure || !matches!(*crew.gate.standing(), Standing::Open(_)) {
            return None;
        }
        let view = crew.view.load();
        let registered = view.sidecars.iter().any(|sidecar| sidecar.this && sidecar.id == crew.me);
        registered.then(|| view.reports(name, self.store.ledger().progress(index)))
    }

    fn next(
        &self,
        name: &str,
        state: &FlagState,
        waiting: &[Waiting],
        reports: &[Report],
    ) -> Option<Planned> {
        let present = (state.turn(), state.fingerprint());
        let is_back = |id: &String| {
            let report = reports.iter().find(|report| report.sidecar == *id);
            report.is_none_or(|report| report.is_past(present))
        };
        let back: BTreeSet<String> =
            state.forced.iter().filter(|id| is_back(id)).cloned().collect();
        if !back.is_empty() {
            return self.store.plan_return(name, &back);
        }
        let forces = state.transit.as_ref()?.force;
        let is_silent = |waiting: &Waiting| matches!(waiting.why, Why::Silent { .. });
        if waiting.iter().any(|it| !(forces && is_silent(it))) {
            return None;
        }
        let silent: BTreeSet<String> = waiting.iter().map(|it| it.sidecar.clone()).collect();
        self.store.plan_step(name, silent)
    }
}

/// Tells of a step that went on without somebody.
fn tell_of_force(flag: &str, Applied { before, after }: &Applied) {
    let without: Vec<&String> = after.forced.difference(&before.forced).collect();
    if !without.is_empty() {
        tracing::warn!(
            event = "flip_forced",
            flag,
            by = after.changed_by.as_str(),
            ?without,
            "a step has gone on without sidecars that are silent: updates may be lost to calls of theirs"
        );
    }
}
