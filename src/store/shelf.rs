//! The flags in the fleet's store: what stands there, and the commands that read and change it.
//!
//! A hash holds a document a flag; a counter grows with every change of any flag; a stream a flag holds its history; and
//! a channel tells of changes. Each command is one script, so what it reads and writes belongs together. Scripts look at
//! a document's version and at nothing else, and never write a document anew.

mod answer;
mod scripts;

use crate::domain::transition::Turn;
use crate::fleet::{Keys, PART};
use crate::remote::{CallError, Lane, Remote};

use super::Place;
use super::document::{MAX_DOCUMENT_BYTES, encode_entry};
use super::history::{HistoryEntry, MAX_ENTRIES};

/// With more flags than this in the store, nobody looks for those that are not configured here.
const MAX_LISTED: usize = 1_000;

/// How many changes one answer holds: few enough for `store.timeout`, with the longest reasons and keys.
pub(super) const HISTORY_PAGE: usize = 64;

/// How many changes go with a flag that is written back: they tell how it came to be, and one command must not take long.
const MAX_RESTORED: usize = 100;

/// What the store has of all flags that were asked for, at one instant.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    /// Which revision that is.
    pub(super) revision: u64,
    /// In the order of the names.
    pub(super) stored: Vec<Stored>,
    /// Flags that were not asked for; some of them where there are many.
    pub(super) unknown: Vec<String>,
}

/// What the store has of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Nothing.
    Missing,
    /// The key of the flags holds something else.
    NotAHash { kind: String },
    /// More than is read.
    TooLarge { bytes: u64 },
    /// This.
    Document(Vec<u8>),
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeReply {
    /// It is made; the store's revision with it.
    Made { revision: u64 },
    /// The store has a later version.
    Conflict { current: u64 },
    /// What stands there is none of ours.
    Unreadable { place: Place },
}

/// What became of a flag that was written back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RestoreReply {
    /// It is in the store; the store's revision with it.
    Made { revision: u64 },
    /// The store had one by then.
    Kept,
    /// What stands there is none of ours.
    Unreadable { place: Place },
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShelfError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is none that the script gives.
    #[error("the store's answer makes no sense")]
    Nonsense,
}

impl ShelfError {
    /// Whether the command certainly was not executed.
    pub(super) fn is_not_executed(&self) -> bool {
        matches!(self, Self::Call(CallError::NotExecuted(_)))
    }
}

/// Who makes a change.
#[derive(Clone, Copy)]
pub(super) enum ChangeOf<'a> {
    /// Somebody, which goes into the history.
    Person(&'a HistoryEntry),
    /// The flag's transition: not where somebody has joined the fleet who was not seen.
    Transition {
        /// The ids of those on the register.
        seen: &'a [Vec<u8>],
    },
}

/// Where the flags are.
pub(super) struct Shelf {
    remote: Remote,
    flags: String,
    revision: String,
    channel: String,
    keys: Keys,
}

impl Shelf {
    pub(super) fn new(remote: Remote, keys: Keys) -> Self {
        let (flags, revision, channel) = (keys.flags(), keys.revision(), keys.changes());
        Self { remote, flags, revision, channel, keys }
    }

    /// Where a flag's document is.
    pub(super) fn place(&self, flag: &str) -> Place {
        Place { key: self.flags.clone(), field: Some(flag.to_owned()) }
    }

    /// The place that all documents are in.
    pub(super) fn place_of_all(&self) -> Place {
        Place { key: self.flags.clone(), field: None }
    }

    /// The channel that tells of changes.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// Reads what the store has of these flags.
    pub(super) async fn read(&self, names: &[&str]) -> Result<Reading, ShelfError> {
        let bounds = [MAX_DOCUMENT_BYTES.to_string(), MAX_LISTED.to_string()];
        let bounds = bounds.iter().map(String::as_bytes);
        let arguments: Vec<&[u8]> =
            bounds.chain(names.iter().map(|name| name.as_bytes())).collect();
        let keys = [self.flags.as_str(), &self.revision];
        let script = &scripts::READ;
        let answer = self.remote.run(Lane::Control, script, &keys, &arguments, None).await?;
        answer::reading(answer, names.len()).ok_or(ShelfError::Nonsense)
    }

