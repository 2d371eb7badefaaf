//! Detectors in a world of virtual time: an app that is honest or races, a store that fails, a network that delays.
//!
//! What a detector does is the real thing, but for its two ends: [`app`] is what it reads, [`store`] where a fleet's journals
//! are. Thousands of updates take a moment, and a seed tells them apart.

mod app;
mod faults;
mod honest;
mod lost;
mod rules;
mod side;
mod store;
mod storm;
mod untold;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{AbortHandle, LocalSet, spawn_local};

use super::*;
use crate::config::{self, Config};
use crate::domain::effects::history::Ending;
use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::shadow::journal::simulated::{SimulatedStore, serve};
use crate::shadow::notebook::{Noted, Written};
use crate::telemetry::{RouteIndex, Topology};
use app::{App, FIELDS};
use side::Side;
use store::Link;

/// The only flag.
const FLAG: FlagIndex = FlagIndex(0);

/// How long a write may still land after its call was given up.
const SETTLES: Duration = Duration::from_millis(400);

/// When a world begins.
const BEGINNING: Duration = Duration::from_secs(1_790_000_000);

const LEGACY: &str = r#"
[legacy]
url = "http://127.0.0.1:9"
settle_after_timeout = "400ms"
"#;

const CONFIG: &str = r#"
[flags.numbers]
entity = "{e}"
[[flags.numbers.routes]]
name = "number"
methods = ["PUT"]
path = "/e/{e}/{n}"
effect = { pointer = "/fields/{n}", value = "body:/value" }
[flags.numbers.verify]
read = "/e/{e}"
"#;

const TIMES: &str = r#"
settle = "100ms"
interval = "500ms"
"#;

/// So many reads that they are no bound.
const READS: &str = "max_reads = 1000";

/// A configuration with one flag, with more lines of its `verify`.
pub(crate) fn config(verify: &str) -> Config {
    config_of(LEGACY, &format!("{TIMES}{verify}"))
}

/// A configuration with one flag, with these lines of `legacy` and `verify`.
fn config_of(legacy: &str, verify: &str) -> Config {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let file =
        std::env::temp_dir().join(format!("interlock-detector-{}-{number}", std::process::id()));
    std::fs::write(&file, format!("{legacy}{CONFIG}{verify}")).unwrap();
    let loaded = config::load(std::slice::from_ref(&file), std::iter::empty());
    std::fs::remove_file(&file).unwrap();
    loaded.unwrap_or_else(|problems| panic!("{problems}")).config
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs something in virtual time.
fn in_virtual_time(run: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        // Commands are numbered by it, and the store has its time from it.
        let _wall = clock::simulate_wall(BEGINNING);
        run.await;
    });
}

/// Random choices from one seed. Clones share it.
#[derive(Clone)]
struct Dice(Rc<RefCell<fastrand::Rng>>);

impl Default for Dice {
    fn default() -> Self {
        Self::of(0)
    }
}

impl Dice {
    fn of(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(fastrand::Rng::with_seed(seed))))
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.borrow_mut().u64(..bound.max(1))
    }

    /// One time in so many.
    fn one_in(&self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Up to so many milliseconds.
    async fn pause(&self, most: u64) {
        sleep(ms(self.below(most + 1))).await;
    }
}

/// What becomes of an update.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is acknowledged; the longest that it takes in all, in milliseconds.
    Acknowledged(u64),
    /// It is acknowledged, and never happens.
    Dropped,
    /// It is answered with an error, having happened or not.
    Rejected(bool),
    /// It is given up, and happens so many milliseconds later, or never.
    GivenUp(Option<u64>),
}

/// Sidecars in front of one app.
struct World {
    app: App,
    dice: Dice,
    store: Option<SimulatedStore>,
    sides: RefCell<Vec<Rc<Side>>>,
    config: Config,
    /// For how long a write may still land after its call was given up.
    settles: Duration,
}

impl World {
    /// A sidecar without a store.
    fn alone(seed: u64) -> Self {
        Self::new(seed, 1, None, READS)
    }

    /// One without a store, or several over one.
    fn of(seed: u64, sidecars: usize) -> Self {
        if sidecars == 1 { Self::alone(seed) } else { Self::fleet(seed, sidecars) }
    }

    /// So many sidecars over one store.
    fn fleet(seed: u64, sidecars: usize) -> Self {
        Self::new(seed, sidecars, Some(SimulatedStore::new()), READS)
    }

    /// With more lines of `verify`.
    fn new(seed: u64, sidecars: usize, store: Option<SimulatedStore>, verify: &str) -> Self {
        Self::with(seed, sidecars, store, config(verify))
    }

