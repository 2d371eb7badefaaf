//! A simulated sidecar: the real parts of its store's thread, as the composition root puts them together, and callers.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::calls::Caller;
use super::documents::PREFIX;
use super::edits::Order;
use super::process::{self, Life};
use super::settings::{self, FLAGS};
use super::world::World;
use crate::app::parts::{self, Fleet};
use crate::clock;
use crate::domain::decision::Freshness;
use crate::domain::flag::{Author, Change, FlagState};
use crate::domain::transition::{Waiting, waits};
use crate::fleet::FleetView;
use crate::fleet::gate::{Gate, Standing};
use crate::fleet::session::Identity;
use crate::lease::SWEEP_EVERY;
use crate::proxy::worker::{Shared, Worker};
use crate::store::{FlagStore, FleetFlags};
use crate::telemetry::Telemetry;
use crate::telemetry::trace::SpanQueue;
use crate::watch;

/// One life of a sidecar.
pub(super) struct Sidecar {
    /// As the fleet knows it.
    pub(super) id: String,
    pub(super) life: watch::Sender<Life>,
    /// Since when it is dead.
    pub(super) died: Cell<Option<clock::Instant>>,
    pub(super) store: FlagStore,
    pub(super) flags: FleetFlags,
    /// Where updates of documents go their way.
    worker: Rc<Worker>,
    _spans: SpanQueue,
    view: Arc<ArcSwap<FleetView>>,
    gate: Gate,
    /// Whether it serves: it has found out how the flags are.
    pub(super) serves: Rc<Cell<bool>>,
    /// One more for each update that is under way.
    calls: Rc<()>,
    /// Ends it in good order when it is taken.
    stop: RefCell<Option<oneshot::Sender<()>>>,
}

