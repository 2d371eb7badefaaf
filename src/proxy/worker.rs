//! A worker: one thread with its own runtime, its own listener and its own connections to the upstreams.
//!
//! Workers share the flags' snapshot, the leases and the metrics, and nothing else on a request's way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Notify;

use super::memory::BodyMemory;
use super::pool::Pool;
use super::reads::Reader;
use super::shadows::Shadows;
use super::watch::{Limits, Watches};
use crate::clock::{self, Instant};
use crate::config::{Config, FixedConfig, FlagConfig, RouteConfig};
use crate::documents::Documents;
use crate::domain::decision::{Decision, Freshness, decide};
use crate::domain::flag::{FlagState, Path};
use crate::domain::retry::RetryBudget;
use crate::domain::route::{RouteSpec, Router};
use crate::domain::source::Source;
use crate::fleet::ledger::{Desk, Underway};
use crate::idempotency::Records;
use crate::lease::{LocalLeases, SidecarLeases};
use crate::shadow::notebook::Notebook;
use crate::shadow::{Crowd, CrowdGuard, CrowdTable, Judge};
use crate::store::{FlagStore, SnapshotReader};
use crate::telemetry::labels::Role;
use crate::telemetry::{FlagIndex, RouteIndex, Telemetry};

/// Bodies held in memory at once, over all workers, in bytes. Past it a call that needs its body held is refused with 503.
pub(crate) const HELD_BODIES: usize = 256 * 1024 * 1024;

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) router: Router,
    /// For each route of the router: its flag, and its place among the flag's routes.
    pub(crate) routes: Vec<(usize, usize)>,
    pub(crate) flag_names: Vec<HeaderValue>,
    pub(crate) store: FlagStore,
    pub(crate) leases: SidecarLeases,
    /// The documents in the store, where there is one.
    pub(crate) documents: Option<Documents>,
    /// Whose edit of a field is next, in this process.
    pub(crate) edit_turns: LocalLeases,
    /// What became of calls with idempotency keys.
    pub(crate) keys: Records,
    /// Where shadows are judged; there where a flag has any.
    pub(crate) judge: Option<Judge>,
    crowd: Arc<CrowdTable>,
    pub(crate) telemetry: Telemetry,
    /// Where updates are noted for the lost-update detector, where a flag is verified.
    pub(crate) notebook: Option<Notebook>,
    /// Client connections open at present.
    pub(crate) connections: AtomicUsize,
    /// Connections and calls that a drain had to cut off.
    pub(crate) abandoned: AtomicUsize,
}

/// What workers have of the fleet's store, or of this process in its stead.
pub(crate) struct InStore {
    pub(crate) leases: SidecarLeases,
    pub(crate) keys: Records,
    /// There only where there is a store.
    pub(crate) documents: Option<Documents>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        store: FlagStore,
        InStore { leases, keys, documents }: InStore,
        judge: Option<Judge>,
        telemetry: Telemetry,
        notebook: Option<Notebook>,
    ) -> Arc<Self> {
        let places = || {
            let flags = config.flags.iter().enumerate();
            flags.flat_map(|(flag, spec)| (0..spec.routes.len()).map(move |route| (flag, route)))
        };
        let specs = config.flags.iter().flat_map(|flag| &flag.routes);
        let router = Router::new(
            specs.map(|r| RouteSpec { methods: r.methods.clone(), path: r.path.clone() }).collect(),
        );
        let flag_names = config.flags.iter().map(|flag| {
            // A flag's name is letters, digits, `_`, `-` and `.`: always a header's value.
            HeaderValue::from_str(&flag.name).unwrap_or(HeaderValue::from_static(""))
        });
        Arc::new(Self {
            router,
            routes: places().collect(),
            flag_names: flag_names.collect(),
            store,
            leases,
            documents,
            edit_turns: LocalLeases::new(),
            keys,
            judge,
            crowd: CrowdTable::new(),
            telemetry,
            notebook,
            connections: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            config,
        })
    }

    /// The flag and the route that a route of the router belongs to.
    pub(crate) fn route(&self, index: usize) -> Option<RouteOf<'_>> {
        let (flag, route) = *self.routes.get(index)?;
        Some(RouteOf {
            flag: self.config.flags.get(flag)?,
            name: self.flag_names.get(flag)?,
            flag_place: flag,
            route_place: route,
            flag_index: FlagIndex(u16::try_from(flag).ok()?),
            route_index: RouteIndex(u16::try_from(index).ok()?),
        })
    }
}

