//! What the fleet's store has and this sidecar does not put in force: why, and what is to be done.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::bucket::BUCKETING;
use crate::telemetry::labels::{FlagsError, LabelValue};

use super::document::{FORMAT, MAX_DOCUMENT_BYTES};

/// The refusals that stand, for whoever shows them. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Refusals {
    standing: Arc<ArcSwap<Vec<RefusedFlag>>>,
}

/// A flag of which the store's document is refused; its last good state holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFlag {
    /// The flag.
    pub flag: String,
    /// The kind of refusal, as it is counted.
    pub reason: &'static str,
    /// Where the document is, what is wrong with it, and what to do.
    pub detail: String,
}

impl Refusals {
    /// Those that stand now, in the order of the flags.
    pub(super) fn standing(&self) -> Arc<Vec<RefusedFlag>> {
        self.standing.load_full()
    }

    pub(super) fn set(&self, standing: Vec<RefusedFlag>) {
        self.standing.store(Arc::new(standing));
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.standing().iter()).finish()
    }
}

/// Where something stands in the fleet's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key.
    pub key: String,
    /// The field in it; `None` where the whole key is meant.
    pub field: Option<String>,
}

impl Place {
    /// The command for `redis-cli` that makes room there.
    pub fn removal(&self) -> String {
        match &self.field {
            None => format!("DEL \"{}\"", self.key),
            Some(field) => format!("HDEL \"{}\" \"{field}\"", self.key),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            None => write!(f, "{}", self.key),
            Some(field) => write!(f, "{}, field {field},", self.key),
        }
    }
}

/// Why what the fleet's store has of a flag is not put in force; the last good state holds.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentRefusal {
    /// The key of the flags holds something else.
    #[error("it is no hash but a {kind}")]
    NotAHash {
        /// What it is.
        kind: String,
    },
    /// It is over the bound.
    #[error("it has {bytes} bytes, and {MAX_DOCUMENT_BYTES} are allowed")]
    TooLarge {
        /// How large it is.
        bytes: u64,
    },
    /// It isn't JSON, or other JSON.
    #[error("it is no document of a flag (line {}, column {})", .0.line(), .0.column())]
    NotADocument(#[source] serde_json::Error),
    /// Another version of Interlock wrote it.
    #[error("it has format {found}, and this version reads format {FORMAT}")]
    UnknownFormat {
        /// The format as written.
        found: u64,
    },
    /// Its percentages would split the entities another way.
    #[error("it has bucketing {found:?}, and only \"{BUCKETING}\" is known")]
    UnknownBucketing {
        /// The bucketing as written, in part.
        found: String,
    },
    /// A value that no change can have produced.
    #[error("its {key} is out of range")]
    Impossible {
        /// The key with the value.
        key: &'static str,
    },
    /// The store went back: it lost a change.
    #[error("it is at version {stored}, and {known} is in force here")]
    Backwards {
        /// Its version.
        stored: u64,
        /// The version in force.
        known: u64,
    },
    /// The store lost a change, and another one was made in its place.
    #[error("it differs from what is in force here, and both are version {version}")]
    Different {
        /// The version of both.
        version: u64,
    },
    /// The store had it.
    #[error("it is gone")]
    Missing,
    /// Something stands there that no sidecar wrote.
    #[error("it is none of Interlock's")]
    Foreign,
}

impl DocumentRefusal {
    /// What it is counted as.
    pub(super) fn reason(&self) -> FlagsError {
        match self {
            Self::NotAHash { .. }
            | Self::TooLarge { .. }
            | Self::NotADocument(_)
            | Self::UnknownFormat { .. }
            | Self::Foreign => FlagsError::Parse,
            Self::UnknownBucketing { .. } => FlagsError::Bucketing,
            Self::Impossible { .. } => FlagsError::Range,
            Self::Backwards { .. } | Self::Different { .. } => FlagsError::Backwards,
            Self::Missing => FlagsError::Missing,
        }
    }

    /// Whether it must not be overwritten, as it may be somebody's.
    pub(super) fn is_unreadable(&self) -> bool {
        match self {
            Self::NotAHash { .. }
            | Self::TooLarge { .. }
            | Self::NotADocument(_)
            | Self::UnknownFormat { .. }
            | Self::UnknownBucketing { .. }
            | Self::Impossible { .. }
            | Self::Foreign => true,
            Self::Backwards { .. } | Self::Different { .. } | Self::Missing => false,
        }
    }
}

/// A refusal with where it was found and what to do, for the log and for people.
#[derive(Debug, thiserror::Error)]
#[error("{place} is refused: {why}; {}", self.remedy())]
pub(super) struct Refused {
    pub(super) place: Place,
    #[source]
    pub(super) why: DocumentRefusal,
}

impl Refused {
    pub(super) fn of_flag(&self, flag: &str) -> RefusedFlag {
        let reason = self.why.reason().word();
        RefusedFlag { flag: flag.to_owned(), reason, detail: self.to_string() }
    }

    fn remedy(&self) -> String {
        match &self.why {
            DocumentRefusal::Missing => "it is written back".to_owned(),
            DocumentRefusal::Backwards { .. } | DocumentRefusal::Different { .. } => {
                "this sidecar holds what it has until the flag is changed: change it here, and this state counts \
                 everywhere"
                    .to_owned()
            }
            DocumentRefusal::UnknownFormat { .. } | DocumentRefusal::UnknownBucketing { .. } => {
                "this sidecar holds what it has: bring all sidecars to one version of Interlock".to_owned()
            }
            _ => format!(
                "this sidecar holds what it has: look at it, then {}, and the sidecars write back what they hold",
                self.place.removal()
            ),
        }
    }
}

/// A flag in the store that nobody here knows.
#[derive(Debug, thiserror::Error)]
#[error("not configured here, and ignored: {names:?}")]
pub(super) struct UnknownFlags {
    pub(super) names: Vec<String>,
}
