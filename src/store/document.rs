//! A flag as JSON. In the snapshot file it carries its history; in the fleet's store a format number, as the history is
//! a stream of its own there. Reading is total: anything but what was written here is an error, never a guess.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::bucket::BUCKETING;
use crate::domain::flag::{FlagState, Path, Pins, Strategy};
use crate::domain::percent::Percent;
use crate::domain::transition::Turn;

use self::transit::TransitDocument;
use super::DocumentRefusal;
use super::book::Record;
use super::history::{Changed, HistoryEntry};

mod transit;

/// The format of a document in the fleet's store that this version writes, and the only one that it reads.
pub(super) const FORMAT: u64 = 1;

/// The largest document that a pin may make, in bytes: the pins that a flag may have fit.
pub(super) const MAX_PINNED_BYTES: usize = 1024 * 1024;

/// The largest document in the fleet's store, in bytes: a kill, which must not be refused, has every pin in it once more. Every
/// sidecar reads it at every change, and the store's scripts parse it.
pub(super) const MAX_DOCUMENT_BYTES: usize = 3 * MAX_PINNED_BYTES;

/// The highest version: what the store's scripts, which count in floating point, tell from its neighbours.
pub(super) const MAX_VERSION: u64 = (1 << 53) - 1;

/// How much of a text that is not understood is quoted, in characters.
const MAX_QUOTED: usize = 64;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlagDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u64>,
    bucketing: String,
    entity: String,
    strategy: String,
    percent: f64,
    previous_percent: f64,
    version: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    step: u32,
    killed: bool,
    pins: PinsDocument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transit: Option<TransitDocument>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forced: BTreeSet<String>,
    changed_at_ms: u64,
    changed_by: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<Vec<EntryDocument>>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in so")]
fn is_zero(step: &u32) -> bool {
    *step == 0
}

/// What every format of a document has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinsDocument {
    legacy: BTreeSet<String>,
    fixed: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryDocument {
    version: u64,
    at_ms: u64,
    by: String,
    reason: String,
    change: ChangedDocument,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ChangedDocument {
    Percent { from: f64, to: f64 },
    Killed { from: bool, to: bool },
    Pin { entity: String, from: Option<String>, to: Option<String> },
    Forced {},
}

/// A flag as the fleet shares it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SharedFlag {
    /// The template that its percentage and pins were set for.
    pub(super) entity: String,
    /// The strategy that they were set for.
    pub(super) strategy: Strategy,
    pub(super) state: FlagState,
}

/// A value that no change can have produced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadValue {
    /// Its percentages would split the entities another way.
    Bucketing { found: String },
    /// It is out of its range.
    Impossible { key: &'static str },
}

/// Writes a flag for the fleet's store.
pub(super) fn encode_shared(record: &Record, state: &FlagState) -> serde_json::Result<Vec<u8>> {
    let document = FlagDocument { format: Some(FORMAT), ..FlagDocument::of(record, state) };
    serde_json::to_vec(&document)
}

/// Reads what [`encode_shared`] wrote.
pub(super) fn decode_shared(bytes: &[u8]) -> Result<SharedFlag, DocumentRefusal> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentRefusal::TooLarge { bytes: bytes.len() as u64 });
    }
    let AnyFormat { format } =
        serde_json::from_slice(bytes).map_err(DocumentRefusal::NotADocument)?;
    if format != FORMAT {
        return Err(DocumentRefusal::UnknownFormat { found: format });
    }
    let document: FlagDocument =
        serde_json::from_slice(bytes).map_err(DocumentRefusal::NotADocument)?;
    if document.history.is_some() {
        return Err(DocumentRefusal::Impossible { key: "history" });
    }
    document.into_shared().map_err(|bad| match bad {
        BadValue::Bucketing { found } => {
            let found = found.chars().take(MAX_QUOTED).collect();
            DocumentRefusal::UnknownBucketing { found }
        }
        BadValue::Impossible { key } => DocumentRefusal::Impossible { key },
    })
}

/// Writes one change for the stream of the fleet's store.
pub(super) fn encode_entry(entry: &HistoryEntry) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&EntryDocument::of(entry))
}

/// Reads what [`encode_entry`] wrote; `None` for anything else.
pub(super) fn decode_entry(bytes: &[u8]) -> Option<HistoryEntry> {
    serde_json::from_slice::<EntryDocument>(bytes).ok()?.into_entry()
}

impl FlagDocument {
    /// A flag with its history, for the snapshot file.
    pub(super) fn with_history(record: &Record) -> Self {
        let history = record.history.iter().map(|entry| EntryDocument::of(entry)).collect();
        Self { history: Some(history), ..Self::of(record, &record.state) }
    }

