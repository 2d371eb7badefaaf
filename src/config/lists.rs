//! One list as written -> one of the right type.

use config::{Value, ValueKind};
use http::HeaderName;

use super::error::Fault;
use super::keys::Kind;
use super::values;
use crate::domain::compare::PointerPattern;

/// The most places in one list: every value of a document is held against each of them.
pub(super) const MAX_PATTERNS: usize = 100;
/// The most headers in one list: more than that no app means to answer.
pub(super) const MAX_HEADERS: usize = 32;

/// Places in documents.
pub(super) fn patterns(value: &Value) -> Result<Vec<PointerPattern>, Fault> {
    let read = |text: &str| {
        text.parse().map_err(|why| Fault::NotAPattern { pattern: values::shortened(text), why })
    };
    texts(value, &Kind::Patterns, MAX_PATTERNS)?.into_iter().map(read).collect()
}

/// Names of headers.
pub(super) fn header_names(value: &Value) -> Result<Vec<HeaderName>, Fault> {
    let read =
        |text: &str| text.parse().map_err(|_| Fault::NotAHeader { name: values::shortened(text) });
    texts(value, &Kind::HeaderNames, MAX_HEADERS)?.into_iter().map(read).collect()
}

/// Words of a closed set.
pub(super) fn choices<'v>(
    value: &'v Value,
    allowed: &'static [&'static str],
) -> Result<Vec<&'v str>, Fault> {
    let words = texts(value, &Kind::Choices(allowed), allowed.len())?;
    match words.iter().all(|word| allowed.contains(word)) {
        true => Ok(words),
        false => Err(Fault::NotOneOf { allowed }),
    }
}

fn texts<'v>(value: &'v Value, kind: &Kind, max: usize) -> Result<Vec<&'v str>, Fault> {
    let ValueKind::Array(elements) = &value.kind else {
        return Err(values::wrong_type(value, kind));
    };
    if elements.len() > max {
        return Err(Fault::TooMany { count: elements.len(), max });
    }
    let text = |element: &'v Value| match &element.kind {
        ValueKind::String(text) => Ok(text.as_str()),
        _ => Err(values::wrong_type(element, kind)),
    };
    elements.iter().map(text).collect()
}
