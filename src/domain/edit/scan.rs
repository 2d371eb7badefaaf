//! Finding a place in a JSON document (RFC 8259) by its bytes: no tree is built, and nothing is changed.

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;

use super::Refused;
use crate::domain::effects::Step;

/// The most arrays and objects inside of one another: reading descends by recursion, so this bounds its stack.
pub const MAX_DEPTH: usize = 128;

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
}

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

/// Reads the whole document and finds the place. `Err` if it is none, or too deep; that goes before all else.
pub(super) fn find(document: &[u8], steps: &[Step]) -> Result<Found, Refused> {
    let text = std::str::from_utf8(document).map_err(|_| Refused::Malformed)?;
    let mut scanner = Scanner { text, at: 0 };
    let found = scanner.find(0, steps)?;
    scanner.skip_blanks();
    if scanner.at == text.len() { Ok(found) } else { Err(Refused::Malformed) }
}

/// Whether a text is a number by JSON's grammar, in whole.
pub(super) fn is_number(text: &str) -> bool {
    let mut scanner = Scanner { text, at: 0 };
    scanner.number().is_ok() && scanner.at == text.len()
}

/// The text of a JSON string with its quotes, the escapes decoded. `None` if it is no such string.
pub(super) fn decoded(string: &str) -> Option<Cow<'_, str>> {
    let mut scanner = Scanner { text: string, at: 0 };
    scanner.string().ok().filter(|_| scanner.at == string.len())
}

/// How far a string with its quotes goes from where it begins.
pub(super) fn string_end(text: &str, start: usize) -> Option<usize> {
    let mut scanner = Scanner { text, at: start };
    scanner.string().ok().map(|_| scanner.at)
}

struct Scanner<'d> {
    text: &'d str,
    /// In bytes.
    at: usize,
}

