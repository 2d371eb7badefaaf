//! What is JSON here, against a table and against another reader.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::*;

/// The value that a text is.
fn read(text: &str) -> Result<Value, Unreadable> {
    let mut lexer = Lexer::of_bytes(text.as_bytes())?;
    let value = read_value(&mut lexer)?;
    lexer.end()?;
    Ok(value)
}

fn read_value(lexer: &mut Lexer<'_>) -> Result<Value, Unreadable> {
    Ok(match lexer.kind() {
        Kind::Object => {
            let mut members = Map::new();
            lexer.members(|lexer, _, name| {
                members.insert(name.into_owned(), read_value(lexer)?);
                Ok::<_, Unreadable>(())
            })?;
            Value::Object(members)
        }
        Kind::Array => {
            let mut elements = Vec::new();
            lexer.elements(|lexer| {
                elements.push(read_value(lexer)?);
                Ok::<_, Unreadable>(())
            })?;
            Value::Array(elements)
        }
        Kind::Text => Value::from(lexer.string()?),
        Kind::Number => serde_json::from_str(lexer.number()?).unwrap_or(Value::Null),
        Kind::Bool => Value::Bool(lexer.truth()?),
        Kind::Null => lexer.null().map(|()| Value::Null)?,
    })
}

/// Whether a text is one value, and of what kind.
fn skipped(text: &str) -> Result<Kind, Unreadable> {
    let mut lexer = Lexer::new(text);
    let kind = lexer.skip_value()?;
    lexer.end()?;
    Ok(kind)
}

#[test]
fn each_kind_is_told_by_its_first_byte_and_read_in_whole() {
    for (text, kind) in [
        ("{}", Kind::Object),
        ("{ \"a\" : { } , \"a\" : [ ] }", Kind::Object),
        ("[]", Kind::Array),
        ("[ 1 , [ ] , null ]", Kind::Array),
        ("\"\"", Kind::Text),
        ("-0.5E+3", Kind::Number),
        ("true", Kind::Bool),
        ("false", Kind::Bool),
        ("null", Kind::Null),
    ] {
        let padded = format!(" \t\r\n{text} \t\r\n");
        let mut lexer = Lexer::new(&padded);

        assert_eq!((lexer.kind(), lexer.at()), (kind, 4), "{text}");
        assert_eq!(lexer.skip_value(), Ok(kind), "{text}");
        assert_eq!((lexer.since(4), lexer.depth()), (text, 0));
        assert_eq!(lexer.end(), Ok(()), "{text}");
    }
}

#[test]
fn what_is_not_json_is_not_read() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[,]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1]]",
        "[1}",
        "1 2",
        "{]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{'a':1}",
        "//",
        "nul",
        "nulll",
        "NULL",
        "True",
        "truefalse",
        "fals",
        "NaN",
        "Infinity",
        "\u{a0}1",
        "\u{feff}1",
        "1\u{b}",
        "tru\u{e9}",
    ] {
        assert_eq!(skipped(text), Err(Unreadable::Malformed), "{text:?}");
    }
    assert!(Lexer::of_bytes(b"\"\xff\"").is_err());
}

#[test]
fn a_number_is_as_it_is_written_of_any_size_and_without_what_json_does_not_allow() {
    let long = "9".repeat(10_000);
    for text in ["0", "-0", "10", "850.50", "0.0", "-1e9", "1E-007", "1e+99999", &long] {
        let mut lexer = Lexer::new(text);
        assert_eq!(lexer.number(), Ok(text));
        assert!(is_number(text), "{text}");
    }
    for text in [
        "", "-", "+1", "01", "-01", "00", ".5", "-.5", "1.", "1.e1", "1e", "1e+", "1e+-1", "1e1.5",
        "0x1", "1_0", " 1", "1 ", "- 1", "--1", "\u{661}",
    ] {
        assert!(!is_number(text), "{text}");
    }
}

#[test]
fn each_escape_is_decoded_and_no_other_is_one() {
    let string = r#""\"\\\/\b\f\n\r\t\u0041\u00e9\u00E9\u0000\ud83d\uDE00\uffff""#;
    let said = "\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{e9}\0\u{1f600}\u{ffff}";

    assert_eq!(decoded(string).as_deref(), Some(said));
    // The ends of what surrogates stand beside and stand for.
    let string = r#""\ud7ff\ue000\ud800\udc00\udbff\udfff""#;
    assert_eq!(decoded(string).as_deref(), Some("\u{d7ff}\u{e000}\u{10000}\u{10ffff}"));
    for escape in ["a", "v", "0", "'", "x41", "U0041", "u", "u004", "u00g1", "u+041", "u 041", "\n"]
    {
        assert_eq!(decoded(&format!("\"\\{escape}\"")), None, "{escape}");
    }
    for string in ["", "\"", "a", "\"a", "a\"", "\"\\\"", "\"a\"b", "\"a\" ", " \"a\"", "\"a\"\""] {
        assert_eq!(decoded(string), None, "{string}");
    }
}

#[test]
fn half_of_a_surrogate_pair_is_no_character() {
    let halves = [r"\ud83d", r"\ude00", r"\udbff\ud800", r"\ude00\ud83d", r"\ud83dx", r"\ud83d\n"];
    for half in halves {
        assert_eq!(skipped(&format!("\"{half}\"")), Err(Unreadable::Malformed), "{half}");
        assert_eq!(skipped(&format!("{{\"{half}\":1}}")), Err(Unreadable::Malformed), "{half}");
    }
}

