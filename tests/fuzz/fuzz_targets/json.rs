//! Any text: what is read as JSON is what another reader takes for it, and says the same.

#![no_main]

use interlock::domain::json::{Kind, Lexer, Unreadable};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How the other reader marks a number among members, so that it reads an object with such a name in another way.
const ITS_OWN: &str = "$serde_json::private::";

fn read(input: &[u8]) -> Result<Value, Unreadable> {
    let mut lexer = Lexer::of_bytes(input)?;
    let value = read_value(&mut lexer)?;
    lexer.end()?;
    Ok(value)
}

fn read_value(lexer: &mut Lexer<'_>) -> Result<Value, Unreadable> {
    Ok(match lexer.kind() {
        Kind::Object => {
            let mut members = Map::new();
            lexer.members(|lexer, name_at, name| {
                assert_eq!(lexer.since(name_at).as_bytes()[0], b'"');
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
        Kind::Number => serde_json::from_str(lexer.number()?).expect("a number is one to others"),
        Kind::Bool => Value::Bool(lexer.truth()?),
        Kind::Null => lexer.null().map(|()| Value::Null)?,
    })
}

/// Whether it is JSON to one that looks at no text and has no bound on the depth.
fn is_json(input: &[u8]) -> bool {
    serde_json::from_slice::<Box<RawValue>>(input).is_ok()
}

fuzz_target!(|input: &[u8]| {
    let skipped = Lexer::of_bytes(input).and_then(|mut lexer| {
        let kind = lexer.skip_value()?;
        lexer.end().map(|()| kind)
    });
    let ours = read(input);
    assert_eq!(ours.as_ref().err(), skipped.as_ref().err());
    if std::str::from_utf8(input).is_ok_and(|text| text.contains(ITS_OWN)) {
        return;
    }
    match serde_json::from_slice::<Value>(input) {
        Ok(theirs) => assert_eq!(ours, Ok(theirs)),
        // It reads one level less.
        Err(error) if error.to_string().starts_with("recursion limit") => {
            assert!(ours.is_err() || is_json(input));
        }
        Err(_) => assert_eq!(ours, Err(Unreadable::Malformed)),
    }
});
