//! Characters that hide: texts of others are shown to people with these written out.

/// Whether a character shows nothing, breaks a line, or changes the order of others (Unicode Technical Report 36, "Bidirectional
/// text spoofing").
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