    fn with(seed: u64, sidecars: usize, store: Option<SimulatedStore>, config: Config) -> Self {
        let dice = Dice::of(seed);
        let app = App::new(dice.clone());
        let settles = config.legacy.settle_after_timeout;
        let world = Self { app, dice, store, sides: RefCell::default(), config, settles };
        (0..sidecars).for_each(|_| world.start());
        world
    }

    /// One more sidecar.
    fn start(&self) {
        let (number, store) = (self.sides.borrow().len(), self.store.clone());
        let side = Side::start(number, &self.config, &self.app, store, &self.dice);
        self.sides.borrow_mut().push(Rc::new(side));
    }

    fn side(&self, number: usize) -> Rc<Side> {
        Rc::clone(&self.sides.borrow()[number])
    }

    fn sides(&self) -> Vec<Rc<Side>> {
        self.sides.borrow().clone()
    }

    fn store(&self) -> &SimulatedStore {
        self.store.as_ref().unwrap()
    }

    /// An update by way of a sidecar, as the data plane has it: looked ahead, noted, sent, answered.
    async fn update(&self, side: usize, entity: &str, field: usize, value: u64, fate: Fate) {
        let noted = self.send(side, entity, field, value);
        let (app, dice) = (&self.app, &self.dice);
        match fate {
            Fate::Acknowledged(most) => {
                dice.pause(most / 2).await;
                app.write(entity, field, value);
                dice.pause(most / 2).await;
                noted.end(Ending::Acknowledged);
            }
            Fate::Dropped => {
                dice.pause(4).await;
                noted.end(Ending::Acknowledged);
            }
            Fate::Rejected(happens) => {
                dice.pause(3).await;
                if happens {
                    app.write(entity, field, value);
                }
                dice.pause(3).await;
                noted.end(Ending::Rejected);
            }
            Fate::GivenUp(lands) => {
                dice.pause(60).await;
                if let Some(after) = lands {
                    let (app, entity) = (app.clone(), entity.to_owned());
                    spawn_local(async move {
                        sleep(ms(after)).await;
                        app.write(&entity, field, value);
                    });
                }
                noted.end(Ending::Unknown);
            }
        }
    }

    /// An update by way of an app that reads the whole document, waits for up to so many milliseconds, and writes it whole.
    async fn race(&self, side: usize, entity: &str, field: usize, value: u64, window: u64) {
        let noted = self.send(side, entity, field, value);
        self.dice.pause(2).await;
        let copy = self.app.document(entity);
        self.dice.pause(window).await;
        self.app.write_back(entity, copy, field, value);
        self.dice.pause(2).await;
        noted.end(Ending::Acknowledged);
    }

    /// What happens up to an update's leaving.
    fn send(&self, side: usize, entity: &str, field: usize, value: u64) -> Noted {
        let notebook = &self.side(side).notebook;
        let path = format!("/e/{entity}");
        if notebook.wants_a_look(FLAG, entity) {
            let (notebook, entity, path) = (notebook.clone(), entity.to_owned(), path.clone());
            let read = self.app.read(path.clone());
            let mut look = Box::pin(async move {
                notebook.looked(FLAG, entity, path, read.await);
            });
            if look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                spawn_local(look);
            }
        }
        let watched = Watched {
            flag: FLAG,
            route: RouteIndex(0),
            entity: entity.to_owned(),
            read: path,
            field: format!("/fields/{field}"),
            value: Written::Text(value.to_string()),
            path: Path::Legacy,
            trace: TraceContext::NONE,
        };
        notebook.note(Box::new(watched), self.settles).unwrap()
    }

    /// The sum of series over all sidecars.
    fn count(&self, series: &str) -> usize {
        self.sides().iter().map(|side| side.count(series)).sum()
    }

    fn lost(&self) -> usize {
        self.count("lost_updates_total")
    }

    fn unmanaged(&self) -> usize {
        self.count("unmanaged_writes_total")
    }

    fn verified(&self) -> usize {
        self.count("verified_updates_total")
    }

    fn inconclusive(&self, reason: &str) -> usize {
        let label = format!("reason=\"{reason}\"");
        self.sides().iter().map(|side| side.count_with("verify_inconclusive_total", &label)).sum()
    }

    /// Waits until no detector has anything left to do.
    async fn calm(&self) {
        let limit = clock::now() + Duration::from_secs(600);
        // What was noted last has to be taken up first.
        sleep(4 * TURN).await;
        while self.sides().iter().any(|side| !side.is_gone() && side.busy.get() > 0) {
            assert!(clock::now() < limit, "it never comes to an end");
            sleep(ms(100)).await;
        }
    }

    #[track_caller]
    fn assert_no_alarm(&self, about: &str) {
        let (lost, unmanaged) = (self.lost(), self.unmanaged());
        assert_eq!((lost, unmanaged), (0, 0), "{about}: false alarms, lost and unmanaged");
    }
}
