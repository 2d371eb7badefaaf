//! Editing a JSON document by its bytes: all but the edited values stays as it was written, number texts and order too.
//!
//! Read in this order: [`NewValue`] is what an update writes; [`plan`] finds the places in a document and makes [`Splice`]s, or
//! says that the element is missing, or refuses; [`apply`] does to any document what the store's script does;
//! [`AnswerTemplate`] makes the answer. Nothing is guessed: where a document leaves a doubt, it is [`Refused`].
//!
//! What is no JSON here and passes elsewhere: see [`json`](super::json).

mod answer;
mod plan;
mod scan;
mod splice;
mod value;

#[cfg(test)]
mod tests;

pub use answer::{AnswerTemplate, AnswerTemplateError, MAX_TEMPLATE_BYTES};
pub use plan::{Planned, plan};
pub use splice::{Anchor, Conflict, Old, Scalar, Splice, apply};
pub use value::{NewValue, body_value};

pub use crate::domain::json::MAX_DEPTH;

/// The most edits of one update: they are one script call, and their places must not overlap.
pub const MAX_EDITS: usize = 8;

/// Why an edit is not made. Nothing was written then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The document, the request's body or the new value is not JSON.
    #[error("it is not well-formed JSON")]
    Malformed,
    /// The document is over the limit, or would be after the edit.
    #[error("the document is over the limit of its size")]
    TooLarge,
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("arrays and objects are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// An object on the way has two members of one name, so that readers may differ in which of them counts.
    #[error("an object on the way to the value has two members of one name")]
    DuplicateKey,
    /// Two elements have the id, or two edits are of one value.
    #[error("two elements have the id, or two edits are of one value")]
    AmbiguousElement,
    /// A member or an index on the way is not there, or what is there has no members.
    #[error("a member on the way to the value is not there")]
    NoField,
    /// The new value has another JSON type than the old one.
    #[error("the new value has another JSON type than the old one")]
    WrongType,
    /// The request does not have the new value.
    #[error("the request has no new value")]
    NoValue,
    /// The request's path is not written as the route's template is: an app may take it for another one.
    #[error("the request's path is spelled in another way than its route")]
    Spelling,
    /// The request is to be served only in a state of the entity, or for a part of it, that the app alone knows.
    #[error("the request has a precondition that only the app can judge")]
    Conditional,
    /// The store holds something else than a text under the document's key.
    #[error("the store holds no text under the document's key")]
    DocumentType,
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::TooLarge,
        Self::TooDeep,
        Self::DuplicateKey,
        Self::AmbiguousElement,
        Self::NoField,
        Self::WrongType,
        Self::NoValue,
        Self::Spelling,
        Self::Conditional,
        Self::DocumentType,
    ];

    /// As it is called in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::DuplicateKey => "duplicate_key",
            Self::AmbiguousElement => "ambiguous_element",
            Self::NoField => "no_field",
            Self::WrongType => "wrong_type",
            Self::NoValue => "no_value",
            Self::Spelling => "spelling",
            Self::Conditional => "conditional",
            Self::DocumentType => "document_type",
        }
    }
}
