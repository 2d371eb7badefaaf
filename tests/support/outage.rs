//! A sidecar with an app and a store, and the ways in which the store gets lost and comes back.

use super::config::{JourneyFlag, store_at};
use super::redis::Redis;
use super::sidecar::Sidecar;
use super::stall_proxy::StallProxy;
use super::upstream::Upstream;

/// How a store gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The server crashes; a new one forgets everything.
    Crash,
    /// The server stops as it is, and goes on later.
    Pause,
    /// The network swallows everything, and connections stay open.
    BlackHole,
    /// Connections are closed, and nobody listens.
    Refusal,
}

impl Loss {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Crash, Self::Pause, Self::BlackHole, Self::Refusal];
}

/// For each command to the store: longer than the default, as a busy machine is no loss.
const STORE_TIMEOUT: &str = "250ms";

/// A sidecar alone with its store, which it reaches by a relay.
pub(crate) struct Outage {
    /// The sidecar.
    pub(crate) sidecar: Sidecar,
    /// The store.
    pub(crate) store: Redis,
    /// The way between them.
    pub(crate) relay: StallProxy,
}

impl Outage {
    /// Starts all of it, before the loss.
    #[track_caller]
    pub(crate) fn of(flag: &JourneyFlag, app: &Upstream) -> Self {
        Self::with_timeout(STORE_TIMEOUT, flag, app)
    }

    /// The same, with a `store.timeout`.
    #[track_caller]
    pub(crate) fn with_timeout(timeout: &str, flag: &JourneyFlag, app: &Upstream) -> Self {
        Self::with_timeouts(timeout, "5s", flag, app)
    }

    /// The same, with a `store.timeout` and a `legacy.timeout`.
    #[track_caller]
    pub(crate) fn with_timeouts(
        timeout: &str,
        call: &str,
        flag: &JourneyFlag,
        app: &Upstream,
    ) -> Self {
        let store = Redis::start();
        let relay = StallProxy::to(store.address());
        let legacy = format!(
            "connect_timeout = \"250ms\"\ntimeout = \"{call}\"\nsettle_after_timeout = \"250ms\"\n"
        );
        let sidecar = Sidecar::in_front_of(app)
            .legacy(&legacy)
            .with(&store_at(&relay.url(), timeout))
            .with(&flag.toml())
            .start();
        let outage = Self { sidecar, store, relay };
        outage.wait_for_return();
        outage
    }

    /// The store is lost from now on.
    pub(crate) fn lose(&mut self, how: Loss) {
        match how {
            Loss::Crash => self.store.kill(),
            Loss::Pause => self.store.pause(),
            Loss::BlackHole => self.relay.swallow(),
            Loss::Refusal => self.relay.refuse(),
        }
    }

    /// The store is lost, and the sidecar has noticed.
    #[track_caller]
    pub(crate) fn lose_noticed(&mut self, how: Loss) {
        self.lose(how);
        self.sidecar.wait_for_metric("interlock_lease_gate", &[("state", "lost")], 1.0);
        self.sidecar.wait_for_metric("interlock_freshness", &[("state", "stale")], 1.0);
    }

    /// The store is there again, and the sidecar has not had the time to notice.
    pub(crate) fn restore(&mut self, how: Loss) {
        match how {
            Loss::Crash => self.store.start_again(),
            Loss::Pause => self.store.resume(),
            Loss::BlackHole | Loss::Refusal => self.relay.pass(),
        }
    }

    /// The store is there again, and the sidecar grants leases.
    #[track_caller]
    pub(crate) fn restore_noticed(&mut self, how: Loss) {
        self.restore(how);
        self.wait_for_return();
    }

    /// Waits until the sidecar has found the store, and grants leases.
    #[track_caller]
    pub(crate) fn wait_for_return(&self) {
        self.sidecar.wait_for_leases();
        self.sidecar.wait_for_metric("interlock_freshness", &[("state", "live")], 1.0);
    }
}
