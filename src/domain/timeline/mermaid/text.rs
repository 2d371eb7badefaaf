//! Texts of others in a Mermaid diagram: shown as they are, and never taken for syntax.

use std::fmt::Write;

use crate::domain::hidden::is_hidden;

/// The longest text, in characters: a box or an arrow that is longer makes a diagram unreadable.
const MAX_LABEL: usize = 80;

/// What ends a statement, begins a comment, an entity, a directive, a tag or a formula, or stands for an entity inside of
/// Mermaid.
const SYNTAX: &[char] = &['#', ';', ':', '&', '<', '>', '%', '$', '{', '}', '\\', '¶', 'ﬂ'];

/// A text as a label: no longer than [`MAX_LABEL`], on one line, with nothing in it that is invisible or that Mermaid
/// obeys.
pub(super) fn label(text: &str) -> String {
    let cut = text.char_indices().nth(MAX_LABEL).map(|(at, _)| at);
    // Cut first: what is left may end in a word that it did not have.
    let text = cut.and_then(|at| text.get(..at)).unwrap_or(text);
    let mut label = String::with_capacity(text.len());
    let mut before = None;
    for (at, c) in text.char_indices() {
        if is_hidden(c) {
            push_code(&mut label, '\\');
            write!(label, "u{:04x}", u32::from(c)).ok();
        } else if SYNTAX.contains(&c) || begins_end(before, text.get(at..).unwrap_or_default()) {
            push_code(&mut label, c);
        } else {
            label.push(c);
        }
        before = Some(c);
    }
    if cut.is_some() {
        label.push('…');
    }
    // Blanks at either side would be cut off, and nothing is no label.
    match label.trim().is_empty() {
        true => "(empty)".to_owned(),
        false => label,
    }
}

fn push_code(label: &mut String, c: char) {
    // Writing to a text can't fail.
    write!(label, "#{};", u32::from(c)).ok();
}

/// Whether the word `end` begins here, in any case: it closes a block.
fn begins_end(before: Option<char>, rest: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_word = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("end"));
    let after = rest.get(3..).and_then(|rest| rest.chars().next());
    is_word && !before.is_some_and(is_part) && !after.is_some_and(is_part)
}
