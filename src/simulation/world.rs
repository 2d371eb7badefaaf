//! The whole of it: the apps, the store, the network, the sidecars and a day in their life.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::app::{Apps, UpdateId};
use super::dice::Dice;
use super::documents::Asked;
use super::edits::Order;
use super::faults;
use super::history::History;
use super::network::{Background, Network};
use super::operator;
use super::plan::{Plan, Tampering, Weather};
use super::redis::Redis;
use super::settings::{CALL, SETTLE, entities_with_documents};
use super::sidecar::Sidecar;
use super::tally::Tally;
use super::watch;
use crate::{clock, net};

/// What the wall clock shows when a run begins.
const BEGINS: Duration = Duration::from_secs(1_800_000_000);

/// How long things go wrong.
const DAY: Duration = Duration::from_secs(12);

/// Once nothing goes wrong any more, all flips have settled and all leases are granted after so long: the quarantine passes, the
/// store's connections are made, and each of a flip's three barriers waits for D, or to be forced past the dead.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);

/// The longest that an update waits for its lease, and then takes.
const CLOSES_WITHIN: Duration = Duration::from_secs(8);

/// How much later than D an app may write that is to be found out.
const LATEST: Duration = Duration::from_secs(3);

/// What keeps an edit from writing while an app that has the entity's lease is between reading and writing.
const LEASE_CHECKS: &[(&str, &str)] = &[
    ("if held and not edits and (me == '' or owner ~= me) then return {'held'} end", ""),
    (" or seen ~= ARGV[4] then", " then"),
];

/// What tells an edit whose outcome is not known that it was made.
const RECEIPT_CHECKS: &[(&str, &str)] =
    &[("local done = redis.call('GET', receipt)", "local done = false")];

/// All that a part of the simulation may need. Clones are the same world.
#[derive(Clone)]
pub(super) struct World {
    pub(super) plan: Rc<Plan>,
    pub(super) history: History,
    pub(super) dice: Dice,
    pub(super) apps: Apps,
    pub(super) redis: Redis,
    pub(super) network: Network,
    pub(super) tally: Rc<RefCell<Tally>>,
    /// What each update of a document is.
    pub(super) asked: Rc<RefCell<BTreeMap<UpdateId, Asked>>>,
    /// Updates with an idempotency key whose callers come again, unless they get an answer first.
    pub(super) again: Rc<RefCell<BTreeMap<UpdateId, Order>>>,
    sidecars: Rc<RefCell<Vec<Rc<Sidecar>>>>,
    lives: Rc<RefCell<BTreeMap<String, u32>>>,
    background: Background,
    updates: Rc<Cell<UpdateId>>,
    evening: Rc<Cell<bool>>,
    closing: Rc<Cell<bool>>,
}

/// What a run leaves.
pub(super) struct Run {
    pub(super) lines: Vec<String>,
    pub(super) breaches: Vec<String>,
    /// A number for every byte that went to and from the store, and when.
    pub(super) digest: u64,
    pub(super) tally: Tally,
}

impl World {
    fn new(plan: Plan, background: Background) -> Self {
        let dice = Dice::of(plan.seed ^ 0x5eed);
        let redis = Redis::new();
        let network = Network::new(redis.clone(), dice.fork(), background.clone());
        let apps = Apps::new(dice.fork(), background.clone(), redis.clone());
        apps.make_documents(entities_with_documents());
        apps.set_trouble(plan.weather != Weather::Calm);
        network.set_spikes(plan.weather == Weather::Rough);
        match plan.tampering {
            Some(Tampering::AloneInRegister) => redis.hide_others(),
            Some(Tampering::LateWrites) => apps.write_beyond(LATEST),
            Some(Tampering::EditsUnderLeases) => redis.change_scripts(LEASE_CHECKS),
            Some(Tampering::NoReceipts) => redis.change_scripts(RECEIPT_CHECKS),
            _ => {}
        }
        Self {
            plan: Rc::new(plan),
            history: History::new(),
            dice,
            apps,
            redis,
            network,
            tally: Rc::default(),
            asked: Rc::default(),
            again: Rc::default(),
            sidecars: Rc::default(),
            lives: Rc::default(),
            background,
            updates: Rc::default(),
            evening: Rc::default(),
            closing: Rc::default(),
        }
    }

