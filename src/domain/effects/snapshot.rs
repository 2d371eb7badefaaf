//! What a document shows at the places that updates write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fingerprint::{FieldId, Fingerprint};
use super::pointer::{EffectPointer, Token, push_escaped, push_selector, scalar_text};

/// The most places of one document that are remembered; further ones are as if they were not there.
pub const MAX_FIELDS: usize = 4096;

/// The values at all places of a document that the routes of a flag can write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    values: BTreeMap<FieldId, Option<Fingerprint>>,
}

/// What is known of one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This stands there; [`Fingerprint::ABSENT`] where its parent is there and it is not.
    Value(Fingerprint),
    /// The document has no such place, or has it twice.
    NoPlace,
}

impl Fields {
    /// Looks at all places of `document` that `pointers` can name.
    pub fn of(document: &Value, pointers: &[EffectPointer]) -> Self {
        let mut fields = Self::default();
        for pointer in pointers {
            fields.walk(&pointer.tokens, document, &mut String::new());
        }
        fields
    }

    /// What is known of a place.
    pub fn at(&self, field: FieldId) -> Seen {
        self.values.get(&field).copied().flatten().map_or(Seen::NoPlace, Seen::Value)
    }

    /// What stands here and something else stands in `later`, in the same place.
    pub fn replaced_in(&self, later: &Self) -> impl Iterator<Item = (FieldId, Fingerprint)> {
        let known = self.values.iter().filter_map(|(field, value)| Some((*field, (*value)?)));
        known.filter(
            |(field, value)| matches!(later.at(*field), Seen::Value(other) if other != *value),
        )
    }

    fn walk(&mut self, tokens: &[Token], at: &Value, path: &mut String) {
        let Some((token, rest)) = tokens.split_first() else {
            return self.add(path, Fingerprint::of(at));
        };
        let length = path.len();
        match (token, at) {
            (Token::Literal(name), Value::Object(members)) => {
                push_token(path, name);
                match members.get(name) {
                    Some(value) => self.walk(rest, value, path),
                    // Its parent is there: the update may be what makes it.
                    None if rest.is_empty() => self.add(path, Fingerprint::ABSENT),
                    None => {}
                }
            }
            (Token::Literal(name), Value::Array(elements)) => {
                if let Some(value) = name.parse::<usize>().ok().and_then(|i| elements.get(i)) {
                    push_token(path, name);
                    self.walk(rest, value, path);
                }
            }
            (Token::Placeholder(_), Value::Object(members)) => {
                for (name, value) in members {
                    push_token(path, name);
                    self.walk(rest, value, path);
                    path.truncate(length);
                }
            }
            (Token::Placeholder(_), Value::Array(elements)) => {
                for (index, value) in elements.iter().enumerate() {
                    push_token(path, &index.to_string());
                    self.walk(rest, value, path);
                    path.truncate(length);
                }
            }
            (Token::Selector { member, .. }, Value::Array(elements)) => {
                for element in elements {
                    let Some(id) = element.get(member).and_then(scalar_text) else { continue };
                    path.push('/');
                    push_selector(path, member, &id);
                    self.walk(rest, element, path);
                    path.truncate(length);
                }
            }
            _ => {}
        }
        path.truncate(length);
    }

    fn add(&mut self, path: &str, value: Fingerprint) {
        let field = FieldId::of(path);
        if self.values.len() >= MAX_FIELDS && !self.values.contains_key(&field) {
            return;
        }
        // Two elements with one id: nobody can tell which one the app takes.
        self.values.entry(field).and_modify(|seen| *seen = None).or_insert(Some(value));
    }
}

fn push_token(path: &mut String, name: &str) {
    path.push('/');
    push_escaped(path, name);
}
