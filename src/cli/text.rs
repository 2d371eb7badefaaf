//! Answers of the admin plane as lines and tables for a terminal.

use serde_json::Value;

use crate::domain::hidden::is_hidden;

/// The longest cell of a table, in characters: one that is longer would make every line as long. The whole of it is in the JSON.
const MAX_CELL: usize = 120;

/// A text without anything that a terminal would obey, or that would not be seen.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) { line.extend(c.escape_default()) } else { line.push(c) }
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
    let cut_off = |row: &Vec<String>| row.iter().map(|cell| cut(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(cut_off).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(&rows).collect();
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

fn cut(cell: &str) -> String {
    match cell.char_indices().nth(MAX_CELL) {
        Some((end, _)) => cell.get(..end).unwrap_or_default().to_owned() + "…",
        None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_written_out() {
        assert_eq!(one_line("a\u{202e}b\u{200b}\u{1b}[31m\n"), r"a\u{202e}b\u{200b}\u{1b}[31m\n");
        assert_eq!(one_line("blåbær 🫐"), "blåbær 🫐");
    }

    #[test]
    fn a_long_cell_makes_no_line_longer_than_it_may_be() {
        let rows = [vec!["é".repeat(1_000), "b".to_owned()], vec!["c".to_owned(), "d".to_owned()]];

        let text = table(&["ONE", "OTHER"], &rows);

        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width <= MAX_CELL + 1 + 2 + 5), "{widths:?}");
        assert!(text.contains("é…  b"), "{text}");
    }
}