    /// Runs something that belongs to no sidecar.
    pub(super) fn run(&self, task: impl Future<Output = ()> + 'static) {
        // It ends with the simulation.
        self.background.send(Box::pin(task)).ok();
    }

    pub(super) fn next_update(&self) -> UpdateId {
        self.updates.set(self.updates.get() + 1);
        self.updates.get()
    }

    /// Whether nothing goes wrong any more.
    pub(super) fn is_evening(&self) -> bool {
        self.evening.get()
    }

    /// Whether no updates are made any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// The sidecars that are not dead.
    pub(super) fn alive(&self) -> Vec<Rc<Sidecar>> {
        self.sidecars.borrow().iter().filter(|it| it.is_alive()).cloned().collect()
    }

    /// A sidecar by its id, dead or alive.
    pub(super) fn sidecar(&self, id: &str) -> Option<Rc<Sidecar>> {
        self.sidecars.borrow().iter().find(|it| it.id == id).cloned()
    }

    /// Starts a sidecar on a host; each life of it has an id of its own.
    pub(super) fn start(&self, host: &str) {
        let mut lives = self.lives.borrow_mut();
        let life = lives.entry(host.to_owned()).or_default();
        *life += 1;
        let sidecar = Sidecar::start(self, format!("{host}-{life}"));
        self.sidecars.borrow_mut().push(sidecar);
    }

    /// A day, an evening without trouble, and a look at what is left.
    async fn live(&self) {
        for host in ["a", "b", "c", "d"].iter().take(self.plan.sidecars) {
            self.start(host);
            sleep(self.dice.millis(0..300)).await;
        }
        self.run(watch::stages(self.clone()));
        self.run(operator::janitor(self.clone()));
        let day = async {
            tokio::select! {
                biased;
                () = operator::flips(self.clone()) => {}
                () = faults::strike(self.clone()) => {}
            }
        };
        // Neither ends by itself.
        drop(timeout(DAY, day).await);
        faults::clear(self).await;
        self.evening.set(true);
        self.history.note(format_args!("the day is over"));
        if timeout(SETTLES_WITHIN, watch::settled(self)).await.is_err() {
            let shown: Vec<String> = self.alive().iter().map(|it| it.shown()).collect();
            self.history.breach(format!("not settled within {SETTLES_WITHIN:?}: {shown:#?}"));
        }
        self.closing.set(true);
        let ended = watch::ended(self);
        if timeout(CLOSES_WITHIN, ended).await.is_err() {
            self.history.breach(format!("updates do not end within {CLOSES_WITHIN:?}"));
        }
        // Those that were given up write within D.
        sleep(CALL + SETTLE + LATEST).await;
        watch::accounts(self);
    }
}

/// Runs a plan from its beginning to its end.
pub(super) fn run(plan: Plan) -> Run {
    // The product's own choices: delays before another try, names of epochs.
    fastrand::seed(plan.seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let _wall = clock::simulate_wall(BEGINS);
        let (background, tasks) = mpsc::unbounded_channel();
        let running = spawn_local(run_all(tasks));
        let world = World::new(plan, background);
        let network = world.network.clone();
        let _store =
            net::simulate_store(move |host, _| Box::pin(network.clone().dial(host.to_owned())));
        world.live().await;
        world.alive().iter().for_each(|sidecar| sidecar.kill());
        running.abort();
        for fault in world.redis.faults() {
            world.history.breach(format!("the store: {fault}"));
        }
        Run {
            lines: world.history.lines(),
            breaches: world.history.breaches(),
            digest: world.network.digest(),
            tally: world.tally.take(),
        }
    })
}

async fn run_all(mut tasks: mpsc::UnboundedReceiver<Pin<Box<dyn Future<Output = ()>>>>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(task) = tasks.recv() => {
                running.spawn_local(task);
            }
            Some(ended) = running.join_next() => ended.unwrap(),
            else => return,
        }
    }
}
