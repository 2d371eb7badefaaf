//! What the store says to an exchange. Reading it is total: what is no answer is `None`.

use redis::Value;

use super::scripts::OVERFLOW;
use super::{Claimed, Mark, Ticket};
use crate::domain::effects::history::Entry;

/// What the script answered.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// The store's clock, in microseconds since 1970 UTC.
    pub(super) now: u64,
    /// The fleet's name for what this store remembers.
    pub(super) epoch: String,
    pub(super) settled: Vec<bool>,
    pub(super) claimed: Vec<Option<Claimed>>,
    pub(super) marks: Vec<Mark>,
}

impl Answer {
    /// Reads one to an exchange that settled and claimed so many entities.
    pub(super) fn read(value: Value, settled: usize, claimed: usize) -> Option<Self> {
        let [now, epoch, settles, claims, marks] = array(value)?.try_into().ok()?;
        let answer = Self {
            now: number(&now)?,
            epoch: String::from_utf8_lossy(bytes(&epoch)?).into_owned(),
            settled: array(settles)?.iter().map(is_one).collect::<Option<_>>()?,
            claimed: array(claims)?.into_iter().map(claim).collect::<Option<_>>()?,
            marks: array(marks)?.into_iter().map(mark).collect::<Option<_>>()?,
        };
        let fits = answer.settled.len() == settled && answer.claimed.len() == claimed;
        fits.then_some(answer)
    }
}

fn claim(value: Value) -> Option<Option<Claimed>> {
    if value == Value::Nil {
        return Some(None);
    }
    let [claim, lost, entries] = array(value)?.try_into().ok()?;
    let ticket = Ticket { number: number(&claim)?, lost: number(&lost)? };
    let texts = array(entries)?;
    let count = texts.len();
    let (mut entries, mut overflowed) = (Vec::with_capacity(count), false);
    for text in &texts {
        let text = bytes(text)?;
        overflowed |= text == OVERFLOW.as_bytes();
        // What no sidecar wrote, or a later version, is counted and hides nothing else.
        entries.extend(serde_json::from_slice::<Entry>(text).ok());
    }
    Some(Some(Claimed { ticket, entries, count, overflowed }))
}

fn mark(value: Value) -> Option<Mark> {
    let [sidecar, until, written] = array(value)?.try_into().ok()?;
    let sidecar = String::from_utf8_lossy(bytes(&sidecar)?).into_owned();
    Some(Mark { sidecar, until: number(&until)?, written: number(&written)? })
}

fn is_one(value: &Value) -> Option<bool> {
    match value {
        Value::Int(number) => Some(*number == 1),
        _ => None,
    }
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}
