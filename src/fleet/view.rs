//! The fleet as people see it.

use std::collections::BTreeMap;

use super::ledger::Progress;
use crate::domain::transition::Report;
use crate::telemetry::labels::LeaseGate;

/// The sidecars that are registered, as one of them saw them last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetView {
    /// Ordered by id. Without a store, this sidecar alone.
    pub sidecars: Vec<SidecarView>,
    /// When that was, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What else stands on the register: who has left, and what no sidecar wrote.
    pub(crate) passed_over: Vec<Vec<u8>>,
}

/// One sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct SidecarView {
    /// Its name: the host's, and something that makes it unique.
    pub id: String,
    /// Whether it is the one that tells.
    pub this: bool,
    /// Its build.
    pub build: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// How long before `at_ms` the store heard of it, in milliseconds.
    pub silent_ms: u64,
    /// How its leases are.
    pub leases: LeaseGate,
    /// The version of each flag that it has applied.
    pub flags: BTreeMap<String, u64>,
    /// How far its updates of each flag are.
    pub(crate) updates: BTreeMap<String, Progress>,
}

impl FleetView {
    /// What the sidecars said of a flag; of this one `own` is later than what it said.
    pub(crate) fn reports(&self, flag: &str, own: Option<Progress>) -> Vec<Report> {
        let report = |sidecar: &SidecarView| {
            let SidecarView { id, silent_ms, .. } = sidecar;
            match own.filter(|_| sidecar.this) {
                Some(own) => own.report(id, 0),
                None => match sidecar.updates.get(flag) {
                    Some(progress) => progress.report(id, *silent_ms),
                    None => Report::nothing(id, *silent_ms),
                },
            }
        };
        self.sidecars.iter().map(report).collect()
    }
}
