//! The way from a document to a place in it, and JSON Pointers (RFC 6901) as text.

use std::borrow::Cow;
use std::fmt::Write;

/// The longest pointer that is reported, in bytes. A place further away is reported as a change of the nearest one around it
/// that can be named: whoever chooses the names of members doesn't choose how long a record is.
pub(super) const MAX_POINTER_BYTES: usize = 1024;

/// One step from a value to one inside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// To a member of an object.
    Member(&'a str),
    /// To an element of an array.
    Index(usize),
    /// To an element of an array whose order says nothing: its index in either document.
    Unordered { control: usize, candidate: usize },
}

/// Whose document a pointer leads through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Control,
    Candidate,
}

/// Where a walk through two documents stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Place<'a> {
    steps: Vec<Step<'a>>,
}

/// A pointer, and whether it leads all the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) pointer: String,
    /// Whether it ends before the place, as that is too far away to be named.
    pub(super) shortened: bool,
}

impl<'a> Place<'a> {
    pub(super) fn enter(&mut self, step: Step<'a>) {
        self.steps.push(step);
    }

    pub(super) fn leave(&mut self) {
        self.steps.pop();
    }

    /// Back to where it stood when it had taken so many steps.
    pub(super) fn back_to(&mut self, depth: usize) {
        self.steps.truncate(depth);
    }

    pub(super) fn steps(&self) -> &[Step<'a>] {
        &self.steps
    }

    /// The pointer to it in one of the documents.
    pub(super) fn written(&self, side: Side) -> Written {
        let mut pointer = String::new();
        for step in &self.steps {
            let before = pointer.len();
            pointer.push('/');
            match *step {
                Step::Member(name) => push_escaped(&mut pointer, name),
                Step::Index(index) => push_index(&mut pointer, index),
                Step::Unordered { control, candidate } => {
                    push_index(
                        &mut pointer,
                        if side == Side::Control { control } else { candidate },
                    );
                }
            }
            if pointer.len() > MAX_POINTER_BYTES {
                pointer.truncate(before);
                return Written { pointer, shortened: true };
            }
        }
        Written { pointer, shortened: false }
    }
}

fn push_index(pointer: &mut String, index: usize) {
    // Writing to a String can't fail.
    write!(pointer, "{index}").unwrap_or_default();
}

/// Adds a name to a pointer.
pub(super) fn push_escaped(pointer: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// The name that a token of a pointer stands for, if its escapes are right.
pub(super) fn unescape(token: &str) -> Option<Cow<'_, str>> {
    let mut parts = token.split('~');
    let first = parts.next().unwrap_or_default();
    if first.len() == token.len() {
        return Some(Cow::Borrowed(token));
    }
    let mut name = first.to_owned();
    for part in parts {
        let (escaped, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', part.get(1..)?),
            Some(b'1') => ('/', part.get(1..)?),
            _ => return None,
        };
        name.push(escaped);
        name.push_str(rest);
    }
    Some(Cow::Owned(name))
}

/// The names along a pointer, if it is one.
pub(super) fn parse_pointer(pointer: &str) -> Option<Vec<Cow<'_, str>>> {
    match pointer.strip_prefix('/') {
        Some(rest) => rest.split('/').map(unescape).collect(),
        None => pointer.is_empty().then(Vec::new),
    }
}

/// The pointer with `*` for every token that may be an index: what is learnt of one element is true of all.
pub(super) fn generalised(pointer: &str) -> String {
    let is_index = |token: &str| !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit());
    let mut general = String::with_capacity(pointer.len());
    for (i, token) in pointer.split('/').enumerate() {
        if i > 0 {
            general.push('/');
        }
        general.push_str(if i > 0 && is_index(token) { "*" } else { token });
    }
    general
}