    /// Puts a document in the place of one that is not later than `expected`.
    pub(super) async fn change(
        &self,
        flag: &str,
        expected: Turn,
        document: &[u8],
        kind: ChangeOf<'_>,
    ) -> Result<ChangeReply, ShelfError> {
        let history = self.keys.history(flag);
        let (expected, step) = (expected.version.to_string(), expected.step.to_string());
        let (cap, largest) = (MAX_ENTRIES.to_string(), MAX_DOCUMENT_BYTES.to_string());
        let (entry, seen) = match kind {
            ChangeOf::Person(entry) => {
                (Some(encode_entry(entry).map_err(|_| ShelfError::Nonsense)?), None)
            }
            ChangeOf::Transition { seen } => (None, Some(seen)),
        };
        let mut arguments = vec![
            flag.as_bytes(),
            expected.as_bytes(),
            document,
            self.channel.as_bytes(),
            cap.as_bytes(),
            largest.as_bytes(),
            step.as_bytes(),
        ];
        arguments.extend(entry.as_deref());
        arguments.extend(seen.into_iter().flatten().map(Vec::as_slice));
        let register = self.keys.sidecars();
        let mut keys = vec![self.flags.as_str(), &self.revision, &history];
        keys.extend(seen.map(|_| register.as_str()));
        let script = &scripts::CHANGE;
        let answer = self.remote.run(Lane::Control, script, &keys, &arguments, None).await?;
        answer::change(answer, &self.place(flag)).ok_or(ShelfError::Nonsense)
    }

    /// Writes a document where there is none, or a start value. Its history goes with it where there is none; the latest
    /// last.
    pub(super) async fn restore(
        &self,
        flag: &str,
        version: u64,
        document: &[u8],
        history: &[&HistoryEntry],
    ) -> Result<RestoreReply, ShelfError> {
        let key = self.keys.history(flag);
        let (version, cap) = (version.to_string(), MAX_ENTRIES.to_string());
        let largest = MAX_DOCUMENT_BYTES.to_string();
        let latest = history.iter().skip(history.len().saturating_sub(MAX_RESTORED));
        let entries: Vec<Vec<u8>> = latest.filter_map(|entry| encode_entry(entry).ok()).collect();
        let mut arguments = vec![
            flag.as_bytes(),
            version.as_bytes(),
            document,
            self.channel.as_bytes(),
            cap.as_bytes(),
            largest.as_bytes(),
        ];
        arguments.extend(entries.iter().map(Vec::as_slice));
        let keys = [self.flags.as_str(), &self.revision, &key];
        let script = &scripts::RESTORE;
        let answer = self.remote.run(Lane::Control, script, &keys, &arguments, None).await?;
        answer::restored(answer, &self.place(flag)).ok_or(ShelfError::Nonsense)
    }

    /// Takes a sidecar off the fleet's register.
    pub(super) async fn forget(&self, id: &str) -> Result<(), ShelfError> {
        let key = self.keys.sidecars();
        let arguments = [id.as_bytes(), b""];
        self.remote.run(Lane::Control, &PART, &[&key], &arguments, None).await?;
        Ok(())
    }

    /// Reads changes of a flag, the latest first: up to [`HISTORY_PAGE`] of those before the one with this id.
    pub(super) async fn history(
        &self,
        flag: &str,
        before: Option<&str>,
    ) -> Result<Vec<PastChange>, ShelfError> {
        let key = self.keys.history(flag);
        let from = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let page = HISTORY_PAGE.to_string();
        let arguments = [from.as_bytes(), page.as_bytes()];
        let script = &scripts::HISTORY;
        let answer = self.remote.run(Lane::Control, script, &[&key], &arguments, None).await?;
        answer::history(answer).ok_or(ShelfError::Nonsense)
    }
}

/// One entry of a flag's stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PastChange {
    pub(super) id: String,
    /// `None` for what no sidecar wrote.
    pub(super) entry: Option<HistoryEntry>,
}
