//! Reading a JSON text from its beginning on, a value at a time.

use std::borrow::Cow;

use super::{MAX_DEPTH, Unreadable};

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// Such as `-850.50`.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A place in a JSON text. Its methods read what is there and go behind it; after an error it stands anywhere.
///
/// [`Lexer::kind`] tells what begins there, and the method of that kind reads it. Nothing is allocated but for strings with escapes.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t str,
    /// In bytes.
    at: usize,
    /// How many arrays and objects are open.
    depth: usize,
}

impl<'t> Lexer<'t> {
    /// At the beginning of a text.
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// At the beginning of a document. `Err` if it is not UTF-8.
    pub fn of_bytes(document: &'t [u8]) -> Result<Self, Unreadable> {
        std::str::from_utf8(document).map(Self::new).map_err(|_| Unreadable::Malformed)
    }

    /// Where it stands, in bytes from the beginning of the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many arrays and objects it stands in.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The text from there to where it stands.
    pub fn since(&self, start: usize) -> &'t str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Goes to where the next value begins, and tells its kind by its first byte. What no value begins with can't be read as the
    /// number that it is taken for.
    pub fn kind(&mut self) -> Kind {
        self.skip_blanks();
        match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// Reads the next value, with all that is in it, and tells its kind.
    pub fn skip_value(&mut self) -> Result<Kind, Unreadable> {
        let kind = self.kind();
        match kind {
            Kind::Object => self.members(|lexer, _, _| lexer.skip_value().map(|_| ()))?,
            Kind::Array => self.elements(|lexer| lexer.skip_value().map(|_| ()))?,
            Kind::Text => self.string().map(|_| ())?,
            Kind::Number => self.number().map(|_| ())?,
            Kind::Bool => self.truth().map(|_| ())?,
            Kind::Null => self.null()?,
        }
        Ok(kind)
    }

    /// Makes sure that nothing but blanks follows.
    pub fn end(&mut self) -> Result<(), Unreadable> {
        self.skip_blanks();
        if self.at == self.text.len() { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    /// Reads an array; `each` reads an element, and is called for each.
    pub fn elements<E: From<Unreadable>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[')?;
        let mut closed = self.take(b']');
        while !closed {
            each(self)?;
            closed = self.closes(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an object; `each` is told where a member's name begins and what it is, reads the value, and is called for each member.
    pub fn members<E: From<Unreadable>>(
        &mut self,
        mut each: impl FnMut(&mut Self, usize, Cow<'t, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{')?;
        let mut closed = self.take(b'}');
        while !closed {
            self.skip_blanks();
            let name_at = self.at;
            let name = self.string()?;
            self.skip_blanks();
            self.expect(b':')?;
            each(self, name_at, name)?;
            closed = self.closes(b'}')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a string, and gives what it says: the escapes are decoded.
    pub fn string(&mut self) -> Result<Cow<'t, str>, Unreadable> {
        self.expect(b'"')?;
        let start = self.at;
        self.skip_plain();
        let plain = self.since(start);
        if self.take(b'"') {
            Ok(Cow::Borrowed(plain))
        } else {
            self.unescaped(plain).map(Cow::Owned)
        }
    }

    /// Reads a number, and gives it as it is written: no plus, no leading zero, a digit on either side of the point.
    pub fn number(&mut self) -> Result<&'t str, Unreadable> {
        let start = self.at;
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
        Ok(self.since(start))
    }

    /// Reads `true` or `false`.
    pub fn truth(&mut self) -> Result<bool, Unreadable> {
        let is_true = self.peek() == Some(b't');
        self.word(if is_true { "true" } else { "false" })?;
        Ok(is_true)
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), Unreadable> {
        self.word("null")
    }

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

    fn expect(&mut self, wanted: u8) -> Result<(), Unreadable> {
        if self.take(wanted) { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    fn word(&mut self, word: &str) -> Result<(), Unreadable> {
        let start = self.at;
        self.at += word.len();
        if self.since(start) == word { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    /// Into an array or an object, up to what is in it.
    fn open(&mut self, bracket: u8) -> Result<(), Unreadable> {
        if self.depth == MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        self.expect(bracket)?;
        self.depth += 1;
        self.skip_blanks();
        Ok(())
    }

    /// Whether it ends behind what was read of it, or goes on.
    fn closes(&mut self, bracket: u8) -> Result<bool, Unreadable> {
        self.skip_blanks();
        if self.take(bracket) {
            return Ok(true);
        }
        self.expect(b',').map(|()| false)
    }

    fn digits(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    /// Up to the next character that may not stand for itself: a quote, a backslash, or a control character, which is no JSON.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        self.at += end.unwrap_or(rest.len());
    }

    /// The rest of a string from its first escape on, behind what it says so far.
    fn unescaped(&mut self, plain: &str) -> Result<String, Unreadable> {
        self.expect(b'\\')?;
        let mut text = plain.to_owned();
        loop {
            text.push(self.escape()?);
            let start = self.at;
            self.skip_plain();
            text.push_str(self.since(start));
            if !self.take(b'\\') {
                break;
            }
        }
        self.expect(b'"')?;
        Ok(text)
    }

    fn escape(&mut self) -> Result<char, Unreadable> {
        let escaped = self.peek().ok_or(Unreadable::Malformed)?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err(Unreadable::Malformed),
        })
    }

    /// Half of a surrogate pair is no character.
    fn code_point(&mut self) -> Result<char, Unreadable> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            self.expect(b'\\')?;
            self.expect(b'u')?;
            let low = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(Unreadable::Malformed);
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or(Unreadable::Malformed)
    }

    fn four_digits(&mut self) -> Result<u32, Unreadable> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(Unreadable::Malformed)?;
            self.at += 1;
        }
        Ok(code)
    }
}
