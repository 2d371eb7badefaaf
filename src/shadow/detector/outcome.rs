//! What a check came to, and that it is told once: when the journals have taken it.
//!
//! Until then another sidecar may come to the same conclusion, where the claim had run out: then theirs counts.

use bytes::Bytes;

use super::checked::Checked;
use super::entity::Entity;
use super::report::{self, Report};
use super::{Detector, EntityReader};
use crate::clock::{self, Instant};
use crate::domain::effects::history::{Concluded, Finding, History, Read};
use crate::shadow::journal::{JournalKey, Settled};
use crate::telemetry::events::ConclusionLate;

/// What the journals are to take, and what is told once they have.
pub(super) struct Settlement {
    pub(super) settled: Settled,
    /// Of a check that came to a conclusion.
    pub(super) outcome: Option<Outcome>,
}

impl Settlement {
    /// Whether something was found that is still to be told.
    pub(super) fn finds(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| outcome.found.is_some())
    }
}

/// What a check came to.
pub(super) struct Outcome {
    /// The flag's index.
    pub(super) flag: usize,
    /// Where the entity is read.
    pub(super) path: String,
    pub(super) found: Option<Box<Found>>,
    pub(super) concluded: Vec<Concluded>,
}

/// What was found, and what it takes to show how that came about.
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// As it was judged.
    pub(super) history: History,
    pub(super) read: Read,
    /// When the read began and ended, by this process's clock.
    pub(super) times: (Instant, Instant),
    pub(super) document: Bytes,
}

impl<R: EntityReader + 'static> Detector<R> {
    /// The journals have taken some of it, and not what another sidecar may have claimed since.
    pub(super) fn take_settled(&mut self, settlements: Vec<Settlement>, are_settled: &[bool]) {
        for (Settlement { settled, outcome }, is_settled) in
            settlements.into_iter().zip(are_settled)
        {
            match (outcome, is_settled) {
                (Some(outcome), true) => self.tell(&settled.key, &outcome),
                (Some(outcome), false) => self.check_anew(settled.key, outcome),
                (None, _) => {}
            }
        }
    }

    /// Tells what is not told yet: nobody will take it any more.
    pub(super) fn tell_all(&mut self) {
        for Settlement { settled, outcome } in std::mem::take(&mut self.shared.settled) {
            if let Some(outcome) = outcome {
                self.tell(&settled.key, &outcome);
            }
        }
    }

    fn tell(&self, key: &JournalKey, outcome: &Outcome) {
        let telemetry = &self.parts.telemetry;
        if let Some(found) = &outcome.found {
            let Found { findings, history, read, times, document } = &**found;
            let (flags, flag) = (&self.flags, outcome.flag);
            let checked = Checked { flags, flag, entity: &key.entity, history, findings };
            let trace = checked.record(*times, telemetry, &self.clock);
            let document = &serde_json::from_slice(document).unwrap_or_default();
            let report =
                Report { checked: &checked, read, document, sidecar: &self.parts.sidecar, trace };
            report.tell(telemetry, &self.parts.records);
        }
        report::tell_concluded(telemetry, outcome.flag, &outcome.concluded);
    }

    /// The claim had run out. Nobody else need have anything new of the entity, so it is looked at again.
    fn check_anew(&mut self, key: JournalKey, outcome: Outcome) {
        ConclusionLate { entity: &key.entity }.emit();
        let now = clock::now();
        let fresh = || Entity::new(outcome.flag, outcome.path, now);
        let entity = self.entities.entry(key).or_insert_with(fresh);
        if entity.news_since.is_none() {
            entity.set_news(Some(now));
        }
    }
}
