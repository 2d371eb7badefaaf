//! What can go wrong when the flags are opened, read from the disk or from the fleet's store, changed, or written.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::domain::bucket::BUCKETING;
use crate::domain::entity::MAX_ENTITY_BYTES;
use crate::domain::flag::ChangeError;

use super::Place;
use super::file::MAX_FILE_BYTES;

/// Why the store can't be opened as configured.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Two configured flags have one name.
    #[error("flag \"{name}\" is configured twice: give each flag a name of its own")]
    DuplicateFlag {
        /// The name.
        name: String,
    },
    /// The path is a directory, a device or the like.
    #[error("store.snapshot = \"{}\" is not a regular file: name a file in a writable directory", path.display())]
    NotAFile {
        /// The path as configured.
        path: PathBuf,
    },
}

/// Why a snapshot file is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// It could not be read.
    #[error("can't be read: {0}")]
    Read(#[source] io::Error),
    /// It is over the bound.
    #[error("is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// It doesn't begin or end as a snapshot file does: garbage, or cut short.
    #[error("is truncated or no snapshot file")]
    NotASnapshot,
    /// It was written by another version of Interlock.
    #[error("has format {found}: this version reads another")]
    UnknownFormat {
        /// The format as written.
        found: String,
    },
    /// Its content is not what was written.
    #[error("has a checksum that doesn't fit its content")]
    BadChecksum,
    /// Its content isn't a document of flags.
    #[error("holds no document of flags")]
    BadDocument(#[source] serde_json::Error),
    /// Its percentages would split the entities another way.
    #[error("flag \"{flag}\" has bucketing \"{found}\": only \"{BUCKETING}\" is known")]
    UnknownBucketing {
        /// The flag.
        flag: String,
        /// The bucketing as written.
        found: String,
    },
    /// A value that no change can have produced.
    #[error("flag \"{flag}\" has an impossible {key}")]
    ImpossibleValue {
        /// The flag.
        flag: String,
        /// The key with the value.
        key: &'static str,
    },
}

/// Why a change was refused; nothing has changed, but for [`Self::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum StoreChangeError {
    /// No flag has this name.
    #[error("no such flag")]
    UnknownFlag,
    /// Somebody else changed the flag first.
    #[error("the flag is at version {current} by now")]
    VersionConflict {
        /// The version that the flag has.
        current: u64,
    },
    /// A pin for an entity that no call can have.
    #[error("an entity's key has 1 to {MAX_ENTITY_BYTES} bytes, not {bytes}")]
    BadEntity {
        /// How long the key was.
        bytes: usize,
    },
    /// The change itself is not allowed.
    #[error(transparent)]
    Refused(#[from] ChangeError),
    /// It would not survive a restart.
    #[error("the change could not be written down")]
    NotPersisted(#[from] PersistError),
    /// The fleet's store can't be asked, so nobody else would learn of it.
    #[error("the store can't be asked: {0}")]
    StoreUnreachable(#[source] Box<dyn Error + Send + Sync>),
    /// As many changes as may already wait for the store.
    #[error("{waiting} changes already wait for the store")]
    StoreBusy {
        /// How many.
        waiting: usize,
    },
    /// The sidecar ends.
    #[error("the sidecar is about to end")]
    Ending,
    /// What the store has there is not ours, so it is not overwritten.
    #[error("{place} holds nothing that this version can read")]
    Unreadable {
        /// Where.
        place: Place,
    },
    /// The fleet would not take it: with all its pins the flag is too large.
    #[error("the flag would have {bytes} bytes, and {most} are allowed")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// The store was asked and did not answer: the change may have been made. This alone is no promise that nothing has
    /// changed.
    #[error("the store did not answer, so the change may or may not have been made")]
    OutcomeUnknown,
}

/// Why the flags could not be written to the disk.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// The file would be over the bound.
    #[error(
        "{} would have {bytes} bytes, and {MAX_FILE_BYTES} are allowed: remove pins",
        path.display()
    )]
    TooLarge {
        /// The snapshot file.
        path: PathBuf,
        /// How large it would be.
        bytes: usize,
    },
    /// Another process has written the file: this one would undo its changes.
    #[error(
        "{} was changed by another process: give each sidecar a store.snapshot file of its own, \
         or restart this one to take over what the file holds",
        path.display()
    )]
    ChangedByAnother {
        /// The snapshot file.
        path: PathBuf,
    },
    /// The disk refused: full, read-only, gone.
    #[error(
        "writing {} failed: {source}: make room and make its directory writable for this process, \
         or name another file in store.snapshot and restart",
        path.display()
    )]
    Io {
        /// The snapshot file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
