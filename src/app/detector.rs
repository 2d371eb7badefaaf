//! The detector's thread.

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

use super::store::Fleet;
use super::{Running, StartError, UPKEEP_EVERY, spawn};
use crate::config::Config;
use crate::proxy::reads::Reader;
use crate::shadow::Records;
use crate::shadow::detector::{self, Journals, Parts};
use crate::shadow::notebook::Notebook;
use crate::telemetry::Telemetry;

/// The detector's thread, while it runs.
pub(super) struct DetectorThread {
    running: Running,
    stop: oneshot::Sender<()>,
}

impl DetectorThread {
    /// Starts it where a flag is verified; with it comes what the workers note in.
    pub(super) fn start(
        config: &Config,
        me: &str,
        fleet: Option<&Fleet>,
        records: &Records,
        telemetry: &Telemetry,
    ) -> Result<Option<(Notebook, Self)>, StartError> {
        let Some((notebook, notes)) = Notebook::new(config) else { return Ok(None) };
        let parts = Parts {
            notebook: notebook.clone(),
            notes,
            journals: match fleet {
                None => Journals::Local,
                Some(fleet) => Journals::Fleet(fleet.journal.clone()),
            },
            records: records.clone(),
            telemetry: telemetry.clone(),
            sidecar: me.to_owned(),
        };
        let (stop, stopped) = oneshot::channel();
        let config = config.clone();
        let running = spawn("detector".to_owned(), move || {
            let runtime =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    let reader = Reader::new(&config, parts.telemetry.clone());
                    tokio::select! {
                        () = detector::run(&config, parts, reader.clone(), stopped) => {}
                        () = tend(&reader) => {}
                    }
                }),
                Err(error) => tracing::error!(%error, "the detector's thread gets no runtime"),
            }
        })?;
        Ok(Some((notebook, Self { running, stop })))
    }

    /// The thread itself.
    pub(super) fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Tells others what was noted last, and ends.
    pub(super) async fn end(self) {
        drop(self.stop);
        self.running.end().await;
    }
}

/// Closes connections that a burst of reads has left.
async fn tend(reader: &Reader) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        every.tick().await;
        reader.prune();
    }
}
