//! Detectors in a world of virtual time: an app that is honest or races, a store that fails, a network that delays.
//!
//! What a detector does is the real thing, but for its two ends: [`app`] is what it reads, [`store`] where a fleet's journals
//! are. Thousands of updates take a moment, and a seed tells them apart.

mod app;
mod faults;
mod honest;
mod lost;
mod rules;
mod store;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{AbortHandle, LocalSet, spawn_local};
use tokio::time::sleep;

use super::*;
use crate::config::{self, Config};
use crate::domain::effects::history::Ending;
use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::shadow::notebook::{Noted, Written};
use crate::telemetry::{RouteIndex, Topology};
use app::{App, FIELDS};
use store::{Link, Store};

/// The only flag.
const FLAG: FlagIndex = FlagIndex(0);

/// How long a write may still land after its call was given up.
const SETTLES: Duration = Duration::from_millis(400);

const CONFIG: &str = r#"
[legacy]
url = "http://127.0.0.1:9"
settle_after_timeout = "400ms"
[flags.numbers]
entity = "{e}"
[[flags.numbers.routes]]
name = "number"
methods = ["PUT"]
path = "/e/{e}/{n}"
effect = { pointer = "/fields/{n}", value = "body:/value" }
[flags.numbers.verify]
read = "/e/{e}"
settle = "100ms"
interval = "500ms"
"#;

/// So many reads that they are no bound.
const READS: &str = "max_reads = 1000";

/// A configuration with one flag, with more lines of its `verify`.
pub(crate) fn config(verify: &str) -> Config {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let file =
        std::env::temp_dir().join(format!("interlock-detector-{}-{number}", std::process::id()));
    std::fs::write(&file, format!("{CONFIG}{verify}")).unwrap();
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
    LocalSet::new().block_on(&runtime, run);
}

/// Random choices from one seed. Clones share it.
#[derive(Clone)]
struct Dice(Rc<RefCell<fastrand::Rng>>);

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

/// A sidecar: what its workers note in, its detector, and its way to the store.
struct Side {
    notebook: Notebook,
    telemetry: Telemetry,
    /// How many entities the detector has something to do with.
    busy: Rc<Cell<usize>>,
    link: Link,
    task: AbortHandle,
}

/// Sidecars in front of one app.
struct World {
    app: App,
    dice: Dice,
    store: Option<Store>,
    sides: Vec<Side>,
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
        Self::new(seed, sidecars, Some(Store::new()), READS)
    }

    /// With more lines of `verify`.
    fn new(seed: u64, sidecars: usize, store: Option<Store>, verify: &str) -> Self {
        let dice = Dice::of(seed);
        let app = App::new(dice.clone());
        let config = config(verify);
        let side = |number| Side::start(number, &config, &app, store.clone(), &dice);
        let sides = (0..sidecars).map(side).collect();
        Self { app, dice, store, sides }
    }

    fn store(&self) -> &Store {
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
        let notebook = &self.sides[side].notebook;
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
        notebook.note(Box::new(watched), SETTLES).unwrap()
    }

    /// The sum of series over all sidecars.
    fn count(&self, series: &str) -> usize {
        self.sides.iter().map(|side| side.count(series)).sum()
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
        self.sides.iter().map(|side| side.count_with("verify_inconclusive_total", &label)).sum()
    }

    /// Waits until no detector has anything left to do.
    async fn calm(&self) {
        let limit = clock::now() + Duration::from_secs(600);
        // What was noted last has to be taken up first.
        sleep(4 * TURN).await;
        while self.sides.iter().any(|side| !side.task.is_finished() && side.busy.get() > 0) {
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

impl Side {
    fn start(number: usize, config: &Config, app: &App, store: Option<Store>, dice: &Dice) -> Self {
        let topology =
            Topology { flags: vec!["numbers".into()], routes: vec![("number".into(), 0)] };
        let telemetry = Telemetry::new(&topology);
        let (notebook, notes) = Notebook::new(config).unwrap();
        let sidecar = format!("sidecar-{number}");
        let parts = Parts {
            notebook: notebook.clone(),
            notes,
            journals: match &store {
                None => Journals::Local,
                // What it asks is answered here, and what it hears from nobody is passed over.
                Some(_) => Journals::Fleet(FleetJournal::new().0),
            },
            records: Records::of_a_test(),
            telemetry: telemetry.clone(),
            sidecar: sidecar.clone(),
        };
        let (busy, link) = (Rc::new(Cell::new(0)), Link::new(sidecar, store, dice.clone()));
        let (tell, ended) = mpsc::unbounded_channel();
        let detector = Detector::new(config, parts, app.clone(), tell);
        let task = spawn_local(run_over(detector, ended, link.clone(), Rc::clone(&busy)));
        Self { notebook, telemetry, busy, link, task: task.abort_handle() }
    }

    fn count(&self, series: &str) -> usize {
        self.count_with(series, "")
    }

    fn count_with(&self, series: &str, label: &str) -> usize {
        let page = self.telemetry.render();
        let lines = page.lines().filter_map(|line| line.strip_prefix("interlock_"));
        let of_it = lines.filter(|line| line.starts_with(series) && line.contains(label));
        of_it.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize).sum()
    }

    /// Ends it as a crash would.
    fn crash(&self) {
        self.task.abort();
    }
}

/// What `run` does, with the store of this world.
async fn run_over(
    mut detector: Detector<App>,
    mut ended: mpsc::UnboundedReceiver<Ended>,
    link: Link,
    busy: Rc<Cell<usize>>,
) {
    let (tell, mut answers) = mpsc::unbounded_channel();
    detector.start();
    let mut turns = interval(TURN);
    let mut on_its_way = false;
    loop {
        tokio::select! {
            biased;
            Some(ended) = ended.recv() => {
                if matches!(ended, Ended::Read(..)) {
                    detector.take(ended);
                }
            }
            Some(answer) = answers.recv() => {
                on_its_way = false;
                detector.take(Ended::Exchange(answer));
            }
            _ = turns.tick() => detector.turn(),
        }
        if !on_its_way && let Some(asked) = &detector.shared.asked {
            on_its_way = true;
            let (link, tell, exchange) = (link.clone(), tell.clone(), asked.exchange.clone());
            spawn_local(async move {
                tell.send(link.exchange(exchange).await).ok();
            });
        }
        // What is not settled yet may come to be checked anew.
        let untold = detector.shared.settled.len() + usize::from(on_its_way);
        busy.set(detector.entities.len() + untold);
    }
}
