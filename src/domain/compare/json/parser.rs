//! Reading a body as JSON, within bounds.

use super::{Member, Value};
use crate::domain::json::{Kind, Lexer, Unreadable};

/// The largest body that is read as JSON, in bytes: a sidecar's thread reads 1 MiB in a few milliseconds.
pub(in crate::domain::compare) const MAX_BODY_BYTES: usize = 1024 * 1024;

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

impl From<Unreadable> for Unparsed {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed => Self::NotJson,
            Unreadable::TooDeep => Self::TooLarge,
        }
    }
}

/// Reads a whole body.
pub(in crate::domain::compare) fn parse(body: &[u8]) -> Result<Value<'_>, Unparsed> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Unparsed::TooLarge);
    }
    let mut lexer = Lexer::of_bytes(body)?;
    let value = read(&mut lexer, &mut 0)?;
    lexer.end()?;
    Ok(value)
}

/// Reads a value, and counts all that were begun.
fn read<'a>(lexer: &mut Lexer<'a>, begun: &mut usize) -> Result<Value<'a>, Unparsed> {
    *begun += 1;
    if *begun > MAX_VALUES {
        return Err(Unparsed::TooLarge);
    }
    Ok(match lexer.kind() {
        Kind::Object => Value::Object(members(lexer, begun)?),
        Kind::Array => Value::Array(elements(lexer, begun)?),
        Kind::Text => Value::Text(lexer.string()?),
        Kind::Number => Value::Number(lexer.number()?),
        Kind::Bool => Value::Bool(lexer.truth()?),
        Kind::Null => {
            lexer.null()?;
            Value::Null
        }
    })
}

fn elements<'a>(lexer: &mut Lexer<'a>, begun: &mut usize) -> Result<Vec<Value<'a>>, Unparsed> {
    let mut elements = Vec::new();
    lexer.elements(|lexer| {
        elements.push(read(lexer, begun)?);
        Ok::<_, Unparsed>(())
    })?;
    Ok(elements)
}

fn members<'a>(lexer: &mut Lexer<'a>, begun: &mut usize) -> Result<Vec<Member<'a>>, Unparsed> {
    let mut members = Vec::new();
    lexer.members(|lexer, _, name| {
        members.push(Member { name, value: read(lexer, begun)? });
        Ok::<_, Unparsed>(())
    })?;
    Ok(by_name(members))
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
