//! Finding a place in a JSON document by its bytes: no tree is built, and nothing is changed.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::Refused;
use crate::domain::effects::Step;
use crate::domain::json::{Kind, Lexer, Unreadable, decoded};

/// A value that was found, by its bytes' places in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) value: Range<usize>,
    /// The outermost array element on the way that was selected by a member, and that member.
    pub(super) element: Option<(Range<usize>, Range<usize>)>,
    /// Where its name begins, if it is a member of the root object.
    pub(super) root_name: Option<usize>,
}

/// Why a well-formed document has no one value at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// No element has the member's value.
    NoElement,
    Refused(Refused),
}

type Found = Result<Target, Absent>;

impl From<Unreadable> for Refused {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed => Self::Malformed,
            Unreadable::TooDeep => Self::TooDeep,
        }
    }
}

/// Reads the whole document and finds the place. `Err` if it is none, or too deep; that goes before all else.
pub(super) fn find(document: &[u8], steps: &[Step]) -> Result<Found, Refused> {
    let mut lexer = Lexer::of_bytes(document)?;
    let found = find_place(&mut lexer, steps)?;
    lexer.end()?;
    Ok(found)
}

/// Reads a value and finds the place in it.
fn find_place(lexer: &mut Lexer<'_>, steps: &[Step]) -> Result<Found, Refused> {
    let kind = lexer.kind();
    let start = lexer.at();
    match (steps.split_first(), kind) {
        (None, _) => {
            lexer.skip_value()?;
            let value = start..lexer.at();
            Ok(Ok(Target { kind, value, element: None, root_name: None }))
        }
        (Some((Step::Name(name), rest)), Kind::Object) => find_member(lexer, name, rest),
        (Some((Step::Name(index), rest)), Kind::Array) => find_index(lexer, index, rest),
        (Some((Step::Element { member, value }, rest)), Kind::Array) => {
            find_element(lexer, (member, value), rest)
        }
        (Some(_), _) => {
            lexer.skip_value()?;
            Ok(Err(Absent::Refused(Refused::NoField)))
        }
    }
}

fn find_member<'d>(lexer: &mut Lexer<'d>, name: &str, rest: &[Step]) -> Result<Found, Refused> {
    let is_root = lexer.depth() == 0;
    let mut names = SmallVec::<[Cow<'d, str>; 16]>::new();
    let mut found = Err(Absent::Refused(Refused::NoField));
    lexer.members(|lexer, name_at, its_name| {
        if its_name == name {
            found = find_place(lexer, rest)?;
            if let (Ok(target), true) = (&mut found, is_root && rest.is_empty()) {
                target.root_name = Some(name_at);
            }
        } else {
            lexer.skip_value()?;
        }
        names.push(its_name);
        Ok::<_, Refused>(())
    })?;
    names.sort_unstable();
    let twice = names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b);
    Ok(if twice { Err(Absent::Refused(Refused::DuplicateKey)) } else { found })
}

fn find_index(lexer: &mut Lexer<'_>, index: &str, rest: &[Step]) -> Result<Found, Refused> {
    // As RFC 6901 writes it: no sign, no leading zero.
    let index = index.parse::<usize>().ok().filter(|number| number.to_string() == index);
    let mut found = Err(Absent::Refused(Refused::NoField));
    let mut at = 0;
    lexer.elements(|lexer| {
        if index == Some(at) {
            found = find_place(lexer, rest)?;
        } else {
            lexer.skip_value()?;
        }
        at += 1;
        Ok::<_, Refused>(())
    })?;
    Ok(found)
}

fn find_element(
    lexer: &mut Lexer<'_>,
    wanted: (&str, &str),
    rest: &[Step],
) -> Result<Found, Refused> {
    let mut found = Ok(None);
    lexer.elements(|lexer| {
        let kind = lexer.kind();
        let before = lexer.clone();
        match element_id(lexer, kind, wanted)? {
            Ok(None) => {}
            Ok(Some(id)) if matches!(found, Ok(None)) => {
                let span = before.at()..lexer.at();
                found = Ok(Some((before, (span, id))));
            }
            Ok(Some(_)) => found = found.clone().and(Err(Refused::AmbiguousElement)),
            Err(refused) => found = found.clone().and(Err(refused)),
        }
        Ok::<_, Refused>(())
    })?;
    let (mut before, element) = match found {
        Ok(Some(element)) => element,
        Ok(None) => return Ok(Err(Absent::NoElement)),
        Err(refused) => return Ok(Err(Absent::Refused(refused))),
    };
    // Only now is it known that it was the one, so that it is read again.
    let found = find_place(&mut before, rest)?;
    Ok(found.map(|target| Target { element: Some(element), ..target }))
}

/// Reads an element of that kind; where its member is, if it is an object whose member has that value.
fn element_id(
    lexer: &mut Lexer<'_>,
    kind: Kind,
    (member, wanted): (&str, &str),
) -> Result<Result<Option<Range<usize>>, Refused>, Refused> {
    if kind != Kind::Object {
        lexer.skip_value()?;
        return Ok(Ok(None));
    }
    let (mut times, mut id) = (0_usize, None);
    lexer.members(|lexer, name_at, name| {
        let kind = lexer.kind();
        let start = lexer.at();
        lexer.skip_value()?;
        if name == member {
            times += 1;
            let raw = lexer.since(start);
            let is_it = match kind {
                Kind::Text => decoded(raw).is_some_and(|text| text == wanted),
                Kind::Number | Kind::Bool => raw == wanted,
                Kind::Object | Kind::Array | Kind::Null => false,
            };
            id = is_it.then_some(name_at..lexer.at());
        }
        Ok::<_, Refused>(())
    })?;
    Ok(if times > 1 { Err(Refused::DuplicateKey) } else { Ok(id) })
}
