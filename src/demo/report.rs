//! What was counted: per step and per path.

use std::time::Duration;

use serde::Serialize;

use super::oracle::{Fate, Sent, ServedBy};
use crate::domain::percent::Percent;

/// What came of a set of updates.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// All that were sent.
    pub updates: u64,
    /// Those answered with success.
    pub acknowledged: u64,
    /// Those acknowledged and gone.
    pub lost: u64,
    /// Those not acknowledged.
    pub failed: u64,
    /// Of the acknowledged ones, in no order.
    latencies: Vec<Duration>,
}

impl Tally {
    /// Counts one update.
    pub fn count(&mut self, sent: &Sent, fate: Fate) {
        self.updates += 1;
        match fate {
            Fate::Failed => {
                self.failed += 1;
                return;
            }
            Fate::Lost => self.lost += 1,
            Fate::Kept => {}
        }
        self.acknowledged += 1;
        self.latencies.push(sent.latency);
    }

    /// Counts all of another tally's too.
    pub fn add(&mut self, other: &Self) {
        self.updates += other.updates;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.failed += other.failed;
        self.latencies.extend_from_slice(&other.latencies);
    }

    /// The latency that `percent` of the acknowledged updates did not exceed (nearest rank); `None` when there were
    /// none.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

/// The updates of one load, by the path that served them.
#[derive(Clone, Debug, Default)]
pub struct LoadReport {
    by_path: [Tally; ServedBy::ALL.len()],
}

impl LoadReport {
    /// Counts one update.
    pub fn count(&mut self, sent: &Sent, fate: Fate) {
        if let Some(tally) = self.by_path.get_mut(sent.served_by as usize) {
            tally.count(sent, fate);
        }
    }

    /// Counts all of another report's too.
    pub fn add(&mut self, other: &Self) {
        for (tally, other) in self.by_path.iter_mut().zip(&other.by_path) {
            tally.add(other);
        }
    }

    /// The tallies of the paths that served anything.
    pub fn paths(&self) -> impl Iterator<Item = (ServedBy, &Tally)> {
        ServedBy::ALL.into_iter().zip(&self.by_path).filter(|(_, tally)| tally.updates > 0)
    }

    /// The tally of one path.
    pub fn path(&self, path: ServedBy) -> Tally {
        self.by_path.get(path as usize).cloned().unwrap_or_default()
    }

    /// All paths together.
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.by_path.iter().for_each(|tally| total.add(tally));
        total
    }
}

/// One step of the script.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The percentage in force.
    pub percent: Percent,
    /// What came of the load under it.
    pub load: LoadReport,
}

/// One row of a table, or of its JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `legacy`, `fixed`, `unknown` or `all`.
    pub path: &'static str,
    /// All that were sent.
    pub updates: u64,
    /// Those answered with success.
    pub acknowledged: u64,
    /// Those acknowledged and gone.
    pub lost: u64,
    /// Those not acknowledged.
    pub failed: u64,
    /// Half of the acknowledged ones took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 99 % of the acknowledged ones took no longer, in milliseconds.
    pub p99_ms: Option<f64>,
}

impl Row {
    fn new(path: &'static str, tally: &Tally) -> Self {
        let milliseconds = |percent| {
            let latency = tally.percentile(percent)?;
            Some((latency.as_secs_f64() * 1e5).round() / 100.0)
        };
        Self {
            path,
            updates: tally.updates,
            acknowledged: tally.acknowledged,
            lost: tally.lost,
            failed: tally.failed,
            p50_ms: milliseconds(50),
            p99_ms: milliseconds(99),
        }
    }
}

/// The rows of a report: one per path that served anything, and one for all where there was more than one.
pub fn rows(report: &LoadReport) -> Vec<Row> {
    let mut rows: Vec<Row> =
        report.paths().map(|(path, tally)| Row::new(path.as_str(), tally)).collect();
    if rows.len() != 1 {
        rows.push(Row::new("all", &report.total()));
    }
    rows
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::demo::journey::Part;
    use crate::demo::oracle::Update;

    pub(in crate::demo) fn sent(served_by: ServedBy, milliseconds: u64) -> Sent {
        Sent {
            update: Update { part: Part::Journey, status: "Active 1".to_owned() },
            served_by,
            acknowledged: true,
            latency: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn counts_per_path_and_in_all() {
        let mut report = LoadReport::default();
        report.count(&sent(ServedBy::Legacy, 1), Fate::Kept);
        report.count(&sent(ServedBy::Legacy, 2), Fate::Lost);
        report.count(&sent(ServedBy::Fixed, 3), Fate::Failed);

        let rows = rows(&report);

        let figures: Vec<_> =
            rows.iter().map(|r| (r.path, r.updates, r.acknowledged, r.lost, r.failed)).collect();
        assert_eq!(figures, [("legacy", 2, 2, 1, 0), ("fixed", 1, 0, 0, 1), ("all", 3, 2, 1, 1)]);
    }

    #[test]
    fn one_path_needs_no_row_for_all() {
        let mut report = LoadReport::default();
        report.count(&sent(ServedBy::Fixed, 1), Fate::Kept);

        assert_eq!(rows(&report).len(), 1);
        assert_eq!(rows(&LoadReport::default()).len(), 1);
    }

    #[test]
    fn percentiles_are_latencies_that_occurred() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentile(50), None);
        for milliseconds in (1..=200).rev() {
            tally.count(&sent(ServedBy::Fixed, milliseconds), Fate::Kept);
        }

        assert_eq!(tally.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(tally.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(tally.percentile(100), Some(Duration::from_millis(200)));
    }

    #[test]
    fn what_failed_fast_does_not_flatter_the_latency() {
        let mut tally = Tally::default();
        tally.count(&sent(ServedBy::Fixed, 100), Fate::Kept);
        tally.count(&sent(ServedBy::Fixed, 0), Fate::Failed);

        assert_eq!(tally.percentile(50), Some(Duration::from_millis(100)));
    }
}
