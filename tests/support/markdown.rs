//! How a renderer of Markdown names headings. What reads documents includes this file alone, without the harness.

/// The anchor that is made of a heading's words.
pub(crate) fn anchor(heading: &str) -> String {
    let mut text = String::new();
    // Of a link in a heading the text is read, not where it leads.
    for (number, part) in heading.split("](").enumerate() {
        text.push_str(if number == 0 {
            part
        } else {
            part.split_once(')').map_or("", |(_, rest)| rest)
        });
    }
    let kept = text.chars().flat_map(char::to_lowercase);
    let kept = kept.filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