impl Sidecar {
    /// Starts one; its callers come as soon as it serves.
    pub(super) fn start(world: &World, id: String) -> Rc<Self> {
        let config = settings::config(world.plan.on_store_loss);
        let redis = settings::store_of(&id);
        // Spans tell what updates were protected by; nobody exports them.
        let (telemetry, spans) = Telemetry::traced(&parts::topology(config), 0.0);
        let store = parts::open_store(config, &telemetry).unwrap();
        let me = Identity { id: id.clone(), started_ms: clock::wall_ms() };
        let (fleet, work) = parts::assemble(config, &redis, &me, &store, &telemetry);
        let (stop, stopped) = oneshot::channel();
        let tasks = LocalSet::new();
        let (serves, calls) = (Rc::new(Cell::new(false)), Rc::new(()));
        let (history, name) = (world.history.clone(), id.clone());
        tasks.spawn_local(async move {
            work.run(stopped).await;
            history.note(format_args!("{name} has ended"));
        });
        let (in_store, _) = parts::shared(Some(&fleet), config, &telemetry);
        let shared = Shared::new(config.clone(), store.clone(), in_store, None, telemetry, None);
        let worker = Worker::new(0, shared);
        let caller = Caller::new(world.clone(), id.clone(), Rc::clone(&worker));
        tasks.spawn_local(sweep(Rc::clone(&worker)));
        tasks.spawn_local(serve(caller, Rc::clone(&serves), Rc::downgrade(&calls), &fleet));
        let life = watch::Sender::new(Life::Running);
        world.run(process::run(tasks, life.subscribe()));
        world.history.note(format_args!("{id} starts"));
        Rc::new(Self {
            id,
            life,
            died: Cell::new(None),
            store,
            flags: fleet.flags.clone(),
            worker,
            _spans: spans,
            view: Arc::clone(&fleet.view),
            gate: fleet.gate.clone(),
            serves,
            calls,
            stop: RefCell::new(Some(stop)),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        *self.life.borrow() != Life::Killed
    }

    pub(super) fn is_running(&self) -> bool {
        *self.life.borrow() == Life::Running
    }

    /// Ends it without a word.
    pub(super) fn kill(&self) {
        self.worker.stopped.set(true);
        self.life.send_replace(Life::Killed);
        self.died.set(Some(clock::now()));
        self.serves.set(false);
    }

    /// Ends it in good order: it takes no more updates, and ends once those under way have ended.
    pub(super) async fn stop(&self) {
        self.serves.set(false);
        let began = clock::now();
        while self.calls() > 0 && clock::now() - began < DRAIN {
            sleep(Duration::from_millis(5)).await;
        }
        self.stop.take();
    }

    /// A flag as it stands here.
    pub(super) fn state(&self, flag: usize) -> Arc<FlagState> {
        Arc::clone(&self.store.snapshot().states[flag])
    }

    /// Whether its leases are granted and its flags are as the store has them.
    pub(super) fn is_well(&self) -> bool {
        let live = self.store.snapshot().freshness == Freshness::Live;
        live && matches!(*self.gate.standing(), Standing::Open(_))
    }

    /// Whether the store has something of a flag that is not put in force here.
    pub(super) fn is_frozen_flag(&self, flag: usize) -> bool {
        self.flags.refused().iter().any(|refused| refused.flag == FLAGS[flag].0)
    }

    /// How many updates are under way.
    pub(super) fn calls(&self) -> usize {
        // Those that nobody waits for any more go on.
        Rc::weak_count(&self.calls).saturating_sub(1) + self.worker.load()
    }

    /// Whom the next step of a flag waits for, as far as is known here.
    pub(super) fn waits_for(&self, flag: usize) -> Vec<Waiting> {
        let own = self.store.ledger().progress(flag);
        let reports = self.view.load().reports(FLAGS[flag].0, own);
        waits(&self.state(flag), &reports)
    }

    /// How it stands, for people.
    pub(super) fn shown(&self) -> String {
        let flags = (0..FLAGS.len()).map(|flag| {
            let state = self.state(flag);
            let waiting: Vec<String> = self
                .waits_for(flag)
                .iter()
                .map(|it| format!("{}: {}", it.sidecar, it.why))
                .collect();
            let transit = state.transit.as_ref().map(|transit| (transit.stage, transit.force));
            format!("{} {} {transit:?} waits for {waiting:?}", FLAGS[flag].0, state.turn())
        });
        let flags: Vec<String> = flags.collect();
        format!("{} {:?} {:?}: {flags:?}", self.id, *self.life.borrow(), self.gate.standing())
    }

    /// Asks for a change of a flag.
    pub(super) async fn change(&self, flag: usize, change: Change) -> Result<u64, String> {
        let author = Author {
            by: "operator".to_owned(),
            reason: "a simulated day".to_owned(),
            at_ms: clock::wall_ms(),
        };
        let made = self.flags.change(FLAGS[flag].0, None, change, author).await;
        made.map(|applied| applied.after.version).map_err(|error| error.to_string())
    }
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        sleep(SWEEP_EVERY).await;
        worker.shared.leases.sweep();
        worker.shared.edit_turns.sweep();
    }
}

/// Lets callers come once the flags are known, until the day ends.
fn serve(
    caller: Caller,
    serves: Rc<Cell<bool>>,
    calls: Weak<()>,
    fleet: &Fleet,
) -> impl Future<Output = ()> + use<> {
    let settled = fleet.settled();
    let mut applied = fleet.flags.applied();
    async move {
        settled.await;
        // A start without a store and without a snapshot knows nothing of the flags; that is another matter.
        if applied.wait_for(Option::is_some).await.is_err() {
            return;
        }
        serves.set(true);
        caller.world.history.note(format_args!("{} serves", caller.id));
        let dice = caller.world.dice.fork();
        let caller = Rc::new(caller);
        while serves.get() && !caller.world.is_closing() {
            sleep(dice.around(caller.world.plan.call_every_ms)).await;
            let flag = settings::any_flag(&dice);
            let Some(entity) = dice.choose(FLAGS[flag].1) else { continue };
            let order = entity.starts_with(PREFIX).then(|| Order::next(&caller.world, entity));
            let hesitates = match dice.one_in(20) {
                true => dice.millis(0..300),
                false => Duration::ZERO,
            };
            let (caller, counted) = (Rc::clone(&caller), Weak::clone(&calls));
            tokio::task::spawn_local(async move {
                match order {
                    Some(order) => caller.edit(order, hesitates).await,
                    None => caller.update(flag, entity, hesitates).await,
                }
                drop(counted);
            });
        }
    }
}

/// How long a sidecar that ends waits for its updates.
const DRAIN: Duration = Duration::from_secs(10);
