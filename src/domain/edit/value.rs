//! What an update writes, as the request gives it.

use std::borrow::Cow;

use super::Refused;
use super::scan::{self, Absent};
use crate::domain::effects::Step;
use crate::domain::json::{Kind, is_number};

/// A value to write. One from a JSON body is kept byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewValue<'v>(Given<'v>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Given<'v> {
    Json { kind: Kind, raw: &'v [u8] },
    Text(Cow<'v, str>),
}

impl<'v> NewValue<'v> {
    /// From exactly one JSON value; blanks around it do not belong to it.
    pub fn json(raw: &'v [u8]) -> Result<Self, Refused> {
        Self::within(raw, &[])?.ok_or(Refused::NoValue)
    }

    /// From the member of a JSON body that a pointer (RFC 6901) names; refused if it is not there.
    pub fn from_body(body: &'v [u8], pointer: &str) -> Result<Self, Refused> {
        let steps = steps(pointer).ok_or(Refused::NoValue)?;
        Self::within(body, &steps)?.ok_or(Refused::NoValue)
    }

    /// From a text, such as one of a path: a string, or a number or truth value where one is replaced.
    pub fn text(text: impl Into<Cow<'v, str>>) -> Self {
        Self(Given::Text(text.into()))
    }

    fn within(document: &'v [u8], steps: &[Step]) -> Result<Option<Self>, Refused> {
        let target = match scan::find(document, steps)? {
            Ok(target) => target,
            Err(Absent::NoElement | Absent::Refused(Refused::NoField)) => return Ok(None),
            Err(Absent::Refused(refused)) => return Err(refused),
        };
        let raw = document.get(target.value).unwrap_or_default();
        Ok(Some(Self(Given::Json { kind: target.kind, raw })))
    }

    /// As JSON in the place of a value of that kind.
    pub(super) fn instead_of(&self, old: Kind) -> Result<Cow<'v, [u8]>, Refused> {
        match (&self.0, old) {
            (Given::Json { kind, raw }, old) if old == *kind || old == Kind::Null => {
                Ok(Cow::Borrowed(raw))
            }
            (Given::Text(text), Kind::Text | Kind::Null) => Ok(Cow::Owned(quoted(text).into())),
            (Given::Text(text), Kind::Number) if is_number(text) => Ok(bytes(text)),
            (Given::Text(text), Kind::Bool) if *text == "true" || *text == "false" => {
                Ok(bytes(text))
            }
            _ => Err(Refused::WrongType),
        }
    }
}

/// The bytes of the value at a pointer (RFC 6901) in a JSON body, without blanks around it; `None` if it is not there.
pub fn body_value<'b>(body: &'b [u8], pointer: &str) -> Result<Option<&'b [u8]>, Refused> {
    let Some(steps) = steps(pointer) else { return Ok(None) };
    Ok(NewValue::within(body, &steps)?.and_then(|value| match value.0 {
        Given::Json { raw, .. } => Some(raw),
        Given::Text(_) => None,
    }))
}

fn steps(pointer: &str) -> Option<Vec<Step>> {
    let mut tokens = pointer.split('/');
    tokens.next().filter(|before| before.is_empty())?;
    // In this order, so that ~01 is ~1 and not a slash.
    Some(tokens.map(|token| Step::Name(token.replace("~1", "/").replace("~0", "~"))).collect())
}

fn bytes<'v>(text: &str) -> Cow<'v, [u8]> {
    Cow::Owned(text.as_bytes().to_vec())
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    push_escaped(&mut json, text);
    json.push('"');
    json
}

/// A text as it stands between the quotes of a JSON string.
pub(super) fn push_escaped(json: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
}