/// A route together with its flag.
#[derive(Clone, Copy)]
pub(crate) struct RouteOf<'s> {
    pub(crate) flag: &'s FlagConfig,
    pub(crate) name: &'s HeaderValue,
    pub(crate) flag_place: usize,
    pub(crate) route_place: usize,
    pub(crate) flag_index: FlagIndex,
    pub(crate) route_index: RouteIndex,
}

impl<'s> RouteOf<'s> {
    /// As it is configured.
    pub(crate) fn config(&self) -> Option<&'s RouteConfig> {
        self.flag.routes.get(self.route_place)
    }

    /// Where the values of the entity stand.
    pub(crate) fn sources(&self) -> &'s [Source] {
        self.config().map_or(&[], |route| &route.sources)
    }
}

/// An update that is decided.
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    /// How well the flags are known by which it was decided.
    pub(crate) freshness: Freshness,
    /// The version of its flag.
    pub(crate) version: u64,
    /// Its place among the updates under way.
    pub(crate) underway: Option<Underway>,
}

/// One thread's part of the data plane.
pub(crate) struct Worker {
    /// Its place among the workers.
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) legacy: Rc<Pool>,
    /// By flag: its fixed app, where the strategy has one.
    fixed: Vec<Option<Rc<Pool>>>,
    /// Reads entities ahead of their first update, where a flag is verified.
    pub(super) reader: Option<Reader>,
    /// By flag: what its shadows have, where it has any.
    shadows: Vec<Option<Rc<Shadows>>>,
    /// Which updates overlap.
    crowd: Crowd,
    flags: RefCell<SnapshotReader>,
    /// Its updates under way.
    underway: Desk,
    /// What is left for tries that are made again.
    pub(crate) retries: RefCell<RetryBudget>,
    started: Instant,
    pub(crate) memory: Rc<BodyMemory>,
    pub(crate) watches: RefCell<Watches>,
    pub(crate) draining: Cell<bool>,
    /// The runtime is about to end: nothing may be spawned any more.
    pub(crate) stopped: Cell<bool>,
    /// Calls and tunnels that go on without a client's connection to wait for them.
    running_on: Cell<usize>,
    /// Told when a connection or such a call ends.
    pub(crate) ended: Notify,
}

impl Worker {
    pub(crate) fn new(number: usize, shared: Arc<Shared>) -> Rc<Self> {
        let config = &shared.config;
        let proxy = &config.proxy;
        let pool = |path, url: &crate::config::UpstreamUrl| {
            let telemetry = shared.telemetry.clone();
            Pool::new(
                path,
                Role::Serving,
                url.clone(),
                &config.legacy,
                proxy.body_timeout,
                telemetry,
            )
        };
        let fixed = config.flags.iter().map(|flag| match &flag.fixed {
            FixedConfig::Upstream { url } => Some(pool(Path::Fixed, url)),
            FixedConfig::Serialize | FixedConfig::Atomic { .. } => None,
        });
        let crowd = Crowd::new(&shared.crowd);
        Rc::new(Self {
            number,
            legacy: pool(Path::Legacy, &config.legacy.url),
            fixed: fixed.collect(),
            reader: shared
                .notebook
                .is_some()
                .then(|| Reader::new(config, shared.telemetry.clone())),
            shadows: Shadows::of_all(&shared, &crowd),
            crowd,
            flags: RefCell::new(shared.store.reader()),
            underway: Desk::new(Arc::clone(shared.store.ledger())),
            retries: RefCell::new(RetryBudget::new(Duration::ZERO)),
            started: clock::now(),
            memory: BodyMemory::new(proxy.max_body.max(HELD_BODIES / proxy.workers.max(1))),
            watches: RefCell::new(Watches::new(Limits::of(proxy))),
            draining: Cell::new(false),
            stopped: Cell::new(false),
            running_on: Cell::new(0),
            ended: Notify::new(),
            shared,
        })
    }

