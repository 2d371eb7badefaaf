//! The answer to an update that the sidecar made itself.

use std::borrow::Cow;
use std::fmt;

use super::value::push_escaped;
use crate::domain::entity::is_placeholder_name;
use crate::domain::json::{Lexer, decoded};

/// The longest template, in bytes: an answer is no document.
pub const MAX_TEMPLATE_BYTES: usize = 16 * 1024;

/// A JSON text with placeholders in its strings, such as `{"id":"{journeyId}","status":"{value}"}`. `{value}` is the first edit's
/// new value, `{value.2}` the second's; a string that is nothing but one of these becomes the value itself, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTemplate {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As written.
    Literal(String),
    /// A text that the call gives.
    Name(String),
    /// A new value inside of a string, from 0.
    ValueText(usize),
    /// A new value as JSON.
    Value(usize),
}

/// Why a text is not an [`AnswerTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerTemplateError {
    /// It is not one JSON value.
    #[error(
        "must be one JSON value; placeholders stand inside of strings, such as {{\"id\":\"{{id}}\"}}"
    )]
    NotJson,
    /// A placeholder that nothing fills.
    #[error(
        "{{{name}}} is unknown: use a placeholder of the route, {{value}}, or {{value.2}} for the second edit's value"
    )]
    UnknownPlaceholder {
        /// Its name.
        name: String,
    },
    /// It is over [`MAX_TEMPLATE_BYTES`].
    #[error("has {bytes} bytes: shorten it to at most {MAX_TEMPLATE_BYTES}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
}

impl AnswerTemplate {
    /// Reads a template for that many edits; `known` tells the other placeholders that the call will fill.
    pub fn parse(
        text: &str,
        edits: usize,
        known: impl Fn(&str) -> bool,
    ) -> Result<Self, AnswerTemplateError> {
        if text.len() > MAX_TEMPLATE_BYTES {
            return Err(AnswerTemplateError::TooLong { bytes: text.len() });
        }
        let mut lexer = Lexer::new(text);
        let read = lexer.skip_value().and_then(|_| lexer.end());
        read.map_err(|_| AnswerTemplateError::NotJson)?;
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(quote) = rest.find('"') {
            let (before, behind) = rest.split_at(quote);
            let bytes = string_bytes(behind).ok_or(AnswerTemplateError::NotJson)?;
            let (string, after) = behind.split_at(bytes);
            push_literal(&mut pieces, before);
            let is_name = after.trim_start().starts_with(':');
            push_string(&mut pieces, string, is_name, &|name| piece(name, edits, &known))?;
            rest = after;
        }
        push_literal(&mut pieces, rest);
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// The answer. `values` are the edits' new values as JSON; a text that the call does not give is empty.
    pub fn render<'t>(
        &self,
        values: &[impl AsRef<[u8]>],
        text: impl Fn(&str) -> Option<Cow<'t, str>>,
    ) -> Vec<u8> {
        let value = |at: usize| {
            let bytes = values.get(at).map(AsRef::as_ref).unwrap_or(b"null");
            std::str::from_utf8(bytes).unwrap_or("null")
        };
        let mut answer = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => answer.push_str(literal),
                Piece::Name(name) => push_escaped(&mut answer, &text(name).unwrap_or_default()),
                Piece::Value(at) => answer.push_str(value(*at)),
                Piece::ValueText(at) => {
                    let json = value(*at);
                    let text = decoded(json).unwrap_or(Cow::Borrowed(json));
                    push_escaped(&mut answer, &text);
                }
            }
        }
        answer.into_bytes()
    }
}

impl fmt::Display for AnswerTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn piece(name: &str, edits: usize, known: &impl Fn(&str) -> bool) -> Option<Piece> {
    let number = match name.strip_prefix("value") {
        Some("") => Some(1),
        Some(suffix) => suffix.strip_prefix('.').and_then(|number| number.parse().ok()),
        None => None,
    };
    match number {
        Some(number) => (1..=edits).contains(&number).then(|| Piece::ValueText(number - 1)),
        None => known(name).then(|| Piece::Name(name.to_owned())),
    }
}

/// How many bytes the string has that a text begins with.
fn string_bytes(text: &str) -> Option<usize> {
    let mut lexer = Lexer::new(text);
    lexer.string().ok().map(|_| lexer.at())
}

/// A string with its quotes.
fn push_string(
    pieces: &mut Vec<Piece>,
    string: &str,
    is_name: bool,
    piece: &impl Fn(&str) -> Option<Piece>,
) -> Result<(), AnswerTemplateError> {
    let mut inside = Vec::new();
    let mut rest = string;
    while let Some((before, name, after)) = next_placeholder(rest) {
        let unknown = || AnswerTemplateError::UnknownPlaceholder { name: name.to_owned() };
        push_literal(&mut inside, before);
        inside.push(piece(name).ok_or_else(unknown)?);
        rest = after;
    }
    push_literal(&mut inside, rest);
    match inside.as_slice() {
        // The whole string, so that its quotes go too.
        [Piece::Literal(open), Piece::ValueText(at), Piece::Literal(close)]
            if !is_name && open == "\"" && close == "\"" =>
        {
            pieces.push(Piece::Value(*at));
        }
        _ => pieces.append(&mut inside),
    }
    Ok(())
}

