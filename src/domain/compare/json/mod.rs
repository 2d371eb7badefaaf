//! JSON as it is compared: numbers keep their text, members stand in the order of their names.

mod decimal;
mod parser;
mod shown;

use std::borrow::Cow;

#[cfg(test)]
pub(super) use crate::domain::json::MAX_DEPTH;
pub(super) use decimal::Decimal;
#[cfg(test)]
pub(super) use parser::{MAX_BODY_BYTES, MAX_VALUES};
pub(super) use parser::{Unparsed, parse};
pub(super) use shown::{Shown, shown_bytes};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// The number as it was written.
    Number(&'a str),
    /// Without its escapes.
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// By name, each once: of several members with one name the last counts, as for most readers.
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: Value<'a>,
}

impl Value<'_> {
    /// Whether both are of one of JSON's types.
    pub(super) fn is_same_type(&self, other: &Self) -> bool {
        let type_of = |value: &Self| match value {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        };
        type_of(self) == type_of(other)
    }

    /// The bytes of its own text, without what is inside of it.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Number(text) => text.len(),
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }
}
