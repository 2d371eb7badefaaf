//! The stored form of the flags: a JSON document with a format number and a checksum over its exact bytes.
//!
//! `{"format":1,"sha256":"…","document":{…}}`, laid out exactly so. Reading is total: anything but what [`encode`]
//! wrote is an error, never a guess. `document` has the flags inside.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::SnapshotFileError;
use super::book::Book;
use super::document::{BadValue, FlagDocument};

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

/// Writes a book down. Flags that nobody ever changed are left out: they follow their configured start value.
pub(super) fn encode(book: &Book) -> serde_json::Result<Vec<u8>> {
    let remembered = book.records.iter().filter(|(_, record)| record.remembered);
    let flags = remembered
        .map(|(name, record)| (name.clone(), FlagDocument::with_history(record)))
        .collect();
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
    let records = flags.into_iter().map(|(flag, document)| match document.into_record() {
        Ok(record) => Ok((flag, Arc::new(record))),
        Err(BadValue::Impossible { key }) => Err(SnapshotFileError::ImpossibleValue { flag, key }),
        Err(BadValue::Bucketing { found }) => {
            Err(SnapshotFileError::UnknownBucketing { flag, found })
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::BUCKETING;

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
        check(r#"{"format": 1}"#, "impossible format");
        check(r#"{"history": null}"#, "impossible history");
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
