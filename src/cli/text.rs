//! Answers of the admin plane as lines and tables for a terminal.

use serde_json::Value;

/// A text without anything that a terminal would obey.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// A row for each item of the list at a key.
pub(super) fn rows(
    answer: &Value,
    key: &str,
    row: impl Fn(&Value) -> Vec<String>,
) -> Vec<Vec<String>> {
    let items = answer.get(key).and_then(Value::as_array);
    items.into_iter().flatten().map(row).collect()
}

/// What stands at a key, in a word; a dash where nothing does.
pub(super) fn word(value: &Value, key: &str) -> String {
    value.get(key).map_or_else(|| "-".to_owned(), text)
}

/// A value as people write it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// A line a pair, aligned.
pub(super) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    pairs.iter().map(|(key, value)| format!("{key:width$}  {value}\n")).collect()
}

/// A head and rows, aligned.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&title| title.to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