#[test]
fn what_stands_for_itself_in_a_string_is_all_but_control_characters() {
    for control in '\0'..' ' {
        assert_eq!(skipped(&format!("\"a{control}\"")), Err(Unreadable::Malformed), "{control:?}");
    }
    for plain in ["\u{7f}", "\u{80}", "\u{2028}", "/", "é\u{1f600}", "{}[]:,"] {
        assert_eq!(decoded(&format!("\"{plain}\"")).as_deref(), Some(plain));
    }
}

#[test]
fn only_a_string_with_an_escape_is_copied() {
    let is_copied = |string: &'static str| matches!(decoded(string), Some(Cow::Owned(_)));

    assert!(!is_copied("\"\""));
    assert!(!is_copied("\"é, and all that stands for itself\""));
    assert!(is_copied("\"\\u00e9\""));
}

#[test]
fn nesting_is_bounded_and_what_lies_side_by_side_is_not() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.len() - open.replace(['[', '{'], "").len();
        let nested = |times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));

        assert!(skipped(&nested(MAX_DEPTH / levels)).is_ok(), "{open}");
        assert_eq!(skipped(&nested(MAX_DEPTH / levels + 1)), Err(Unreadable::TooDeep), "{open}");
        assert_eq!(skipped(&open.repeat(200_000)), Err(Unreadable::TooDeep), "{open}");
    }
    let side_by_side = format!("[{}{{}}]", "[],{\"a\":[]},".repeat(MAX_DEPTH));
    assert_eq!(skipped(&side_by_side), Ok(Kind::Array));
}

#[test]
fn a_member_is_told_by_where_its_name_begins_and_what_it_says() {
    let text = r#"{ "a" : 1 , "\u0061":[2],"":{"b":3}}"#;
    let mut told = Vec::new();

    let read = Lexer::new(text).members(|lexer, name_at, name| {
        assert_eq!(lexer.depth(), 1);
        lexer.skip_value()?;
        told.push((name.into_owned(), lexer.since(name_at)));
        Ok::<_, Unreadable>(())
    });

    assert_eq!(read, Ok(()));
    let expected = [("a", r#""a" : 1"#), ("a", r#""\u0061":[2]"#), ("", r#""":{"b":3}"#)];
    assert_eq!(told, expected.map(|(name, raw)| (name.to_owned(), raw)));
}

#[test]
fn what_a_reader_does_not_want_ends_the_reading() {
    let mut seen = 0;
    let read = Lexer::new("[1,2,3,x").elements(|lexer| {
        seen += 1;
        lexer.skip_value()?;
        if seen == 2 { Err(Unreadable::TooDeep) } else { Ok(()) }
    });

    assert_eq!((read, seen), (Err(Unreadable::TooDeep), 2));
}

/// A document's pieces, right and wrong.
const PIECES: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\n", "\\u0041", "\\u00", "\\ud83d", "\\ude00",
    "null", "true", "false", "-", "0", "1", "12", ".", "e", "E+", " ", "\n", "\"a\"", "\"b\":",
    "\"a\":1", "\u{1}", "\u{7f}", "\u{feff}", "é", "x",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A text as a JSON string, in which each character is written as it is, or by its number, as the flips say.
fn written(text: &str, flips: &[bool]) -> String {
    let mut json = String::from("\"");
    for (c, by_number) in text.chars().zip(flips.iter().cycle()) {
        if *by_number || c < ' ' || c == '"' || c == '\\' {
            let units: &mut [u16] = &mut [0; 2];
            json.extend(c.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            json.push(c);
        }
    }
    json + "\""
}

/// The other reader takes for JSON what it can also make a value of, but for numbers: some it finds too large.
fn check_like_the_other_reader(text: &str) -> Result<(), TestCaseError> {
    let is_json = serde_json::from_str::<Box<RawValue>>(text).is_ok();
    let ours = read(text);

    prop_assert_eq!(ours.is_ok(), skipped(text).is_ok(), "{:?}", text);
    match serde_json::from_str::<Value>(text) {
        Ok(theirs) => prop_assert_eq!(ours, Ok(theirs), "{:?}", text),
        Err(error) if is_json && error.to_string().starts_with("number out of range") => {}
        Err(_) => prop_assert_eq!(ours, Err(Unreadable::Malformed), "{:?}", text),
    }
    Ok(())
}

proptest! {
    #[test]
    fn it_reads_what_another_reader_reads_and_says_the_same(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16)) {
        check_like_the_other_reader(&pieces.concat())?;
    }

    #[test]
    fn it_reads_what_another_writer_writes(document in json(), pretty in any::<bool>()) {
        let text = if pretty { format!("{document:#}") } else { document.to_string() };

        prop_assert_eq!(read(&text), Ok(serde_json::from_str(&text).unwrap()));
    }

    #[test]
    fn a_document_with_a_byte_changed_is_read_as_by_another_reader(document in json(), at in any::<prop::sample::Index>(), byte in 0u8..0x80) {
        let mut bytes = document.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        match String::from_utf8(bytes) {
            Ok(text) => check_like_the_other_reader(&text)?,
            Err(error) => prop_assert!(Lexer::of_bytes(error.as_bytes()).is_err()),
        }
    }

    #[test]
    fn a_text_is_the_same_however_it_is_escaped(text in any::<String>(), flips in prop::collection::vec(any::<bool>(), 1..20)) {
        let string = written(&text, &flips);

        prop_assert_eq!(decoded(&string), Some(Cow::Borrowed(text.as_str())), "{}", string);
    }

    #[test]
    fn no_beginning_of_a_document_is_one(document in json(), cut in any::<prop::sample::Index>()) {
        let text = format!("[{document}]");
        let beginning: String = text.chars().take(cut.index(text.chars().count())).collect();

        prop_assert_eq!(skipped(&beginning), Err(Unreadable::Malformed));
    }
}