    fn of(record: &Record, state: &FlagState) -> Self {
        let Pins { legacy, fixed } = &state.pins;
        Self {
            format: None,
            bucketing: BUCKETING.to_owned(),
            entity: record.entity.clone(),
            strategy: record.strategy.as_str().to_owned(),
            percent: state.percent.as_f64(),
            previous_percent: state.previous_percent.as_f64(),
            version: state.version,
            step: state.step,
            killed: state.killed,
            pins: PinsDocument { legacy: legacy.clone(), fixed: fixed.clone() },
            transit: state.transit.as_deref().map(TransitDocument::of),
            forced: state.forced.clone(),
            changed_at_ms: state.changed_at_ms,
            changed_by: state.changed_by.clone(),
            reason: state.reason.clone(),
            history: None,
        }
    }

    /// What [`Self::with_history`] made it from.
    pub(super) fn into_record(mut self) -> Result<Record, BadValue> {
        let impossible = |key| BadValue::Impossible { key };
        if self.format.is_some() {
            return Err(impossible("format"));
        }
        let entries = self.history.take().ok_or_else(|| impossible("history"))?;
        let SharedFlag { entity, strategy, state } = self.into_shared()?;
        let history: Option<VecDeque<_>> =
            entries.into_iter().map(|entry| entry.into_entry().map(Arc::new)).collect();
        let history = history.ok_or_else(|| impossible("history"))?;
        Ok(Record { entity, strategy, state: Arc::new(state), history, remembered: true })
    }

    fn into_shared(self) -> Result<SharedFlag, BadValue> {
        let impossible = |key| BadValue::Impossible { key };
        if self.bucketing != BUCKETING {
            return Err(BadValue::Bucketing { found: self.bucketing });
        }
        if !(1..=MAX_VERSION).contains(&self.version) {
            return Err(impossible("version"));
        }
        if self.step > Turn::MAX_STEP {
            return Err(impossible("step"));
        }
        let strategy = self.strategy.parse::<Strategy>().map_err(|()| impossible("strategy"))?;
        let state = FlagState {
            percent: Percent::try_from(self.percent).map_err(|_| impossible("percent"))?,
            previous_percent: Percent::try_from(self.previous_percent)
                .map_err(|_| impossible("previous_percent"))?,
            version: self.version,
            step: self.step,
            killed: self.killed,
            pins: self.pins.into_pins().ok_or_else(|| impossible("pins"))?,
            transit: self
                .transit
                .map(|transit| transit.into_transit().ok_or_else(|| impossible("transit")))
                .transpose()?
                .map(Box::new),
            forced: self.forced,
            changed_at_ms: self.changed_at_ms,
            changed_by: self.changed_by,
            reason: self.reason,
        };
        Ok(SharedFlag { entity: self.entity, strategy, state })
    }
}

impl PinsDocument {
    /// `None` where there are too many, or an entity is pinned to both paths.
    fn into_pins(self) -> Option<Pins> {
        let Self { legacy, fixed } = self;
        let possible = legacy.len() + fixed.len() <= Pins::MAX && legacy.is_disjoint(&fixed);
        possible.then_some(Pins { legacy, fixed })
    }
}

impl EntryDocument {
    fn of(entry: &HistoryEntry) -> Self {
        let word = |path: &Option<Path>| path.map(|path| path.as_str().to_owned());
        let change = match &entry.what {
            Changed::Percent { from, to } => {
                ChangedDocument::Percent { from: from.as_f64(), to: to.as_f64() }
            }
            Changed::Killed { from, to } => ChangedDocument::Killed { from: *from, to: *to },
            Changed::Pin { entity, from, to } => {
                ChangedDocument::Pin { entity: entity.clone(), from: word(from), to: word(to) }
            }
            Changed::Forced => ChangedDocument::Forced {},
        };
        Self {
            version: entry.version,
            at_ms: entry.at_ms,
            by: entry.by.clone(),
            reason: entry.reason.clone(),
            change,
        }
    }

    fn into_entry(self) -> Option<HistoryEntry> {
        let what = match self.change {
            ChangedDocument::Percent { from, to } => Changed::Percent {
                from: Percent::try_from(from).ok()?,
                to: Percent::try_from(to).ok()?,
            },
            ChangedDocument::Killed { from, to } => Changed::Killed { from, to },
            ChangedDocument::Pin { entity, from, to } => {
                Changed::Pin { entity, from: path(from)?, to: path(to)? }
            }
            ChangedDocument::Forced {} => Changed::Forced,
        };
        let Self { version, at_ms, by, reason, .. } = self;
        Some(HistoryEntry { version, at_ms, by, reason, what })
    }
}

