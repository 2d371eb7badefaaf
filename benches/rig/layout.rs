//! How figures are shown: in columns, and by their middle and their ends.

use std::fmt::Write;

/// Lines of cells as text: the first column to the left, all others to the right.
pub(crate) fn lay_out<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();

    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let written = match column {
                0 => write!(text, "{cell:<width$}"),
                _ => write!(text, "  {cell:>width$}"),
            };
            debug_assert!(written.is_ok(), "a String takes whatever is written to it");
        }
        text.push('\n');
    }
    text
}

/// The middle and the ends of some figures.
pub(crate) struct Spread {
    /// The least of them.
    pub(crate) least: f64,
    /// The middle one.
    pub(crate) median: f64,
    /// The largest of them.
    pub(crate) most: f64,
}

impl Spread {
    /// Not a number each, where there are none.
    pub(crate) fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let last = figures.len().saturating_sub(1);
        let median = f64::midpoint(at(last / 2), at(figures.len() / 2));
        Self { least: at(0), median, most: at(last) }
    }
}
