//! Values as people see them: JSON text, short, and obeyed by no terminal.

use super::Value;

/// The longest text of a value in a record, in bytes.
pub(in crate::domain::compare) const MAX_SHOWN_BYTES: usize = 256;

/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// A text that takes in no more than [`MAX_SHOWN_BYTES`].
#[derive(Debug, Default)]
pub(in crate::domain::compare) struct Shown {
    text: String,
    is_cut: bool,
}

impl Shown {
    /// A value as JSON text, its members by name.
    pub(in crate::domain::compare) fn value(value: &Value<'_>) -> String {
        let mut shown = Self::default();
        shown.push_value(value);
        shown.text
    }

    fn push_value(&mut self, value: &Value<'_>) {
        match value {
            Value::Null => self.push_plain("null"),
            Value::Bool(true) => self.push_plain("true"),
            Value::Bool(false) => self.push_plain("false"),
            Value::Number(text) => self.push_plain(text),
            Value::Text(text) => self.push_quoted(text),
            Value::Array(elements) => {
                self.push_plain("[");
                for (i, element) in elements.iter().enumerate() {
                    if self.is_cut {
                        return;
                    }
                    self.push_plain(if i > 0 { "," } else { "" });
                    self.push_value(element);
                }
                self.push_plain("]");
            }
            Value::Object(members) => {
                self.push_plain("{");
                for (i, member) in members.iter().enumerate() {
                    if self.is_cut {
                        return;
                    }
                    self.push_plain(if i > 0 { "," } else { "" });
                    self.push_quoted(&member.name);
                    self.push_plain(":");
                    self.push_value(&member.value);
                }
                self.push_plain("}");
            }
        }
    }

    /// A text in quotes, with escapes for whatever is not plainly printed.
    fn push_quoted(&mut self, text: &str) {
        self.push_plain("\"");
        for c in text.chars() {
            if self.is_cut {
                return;
            }
            match c {
                '"' => self.push_plain("\\\""),
                '\\' => self.push_plain("\\\\"),
                '\n' => self.push_plain("\\n"),
                '\r' => self.push_plain("\\r"),
                '\t' => self.push_plain("\\t"),
                c if is_obeyed(c) => self.push_plain(&format!("\\u{:04x}", u32::from(c))),
                c => self.push_plain(c.encode_utf8(&mut [0; 4])),
            }
        }
        self.push_plain("\"");
    }

    /// Adds a piece whole, or up to where it is cut.
    fn push_plain(&mut self, piece: &str) {
        if self.is_cut {
            return;
        }
        if self.text.len() + piece.len() <= MAX_SHOWN_BYTES {
            self.text.push_str(piece);
            return;
        }
        self.is_cut = true;
        let room = MAX_SHOWN_BYTES - ELLIPSIS.len_utf8();
        for c in piece.chars() {
            if self.text.len() + c.len_utf8() > room {
                break;
            }
            self.text.push(c);
        }
        while self.text.len() > room {
            self.text.pop();
        }
        self.text.push(ELLIPSIS);
    }
}

/// The start of a body that is no JSON, as a JSON text.
pub(in crate::domain::compare) fn shown_bytes(body: &[u8]) -> String {
    let start = body.get(..=MAX_SHOWN_BYTES).unwrap_or(body);
    let mut shown = Shown::default();
    shown.push_quoted(&String::from_utf8_lossy(start));
    shown.text
}

/// Whether a terminal may do something else than to print it: control characters, and those that turn the direction of text.
/// All of them are in the basic plane, so four digits name them.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}