/// `None` for a word that names no path.
#[allow(clippy::option_option, reason = "no path and no such path are different answers")]
fn path(word: Option<String>) -> Option<Option<Path>> {
    match word {
        None => Some(None),
        Some(word) => Path::ALL.into_iter().find(|path| path.as_str() == word).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document of the fleet's store with some of its fields changed.
    fn document(changes: &str) -> Vec<u8> {
        let mut document = serde_json::json!({
            "format": 1, "bucketing": BUCKETING, "entity": "journey:{id}", "strategy": "serialize",
            "percent": 25.5, "previous_percent": 0, "version": 2, "killed": false,
            "pins": {"legacy": [], "fixed": []},
            "changed_at_ms": 1, "changed_by": "ann", "reason": "try it",
        });
        let changes: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(changes).unwrap();
        document.as_object_mut().unwrap().extend(changes);
        document.to_string().into_bytes()
    }

    #[test]
    fn a_document_reads_back_as_it_was_written() {
        reads_back("{}");
    }

    #[test]
    fn a_flag_on_the_move_reads_back_as_it_was_written() {
        reads_back(
            r#"{"step": 2, "forced": ["b", "c"], "transit": {"low": 10, "high": 20.5, "stage": "guarded_fixed",
            "entities": {"journey:7": "guarded", "journey:8": "fixed"}, "since_ms": 1, "force": true, "skipped": true}}"#,
        );
    }

    fn reads_back(changes: &str) {
        let shared = decode_shared(&document(changes)).unwrap();
        let SharedFlag { entity, strategy, state } = shared.clone();
        let (state, history) = (Arc::new(state), VecDeque::new());
        let record = Record { entity, strategy, state, history, remembered: true };

        let written = encode_shared(&record, &record.state).unwrap();

        assert_eq!(decode_shared(&written).unwrap(), shared);
        let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!((&value["format"], &value["percent"]), (&1.into(), &25.5.into()));
        assert!(value.get("history").is_none(), "the history is a stream of its own");
    }

    #[test]
    fn whatever_no_sidecar_wrote_is_refused() {
        let check = |changes: &str, expected: &str| {
            let refusal = decode_shared(&document(changes)).expect_err(changes);
            assert!(refusal.to_string().contains(expected), "{changes}: {refusal}");
        };

        check(r#"{"format": 2}"#, "format 2");
        check(r#"{"format": 2, "surprise": 1}"#, "format 2");
        check(r#"{"format": null}"#, "no document of a flag");
        check(r#"{"surprise": 1}"#, "no document of a flag");
        check(r#"{"percent": 1e9}"#, "percent");
        check(r#"{"percent": 0.001}"#, "percent");
        check(r#"{"version": 0}"#, "version");
        check(r#"{"version": 9007199254740992}"#, "version");
        check(r#"{"step": 1001}"#, "step");
        check(r#"{"step": -1}"#, "no document of a flag");
        check(r#"{"version": 1.5}"#, "no document of a flag");
        check(r#"{"strategy": "hope"}"#, "strategy");
        check(r#"{"pins": {"legacy": ["a"], "fixed": ["a"]}}"#, "pins");
        let transit = |low: u8, stage: &str| {
            format!(
                r#"{{"transit": {{"low": {low}, "high": 20, "stage": "{stage}", "entities": {{}},
                "since_ms": 1, "force": false, "skipped": false}}}}"#
            )
        };
        check(&transit(30, "guarded"), "transit");
        check(&transit(10, "legacy"), "transit");
        check(&transit(10, "hope"), "transit");
        check(r#"{"history": []}"#, "history");
        check(r#"{"bucketing": "md5"}"#, "bucketing \"md5\"");
        for garbage in ["", "null", "[]", "17", "\u{0}", "{\"format\": 1"] {
            let refused = decode_shared(garbage.as_bytes());
            assert!(matches!(refused, Err(DocumentRefusal::NotADocument(_))), "{garbage}");
        }
        let huge = vec![b' '; MAX_DOCUMENT_BYTES + 1];
        assert!(matches!(decode_shared(&huge), Err(DocumentRefusal::TooLarge { .. })));
    }

    #[test]
    fn what_is_quoted_of_a_document_is_bounded() {
        let long = "x".repeat(10_000);

        let refusal = decode_shared(&document(&format!(r#"{{"bucketing": "{long}"}}"#)));

        assert!(refusal.unwrap_err().to_string().len() < 500);
    }
}
