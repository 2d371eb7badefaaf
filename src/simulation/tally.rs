//! The accounts of the updates.

use std::collections::BTreeMap;

use super::app::UpdateId;
use crate::domain::flag::Protection;
use crate::lease::LeaseError;
use crate::telemetry::labels::Outcome;

/// What callers were told.
#[derive(Default)]
pub(super) struct Tally {
    /// Updates that were acknowledged and reported as protected, by entity.
    pub(super) promised: BTreeMap<String, Vec<UpdateId>>,
    /// How many updates were acknowledged with each protection.
    pub(super) acknowledged: BTreeMap<Protection, u64>,
    /// How many ended in the dark.
    pub(super) unknown: u64,
    /// How many were refused, by why.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// How many acknowledged updates were lost.
    pub(super) lost: u64,
    /// How many of those were promised, and undone by a sidecar that went on without the store.
    pub(super) undone_without_store: u64,
    /// And by one that had heard of a kill before others.
    pub(super) undone_by_kill: u64,
    /// And acknowledged updates of documents that the store forgot.
    pub(super) forgotten: u64,
    /// How many callers with an idempotency key were given the answer of an earlier call.
    pub(super) replays: u64,
    /// Updates of documents that were refused, by entity.
    pub(super) denied: BTreeMap<String, Vec<UpdateId>>,
    /// How many changes of flags were made.
    pub(super) flips: u64,
    /// What went wrong, and how often.
    pub(super) faults: BTreeMap<&'static str, u64>,
    /// All that were acknowledged.
    pub(super) all: BTreeMap<String, Vec<UpdateId>>,
}

impl Tally {
    pub(super) fn ended(
        &mut self,
        entity: &str,
        id: UpdateId,
        outcome: Outcome,
        protection: Protection,
    ) {
        match outcome {
            Outcome::Applied => {
                *self.acknowledged.entry(protection).or_default() += 1;
                self.all.entry(entity.to_owned()).or_default().push(id);
                if protection == Protection::Protected {
                    self.promised.entry(entity.to_owned()).or_default().push(id);
                }
            }
            Outcome::Unknown => self.unknown += 1,
            Outcome::Rejected | Outcome::Replayed => {}
        }
    }

    /// A caller who came again was told what its earlier call was told, or would have been.
    pub(super) fn replayed(&mut self, entity: &str, id: UpdateId) {
        self.replays += 1;
        self.all.entry(entity.to_owned()).or_default().push(id);
    }

    pub(super) fn refused(&mut self, error: &LeaseError) {
        let why = match error {
            LeaseError::QueueFull { .. } => "queue full",
            LeaseError::WaitTimeout { .. } => "waited too long",
            LeaseError::StoreLost => "store lost",
            LeaseError::RanOut => "lease ran out",
        };
        *self.refused.entry(why).or_default() += 1;
    }

    pub(super) fn fault(&mut self, what: &'static str) {
        *self.faults.entry(what).or_default() += 1;
    }

    /// Adds another run's accounts.
    pub(super) fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            from.iter().for_each(|(key, count)| *into.entry(*key).or_default() += count);
        }
        sum(&mut self.acknowledged, &other.acknowledged);
        sum(&mut self.refused, &other.refused);
        sum(&mut self.faults, &other.faults);
        self.unknown += other.unknown;
        self.lost += other.lost;
        self.undone_without_store += other.undone_without_store;
        self.undone_by_kill += other.undone_by_kill;
        self.forgotten += other.forgotten;
        self.replays += other.replays;
        self.flips += other.flips;
    }

    /// In a few lines, for people.
    pub(super) fn shown(&self) -> String {
        let Self {
            acknowledged,
            unknown,
            refused,
            lost,
            undone_without_store,
            undone_by_kill,
            forgotten,
            replays,
            flips,
            faults,
            ..
        } = self;
        format!(
            "acknowledged {acknowledged:?}, unknown {unknown}, refused {refused:?}, lost {lost}, \
             undone without the store {undone_without_store}, by a kill {undone_by_kill}, \
             forgotten by the store {forgotten}, replayed {replays}, \
             changes {flips}, faults {faults:?}"
        )
    }
}
