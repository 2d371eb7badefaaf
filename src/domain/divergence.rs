//! Divergence: what a comparison or the lost-update detector can find, in the words of labels, records and answers.

mod record;

use serde::{Deserialize, Serialize};

use super::flag::Path;
use super::timeline::Timeline;

#[cfg(test)]
pub(crate) use record::tests::lost_updates;
pub use record::{MAX_DIFFERENCES, MAX_TRACES, Record, RecordId, RecordIdError, Summary};

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing differs.
    Matched,
    /// What differs is allowed to: by a rule, or as it differs by itself.
    Ignored,
    /// Something differs that should not.
    Mismatched,
}

impl Verdict {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 3] = [Self::Matched, Self::Ignored, Self::Mismatched];

    /// The word for it in labels and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::Ignored => "ignored",
            Self::Mismatched => "mismatched",
        }
    }
}

/// Why two things that should be the same are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The status codes differ.
    Status,
    /// A header that is compared differs.
    Headers,
    /// The bodies differ.
    Body,
    /// What would be written differs from what was.
    State,
    /// An acknowledged update is gone, and no later one explains it.
    LostUpdate,
    /// The answers differ, and another update of the entity was in flight meanwhile.
    ConcurrentWrite,
    /// A value is there that no sidecar wrote.
    UnmanagedWriter,
    /// The candidate did not answer in time.
    Timeout,
    /// The candidate gave no answer that could be compared.
    Error,
}

impl Cause {
    /// All of them, in the order of their indices.
    pub const ALL: [Self; 9] = [
        Self::Status,
        Self::Headers,
        Self::Body,
        Self::State,
        Self::LostUpdate,
        Self::ConcurrentWrite,
        Self::UnmanagedWriter,
        Self::Timeout,
        Self::Error,
    ];

    /// The word for it in labels and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Headers => "headers",
            Self::Body => "body",
            Self::State => "state",
            Self::LostUpdate => "lost_update",
            Self::ConcurrentWrite => "concurrent_write",
            Self::UnmanagedWriter => "unmanaged_writer",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }

    /// The cause that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}

/// One place at which two things differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// An RFC 6901 JSON Pointer; `status`, `header:NAME` or empty (the whole body) where it is no place in a document.
    pub pointer: String,
    /// How they differ.
    pub kind: DifferenceKind,
    /// What the control gave, or what was acknowledged, as JSON text; `None` where it is redacted or there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the candidate gave, or what was found, as JSON text; `None` where it is redacted or there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Why it does not count, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excused: Option<Excuse>,
}

/// How two things differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Another value of the same type.
    Changed,
    /// A value of another type.
    Type,
    /// Expected and not found.
    Missing,
    /// Found and not expected.
    Extra,
    /// An array of another length.
    Length,
    /// An acknowledged value is gone.
    Lost,
    /// A value that nobody here wrote.
    Unmanaged,
}

/// Why a difference does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Excuse {
    /// A rule says so.
    Rule,
    /// It differs by itself: between two answers of the same path as well.
    Noise,
}

/// A divergence as it is kept, before it has an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Divergence {
    /// When it was found, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The flag's name.
    pub flag: String,
    /// The route's name, of the update that it is about.
    pub route: String,
    /// The entity's key.
    pub entity: String,
    /// The path that the update took.
    pub path: Path,
    /// Why it is one.
    pub cause: Cause,
    /// Whether updates of the entity overlapped in time.
    pub contended: bool,
    /// What differs, by place; the first ones where there are too many.
    pub differences: Vec<Difference>,
    /// Whether there were more differences than were kept.
    #[serde(default)]
    pub truncated: bool,
    /// The traces of the calls involved, in hexadecimal.
    pub trace_ids: Vec<String>,
    /// What happened to the entity around it, where the detector watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
}
