//! Pointers to the field that an update writes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::domain::entity::is_placeholder_name;

/// Where in an entity's document an update writes, such as `/segments/[segmentId={segmentId}]/status`: a JSON Pointer
/// (RFC 6901) whose tokens may be a placeholder, or a selector `[NAME={placeholder}]` for the element of an array whose
/// member `NAME` has that value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectPointer {
    pub(super) tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A member's name or an element's index, unescaped.
    Literal(String),
    /// A member whose name the call gives.
    Placeholder(String),
    /// The element whose member has the value that the call gives.
    Selector { member: String, placeholder: String },
}

/// A pointer with a call's values in it. Unlike the text that [`EffectPointer::fill`] writes, no value can read like a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    steps: Vec<Step>,
}

/// One step on the way to a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To an object's member of that name, or to an array's element by its index.
    Name(String),
    /// To the element of an array whose member has that value.
    Element {
        /// The member's name.
        member: String,
        /// Its value as text.
        value: String,
    },
}

impl Place {
    /// From the root on; at least one.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// Why a text is not an [`EffectPointer`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EffectPointerError {
    /// It does not begin with a slash.
    #[error("must start with /, such as /status or /segments/[segmentId={{segmentId}}]/status")]
    NoLeadingSlash,
    /// A token with a brace or a bracket that is neither a placeholder nor a selector.
    #[error(
        "\"{token}\" is neither a name, a placeholder such as {{id}}, nor a selector such as [id={{id}}]"
    )]
    BadToken {
        /// The token as written.
        token: String,
    },
    /// `~` is an escape, and only as `~0` or `~1`.
    #[error("\"{token}\" has a ~ that is neither ~0 (for ~) nor ~1 (for /)")]
    BadEscape {
        /// The token as written.
        token: String,
    },
}

impl EffectPointer {
    /// Whether the other one is the same place, or within it, whatever the call.
    pub fn covers(&self, other: &Self) -> bool {
        other.tokens.starts_with(&self.tokens)
    }

    /// The names of its placeholders, in order; one may stand there more than once.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Literal(_) => None,
            Token::Placeholder(name) | Token::Selector { placeholder: name, .. } => {
                Some(name.as_str())
            }
        })
    }

    /// The field of one call: the pointer with its placeholders' values. `None` where one is missing.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Option<String> {
        let mut field = String::with_capacity(64);
        for token in &self.tokens {
            field.push('/');
            match token {
                Token::Literal(name) => push_escaped(&mut field, name),
                Token::Placeholder(name) => push_escaped(&mut field, &value(name)?),
                Token::Selector { member, placeholder } => {
                    push_selector(&mut field, member, &value(placeholder)?);
                }
            }
        }
        Some(field)
    }

    /// As a pattern of places: any value of a placeholder, any element that is selected.
    pub fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(64);
        for token in &self.tokens {
            pattern.push('/');
            match token {
                Token::Literal(name) => push_escaped(&mut pattern, name),
                Token::Placeholder(_) | Token::Selector { .. } => pattern.push('*'),
            }
        }
        pattern
    }

    /// The place of one call: the pointer with its placeholders' values. `None` where one is missing.
    pub fn resolve<'v>(&self, value: impl Fn(&str) -> Option<Cow<'v, str>>) -> Option<Place> {
        let step = |token: &Token| {
            Some(match token {
                Token::Literal(name) => Step::Name(name.clone()),
                Token::Placeholder(name) => Step::Name(value(name)?.into_owned()),
                Token::Selector { member, placeholder } => Step::Element {
                    member: member.clone(),
                    value: value(placeholder)?.into_owned(),
                },
            })
        };
        Some(Place { steps: self.tokens.iter().map(step).collect::<Option<_>>()? })
    }
}

impl EffectPointer {
    /// What stands in a document at a field as [`Self::fill`] writes it; the first one where a selector names several elements.
    pub fn find<'d>(document: &'d Value, field: &str) -> Option<&'d Value> {
        let mut tokens = field.split('/');
        // What is before the first slash.
        tokens.next().filter(|before| before.is_empty())?;
        tokens.try_fold(document, |at, token| {
            let selector = token.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            match (at, selector) {
                (Value::Array(elements), Some(selector)) => {
                    let (member, value) = selector.split_once('=')?;
                    let (member, value) =
                        (unescape(member, token).ok()?, unescape(value, token).ok()?);
                    let is_it = |element: &&Value| {
                        element.get(&member).and_then(scalar_text).is_some_and(|text| text == value)
                    };
                    elements.iter().find(is_it)
                }
                (Value::Array(elements), None) => elements.get(token.parse::<usize>().ok()?),
                (Value::Object(members), _) => members.get(&unescape(token, token).ok()?),
                _ => None,
            }
        })
    }
}

/// A scalar as it would stand in a path; what an element is selected by.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

pub(super) fn push_selector(field: &mut String, member: &str, value: &str) {
    field.push('[');
    push_escaped(field, member);
    field.push('=');
    push_escaped(field, value);
    field.push(']');
}

pub(super) fn push_escaped(field: &mut String, token: &str) {
    for c in token.chars() {
        match c {
            '~' => field.push_str("~0"),
            '/' => field.push_str("~1"),
            c => field.push(c),
        }
    }
}

impl FromStr for EffectPointer {
    type Err = EffectPointerError;

    fn from_str(text: &str) -> Result<Self, EffectPointerError> {
        let rest = text.strip_prefix('/').ok_or(EffectPointerError::NoLeadingSlash)?;
        Ok(Self { tokens: rest.split('/').map(Token::parse).collect::<Result<_, _>>()? })
    }
}

impl Token {
    fn parse(written: &str) -> Result<Self, EffectPointerError> {
        let bad = || EffectPointerError::BadToken { token: written.to_owned() };
        let placeholder = |text: &str| {
            let name = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            name.filter(|name| is_placeholder_name(name)).map(str::to_owned)
        };
        if let Some(inside) = written.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let (member, value) = inside.split_once('=').ok_or_else(bad)?;
            let placeholder = placeholder(value).filter(|_| !member.is_empty()).ok_or_else(bad)?;
            return Ok(Self::Selector { member: unescape(member, written)?, placeholder });
        }
        if let Some(name) = placeholder(written) {
            return Ok(Self::Placeholder(name));
        }
        if written.contains(['{', '}', '[', ']']) {
            return Err(bad());
        }
        Ok(Self::Literal(unescape(written, written)?))
    }
}

fn unescape(text: &str, token: &str) -> Result<String, EffectPointerError> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c == '~').then(|| chars.next()) {
            None => plain.push(c),
            Some(Some('0')) => plain.push('~'),
            Some(Some('1')) => plain.push('/'),
            Some(_) => return Err(EffectPointerError::BadEscape { token: token.to_owned() }),
        }
    }
    Ok(plain)
}

impl fmt::Display for EffectPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for token in &self.tokens {
            let mut shown = String::new();
            match token {
                Token::Literal(name) => push_escaped(&mut shown, name),
                Token::Placeholder(name) => shown.extend(["{", name, "}"]),
                Token::Selector { member, placeholder } => {
                    shown.push('[');
                    push_escaped(&mut shown, member);
                    shown.extend(["={", placeholder, "}]"]);
                }
            }
            write!(f, "/{shown}")?;
        }
        Ok(())
    }
}
