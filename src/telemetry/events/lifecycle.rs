//! Events of the sidecar's own life.

use std::net::SocketAddr;

use crate::telemetry::limiter::Fault;
use crate::telemetry::logging::TARGET;
use crate::telemetry::{REVISION, Telemetry, VERSION};

/// The sidecar serves.
#[derive(Clone, Copy, Debug)]
pub struct SidecarStarted {
    /// Where clients connect.
    pub proxy: SocketAddr,
    /// Where the admin plane listens.
    pub admin: SocketAddr,
    /// Threads of the data plane.
    pub workers: usize,
}

impl SidecarStarted {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().draining.at([]).set(0.0);
        tracing::info!(
            target: TARGET,
            event = "sidecar_started",
            proxy = %self.proxy,
            admin = %self.admin,
            workers = self.workers,
            version = VERSION,
            revision = REVISION,
            "serving"
        );
    }
}

/// Something in the configuration is allowed and probably not meant.
#[derive(Clone, Copy, Debug)]
pub struct ConfigWarning<'a> {
    /// The key.
    pub key: &'a str,
    /// What is doubtful, and what to do about it.
    pub advice: &'a str,
}

impl ConfigWarning<'_> {
    /// Tells of it, in the log alone.
    pub fn emit(self) {
        let Self { key, advice } = self;
        tracing::warn!(target: TARGET, event = "config_warning", key, advice, "doubtful setting");
    }
}

/// A shutdown has begun.
#[derive(Clone, Copy, Debug)]
pub struct DrainStarted {
    /// Client connections open, over all workers.
    pub connections: usize,
}

impl DrainStarted {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().draining.at([]).set(1.0);
        tracing::info!(
            target: TARGET,
            event = "drain_started",
            connections = self.connections,
            "draining: calls in flight finish, then everything ends"
        );
    }
}

/// A shutdown has ended.
#[derive(Clone, Copy, Debug)]
pub struct DrainFinished {
    /// Connections and calls that had to be cut off, over all workers.
    pub abandoned: usize,
}

impl DrainFinished {
    /// Tells of it.
    pub fn emit(self, _telemetry: &Telemetry) {
        let (event, abandoned) = ("drain_finished", self.abandoned);
        if abandoned == 0 {
            tracing::info!(target: TARGET, event, abandoned, "drained");
        } else {
            tracing::warn!(target: TARGET, event, abandoned, "drain ran out of time: calls cut off");
        }
    }
}

/// A panic was caught in the data plane.
#[derive(Clone, Copy, Debug)]
pub struct WorkerPanicked<'a> {
    /// Which worker.
    pub worker: usize,
    /// What it said.
    pub said: &'a str,
}

impl WorkerPanicked<'_> {
    /// Tells of it.
    pub fn emit(self, telemetry: &Telemetry) {
        telemetry.series().worker_panics.at([]).increment(1);
        telemetry.fault(Fault::Panic, || {
            tracing::error!(
                target: TARGET,
                event = "worker_panicked",
                worker = self.worker,
                said = self.said,
                "a worker panicked: please report this"
            );
        });
    }
}
