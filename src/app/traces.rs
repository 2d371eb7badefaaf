//! The thread that exports traces, where a collector is configured: how it starts and ends.

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::{Running, StartError, spawn};
use crate::config::Config;
use crate::telemetry::{Telemetry, Topology, trace};

/// The thread, while it runs.
pub(super) struct TraceThread {
    running: Running,
    stop: oneshot::Sender<()>,
}

/// A telemetry, and the thread that exports its spans where the configuration wants that.
pub(super) fn start(config: &Config) -> Result<(Telemetry, Option<TraceThread>), StartError> {
    let topology = topology(config);
    let Some(traces) = config.telemetry.traces.clone() else {
        return Ok((Telemetry::new(&topology), None));
    };
    let (telemetry, queue) = Telemetry::traced(&topology, traces.ratio);
    let (stop, stopped) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let exporting = trace::export(queue, traces, telemetry.clone(), stopped);
    let running = spawn("traces".to_owned(), move || runtime.block_on(exporting))?;
    Ok((telemetry, Some(TraceThread { running, stop })))
}

impl TraceThread {
    /// Exports what waits, for a second at most, and ends.
    pub(super) async fn end(self) {
        drop(self.stop);
        self.running.end().await;
    }
}

pub(crate) fn topology(config: &Config) -> Topology {
    let routes =
        config.flags.iter().enumerate().flat_map(|(index, flag)| {
            flag.routes.iter().map(move |route| (route.name.clone(), index))
        });
    Topology {
        flags: config.flags.iter().map(|flag| flag.name.clone()).collect(),
        routes: routes.collect(),
    }
}