impl<'d> Scanner<'d> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Refused> {
        if self.take(wanted) { Ok(()) } else { Err(Refused::Malformed) }
    }

    fn since(&self, start: usize) -> &'d str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Reads a value and finds the place in it.
    fn find(&mut self, depth: usize, steps: &[Step]) -> Result<Found, Refused> {
        self.skip_blanks();
        let start = self.at;
        match (steps.split_first(), self.peek()) {
            (None, _) => {
                let kind = self.value(depth)?;
                Ok(Ok(Target { kind, value: start..self.at, element: None, root_name: None }))
            }
            (Some((Step::Name(name), rest)), Some(b'{')) => self.find_member(depth, name, rest),
            (Some((Step::Name(index), rest)), Some(b'[')) => self.find_index(depth, index, rest),
            (Some((Step::Element { member, value }, rest)), Some(b'[')) => {
                self.find_element(depth, (member, value), rest)
            }
            (Some(_), _) => {
                self.value(depth)?;
                Ok(Err(Absent::Refused(Refused::NoField)))
            }
        }
    }

    fn find_member(&mut self, depth: usize, name: &str, rest: &[Step]) -> Result<Found, Refused> {
        let mut names = SmallVec::<[Cow<'d, str>; 16]>::new();
        let mut found = Err(Absent::Refused(Refused::NoField));
        self.members(depth, |scanner, name_at, its_name| {
            if its_name == name {
                found = scanner.find(depth + 1, rest)?;
                if let (Ok(target), true) = (&mut found, depth == 0 && rest.is_empty()) {
                    target.root_name = Some(name_at);
                }
            } else {
                scanner.value(depth + 1)?;
            }
            names.push(its_name);
            Ok(())
        })?;
        names.sort_unstable();
        let twice = names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b);
        Ok(if twice { Err(Absent::Refused(Refused::DuplicateKey)) } else { found })
    }

    fn find_index(&mut self, depth: usize, index: &str, rest: &[Step]) -> Result<Found, Refused> {
        // As RFC 6901 writes it: no sign, no leading zero.
        let index = index.parse::<usize>().ok().filter(|number| number.to_string() == index);
        let mut found = Err(Absent::Refused(Refused::NoField));
        let mut at = 0;
        self.elements(depth, |scanner| {
            if index == Some(at) {
                found = scanner.find(depth + 1, rest)?;
            } else {
                scanner.value(depth + 1)?;
            }
            at += 1;
            Ok(())
        })?;
        Ok(found)
    }

    fn find_element(
        &mut self,
        depth: usize,
        wanted: (&str, &str),
        rest: &[Step],
    ) -> Result<Found, Refused> {
        let mut found = Ok(None);
        self.elements(depth, |scanner| {
            scanner.skip_blanks();
            let start = scanner.at;
            match scanner.is_element(depth + 1, wanted)? {
                Ok(None) => {}
                Ok(Some(id)) if matches!(found, Ok(None)) => {
                    found = Ok(Some((start..scanner.at, id)));
                }
                Ok(Some(_)) => found = found.clone().and(Err(Refused::AmbiguousElement)),
                Err(refused) => found = found.clone().and(Err(refused)),
            }
            Ok(())
        })?;
        let element = match found {
            Ok(Some(element)) => element,
            Ok(None) => return Ok(Err(Absent::NoElement)),
            Err(refused) => return Ok(Err(Absent::Refused(refused))),
        };
        // Only now is it known that it was the one, so that it is read again.
        let mut again = Self { text: self.text, at: element.0.start };
        Ok(again.find(depth + 1, rest)?.map(|target| Target { element: Some(element), ..target }))
    }

    /// Reads an element; where its member is, if it is an object whose member has that value.
    fn is_element(
        &mut self,
        depth: usize,
        (member, wanted): (&str, &str),
    ) -> Result<Result<Option<Range<usize>>, Refused>, Refused> {
        if self.peek() != Some(b'{') {
            self.value(depth)?;
            return Ok(Ok(None));
        }
        let (mut times, mut id) = (0_usize, None);
        self.members(depth, |scanner, name_at, name| {
            scanner.skip_blanks();
            let start = scanner.at;
            let kind = scanner.value(depth + 1)?;
            if name == member {
                times += 1;
                let raw = scanner.since(start);
                let is_it = match kind {
                    Kind::Text => decoded(raw).is_some_and(|text| text == wanted),
                    Kind::Number | Kind::Bool => raw == wanted,
                    Kind::Object | Kind::Array | Kind::Null => false,
                };
                id = is_it.then_some(name_at..scanner.at);
            }
            Ok(())
        })?;
        Ok(if times > 1 { Err(Refused::DuplicateKey) } else { Ok(id) })
    }

    /// Reads a value.
    fn value(&mut self, depth: usize) -> Result<Kind, Refused> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => {
                self.members(depth, |scanner, _, _| scanner.value(depth + 1).map(|_| ()))?;
                Ok(Kind::Object)
            }
            Some(b'[') => {
                self.elements(depth, |scanner| scanner.value(depth + 1).map(|_| ()))?;
                Ok(Kind::Array)
            }
            Some(b'"') => self.string().map(|_| Kind::Text),
            Some(b't') => self.word("true", Kind::Bool),
            Some(b'f') => self.word("false", Kind::Bool),
            Some(b'n') => self.word("null", Kind::Null),
            _ => self.number().map(|()| Kind::Number),
        }
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Refused> {
        let start = self.at;
        self.at += word.len();
        if self.since(start) == word { Ok(kind) } else { Err(Refused::Malformed) }
    }

    /// An array; `each` reads an element.
    fn elements(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&mut Self) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if depth == MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        self.expect(b'[')?;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self)?;
            self.skip_blanks();
            if self.take(b']') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// An object; `each` is told where a member's name begins and what it is, and reads the value.
    fn members(
        &mut self,
        depth: usize,
        mut each: impl FnMut(&mut Self, usize, Cow<'d, str>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        if depth == MAX_DEPTH {
            return Err(Refused::TooDeep);
        }
        self.expect(b'{')?;
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.skip_blanks();
            let name_at = self.at;
            let name = self.string()?;
            self.skip_blanks();
            self.expect(b':')?;
            each(self, name_at, name)?;
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// By JSON's grammar: no plus, no leading zero, a digit on either side of the point.
    fn number(&mut self) -> Result<(), Refused> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Refused> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Refused::Malformed) }
    }

    fn string(&mut self) -> Result<Cow<'d, str>, Refused> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_plain();
        let mut text = Cow::Borrowed(self.since(start));
        while self.take(b'\\') {
            let escaped = self.escape()?;
            let start = self.at;
            self.skip_plain();
            let text = text.to_mut();
            text.push(escaped);
            text.push_str(self.since(start));
        }
        self.expect(b'"')?;
        Ok(text)
    }

    /// Up to the next character that may not stand for itself: a quote, a backslash, or a control character, which is no JSON.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        self.at += end.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, Refused> {
        let escaped = self.peek().ok_or(Refused::Malformed)?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err(Refused::Malformed),
        })
    }

    /// Half of a surrogate pair is no character: no name and no id could be compared with it.
    fn code_point(&mut self) -> Result<char, Refused> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            self.expect(b'\\')?;
            self.expect(b'u')?;
            let low = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(Refused::Malformed);
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or(Refused::Malformed)
    }

    fn four_digits(&mut self) -> Result<u32, Refused> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(Refused::Malformed)?;
            self.at += 1;
        }
        Ok(code)
    }
}
