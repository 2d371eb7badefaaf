//! What the scripts' answers say. Reading them is total: whatever else comes is `None`.

use redis::Value;

use super::{ChangeReply, PastChange, Place, Reading, RestoreReply, Stored};
use crate::store::document::decode_entry;

/// The field that a change stands in, in the stream.
const ENTRY: &[u8] = b"entry";

pub(super) fn reading(answer: Value, asked: usize) -> Option<Reading> {
    let [revision, kind, documents, unknown] = array(answer)?.try_into().ok()?;
    let kind = text(kind)?;
    let stored = if kind == "hash" || kind == "none" {
        array(documents)?.into_iter().map(stored).collect::<Option<Vec<_>>>()?
    } else {
        vec![Stored::NotAHash { kind }; asked]
    };
    let unknown = array(unknown)?.into_iter().map(text).collect::<Option<_>>()?;
    // Whatever else stands there is no revision: the beat says so too.
    let revision = text(revision)?.parse().unwrap_or(0);
    (stored.len() == asked).then_some(Reading { revision, stored, unknown })
}

pub(super) fn change(answer: Value, place: &Place) -> Option<ChangeReply> {
    let mut parts = array(answer)?.into_iter();
    match text(parts.next()?)?.as_str() {
        "OK" => Some(ChangeReply::Made { revision: number(parts.next()?)? }),
        "CONFLICT" => Some(ChangeReply::Conflict { current: number(parts.next()?)? }),
        "UNREADABLE" => Some(ChangeReply::Unreadable { place: unreadable(parts, place)? }),
        _ => None,
    }
}

pub(super) fn restored(answer: Value, place: &Place) -> Option<RestoreReply> {
    let mut parts = array(answer)?.into_iter();
    match text(parts.next()?)?.as_str() {
        "OK" => Some(RestoreReply::Made { revision: number(parts.next()?)? }),
        "KEPT" => Some(RestoreReply::Kept),
        "UNREADABLE" => Some(RestoreReply::Unreadable { place: unreadable(parts, place)? }),
        _ => None,
    }
}

pub(super) fn history(answer: Value) -> Option<Vec<PastChange>> {
    array(answer)?.into_iter().map(past_change).collect()
}

fn past_change(value: Value) -> Option<PastChange> {
    let [id, fields] = array(value)?.try_into().ok()?;
    let fields: Vec<Vec<u8>> = array(fields)?.into_iter().map(bytes).collect::<Option<_>>()?;
    let entry = match fields.as_slice() {
        [field, entry] if field == ENTRY => decode_entry(entry),
        _ => None,
    };
    Some(PastChange { id: text(id)?, entry })
}

/// The key that was named, and the flag's field where one was.
fn unreadable(mut parts: impl Iterator<Item = Value>, place: &Place) -> Option<Place> {
    let key = text(parts.next()?)?;
    let field = parts.next().and_then(|_| place.field.clone());
    Some(Place { key, field })
}

fn stored(value: Value) -> Option<Stored> {
    match value {
        Value::Nil => Some(Stored::Missing),
        Value::Int(size) => Some(Stored::TooLarge { bytes: u64::try_from(size).ok()? }),
        value => bytes(value).map(Stored::Document),
    }
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// A text, with what is no UTF-8 in it replaced.
fn text(value: Value) -> Option<String> {
    bytes(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn number(value: Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(number).ok(),
        value => text(value)?.parse().ok(),
    }
}