    /// The connections to a flag's fixed app, where its strategy has one.
    pub(crate) fn fixed(&self, flag: usize) -> Option<&Rc<Pool>> {
        self.fixed.get(flag)?.as_ref()
    }

    /// Whether one more try may be made; it is taken from the budget then.
    pub(crate) fn may_retry(&self) -> bool {
        self.retries.borrow_mut().spend(clock::now().saturating_duration_since(self.started))
    }

    /// What the shadows of a flag have, where it has any.
    pub(crate) fn shadows(&self, flag: usize) -> Option<&Rc<Shadows>> {
        self.shadows.get(flag)?.as_ref()
    }

    /// Counts an update among those of its entity, where somebody looks at how they overlap.
    pub(crate) fn enter_crowd(&self, flag: &FlagConfig, entity: &str) -> Option<CrowdGuard> {
        let watched = flag.shadow.is_some() || flag.verify.is_some();
        watched.then(|| self.crowd.enter(entity))
    }

    /// What runs beside begins no more.
    pub(crate) fn close_lanes(&self) {
        self.shadows.iter().flatten().for_each(|shadows| shadows.lane.close());
    }

    /// Reads a flag as it is now; takes no lock.
    pub(crate) fn with_flag<T>(
        &self,
        flag: usize,
        read: impl FnOnce(&FlagState, Freshness) -> T,
    ) -> Option<T> {
        let mut flags = self.flags.borrow_mut();
        let snapshot = flags.load();
        snapshot.states.get(flag).map(|state| read(state, snapshot.freshness))
    }

    /// Decides an update, and counts it as under way until what comes with the decision is dropped. Where its flag moves on at
    /// that moment it is decided anew.
    pub(crate) fn decide(&self, route: &RouteOf<'_>, entity: Option<&str>) -> Decided {
        let undecided = Decided {
            decision: Decision::NO_ENTITY,
            freshness: Freshness::NeverLoaded,
            version: 0,
            underway: None,
        };
        loop {
            let decided = self.with_flag(route.flag_place, |state, freshness| {
                let decision = entity.map_or(Decision::NO_ENTITY, |entity| {
                    decide(&route.flag.name, state, freshness, entity)
                });
                let version = state.version;
                (state.turn(), Decided { decision, freshness, version, underway: None })
            });
            let Some((turn, decided)) = decided else { return undecided };
            if let Some(underway) = self.underway.enter(route.flag_place, turn) {
                return Decided { underway: Some(underway), ..decided };
            }
        }
    }

    /// Looks after what has no task of its own: slow clients, unused connections.
    pub(crate) fn sweep(&self) {
        self.watches.borrow().sweep(self.draining.get());
        self.legacy.prune();
        for pool in self.fixed.iter().flatten() {
            pool.prune();
        }
        if let Some(reader) = &self.reader {
            reader.prune();
        }
        self.shadows.iter().flatten().for_each(|shadows| shadows.prune());
    }

    /// Counts something that goes on without a client's connection, until the guard is dropped.
    pub(crate) fn run_on(self: &Rc<Self>) -> RunningOn {
        self.running_on.set(self.running_on.get() + 1);
        RunningOn { worker: Rc::clone(self) }
    }

    /// Connections, calls and tunnels that are still there.
    pub(crate) fn load(&self) -> usize {
        self.watches.borrow().len() + self.running_on.get()
    }
}

/// Something that goes on without a client's connection.
pub(crate) struct RunningOn {
    worker: Rc<Worker>,
}

impl Drop for RunningOn {
    fn drop(&mut self) {
        self.worker.running_on.set(self.worker.running_on.get() - 1);
        self.worker.ended.notify_one();
    }
}
