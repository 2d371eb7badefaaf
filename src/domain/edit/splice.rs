//! Splices: what is replaced in a document, and how the place is found again in the document as it is by then.

use std::ops::Range;

use memchr::memmem;

/// How a splice's old bytes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// A whole array element, whose bytes must occur exactly once in the document.
    Element,
    /// The document's first bytes must be the old ones.
    Prefix,
    /// The document's last bytes must be the old ones.
    Suffix,
}

/// Some of a document's bytes, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice<'d> {
    /// How the old bytes are found.
    pub anchor: Anchor,
    /// What is there.
    pub old: &'d [u8],
    /// What is to be there.
    pub new: Vec<u8>,
}

/// The document is no longer as it was where a splice is to be made; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the document was changed where the edit is to be made: plan it again on the present document"
)]
pub struct Conflict;

/// Does to any document what the store's script does: finds all places in the unchanged document, then replaces all or none.
pub fn apply(document: &[u8], splices: &[Splice<'_>]) -> Result<Vec<u8>, Conflict> {
    let mut places = splices
        .iter()
        .map(|splice| Ok((position(document, splice)?, splice)))
        .collect::<Result<Vec<_>, _>>()?;
    places.sort_by_key(|(place, _)| (place.start, place.end));
    let mut edited = Vec::with_capacity(document.len() + 64);
    let mut done = 0;
    for (place, splice) in places {
        // An overlap with the one before has no such bytes between them.
        edited.extend_from_slice(document.get(done..place.start).ok_or(Conflict)?);
        edited.extend_from_slice(&splice.new);
        done = place.end;
    }
    edited.extend_from_slice(document.get(done..).ok_or(Conflict)?);
    Ok(edited)
}

fn position(document: &[u8], splice: &Splice<'_>) -> Result<Range<usize>, Conflict> {
    let (all, length) = (document.len(), splice.old.len());
    match splice.anchor {
        Anchor::Prefix if document.starts_with(splice.old) => Ok(0..length),
        Anchor::Suffix if document.ends_with(splice.old) => Ok(all - length..all),
        Anchor::Element => only_one(document, splice.old).ok_or(Conflict),
        Anchor::Prefix | Anchor::Suffix => Err(Conflict),
    }
}

/// Where bytes occur if they do exactly once; occurrences that overlap are two.
pub(super) fn only_one(document: &[u8], bytes: &[u8]) -> Option<Range<usize>> {
    let start = memmem::find(document, bytes).filter(|_| !bytes.is_empty())?;
    let after = document.get(start + 1..)?;
    memmem::find(after, bytes).is_none().then(|| start..start + bytes.len())
}