/// What is before the next placeholder, its name, and what is behind it. Braces around anything but a name are as written.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    text.match_indices('{').find_map(|(open, _)| {
        let (before, inside) = (text.get(..open)?, text.get(open + 1..)?);
        let (name, after) = inside.split_once('}')?;
        let is_value = name.strip_prefix("value.").is_some_and(|n| n.parse::<usize>().is_ok());
        (is_value || is_placeholder_name(name)).then_some((before, name, after))
    })
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    if let Some(Piece::Literal(last)) = pieces.last_mut() {
        last.push_str(text);
    } else if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::MAX_DEPTH;

    fn parse(text: &str) -> Result<AnswerTemplate, AnswerTemplateError> {
        AnswerTemplate::parse(text, 2, |name| name == "id" || name == "a-b_1")
    }

    /// What a template answers where `id` is `J"1\`, and the edits set `On` and 850.50.
    fn answer(template: &str) -> String {
        let text = |name: &str| (name == "id").then_some(Cow::Borrowed("J\"1\\"));
        let values = [br#""\u004fn""#.as_slice(), b"850.50"];
        String::from_utf8(parse(template).unwrap().render(&values, text)).unwrap()
    }

    #[test]
    fn placeholders_in_strings_are_filled() {
        let check = |template: &str, expected: &str| assert_eq!(answer(template), expected);

        check("{}", "{}");
        check(r#"{"id":"{id}"}"#, r#"{"id":"J\"1\\"}"#);
        check(r#""{id}{id}, {value}""#, r#""J\"1\\J\"1\\, On""#);
        check(r#"{"{id}":1}"#, r#"{"J\"1\\":1}"#);
        check(r#""{a-b_1}.""#, r#"".""#);
    }

    #[test]
    fn a_string_that_is_a_value_alone_becomes_the_value_as_it_is_written() {
        let check = |template: &str, expected: &str| assert_eq!(answer(template), expected);

        check(r#"{"s":"{value}","n":"{value.2}"}"#, r#"{"s":"\u004fn","n":850.50}"#);
        check(r#"["{value.1}"]"#, r#"["\u004fn"]"#);
        check(r#""{value.2} EUR""#, r#""850.50 EUR""#);
        // A name is a string whatever happens.
        check(r#"{"{value.2}" : "{value.2}"}"#, r#"{"850.50" : 850.50}"#);
    }

    #[test]
    fn all_else_is_as_written() {
        for template in [
            r#"{"é":[1e3,850.50,{},null],"\u007b\"id\"}":"\\"}"#,
            r#""{ id } {} {i d} {value.} {value.x} { } } {""#,
            r#""\u007bid}""#,
            r#"{"a":{"b":1}}"#,
        ] {
            assert_eq!(answer(template), template);
            assert_eq!(parse(template).unwrap().to_string(), template);
        }
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let template = parse(r#"{"{id}":["{id} {{id}} {{value}}{"]}"#).unwrap();

        let answer = template.render(&[br#""{id}""#], |_| Some(Cow::Borrowed("{value}")));

        let expected = r#"{"{value}":["{value} {{value}} {{id}}{"]}"#;
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }

    #[test]
    fn within_a_string_a_value_is_what_it_says_or_its_json() {
        let template = parse(r#"["{value}","is {value}","is {value.2}"]"#).unwrap();

        let values = [r#"{"a":["\u00e9",1e400]}"#, r#""\u0000\n\u00e9\ud83d\ude00\"""#];
        let answer = template.render(&values, |_| None);

        let expected =
            r#"[{"a":["\u00e9",1e400]},"is {\"a\":[\"\\u00e9\",1e400]}","is \u0000\né😀\""]"#;
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }

    #[test]
    fn a_value_that_is_not_there_is_null() {
        let template = parse(r#"["{value}","{value.2}!"]"#).unwrap();

        assert_eq!(template.render(&[] as &[&[u8]], |_| None), br#"[null,"null!"]"#);
    }

    #[test]
    fn a_placeholder_that_nothing_fills_is_refused_by_its_name() {
        for name in ["ID", "value.0", "value.3", "value2", "values"] {
            let refused = parse(&format!(r#"{{"a":"x{{{name}}}"}}"#));

            let error = AnswerTemplateError::UnknownPlaceholder { name: name.to_owned() };
            assert_eq!(refused, Err(error));
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in ["", "{", "{id}", r#"{"a":{value}}"#, "{} {}", r#"{'a':1}"#, r#""\x""#, "01"] {
            assert_eq!(parse(text), Err(AnswerTemplateError::NotJson), "{text}");
        }
    }

    #[test]
    fn a_template_has_a_longest_length() {
        let template = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));

        assert!(parse(&template(MAX_TEMPLATE_BYTES)).is_ok());
        let bytes = MAX_TEMPLATE_BYTES + 1;
        assert_eq!(parse(&template(bytes)), Err(AnswerTemplateError::TooLong { bytes }));
    }

    #[test]
    fn a_template_is_nested_no_deeper_than_a_document() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));

        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(AnswerTemplateError::NotJson));
    }
}
