//! Reading JSON (RFC 8259), strictly and within bounds.

use std::borrow::Cow;

use super::{Member, Value};

/// The largest body that is read as JSON, in bytes: a sidecar's thread reads 1 MiB in a few milliseconds.
pub(in crate::domain::compare) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most arrays and objects inside of one another. Reading and comparing descend by recursion, so this bounds their stack:
/// 128 levels took up to 128 KiB of it where it was measured, and three times that without optimisation.
pub(in crate::domain::compare) const MAX_DEPTH: usize = 128;

/// The most values of a document; one takes 56 bytes at most. A body of 1 MiB made of nothing but `[],` has more.
pub(in crate::domain::compare) const MAX_VALUES: usize = 250_000;

/// Why a body is not read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::domain::compare) enum Unparsed {
    /// It is none.
    NotJson,
    /// It is past one of the bounds.
    TooLarge,
}

/// Reads a whole body.
pub(in crate::domain::compare) fn parse(body: &[u8]) -> Result<Value<'_>, Unparsed> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Unparsed::TooLarge);
    }
    let text = std::str::from_utf8(body).map_err(|_| Unparsed::NotJson)?;
    let mut parser = Parser { text, at: 0, values: 0 };
    let value = parser.value(0)?;
    parser.skip_blanks();
    if parser.at == text.len() { Ok(value) } else { Err(Unparsed::NotJson) }
}

/// Whether a text is a number by JSON's grammar, in whole.
pub(super) fn is_number(text: &str) -> bool {
    let mut parser = Parser { text, at: 0, values: 0 };
    parser.number().is_ok_and(|number| number.len() == text.len())
}

struct Parser<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    /// How many were begun.
    values: usize,
}

impl<'a> Parser<'a> {
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

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Unparsed> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(Unparsed::TooLarge);
        }
        self.skip_blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(Unparsed::TooLarge),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Ok(Value::Number(self.number()?)),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Unparsed> {
        self.at += word.len();
        if self.since(self.at - word.len()) == word { Ok(value) } else { Err(Unparsed::NotJson) }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Unparsed> {
        self.at += 1;
        let mut elements = Vec::new();
        self.skip_blanks();
        if self.take(b']') {
            return Ok(Value::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take(b']') {
                return Ok(Value::Array(elements));
            }
            if !self.take(b',') {
                return Err(Unparsed::NotJson);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Unparsed> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            let name = self.string()?;
            self.skip_blanks();
            if !self.take(b':') {
                return Err(Unparsed::NotJson);
            }
            members.push(Member { name, value: self.value(depth + 1)? });
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(Value::Object(by_name(members)));
            }
            if !self.take(b',') {
                return Err(Unparsed::NotJson);
            }
        }
    }

    /// By JSON's grammar: no plus, no leading zero, a digit on either side of the point.
    fn number(&mut self) -> Result<&'a str, Unparsed> {
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

    fn digits(&mut self) -> Result<(), Unparsed> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Unparsed::NotJson) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Unparsed> {
        if !self.take(b'"') {
            return Err(Unparsed::NotJson);
        }
        let start = self.at;
        self.skip_plain();
        let plain = self.since(start);
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.take(b'\\') {
            text.push(self.escape()?);
            let start = self.at;
            self.skip_plain();
            text.push_str(self.since(start));
        }
        if self.take(b'"') { Ok(Cow::Owned(text)) } else { Err(Unparsed::NotJson) }
    }

    /// Up to the next character that may not stand for itself: a quote, a backslash, or a control character, which is no JSON.
    fn skip_plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
        self.at += end.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, Unparsed> {
        let escaped = self.peek().ok_or(Unparsed::NotJson)?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            _ => return Err(Unparsed::NotJson),
        })
    }

    /// Half of a surrogate pair is no character: no text here could hold it, and two of them must not look the same.
    fn code_point(&mut self) -> Result<char, Unparsed> {
        let mut code = self.four_digits()?;
        if (0xd800..0xdc00).contains(&code) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return Err(Unparsed::NotJson);
            }
            let low = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(Unparsed::NotJson);
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or(Unparsed::NotJson)
    }

    fn four_digits(&mut self) -> Result<u32, Unparsed> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or(Unparsed::NotJson)?;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Sorted, with the last of those that have one name.
fn by_name(mut members: Vec<Member<'_>>) -> Vec<Member<'_>> {
    if members.is_sorted_by(|a, b| a.name < b.name) {
        return members;
    }
    // Stable, so that of one name the last written comes first.
    members.reverse();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members.dedup_by(|later, kept| later.name == kept.name);
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::compare::json::Shown;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    /// A document's pieces, right and wrong, but for halves of surrogate pairs.
    const PIECES: &[&str] = &[
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\n", "\\u0041", "\\u00", "null", "true",
        "false", "-", "0", "1", "12", ".", "e", "E+", " ", "\n", "\"a\"", "\"b\":", "\"a\":1",
        "\u{1}", "\u{7f}", "\u{feff}", "é", "x",
    ];

    fn read(text: &str) -> String {
        parse(text.as_bytes())
            .map_or_else(|error| format!("{error:?}"), |value| Shown::value(&value))
    }

    #[test]
    fn what_is_json_is_read_and_nothing_else() {
        let check = |text: &str, expected: &str| assert_eq!(read(text), expected, "{text:?}");

        check(" {\"b\" : [ ] , \"a\":-0.5E+3}\r\n", "{\"a\":-0.5E+3,\"b\":[]}");
        check("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
        check("\"\\ud83d\\ude00\\u00e9\\b\\f\\/\"", "\"\u{1f600}é\\u0008\\u000c/\"");
        for text in [
            "", " ", "nul", "True", "01", "1.", ".5", "+1", "- 1", "1e", "0x1", "NaN", "'a'",
            "\"a", "\"\t\"",
        ] {
            check(text, "NotJson");
        }
        for text in [
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "[1]]",
            "1 2",
            "[",
            "{",
            "{\"a\":",
        ] {
            check(text, "NotJson");
        }
        // Two halves that no text could tell apart.
        for text in
            ["\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\x\"", "\"\\"]
        {
            check(text, "NotJson");
        }
        assert_eq!(parse(b"\"\xff\""), Err(Unparsed::NotJson));
    }

    proptest! {
        #[test]
        fn it_reads_what_another_reader_reads(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16)) {
            let text = pieces.concat();
            let theirs = serde_json::from_str::<Box<RawValue>>(&text);

            prop_assert_eq!(parse(text.as_bytes()).is_ok(), theirs.is_ok(), "{:?}", text);
            if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&read(&text)).unwrap(), theirs);
            }
        }
    }
}
