//! The comparing thread: how it starts and ends.

use super::{Running, StartError, spawn};
use crate::config::Config;
use crate::shadow::{Comparer, Judge, Records};
use crate::telemetry::Telemetry;

/// The comparing thread, while it runs.
pub(super) struct JudgeThread {
    running: Running,
    judge: Judge,
}

impl JudgeThread {
    /// Starts it, where any flag has shadows; without one there is nothing to compare.
    pub(super) fn start(
        config: &Config,
        records: &Records,
        telemetry: &Telemetry,
    ) -> Result<Option<Self>, StartError> {
        if config.flags.iter().all(|flag| flag.shadow.is_none()) {
            return Ok(None);
        }
        let (judge, cases) = Judge::new(config.flags.len());
        let comparer = Comparer::new(&config.flags, records.clone(), telemetry.clone());
        let running = spawn("compare".to_owned(), move || comparer.run(&cases))?;
        Ok(Some(Self { running, judge }))
    }

    /// Where workers hand in what is to be compared.
    pub(super) fn judge(&self) -> Judge {
        self.judge.clone()
    }

    /// Ends it, what waits being skipped; after the workers.
    pub(super) async fn end(self) {
        self.judge.close();
        self.running.end().await;
    }
}
