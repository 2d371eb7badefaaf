//! A divergence as it is kept: its id, its bounds, and the short form of it that lists show.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Cause, Difference, Divergence};
use crate::domain::flag::Path;
use crate::domain::timeline::MAX_STEPS;

/// The most differences of a record: more are no more telling.
pub const MAX_DIFFERENCES: usize = 64;

/// The most traces of a record: a hot entity has more calls than anybody opens.
pub const MAX_TRACES: usize = 64;

/// The most pointers and traces that a list shows of a record, so that a page of records stays small.
const MAX_LISTED: usize = 16;

/// The longest pointer, in bytes: a document's names may be as long as it likes.
const MAX_POINTER_BYTES: usize = 512;

/// The longest value, in bytes of its JSON text: enough to recognise it.
const MAX_VALUE_BYTES: usize = 1024;

/// The longest other text, in bytes: an entity's key is the longest, and the domain bounds it to this.
const MAX_TEXT_BYTES: usize = 1024;

/// A divergence record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// What it says.
    #[serde(flatten)]
    pub divergence: Divergence,
}

/// The id of a record, `MILLIS-SEQ`: later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RecordId {
    /// When it was kept, in milliseconds since 1970 UTC, by the clock of whoever keeps it.
    pub ms: u64,
    /// Tells those of one millisecond apart.
    pub seq: u64,
}

/// Why a text is no [`RecordId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's id is two whole numbers with a dash between, such as 1764011519123-0")]
pub struct RecordIdError;

impl FromStr for RecordId {
    type Err = RecordIdError;

    fn from_str(text: &str) -> Result<Self, RecordIdError> {
        let (ms, seq) = text.split_once('-').ok_or(RecordIdError)?;
        let read = |digits: &str| digits.parse().map_err(|_| RecordIdError);
        let id = Self { ms: read(ms)?, seq: read(seq)? };
        // One spelling only: no sign, no leading zeros.
        if id.to_string() == text { Ok(id) } else { Err(RecordIdError) }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl From<RecordId> for String {
    fn from(id: RecordId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RecordId {
    type Error = RecordIdError;

    fn try_from(text: String) -> Result<Self, RecordIdError> {
        text.parse()
    }
}

/// What a list shows of a divergence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// When it was found, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// The flag's name.
    pub flag: String,
    /// The route's name.
    pub route: String,
    /// The entity's key.
    pub entity: String,
    /// The path that the update took.
    pub path: Path,
    /// Why it is one.
    pub cause: Cause,
    /// Whether updates of the entity overlapped in time.
    pub contended: bool,
    /// The first places that differ and count, each once.
    pub pointers: Vec<String>,
    /// The first traces.
    pub trace_ids: Vec<String>,
}

impl Divergence {
    /// What a list shows of it.
    pub fn summary(&self) -> Summary {
        let mut pointers: Vec<String> = Vec::new();
        for difference in self.differences.iter().filter(|it| it.excused.is_none()) {
            if pointers.len() < MAX_LISTED && !pointers.contains(&difference.pointer) {
                pointers.push(difference.pointer.clone());
            }
        }
        Summary {
            at_ms: self.at_ms,
            flag: self.flag.clone(),
            route: self.route.clone(),
            entity: self.entity.clone(),
            path: self.path,
            cause: self.cause,
            contended: self.contended,
            pointers,
            trace_ids: self.trace_ids.iter().take(MAX_LISTED).cloned().collect(),
        }
    }

    /// The same within bounds: the first differences and traces, the latest steps, and texts that end in `…` where they
    /// were longer.
    pub fn bounded(mut self) -> Self {
        self.truncated |= self.differences.len() > MAX_DIFFERENCES;
        self.differences.truncate(MAX_DIFFERENCES);
        self.trace_ids.truncate(MAX_TRACES);
        for Difference { pointer, expected, found, .. } in &mut self.differences {
            cut(pointer, MAX_POINTER_BYTES);
            for value in [expected, found].into_iter().flatten() {
                cut(value, MAX_VALUE_BYTES);
            }
        }
        let names = [&mut self.flag, &mut self.route, &mut self.entity];
        for text in names.into_iter().chain(&mut self.trace_ids) {
            cut(text, MAX_TEXT_BYTES);
        }
        self.timeline = self.timeline.map(|timeline| timeline.bounded(MAX_STEPS));
        for step in self.timeline.iter_mut().flat_map(|timeline| &mut timeline.steps) {
            cut(&mut step.field, MAX_POINTER_BYTES);
            for text in [&mut step.caller, &mut step.sidecar, &mut step.trace_id] {
                cut(text, MAX_TEXT_BYTES);
            }
            if let Some(value) = &mut step.value {
                cut(value, MAX_VALUE_BYTES);
            }
        }
        self
    }

    /// Leaves out half of what it has most of: first steps of its timeline, then differences. `false` where nothing of
    /// them is left.
    pub fn shrink(&mut self) -> bool {
        if let Some(timeline) = &mut self.timeline
            && !timeline.steps.is_empty()
        {
            let half = timeline.steps.len() / 2;
            *timeline = std::mem::take(timeline).bounded(half);
            return true;
        }
        let half = self.differences.len() / 2;
        let shrinks = !self.differences.is_empty();
        self.truncated |= shrinks;
        self.differences.truncate(half);
        shrinks
    }

    /// What it is about, in a line.
    pub fn title(&self) -> String {
        let what = self.cause.as_str().replace('_', " ");
        match self.timeline.as_ref().map(|timeline| timeline.losses()) {
            Some((lost @ 1.., updates)) => {
                format!("{}: {lost} of {updates} updates lost", self.entity)
            }
            _ => format!("{}: {what}", self.entity),
        }
    }

    /// Its timeline as a Mermaid sequence diagram; `None` where it has none.
    pub fn mermaid(&self) -> Option<String> {
        self.timeline.as_ref().map(|timeline| timeline.mermaid(&self.title(), &self.entity))
    }
}

/// Cuts a text that is too long, at a character, and shows that it did.
fn cut(text: &mut String, most: usize) {
    const SIGN: &str = "…";
    if text.len() > most {
        let mut end = most.saturating_sub(SIGN.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(SIGN);
    }
}

#[cfg(test)]
pub(crate) mod tests;
