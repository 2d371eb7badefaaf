//! Sidecars of a register that the store has forgotten: as long as one of them has not come back, nobody knows what it does.

use std::collections::BTreeMap;

use super::Running;
use crate::clock::{self, Instant};
use crate::fleet::{FleetView, SidecarView};

/// Those that have not come back.
#[derive(Default)]
pub(super) struct Lost {
    /// Which store the last register was of.
    epoch: String,
    /// By id, as they were last, and since when they are missed.
    sidecars: BTreeMap<String, (SidecarView, Instant)>,
}

impl Running {
    /// Adds to what a register shows those that an earlier one of another store had.
    pub(super) fn with_lost(&mut self, mut view: FleetView, epoch: &str) -> FleetView {
        let Lost { epoch: last, sidecars } = &mut self.lost;
        if last != epoch {
            if !last.is_empty() {
                let known = self.session.fleet.load();
                let others = known.sidecars.iter().filter(|sidecar| !sidecar.this);
                let missed = |it: &SidecarView| (it.id.clone(), (it.clone(), clock::now()));
                sidecars.extend(others.map(missed));
            }
            epoch.clone_into(last);
        }
        for sidecar in &view.sidecars {
            sidecars.remove(&sidecar.id);
        }
        let missed = |(sidecar, since): &(SidecarView, Instant)| SidecarView {
            silent_ms: sidecar.silent_ms.saturating_add(super::whole_ms(clock::now() - *since)),
            ..sidecar.clone()
        };
        view.sidecars.extend(sidecars.values().map(missed));
        view.sidecars.sort_by(|one, other| one.id.cmp(&other.id));
        view
    }
}
