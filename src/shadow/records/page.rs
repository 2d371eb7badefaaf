//! What is asked of the records, and what is answered.

use std::sync::Arc;

use crate::domain::divergence::{Cause, Record, RecordId, Summary};

/// The largest page, in bytes of what its records hold: an answer that a client still takes.
const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Which records to list: those that fit all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    /// Of this flag.
    pub(crate) flag: Option<String>,
    /// With this cause.
    pub(crate) cause: Option<Cause>,
    /// Older than the one with this id.
    pub(crate) after: Option<RecordId>,
    /// So many at most.
    pub(crate) limit: usize,
}

impl Query {
    /// Whether a record belongs to the answer, whatever its id.
    pub(super) fn fits(&self, summary: &Summary) -> bool {
        self.flag.as_ref().is_none_or(|flag| *flag == summary.flag)
            && self.cause.is_none_or(|cause| cause == summary.cause)
    }
}

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The fleet's store: what all sidecars found.
    Store,
    /// This process: what it found itself, of late.
    Memory,
}

impl Source {
    /// The word for it in answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Memory => "memory",
        }
    }
}

/// A record in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its id.
    pub(crate) id: RecordId,
    /// What is shown of it.
    pub(crate) summary: Arc<Summary>,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The latest first.
    pub(crate) divergences: Vec<Listed>,
    /// What to go on after, where there are more.
    pub(crate) next: Option<RecordId>,
    /// Where they are from.
    pub(crate) from: Source,
}

/// One record, if it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// It.
    pub(crate) record: Option<Record>,
    /// Where it was looked for last.
    pub(crate) from: Source,
}

/// A page that is being filled.
pub(super) struct Filling {
    listed: Vec<Listed>,
    limit: usize,
    bytes: usize,
    has_more: bool,
}

impl Filling {
    pub(super) fn new(limit: usize) -> Self {
        Self { listed: Vec::new(), limit, bytes: 0, has_more: false }
    }

    /// Adds the next one if there is room; whether there was.
    pub(super) fn push(&mut self, listed: Listed) -> bool {
        let bytes = weight(&listed.summary);
        let is_first = self.listed.is_empty();
        let fits = is_first || self.bytes + bytes <= MAX_PAGE_BYTES;
        if self.listed.len() >= self.limit || !fits {
            self.has_more = true;
            return false;
        }
        self.bytes += bytes;
        self.listed.push(listed);
        true
    }

    /// The page as it is now.
    pub(super) fn page(self, from: Source) -> Page {
        let next = self.listed.last().filter(|_| self.has_more).map(|listed| listed.id);
        Page { divergences: self.listed, next, from }
    }
}

/// The bytes of a summary's texts.
fn weight(summary: &Summary) -> usize {
    let Summary { flag, route, entity, pointers, trace_ids, .. } = summary;
    let lists = pointers.iter().chain(trace_ids).map(String::len).sum::<usize>();
    flag.len() + route.len() + entity.len() + lists
}
