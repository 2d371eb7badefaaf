//! The tables, in Markdown.

use std::iter::zip;

use crate::figures::{middle, show};
use crate::history::Findings;
use crate::load::Load;
use crate::sample::Sample;
use crate::site::Strategy;

const HEADINGS: [&str; 13] = [
    "strategy",
    "callers",
    "updates/s",
    "x legacy",
    "x serialize",
    "p50 ms",
    "p99 ms",
    "lost",
    "failed",
    "scripts",
    "commands",
    "CPU us: sidecars, app, Redis",
    "degraded",
];

/// All samples of one strategy with so many callers.
pub(crate) struct Cell {
    /// Which strategy.
    pub(crate) strategy: Strategy,
    /// How many callers.
    pub(crate) callers: usize,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

/// All of one load.
pub(crate) struct Results {
    /// Which one.
    pub(crate) load: Load,
    /// By callers, then by strategy.
    pub(crate) cells: Vec<Cell>,
}

impl Results {
    /// Its section.
    pub(crate) fn markdown(&self) -> String {
        let rule = "|---".repeat(HEADINGS.len());
        let head = format!("| {} |\n{rule}|\n", HEADINGS.join(" | "));
        let mut text = format!("\n## {}\n\n{head}", self.load.title());
        for cell in &self.cells {
            text.push_str(&format!("| {} |\n", self.row(cell).join(" | ")));
        }
        text
    }

    fn row(&self, cell: &Cell) -> [String; HEADINGS.len()] {
        let samples = || cell.samples.iter();
        let cpu = [Sample::sidecars_us, Sample::apps_us, Sample::redis_us];
        let cpu = cpu.map(|of| format!("{:.0}", middle(samples().map(of))));
        [
            cell.strategy.name().to_owned(),
            cell.callers.to_string(),
            show(samples().map(Sample::rate), 0),
            self.relative(cell, Strategy::Legacy),
            self.relative(cell, Strategy::Serialize),
            show(samples().map(Sample::p50_ms), 1),
            show(samples().map(Sample::p99_ms), 1),
            lost(&cell.samples),
            samples().map(Sample::failed).sum::<usize>().to_string(),
            format!("{:.2}", middle(samples().map(Sample::scripts))),
            format!("{:.1}", middle(samples().map(Sample::commands))),
            cpu.join(", "),
            samples().map(Sample::degraded).sum::<usize>().to_string(),
        ]
    }

    /// Updates a second as a ratio to those of another strategy, round by round: what disturbs a whole round disturbs
    /// both.
    fn relative(&self, cell: &Cell, to: Strategy) -> String {
        let mut cells = self.cells.iter();
        match cells.find(|it| it.strategy == to && it.callers == cell.callers) {
            Some(base) if base.strategy != cell.strategy => {
                let pairs = zip(&cell.samples, &base.samples);
                show(pairs.map(|(it, base)| it.rate() / base.rate()), 2)
            }
            _ => "-".to_owned(),
        }
    }
}

fn lost(samples: &[Sample]) -> String {
    let mut sum = Findings::default();
    for sample in samples {
        sum.lost += sample.findings.lost;
        sum.judged += sample.findings.judged;
    }
    match sum {
        Findings { lost: 0, judged } => format!("0 of {judged}"),
        Findings { lost, judged } => {
            format!("{lost} of {judged} ({:.1} %)", 100.0 * lost as f64 / judged as f64)
        }
    }
}
