//! The records in the fleet's store: one stream, and the commands that write and read it.
//!
//! An entry has a record's flag, cause, short form and whole form. Lists look at the first three alone, and at a bounded
//! number of entries a command, so that none takes long.

use std::sync::Arc;

use redis::Value;

use crate::domain::divergence::{Record, RecordId};
use crate::fleet::Keys;
use crate::remote::{CallError, Lane, Remote, Script};

use super::page::{Listed, Query};
use super::ring::Batch;
use super::scripts;

/// Entries that one command looks at: of the largest ones that is 2 MiB, which a server reads in a few milliseconds.
const LOOKED_AT: &str = "64";

/// The longest age that is put to the store, in milliseconds: ten years. It refuses one that its own clock can't count.
const MAX_AGE_MS: u64 = 10 * 366 * 86_400_000;

/// Where the records are.
pub(super) struct Shelf {
    remote: Remote,
    records: String,
    mark: String,
    keep: String,
    max_age_ms: String,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShelfError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// Something else stands where the records should.
    #[error("{key} holds something else than divergence records")]
    Unreadable {
        /// Where.
        key: String,
    },
    /// The answer is none that the script gives.
    #[error("the store's answer makes no sense")]
    Nonsense,
}

impl ShelfError {
    /// Whether the store is there and can't be of use: nothing else tells of that.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Call(error) => error.is_refusal(),
            Self::Unreadable { .. } | Self::Nonsense => true,
        }
    }
}

/// Some of the list.
#[derive(Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) listed: Vec<Listed>,
    /// What to go on after; `None` at the end.
    pub(super) after: Option<RecordId>,
}

impl Shelf {
    /// `writer` is a name that no other process has.
    pub(super) fn new(
        remote: Remote,
        keys: &Keys,
        writer: &str,
        keep: usize,
        max_age_ms: u64,
    ) -> Self {
        Self {
            remote,
            records: keys.divergences(),
            mark: keys.divergence_writer(writer),
            keep: keep.to_string(),
            max_age_ms: max_age_ms.clamp(1, MAX_AGE_MS).to_string(),
        }
    }

    /// Writes a batch; sent again, it is not written twice. Gives its ids.
    pub(super) async fn add(&self, batch: &Batch) -> Result<Vec<RecordId>, ShelfError> {
        let name = batch.first.to_string();
        let summaries: Vec<Vec<u8>> = batch
            .items
            .iter()
            .map(|item| serde_json::to_vec(&*item.summary))
            .collect::<Result<_, _>>()
            .map_err(|_| ShelfError::Nonsense)?;
        let mut arguments = vec![name.as_bytes(), self.keep.as_bytes(), self.max_age_ms.as_bytes()];
        for (item, summary) in batch.items.iter().zip(&summaries) {
            let cause = item.summary.cause.as_str();
            arguments.extend([item.summary.flag.as_bytes(), cause.as_bytes()]);
            arguments.extend([summary.as_slice(), item.json.as_bytes()]);
        }
        let keys = [self.records.as_str(), &self.mark];
        let answer = self.ask(&scripts::ADD, &keys, &arguments).await?;
        let said = answer.first().map(String::as_str).unwrap_or_default();
        let ids: Option<Vec<RecordId>> = said.split(' ').map(|id| id.parse().ok()).collect();
        ids.filter(|ids| ids.len() == batch.items.len()).ok_or(ShelfError::Nonsense)
    }

    /// Looks at some records before the one with this id.
    pub(super) async fn list(
        &self,
        query: &Query,
        after: Option<RecordId>,
    ) -> Result<Stretch, ShelfError> {
        let from = after.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let flag = query.flag.as_deref().unwrap_or_default();
        let cause = query.cause.map(|cause| cause.as_str()).unwrap_or_default();
        let arguments = [&from, self.max_age_ms.as_str(), LOOKED_AT, flag, cause];
        let arguments = arguments.map(str::as_bytes);
        let answer = self.ask(&scripts::LIST, &[&self.records], &arguments).await?;
        let (after, entries) = answer.split_first().ok_or(ShelfError::Nonsense)?;
        let listed = entries.chunks_exact(2).filter_map(listed).collect();
        Ok(Stretch { listed, after: after.parse().ok() })
    }

    /// Reads one record.
    pub(super) async fn find(&self, id: RecordId) -> Result<Option<Record>, ShelfError> {
        let text = id.to_string();
        let arguments = [text.as_bytes(), self.max_age_ms.as_bytes()];
        let answer = self.ask(&scripts::FIND, &[&self.records], &arguments).await?;
        let json = answer.first().ok_or(ShelfError::Nonsense)?;
        let divergence = serde_json::from_str(json).ok();
        Ok(divergence.map(|divergence| Record { id, divergence }))
    }

    /// The answer's texts after its first word.
    async fn ask(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Vec<String>, ShelfError> {
        let answer = self.remote.run(Lane::Control, script, keys, arguments, None).await?;
        read(answer).unwrap_or(Err(ShelfError::Nonsense))
    }
}

/// An entry of a list; `None` for one that this version does not understand.
fn listed(entry: &[String]) -> Option<Listed> {
    let [id, summary] = entry else { return None };
    let summary = serde_json::from_str(summary).ok()?;
    Some(Listed { id: id.parse().ok()?, summary: Arc::new(summary) })
}

/// Reads an answer; `None` for one that no script gives.
fn read(answer: Value) -> Option<Result<Vec<String>, ShelfError>> {
    let Value::Array(values) = answer else { return None };
    let mut texts = values.into_iter().map(text).collect::<Option<Vec<_>>>()?.into_iter();
    match texts.next()?.as_str() {
        "OK" => Some(Ok(texts.collect())),
        "UNREADABLE" => Some(Err(ShelfError::Unreadable { key: texts.next()? })),
        _ => None,
    }
}

/// A text, with what is no UTF-8 in it replaced.
fn text(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Some(text),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_is_read_or_called_nonsense() {
        let answer = |values: Vec<Value>| read(Value::Array(values));

        let good = answer(vec![bulk("OK"), bulk("1-0")]).unwrap();
        assert_eq!(good.unwrap(), ["1-0"]);
        let other = answer(vec![bulk("UNREADABLE"), bulk("k")]).unwrap();
        assert!(matches!(other, Err(ShelfError::Unreadable { key }) if key == "k"));
        assert!(answer(vec![]).is_none());
        assert!(answer(vec![bulk("UNREADABLE")]).is_none());
        assert!(answer(vec![bulk("OK"), Value::Int(1)]).is_none());
        assert!(read(Value::Nil).is_none());
    }

    proptest! {
        #[test]
        fn no_entry_panics(entry in proptest::collection::vec(".{0,40}", 0..4)) {
            prop_assert_eq!(listed(&entry), None);
        }
    }
}
