//! What the store's thread has and what other threads have of it, put together before the thread runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::{Asked, Parts, quarantine, serve, settled};
use crate::config::{Config, RedisConfig};
use crate::documents::Documents;
use crate::fleet::FleetView;
use crate::fleet::gate::Gate;
use crate::fleet::session::Identity;
use crate::idempotency::FleetRecords;
use crate::lease::{FleetLeases, SidecarLeases};
use crate::shadow::{FleetJournal, Records};
use crate::store::{FlagStore, FleetFlags};
use crate::telemetry::Telemetry;
use crate::telemetry::events::StoreConfigured;

/// What the other threads have of it.
pub(crate) struct Fleet {
    pub(crate) leases: SidecarLeases,
    pub(in crate::app) documents: Documents,
    pub(in crate::app) keys: FleetRecords,
    pub(crate) flags: FleetFlags,
    pub(crate) view: Arc<ArcSwap<FleetView>>,
    pub(in crate::app) journal: FleetJournal,
    pub(in crate::app) records: Records,
    pub(crate) gate: Gate,
}

/// What the thread runs.
pub(crate) struct StoreWork {
    parts: Parts,
    asked: Asked,
}

impl StoreWork {
    /// Runs until `stopped` is told or dropped, and then to an orderly end.
    pub(crate) async fn run(self, stopped: oneshot::Receiver<()>) {
        serve(self.parts, self.asked, stopped).await;
    }
}

/// Puts it together: what the other threads have of it, and what is to be run on its own.
pub(crate) fn assemble(
    config: &Config,
    redis: &RedisConfig,
    me: &Identity,
    flags: &FlagStore,
    telemetry: &Telemetry,
) -> (Fleet, StoreWork) {
    StoreConfigured.emit(telemetry);
    let gate = Gate::new();
    let (desk, errands) = mpsc::unbounded_channel();
    let leases = FleetLeases::new(gate.clone(), redis.timeout, desk.clone());
    // After a restart the host's name may be the same, and by chance the rest of it: no two calls have one name.
    let sidecar = format!("{}/{:x}", me.id, me.started_ms);
    let (documents, edits) = Documents::new(gate.clone(), sidecar.clone());
    let (keys, of_keys) = FleetRecords::new(&sidecar);
    let (fleet_flags, requests) = FleetFlags::new();
    let (journal, exchanges) = FleetJournal::new();
    let (records, archive) = Records::in_store(&config.divergence, config.flags.len(), telemetry);
    let view = Arc::<ArcSwap<FleetView>>::default();
    let parts = Parts {
        redis: redis.clone(),
        me: me.clone(),
        gate: gate.clone(),
        quarantine: quarantine(config),
        flags: flags.clone(),
        requests,
        applied: fleet_flags.applied(),
        errands,
        close: desk,
        archive,
        view: Arc::clone(&view),
        telemetry: telemetry.clone(),
    };
    let ended_keys = keys.clone();
    let asked = Asked { exchanges, edits, of_keys, ended_keys };
    let leases = SidecarLeases::Fleet(leases);
    let fleet = Fleet { leases, documents, keys, flags: fleet_flags, view, journal, records, gate };
    (fleet, StoreWork { parts, asked })
}

impl Fleet {
    /// Waits until leases are granted and the flags were read, or the store is found gone.
    pub(crate) fn settled(&self) -> impl Future<Output = ()> + use<> {
        settled(self.gate.clone(), self.flags.applied())
    }
}
