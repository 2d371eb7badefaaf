//! What the demo shows: table rows, and on a terminal progress in between.

use std::io::{self, IsTerminal, Write};

use super::report::{LoadReport, rows};

/// The head of the table.
pub const HEADER: &str =
    "percent  path     updates  acknowledged    lost  failed        p50        p99";

/// Standard output, or what a test looks at. Where it is a terminal, a line of progress overwrites the one before.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    terminal: bool,
    /// How wide the line of progress is that stands there now.
    standing: usize,
}

impl Screen<io::Stdout> {
    /// On standard output.
    pub fn stdout() -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self::new(out, terminal)
    }
}

impl<W: Write> Screen<W> {
    /// On anything.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, standing: 0 }
    }

    /// One line that stays, in the place of progress. Fails when nobody reads any more.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.clear()?;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// How far it is. Off a terminal, where it would stay, nothing is written.
    pub fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        write!(self.out, "\r{text:<width$}", width = self.standing)?;
        self.standing = text.chars().count();
        self.out.flush()
    }

    /// Takes the line of progress away.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.standing > 0 {
            write!(self.out, "\r{:width$}\r", "", width = self.standing)?;
            self.standing = 0;
        }
        Ok(())
    }
}

/// The rows of a report; `percent` leads the first one.
pub fn table(percent: &str, report: &LoadReport) -> Vec<String> {
    let latency = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    rows(report)
        .into_iter()
        .enumerate()
        .map(|(index, row)| {
            format!(
                "{:>7}  {:<7}  {:>7}  {:>12}  {:>6}  {:>6}  {:>9}  {:>9}",
                if index == 0 { percent } else { "" },
                row.path,
                row.updates,
                row.acknowledged,
                row.lost,
                row.failed,
                latency(row.p50_ms),
                latency(row.p99_ms),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::oracle::{Fate, ServedBy};
    use crate::demo::report::tests::sent;

    #[test]
    fn rows_stand_under_the_head_and_name_the_percentage_once() {
        let mut report = LoadReport::default();
        report.count(&sent(ServedBy::Legacy, 13), Fate::Lost);
        report.count(&sent(ServedBy::Fixed, 250), Fate::Kept);

        let lines = table("50%", &report);

        assert_eq!(
            lines,
            [
                "    50%  legacy         1             1       1       0    13.0 ms    13.0 ms",
                "         fixed          1             1       0       0   250.0 ms   250.0 ms",
                "         all            2             2       1       0    13.0 ms   250.0 ms",
            ]
        );
        assert!(lines.iter().all(|line| line.len() == HEADER.len()));
    }

    #[test]
    fn on_a_terminal_a_line_takes_the_place_of_progress() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, true);

        screen.progress("12 of 20").unwrap();
        screen.progress("9 of").unwrap();
        screen.line("done").unwrap();

        assert_eq!(String::from_utf8(out).unwrap(), "\r12 of 20\r9 of    \r    \rdone\n");
    }

    #[test]
    fn off_a_terminal_only_what_is_finished_is_written() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, false);

        screen.progress("839 of 840").unwrap();
        screen.line("done").unwrap();

        assert_eq!(String::from_utf8(out).unwrap(), "done\n");
    }
}
