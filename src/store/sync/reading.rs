//! Reads what the store has, and does what is ruled on it, flag by flag.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::clock;
use crate::domain::decision::Freshness;
use crate::domain::flag::FlagState;
use crate::domain::transition::Turn;
use crate::store::adopt::{Ruling, rule};
use crate::store::book::Record;
use crate::store::document::{MAX_DOCUMENT_BYTES, SharedFlag, decode_shared, encode_shared};
use crate::store::refusal::{Refused, UnknownFlags};
use crate::store::shelf::{ChangeOf, ChangeReply, Reading, RestoreReply, ShelfError, Stored};
use crate::store::{DocumentRefusal, Place};
use crate::telemetry::FlagIndex;
use crate::telemetry::events::{FlagRead, FlagRefused, FlagsLoaded, FlagsRejected};
use crate::telemetry::labels::FlagsError;

use super::{DEBOUNCE, FlagSync, RECHECK, REREAD, RETRY_AFTER, Watched};

impl FlagSync {
    /// Reads all flags, and what is new in their histories.
    pub(super) async fn read(&mut self) {
        self.due = None;
        let names: Vec<String> = self.flags.iter().map(|flag| flag.name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match self.shelf.read(&names).await {
            Ok(reading) => self.take_in(reading).await,
            Err(error) => self.failed(&error),
        }
        self.tell_freshness();
    }

    fn failed(&mut self, error: &ShelfError) {
        // An outage is told of by those who notice it first. This is a store that answers others.
        if self.known.live && self.known.current {
            let origin = &self.shelf.place_of_all().to_string();
            FlagsRejected { reason: FlagsError::Io, origin, error }.emit(&self.telemetry);
        }
        self.known.current = false;
        if self.known.live {
            self.read_within(RETRY_AFTER);
        }
    }

    async fn take_in(&mut self, reading: Reading) {
        let Reading { mut revision, stored, unknown } = reading;
        for (index, stored) in stored.into_iter().enumerate() {
            self.settle(index, stored, &mut revision).await;
        }
        self.tell_of_unknown(unknown);
        self.show_refusals();
        self.known.current = true;
        self.known.otherwise = Freshness::Stale;
        self.applied.send_if_modified(|applied| applied.replace(revision) != Some(revision));
        FlagsLoaded { at_ms: clock::wall_ms() }.emit(&self.telemetry);
        self.catch_up_with_histories().await;
        let all_well = |flag: &Watched| flag.refused.is_none() && !flag.history_behind;
        self.read_within(if self.flags.iter().all(all_well) { REREAD } else { RECHECK });
    }

    /// Does what is to be done about one flag. `revision` is what was read, and moves on with what is written back.
    async fn settle(&mut self, index: usize, stored: Stored, revision: &mut u64) {
        let Some(flag) = self.flags.get(index) else { return };
        let Some(ours) = self.store.record(&flag.name) else { return };
        let place = self.shelf.place(&flag.name);
        let (fingerprint, place) = match &stored {
            Stored::Missing => (Vec::new(), place),
            Stored::Document(bytes) => (Sha256::digest(bytes).to_vec(), place),
            Stored::TooLarge { bytes } => (bytes.to_le_bytes().to_vec(), place),
            Stored::NotAHash { kind } => (kind.clone().into_bytes(), self.shelf.place_of_all()),
        };
        let theirs = match stored {
            Stored::Missing => None,
            Stored::Document(bytes) => Some(decode_shared(&bytes)),
            Stored::TooLarge { bytes } => Some(Err(DocumentRefusal::TooLarge { bytes })),
            Stored::NotAHash { kind } => Some(Err(DocumentRefusal::NotAHash { kind })),
        };
        if let Some(Ok(shared)) = &theirs {
            self.warn_if_redefined(index, &ours, shared);
        }
        // A start value where something else is remembered, or nothing where there was something.
        let forgot = theirs.is_some() || self.flags.get(index).is_some_and(|flag| flag.seen);
        self.note_seen(index, theirs.is_some());
        match rule(&ours, theirs) {
            Ruling::Keep => self.accepted(index),
            Ruling::Adopt(state) => {
                self.adopt(index, &ours, state);
                self.accepted(index);
            }
            Ruling::Restore => {
                if forgot {
                    let refused = Refused { place, why: DocumentRefusal::Missing };
                    self.refuse(index, refused, fingerprint);
                }
                self.restore(index, &ours, revision).await;
            }
            Ruling::Repeat(turn) => self.repeat(index, &ours, turn).await,
            Ruling::Refuse(why) => self.refuse(index, Refused { place, why }, fingerprint),
        }
    }

    fn adopt(&mut self, index: usize, ours: &Record, state: FlagState) {
        let Some(flag) = self.flags.get_mut(index) else { return };
        let state = Arc::new(state);
        self.store.adopt(&flag.name, Arc::clone(&state));
        flag.history_behind = true;
        if !ours.remembered {
            let flag = FlagIndex(u16::try_from(index).unwrap_or(u16::MAX));
            FlagRead { flag, state: &state }.emit(&self.telemetry);
        } else if state.turn() != ours.state.turn() {
            (self.on_change)(&flag.name, &ours.state, &state);
        }
        self.touch();
    }

    /// Writes to the store the steps that it has lost since this turn.
    async fn repeat(&mut self, index: usize, ours: &Record, turn: Turn) {
        let Some(name) = self.flags.get(index).map(|flag| flag.name.clone()) else { return };
        let Ok(document) = encode_shared(ours, &ours.state) else { return };
        let seen = self.seen();
        let of = ChangeOf::Transition { seen: &seen };
        let repeated = self.shelf.change(&name, turn, &document, of).await;
        if matches!(repeated, Ok(ChangeReply::Made { .. })) {
            tracing::info!(
                event = "steps_repeated",
                flag = name,
                stored = %turn,
                known = %ours.state.turn(),
                "the store had lost steps of the flag's transition"
            );
        }
        self.accepted(index);
        self.read_within(DEBOUNCE);
    }

    /// Writes to the store what is in force here.
    async fn restore(&mut self, index: usize, ours: &Record, revision: &mut u64) {
        let Some(name) = self.flags.get(index).map(|flag| flag.name.clone()) else { return };
        let Ok(document) = encode_shared(ours, &ours.state) else { return };
        if document.len() > MAX_DOCUMENT_BYTES {
            // It may have been changed without a fleet, where more fits.
            let bytes = document.len() as u64;
            let (place, why) = (self.shelf.place(&name), DocumentRefusal::TooLarge { bytes });
            return self.refuse(index, Refused { place, why }, bytes.to_le_bytes().to_vec());
        }
        let history: Vec<_> = ours.history.iter().map(Arc::as_ref).collect();
        let version = ours.state.version;
        match self.shelf.restore(&name, version, &document, &history).await {
            Ok(RestoreReply::Made { revision: made }) => {
                tracing::info!(
                    event = "flag_restored",
                    flag = name,
                    version,
                    "written to the store, which did not have it"
                );
                if !ours.remembered {
                    self.store.adopt(&name, Arc::clone(&ours.state));
                    self.touch();
                }
                if made != *revision + 1 {
                    self.read_within(DEBOUNCE);
                }
                *revision = made;
                self.note_seen(index, true);
                self.accepted(index);
            }
            // Another sidecar was faster.
            Ok(RestoreReply::Kept) => self.read_within(DEBOUNCE),
            Ok(RestoreReply::Unreadable { place }) => {
                let fingerprint = place.to_string().into_bytes();
                self.refuse(index, Refused { place, why: DocumentRefusal::Foreign }, fingerprint);
            }
            Err(_) => self.read_within(RECHECK),
        }
    }

    pub(super) fn note_seen(&mut self, index: usize, seen: bool) {
        if let Some(flag) = self.flags.get_mut(index) {
            flag.seen |= seen;
        }
    }

    /// What the store has is in force, so nothing is refused any more.
    pub(super) fn accepted(&mut self, index: usize) {
        let Some(flag) = self.flags.get_mut(index) else { return };
        flag.told = None;
        if flag.refused.take().is_some() {
            let flag = flag.name.as_str();
            tracing::info!(event = "flag_accepted", flag, "what the store has is in force again");
        }
    }

    fn refuse(&mut self, index: usize, refused: Refused, fingerprint: Vec<u8>) {
        let Some(flag) = self.flags.get_mut(index) else { return };
        if flag.told.as_ref() != Some(&fingerprint) {
            let origin = &refused.place.to_string();
            FlagsRejected { reason: refused.why.reason(), origin, error: &refused }
                .emit(&self.telemetry);
            flag.told = Some(fingerprint);
        }
        flag.refused = Some(refused);
    }

    /// For `/readyz` and for the metrics.
    pub(super) fn show_refusals(&self) {
        let of_flag = |flag: &Watched| Some(flag.refused.as_ref()?.of_flag(&flag.name));
        self.refusals.set(self.flags.iter().filter_map(of_flag).collect());
        for (index, flag) in (0..).zip(&self.flags) {
            FlagRefused { flag: FlagIndex(index), refused: flag.refused.is_some() }
                .emit(&self.telemetry);
        }
    }

    /// The place that can't be read, where a flag's is one.
    pub(super) fn unreadable(&self, index: usize) -> Option<Place> {
        let refused = self.flags.get(index)?.refused.as_ref()?;
        refused.why.is_unreadable().then(|| refused.place.clone())
    }

    fn warn_if_redefined(&mut self, index: usize, ours: &Record, theirs: &SharedFlag) {
        let Some(flag) = self.flags.get_mut(index) else { return };
        let redefined = ours.entity != theirs.entity || ours.strategy != theirs.strategy;
        if redefined && !flag.redefined {
            tracing::warn!(
                event = "flag_redefined",
                flag = flag.name,
                entity = ours.entity,
                stored_entity = theirs.entity,
                strategy = ours.strategy.as_str(),
                stored_strategy = theirs.strategy.as_str(),
                "the flag is configured differently here than where it was changed last"
            );
        }
        flag.redefined = redefined;
    }

    fn tell_of_unknown(&mut self, names: Vec<String>) {
        let news = names.iter().any(|name| !self.unknown.contains(name));
        self.unknown = names;
        if news {
            let error = &UnknownFlags { names: self.unknown.clone() };
            let origin = &self.shelf.place_of_all().to_string();
            FlagsRejected { reason: FlagsError::UnknownFlag, origin, error }.emit(&self.telemetry);
        }
    }
}
