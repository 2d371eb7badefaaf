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

/// What a splice replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old<B> {
    /// These bytes.
    Bytes(B),
    /// A value of that kind, whichever is there by then, between bytes that stay. So updates of one field do not conflict.
    Value {
        /// All that is ahead of it; not empty.
        head: B,
        /// As it was: an edit that comes late finds this or nothing.
        was: B,
        /// Of another kind it is a conflict.
        kind: Scalar,
        /// All that is behind it.
        tail: B,
    },
}

/// A kind of value that has nothing inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
}

/// Some of a document's bytes, and what comes in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice<'d> {
    /// How the old bytes are found; those about a value belong to them.
    pub anchor: Anchor,
    /// What is there.
    pub old: Old<&'d [u8]>,
    /// What is to be there.
    pub new: Vec<u8>,
}

impl<B> Old<B> {
    /// The same, its bytes otherwise held.
    pub fn map<C>(self, held: impl Fn(B) -> C) -> Old<C> {
        match self {
            Self::Bytes(bytes) => Old::Bytes(held(bytes)),
            Self::Value { head, was, kind, tail } => {
                Old::Value { head: held(head), was: held(was), kind, tail: held(tail) }
            }
        }
    }
}

/// The document is no longer as it was where a splice is to be made; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the document was changed where the edit is to be made: plan it again on the present document"
)]
pub struct Conflict;

/// Does to any document what the store's script does in time: finds all places in the unchanged document, then replaces all or none.
pub fn apply(document: &[u8], splices: &[Splice<'_>]) -> Result<Vec<u8>, Conflict> {
    let mut places = splices
        .iter()
        .map(|splice| Ok((position(document, splice).ok_or(Conflict)?, splice)))
        .collect::<Result<Vec<_>, _>>()?;
    places.sort_by_key(|(place, _)| (place.start, place.end));
    let mut edited = Vec::with_capacity(document.len() + 64);
    let mut done = 0;
    for (place, splice) in places {
        // An overlap with the one before has no such bytes between them.
        edited.extend_from_slice(document.get(done..place.start).ok_or(Conflict)?);
        match splice.old {
            Old::Bytes(_) => edited.extend_from_slice(&splice.new),
            Old::Value { head, tail, .. } => {
                for bytes in [head, &splice.new, tail] {
                    edited.extend_from_slice(bytes);
                }
            }
        }
        done = place.end;
    }
    edited.extend_from_slice(document.get(done..).ok_or(Conflict)?);
    Ok(edited)
}

fn position(document: &[u8], splice: &Splice<'_>) -> Option<Range<usize>> {
    let all = document.len();
    match (splice.anchor, splice.old) {
        (Anchor::Prefix, Old::Bytes(old)) => document.starts_with(old).then_some(0..old.len()),
        (Anchor::Suffix, Old::Bytes(old)) => document.ends_with(old).then(|| all - old.len()..all),
        (Anchor::Element, Old::Bytes(old)) => only_one(document, old),
        (anchor, Old::Value { head, kind, tail, .. }) => {
            let ends = |start: usize| {
                let value = start + head.len();
                let end = value + kind.length(document.get(value..)?)?;
                let place = start..end + tail.len();
                (document.get(end..place.end)? == tail).then_some(place)
            };
            let fits = |place: &Range<usize>| match anchor {
                Anchor::Element => true,
                Anchor::Prefix => place.start == 0,
                Anchor::Suffix => place.end == all,
            };
            let mut found = starts(document, head).filter_map(ends).filter(fits);
            found.next().filter(|_| found.next().is_none())
        }
    }
}

impl Scalar {
    /// How long a value of this kind is that begins a well-formed document's rest.
    fn length(self, rest: &[u8]) -> Option<usize> {
        let first = rest.first()?;
        match self {
            Self::Text if *first == b'"' => {
                let mut at = 1;
                loop {
                    at += rest.get(at..)?.iter().position(|b| matches!(b, b'"' | b'\\'))?;
                    match rest.get(at)? {
                        b'"' => return Some(at + 1),
                        _ => at += 2,
                    }
                }
            }
            Self::Number if *first == b'-' || first.is_ascii_digit() => Some(word(rest)),
            Self::Bool if matches!(first, b't' | b'f') => Some(word(rest)),
            _ => None,
        }
    }
}

/// How long the number or name is that begins there.
fn word(rest: &[u8]) -> usize {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
    rest.iter().position(|b| !inside(b)).unwrap_or(rest.len())
}

/// Where bytes occur; occurrences may overlap.
fn starts<'a>(document: &'a [u8], bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = document.get(from..).filter(|_| !bytes.is_empty())?;
        let start = from + memmem::find(rest, bytes)?;
        from = start + 1;
        Some(start)
    })
}

/// Where bytes occur if they do exactly once; occurrences that overlap are two.
pub(super) fn only_one(document: &[u8], bytes: &[u8]) -> Option<Range<usize>> {
    let mut starts = starts(document, bytes);
    let start = starts.next().filter(|_| starts.next().is_none())?;
    Some(start..start + bytes.len())
}
