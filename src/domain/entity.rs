//! The entity: what an update mutates, and the template that makes its key.

use std::fmt;
use std::str::FromStr;

/// The longest key of an entity, in bytes. Longer ones can't be filled: a lease and a journal are kept by key, and
/// memory is bounded.
pub const MAX_ENTITY_BYTES: usize = 1024;

/// The template of an entity's key, such as `journey:{journeyId}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTemplate {
    parts: Vec<Part>,
    placeholders: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// An index into the placeholders.
    Placeholder(usize),
}

/// Why a text is not an [`EntityTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntityTemplateError {
    /// Nothing in it varies, so every update would be the same entity.
    #[error("has no placeholder: write something like \"journey:{{journeyId}}\"")]
    NoPlaceholder,
    /// A brace that opens and doesn't close, or the other way about.
    #[error("has an unpaired brace at byte {at}")]
    UnpairedBrace {
        /// Where, in bytes from the start.
        at: usize,
    },
    /// A name that is empty or has other characters than letters, digits, `_` and `-`.
    #[error("\"{{{name}}}\" is no placeholder: use letters, digits, _ and -")]
    BadName {
        /// The name as written.
        name: String,
    },
}

impl EntityTemplate {
    /// The names of the placeholders, each once, in the order of their first appearance.
    pub fn placeholders(&self) -> &[String] {
        &self.placeholders
    }

    /// Makes the key from one value per placeholder, in the order of [`Self::placeholders`]. `None` when a value is
    /// missing or empty, or the key would be longer than [`MAX_ENTITY_BYTES`].
    pub fn fill<V: AsRef<str>>(&self, values: &[V]) -> Option<String> {
        let value = |part: &Part| match part {
            Part::Literal(_) => None,
            Part::Placeholder(index) => values.get(*index).map(AsRef::as_ref),
        };
        let mut length = 0;
        for part in &self.parts {
            length += match part {
                Part::Literal(text) => text.len(),
                Part::Placeholder(_) => value(part).filter(|v| !v.is_empty())?.len(),
            };
        }
        if length > MAX_ENTITY_BYTES {
            return None;
        }
        let mut key = String::with_capacity(length);
        for part in &self.parts {
            match part {
                Part::Literal(text) => key.push_str(text),
                Part::Placeholder(_) => key.push_str(value(part)?),
            }
        }
        Some(key)
    }

    /// The template with its placeholders' names taken out: two flags with the same shape write the same entities.
    pub fn shape(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.as_str(),
                Part::Placeholder(_) => "{}",
            })
            .collect()
    }
}

impl FromStr for EntityTemplate {
    type Err = EntityTemplateError;

    fn from_str(text: &str) -> Result<Self, EntityTemplateError> {
        let mut template = Self { parts: Vec::new(), placeholders: Vec::new() };
        let mut rest = text;
        while !rest.is_empty() {
            let at = text.len() - rest.len();
            let (literal, after) = match rest.find(['{', '}']) {
                Some(brace) => rest.split_at(brace),
                None => (rest, ""),
            };
            if !literal.is_empty() {
                template.parts.push(Part::Literal(literal.to_owned()));
            }
            if after.is_empty() {
                break;
            }
            let unpaired = EntityTemplateError::UnpairedBrace { at: at + literal.len() };
            let Some((name, after)) = after.strip_prefix('{').and_then(|a| a.split_once('}'))
            else {
                return Err(unpaired);
            };
            if !is_placeholder_name(name) {
                return Err(EntityTemplateError::BadName { name: name.to_owned() });
            }
            template.push_placeholder(name);
            rest = after;
        }
        if template.placeholders.is_empty() {
            return Err(EntityTemplateError::NoPlaceholder);
        }
        Ok(template)
    }
}

impl EntityTemplate {
    fn push_placeholder(&mut self, name: &str) {
        let known = self.placeholders.iter().position(|p| p == name);
        let index = known.unwrap_or_else(|| {
            self.placeholders.push(name.to_owned());
            self.placeholders.len() - 1
        });
        self.parts.push(Part::Placeholder(index));
    }
}

impl fmt::Display for EntityTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Placeholder(index) => {
                    write!(f, "{{{}}}", self.placeholders.get(*index).map_or("", String::as_str))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a text may name a placeholder, in an entity's template or a route's path.
pub(in crate::domain) fn is_placeholder_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> EntityTemplate {
        text.parse().unwrap()
    }

    #[test]
    fn fills_its_placeholders_in_order() {
        assert_eq!(template("journey:{id}").fill(&["7"]).as_deref(), Some("journey:7"));
        assert_eq!(template("{a}/{b}/{a}").fill(&["x", "y"]).as_deref(), Some("x/y/x"));
    }

    #[test]
    fn a_missing_empty_or_oversize_value_fills_nothing() {
        let none: [&str; 0] = [];
        assert_eq!(template("journey:{id}").fill(&none), None);
        assert_eq!(template("journey:{id}").fill(&[""]), None);
        assert_eq!(template("{id}").fill(&["x".repeat(MAX_ENTITY_BYTES + 1)]), None);
        assert!(template("{id}").fill(&["x".repeat(MAX_ENTITY_BYTES)]).is_some());
    }

    #[test]
    fn refuses_what_is_no_template() {
        let check = |text: &str, why: EntityTemplateError| {
            assert_eq!(text.parse::<EntityTemplate>(), Err(why), "{text}");
        };

        check("", EntityTemplateError::NoPlaceholder);
        check("journey", EntityTemplateError::NoPlaceholder);
        check("journey:{id", EntityTemplateError::UnpairedBrace { at: 8 });
        check("journey:}", EntityTemplateError::UnpairedBrace { at: 8 });
        check("{}", EntityTemplateError::BadName { name: String::new() });
        check("{a b}", EntityTemplateError::BadName { name: "a b".into() });
        check("{a{b}}", EntityTemplateError::BadName { name: "a{b".into() });
    }

    #[test]
    fn the_shape_forgets_names_only() {
        assert_eq!(template("journey:{a}").shape(), template("journey:{b}").shape());
        assert_ne!(template("journey:{a}").shape(), template("trip:{a}").shape());
    }

    proptest! {
        #[test]
        fn every_template_reads_back_as_written(text in "[a-z:/]{0,6}(\\{[a-zA-Z0-9_-]{1,8}\\}[a-z:/]{0,6}){1,4}") {
            prop_assert_eq!(template(&text).to_string(), text);
        }

        #[test]
        fn no_text_panics(text in "[{}a-z:]{0,20}") {
            text.parse::<EntityTemplate>().ok();
        }
    }
}
