//! JSON's grammar (RFC 8259), read strictly and within bounds. What is made of a text is its reader's: [`super::edit`] finds
//! places in it, [`super::compare`] builds a tree.
//!
//! What passes elsewhere and is no JSON here: half of a surrogate pair in an escape, in a name or in a text, since no text could hold it
//! and two of them would look the same; and more than [`MAX_DEPTH`] levels. A number may be of any size and length, as it stays a
//! text. A name that an object has twice is its reader's to judge.

mod lexer;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use lexer::{Kind, Lexer};

/// The most arrays and objects inside of one another. Who reads, edits and compares descends by recursion, so this bounds the stack:
/// 128 levels took up to 128 KiB of it where it was measured, and twice that without optimisation.
pub const MAX_DEPTH: usize = 128;

/// Why a text can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not JSON.
    #[error("it is not well-formed JSON")]
    Malformed,
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("arrays and objects are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Whether a text is a number by JSON's grammar, in whole.
pub fn is_number(text: &str) -> bool {
    Lexer::new(text).number().is_ok_and(|number| number.len() == text.len())
}

/// The text of a JSON string with its quotes, the escapes decoded. `None` if it is no such string.
pub fn decoded(string: &str) -> Option<Cow<'_, str>> {
    let mut lexer = Lexer::new(string);
    lexer.string().ok().filter(|_| lexer.at() == string.len())
}
