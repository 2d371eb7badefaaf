//! The stored form of the flags: a JSON document with a format number and a checksum over its exact bytes.
//!
//! `{"format":1,"sha256":"…","document":{…}}`, laid out exactly so. Reading is total: anything but what [`encode`]
//! wrote is an error, never a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::bucket::BUCKETING;
use crate::domain::flag::{FlagState, Path, Pins, Strategy};
use crate::domain::percent::Percent;

use super::SnapshotFileError;
use super::book::{Book, Record};
use super::history::{Changed, HistoryEntry};

/// The format that this version writes, and the only one that it reads.
const FORMAT: &str = "1";

const OPENING: &str = "{\"format\":";
const BEFORE_CHECKSUM: &str = ",\"sha256\":\"";
const BEFORE_DOCUMENT: &str = "\",\"document\":";
const CLOSING: &str = "}\n";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    flags: BTreeMap<String, FlagDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagDocument {
    bucketing: String,
    entity: String,
    strategy: String,
    percent: f64,
    previous_percent: f64,
    version: u64,
    killed: bool,
    pins: PinsDocument,
    changed_at_ms: u64,
    changed_by: String,
    reason: String,
    history: Vec<EntryDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PinsDocument {
    legacy: BTreeSet<String>,
    fixed: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryDocument {
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
}

/// Writes a book down. Flags that nobody ever changed are left out: they follow their configured start value.
pub(super) fn encode(book: &Book) -> serde_json::Result<Vec<u8>> {
    let touched = book.records.iter().filter(|(_, record)| !record.is_untouched());
    let flags = touched.map(|(name, record)| (name.clone(), flag_document(record))).collect();
    let document = serde_json::to_string(&Document { flags })?;
    let checksum = checksum(document.as_bytes());
    let parts = [OPENING, FORMAT, BEFORE_CHECKSUM, &checksum, BEFORE_DOCUMENT, &document, CLOSING];
    Ok(parts.concat().into_bytes())
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Book, SnapshotFileError> {
    let document = checked_document(bytes)?;
    let Document { flags } =
        serde_json::from_str(document).map_err(SnapshotFileError::BadDocument)?;
    let records = flags.into_iter().map(|(name, flag)| {
        let record = flag.into_record(&name)?;
        Ok((name, Arc::new(record)))
    });
    Ok(Book { records: records.collect::<Result<_, _>>()? })
}

fn checked_document(bytes: &[u8]) -> Result<&str, SnapshotFileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SnapshotFileError::NotASnapshot)?;
    let opened = text.strip_prefix(OPENING).and_then(|rest| rest.split_once(BEFORE_CHECKSUM));
    let (format, rest) = opened.ok_or(SnapshotFileError::NotASnapshot)?;
    if format != FORMAT {
        const SHOWN: usize = 16;
        let found = format.chars().take(SHOWN).collect();
        return Err(SnapshotFileError::UnknownFormat { found });
    }
    let (claimed, document) = rest
        .split_once(BEFORE_DOCUMENT)
        .and_then(|(claimed, rest)| Some((claimed, rest.strip_suffix(CLOSING)?)))
        .ok_or(SnapshotFileError::NotASnapshot)?;
    if claimed != checksum(document.as_bytes()) {
        return Err(SnapshotFileError::BadChecksum);
    }
    Ok(document)
}

fn checksum(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn flag_document(record: &Record) -> FlagDocument {
    let state = &record.state;
    FlagDocument {
        bucketing: BUCKETING.to_owned(),
        entity: record.entity.clone(),
        strategy: record.strategy.as_str().to_owned(),
        percent: state.percent.as_f64(),
        previous_percent: state.previous_percent.as_f64(),
        version: state.version,
        killed: state.killed,
        pins: PinsDocument { legacy: state.pins.legacy.clone(), fixed: state.pins.fixed.clone() },
        changed_at_ms: state.changed_at_ms,
        changed_by: state.changed_by.clone(),
        reason: state.reason.clone(),
        history: record.history.iter().map(|entry| entry_document(entry)).collect(),
    }
}

fn entry_document(entry: &HistoryEntry) -> EntryDocument {
    let word = |path: &Option<Path>| path.map(|path| path.as_str().to_owned());
    let change = match &entry.what {
        Changed::Percent { from, to } => {
            ChangedDocument::Percent { from: from.as_f64(), to: to.as_f64() }
        }
        Changed::Killed { from, to } => ChangedDocument::Killed { from: *from, to: *to },
        Changed::Pin { entity, from, to } => {
            ChangedDocument::Pin { entity: entity.clone(), from: word(from), to: word(to) }
        }
    };
    EntryDocument {
        version: entry.version,
        at_ms: entry.at_ms,
        by: entry.by.clone(),
        reason: entry.reason.clone(),
        change,
    }
}

impl FlagDocument {
    fn into_record(self, flag: &str) -> Result<Record, SnapshotFileError> {
        let impossible = |key| SnapshotFileError::ImpossibleValue { flag: flag.to_owned(), key };
        if self.bucketing != BUCKETING {
            let found = self.bucketing;
            return Err(SnapshotFileError::UnknownBucketing { flag: flag.to_owned(), found });
        }
        if self.version == 0 {
            return Err(impossible("version"));
        }
        let strategy = self.strategy.parse::<Strategy>().map_err(|()| impossible("strategy"))?;
        let history = self.history.into_iter().map(|entry| entry.into_entry().map(Arc::new));
        let history = history.collect::<Option<_>>().ok_or_else(|| impossible("history"))?;
        let state = FlagState {
            percent: Percent::try_from(self.percent).map_err(|_| impossible("percent"))?,
            previous_percent: Percent::try_from(self.previous_percent)
                .map_err(|_| impossible("previous_percent"))?,
            version: self.version,
            killed: self.killed,
            pins: self.pins.into_pins().ok_or_else(|| impossible("pins"))?,
            changed_at_ms: self.changed_at_ms,
            changed_by: self.changed_by,
            reason: self.reason,
        };
        Ok(Record { entity: self.entity, strategy, state: Arc::new(state), history })
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

    /// A file with this document and a checksum that fits it.
    fn sealed(document: &str) -> Vec<u8> {
        let sum = checksum(document.as_bytes());
        format!("{{\"format\":1,\"sha256\":\"{sum}\",\"document\":{document}}}\n").into_bytes()
    }

    fn flag(changes: &str) -> String {
        let mut flag = serde_json::json!({
            "bucketing": BUCKETING, "entity": "journey:{id}", "strategy": "serialize",
            "percent": 25.5, "previous_percent": 0, "version": 2, "killed": false,
            "pins": {"legacy": [], "fixed": []},
            "changed_at_ms": 1, "changed_by": "ann", "reason": "try it", "history": [],
        });
        let changes: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(changes).unwrap();
        flag.as_object_mut().unwrap().extend(changes);
        serde_json::json!({"flags": {"f": flag}}).to_string()
    }

    #[test]
    fn a_file_is_one_json_document() {
        let bytes = encode(&decode(&sealed(&flag("{}"))).unwrap()).unwrap();

        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["document"]["flags"]["f"]["percent"], 25.5);
    }

    #[test]
    fn an_impossible_value_is_refused_even_with_a_good_checksum() {
        let check = |changes: &str, expected: &str| {
            let error = decode(&sealed(&flag(changes))).expect_err(changes);
            assert!(error.to_string().contains(expected), "{changes}: {error}");
        };

        check(r#"{"percent": 1e9}"#, "impossible percent");
        check(r#"{"percent": -1}"#, "impossible percent");
        check(r#"{"percent": 0.001}"#, "impossible percent");
        check(r#"{"percent": ""}"#, "no document");
        check(r#"{"percent": null}"#, "no document");
        check(r#"{"previous_percent": 101}"#, "impossible previous_percent");
        check(r#"{"version": 0}"#, "impossible version");
        check(r#"{"version": -1}"#, "no document");
        check(r#"{"strategy": "hope"}"#, "impossible strategy");
        check(r#"{"pins": {"legacy": ["a"], "fixed": ["a"]}}"#, "impossible pins");
        check(r#"{"bucketing": "md5"}"#, "bucketing \"md5\"");
        check(r#"{"surprise": 1}"#, "no document");
        let entry = r#"{"version": 2, "at_ms": 1, "by": "a", "reason": "r", "change":"#;
        check(
            &format!(r#"{{"history": [{entry} {{"percent": {{"from": 0, "to": 200}}}}}}]}}"#),
            "impossible history",
        );
        check(
            &format!(
                r#"{{"history": [{entry} {{"pin": {{"entity": "a", "from": null, "to": "up"}}}}}}]}}"#
            ),
            "impossible history",
        );
    }

    #[test]
    fn another_format_is_named() {
        let later = br#"{"format":2,"sha256":"","document":{}}"#;

        assert!(matches!(
            decode(later),
            Err(SnapshotFileError::UnknownFormat { found }) if found == "2"
        ));
    }
}
