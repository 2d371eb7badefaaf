//! What the scripts answer.

use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use super::{Edited, Fence, Read};
use crate::clock;

/// Another answer than a script gives.
#[derive(Debug, thiserror::Error)]
#[error("the store's answer to a document's script has another form than expected")]
pub(super) struct BadAnswer;

/// Reads what the script of a read answers.
pub(super) fn read(answer: Value) -> Result<Read, BadAnswer> {
    read_words(words(answer)?)
}

/// Reads what the script of an edit answers.
pub(super) fn edited(answer: Value) -> Result<Edited, BadAnswer> {
    let mut words = words(answer)?.into_iter();
    let word = words.next().ok_or(BadAnswer)?;
    let rest: Vec<Bytes> = words.collect();
    match (&*word, rest.as_slice()) {
        (b"applied", []) => Ok(Edited::Applied),
        (b"already", [receipt]) => Ok(Edited::Already(text(receipt)?.to_owned())),
        (b"held", []) => Ok(Edited::Held),
        (b"too_large", []) => Ok(Edited::TooLarge),
        (b"replaced", []) => Ok(Edited::Replaced),
        (b"changed", [_, ..]) => match read_words(rest)? {
            Read::Done(_) | Read::Replaced => Err(BadAnswer),
            present => Ok(Edited::Changed(present)),
        },
        _ => Err(BadAnswer),
    }
}

fn read_words(words: Vec<Bytes>) -> Result<Read, BadAnswer> {
    let words: Vec<&Bytes> = words.iter().collect();
    match words.as_slice() {
        [word, owner, fence, now, document] if &***word == b"document" => Ok(Read::Document {
            bytes: Bytes::clone(document),
            fence: Fence {
                lease: Bytes::clone(fence),
                read_ms: text(now)?.parse().map_err(|_| BadAnswer)?,
                known: clock::now(),
            },
            holder: holder(owner)?,
        }),
        [word, owner] if &***word == b"missing" => Ok(Read::Missing { holder: holder(owner)? }),
        [word, receipt] if &***word == b"done" => Ok(Read::Done(text(receipt)?.to_owned())),
        [word] => match &***word {
            b"wrong_type" => Ok(Read::WrongType),
            b"too_large" => Ok(Read::TooLarge),
            b"replaced" => Ok(Read::Replaced),
            _ => Err(BadAnswer),
        },
        _ => Err(BadAnswer),
    }
}

/// A list of strings; none of them is copied.
fn words(answer: Value) -> Result<Vec<Bytes>, BadAnswer> {
    let Value::Array(values) = answer else { return Err(BadAnswer) };
    let word = |value| match value {
        Value::BulkString(bytes) => Ok(Bytes::from(bytes)),
        _ => Err(BadAnswer),
    };
    values.into_iter().map(word).collect()
}

fn text(bytes: &Bytes) -> Result<&str, BadAnswer> {
    std::str::from_utf8(bytes).map_err(|_| BadAnswer)
}

fn holder(owner: &Bytes) -> Result<Option<Arc<str>>, BadAnswer> {
    Ok(Some(text(owner)?).filter(|owner| !owner.is_empty()).map(Arc::from))
}
