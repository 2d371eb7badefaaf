//! Planning: from places and new values to splices.

use std::borrow::{Borrow, Cow};
use std::ops::Range;

use smallvec::SmallVec;

use super::scan::{self, Absent, Target};
use super::splice::{Anchor, Old, Scalar, Splice, only_one};
use super::{NewValue, Refused};
use crate::domain::effects::Place;
use crate::domain::json::Kind;

/// What is to be done to a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned<'d, 'v> {
    /// Replace these bytes.
    Splices {
        /// They do not overlap; several edits may be in one.
        splices: Vec<Splice<'d>>,
        /// The new values as they are written, one for each edit.
        values: Vec<Cow<'v, [u8]>>,
    },
    /// No element has the id: there is nothing to edit.
    Missing,
}

/// One value to replace.
struct Change<'v> {
    target: Target,
    new: Cow<'v, [u8]>,
}

/// Bytes of the document that a splice will replace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    anchor: Anchor,
    span: Range<usize>,
}

/// Plans the edits of one update. The document may have `limit` bytes, before and after.
pub fn plan<'d, 'v>(
    document: &'d [u8],
    edits: &[(impl Borrow<Place>, NewValue<'v>)],
    limit: usize,
) -> Result<Planned<'d, 'v>, Refused> {
    if document.len() > limit {
        return Err(Refused::TooLarge);
    }
    let mut changes = Vec::with_capacity(edits.len());
    let mut missing = false;
    for (place, value) in edits {
        match scan::find(document, place.borrow().steps())? {
            Ok(target) => changes.push(Change { new: value.instead_of(target.kind)?, target }),
            Err(Absent::NoElement) => missing = true,
            Err(Absent::Refused(refused)) => return Err(refused),
        }
    }
    if missing {
        return Ok(Planned::Missing);
    }
    let values = changes.iter().map(|change| change.new.clone()).collect();
    changes.sort_by_key(|change| change.target.value.start);
    let apart =
        |pair: (&Change<'_>, &Change<'_>)| pair.0.target.value.end <= pair.1.target.value.start;
    if !changes.iter().zip(changes.iter().skip(1)).all(apart) {
        return Err(Refused::AmbiguousElement);
    }
    let pieces = merged(changes.iter().map(|change| piece(document, &change.target)).collect());
    let splices: Vec<_> = pieces.iter().map(|piece| splice(document, piece, &changes)).collect();
    let old_bytes: usize = changes.iter().map(|change| change.target.value.len()).sum();
    let new_bytes: usize = changes.iter().map(|change| change.new.len()).sum();
    if document.len() - old_bytes + new_bytes > limit {
        return Err(Refused::TooLarge);
    }
    Ok(Planned::Splices { splices, values })
}

/// What a value is found by: its element, so that updates of other elements do not conflict; else all that is before it, or behind.
fn piece(document: &[u8], target: &Target) -> Piece {
    if let Some((span, id)) = target.element.clone() {
        let bytes = document.get(span.clone()).unwrap_or_default();
        // With the byte behind it, as a number's text may go on. Nothing else in the document reads like the id, so that no edit of
        // other values can make anything else read like this element.
        let id = document.get(id.start..id.end + 1).unwrap_or_default();
        if stands_for_itself(bytes) && only_one(document, id).is_some() {
            return Piece { anchor: Anchor::Element, span };
        }
    }
    // With the byte behind it: a number's text may go on.
    let before = 0..document.len().min(target.value.end + 1);
    // From the byte ahead of the name's quote, which so cannot be an escaped one inside of a longer name. As the root's closing
    // brace belongs to it, no member of another object ends like this.
    let behind = target.root_name.map(|name| name.saturating_sub(1)..document.len());
    match behind {
        Some(span) if span.len() < before.len() => Piece { anchor: Anchor::Suffix, span },
        _ => Piece { anchor: Anchor::Prefix, span: before },
    }
}

/// Whether an object's bytes can be nothing but this object wherever they stand in well-formed JSON. Its brace might be a string's
/// last character and the quote behind it that string's end: then the first name would have to read like punctuation.
fn stands_for_itself(object: &[u8]) -> bool {
    let name = object.iter().position(|b| *b == b'"').and_then(|quote| object.get(quote + 1));
    !matches!(name, None | Some(b',' | b':' | b']' | b'}' | b' '))
}

/// Joins pieces that overlap.
fn merged(mut pieces: Vec<Piece>) -> Vec<Piece> {
    loop {
        pieces.sort_by_key(|piece| (piece.span.start, piece.span.end));
        let mut pairs = pieces.iter().zip(pieces.iter().skip(1));
        let Some(at) = pairs.position(|(a, b)| a.span.end > b.span.start) else { return pieces };
        let later = pieces.remove(at + 1);
        if let Some(piece) = pieces.get_mut(at) {
            let end = piece.span.end.max(later.span.end);
            let both_at_end = piece.anchor == Anchor::Suffix && later.anchor == Anchor::Suffix;
            if *piece != later && !both_at_end {
                *piece = Piece { anchor: Anchor::Prefix, span: 0..end };
            }
        }
    }
}

fn splice<'d>(document: &'d [u8], piece: &Piece, changes: &[Change<'_>]) -> Splice<'d> {
    let bytes = |span: Range<usize>| document.get(span).unwrap_or_default();
    let inside = |change: &&Change<'_>| {
        let value = &change.target.value;
        piece.span.start <= value.start && value.end <= piece.span.end
    };
    let inside: SmallVec<[&Change<'_>; 1]> = changes.iter().filter(inside).collect();
    if let [change] = inside[..]
        && let Some(kind) = open(&change.target, piece)
    {
        let value = &change.target.value;
        let (head, tail) = (bytes(piece.span.start..value.start), bytes(value.end..piece.span.end));
        let old = Old::Value { head, was: bytes(value.clone()), kind, tail };
        return Splice { anchor: piece.anchor, old, new: change.new.to_vec() };
    }
    let mut new = Vec::with_capacity(piece.span.len() + 64);
    let mut done = piece.span.start;
    for change in inside {
        new.extend_from_slice(bytes(done..change.target.value.start));
        new.extend_from_slice(&change.new);
        done = change.target.value.end;
    }
    new.extend_from_slice(bytes(done..piece.span.end));
    Splice { anchor: piece.anchor, old: Old::Bytes(bytes(piece.span.clone())), new }
}

/// The kind of a value that may be any other one of its kind when it is replaced. Not one that tells its element from others; nor
/// what has something inside, whose end takes a reader of JSON; nor `null`, instead of which anything may be written.
fn open(target: &Target, piece: &Piece) -> Option<Scalar> {
    let is_id = target
        .element
        .as_ref()
        .is_some_and(|(_, id)| id.start < target.value.end && target.value.start < id.end);
    if is_id || target.value.start == piece.span.start {
        return None;
    }
    match target.kind {
        Kind::Text => Some(Scalar::Text),
        Kind::Number => Some(Scalar::Number),
        Kind::Bool => Some(Scalar::Bool),
        Kind::Object | Kind::Array | Kind::Null => None,
    }
}
