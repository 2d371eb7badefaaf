//! A sidecar of the world: a detector on a thread that others may hold up, and its way to the store.

use super::*;

/// A sidecar: what its workers note in, its detector, and its way to the store.
pub(super) struct Side {
    pub(super) notebook: Notebook,
    pub(super) telemetry: Telemetry,
    /// How many entities the detector has something to do with.
    pub(super) busy: Rc<Cell<usize>>,
    /// For so many milliseconds at most it does nothing, now and then.
    pub(super) stalls: Rc<Cell<u64>>,
    /// It takes no more updates.
    pub(super) closes: Cell<bool>,
    /// It is to end in good order.
    pub(super) stop: Rc<Cell<bool>>,
    /// It misses an update.
    pub(super) misses: Rc<Cell<bool>>,
    pub(super) link: Option<Link>,
    pub(super) tasks: Vec<AbortHandle>,
}

impl Side {
    pub(super) fn start(
        number: usize,
        config: &Config,
        app: &App,
        store: Option<SimulatedStore>,
        dice: &Dice,
    ) -> Self {
        let topology =
            Topology { flags: vec!["numbers".into()], routes: vec![("number".into(), 0)] };
        let telemetry = Telemetry::new(&topology);
        let (notebook, notes) = Notebook::new(config).unwrap();
        let sidecar = format!("sidecar-{number}");
        let (journal, requests) = FleetJournal::new();
        let link = store.clone().map(|store| Link::new(sidecar.clone(), store, dice.clone()));
        let clerk = link.clone().zip(store).map(|(link, store)| {
            spawn_local(serve(sidecar.clone(), store, link, requests)).abort_handle()
        });
        let parts = Parts {
            notebook: notebook.clone(),
            notes,
            journals: if link.is_some() { Journals::Fleet(journal) } else { Journals::Local },
            records: Records::of_a_test(),
            telemetry: telemetry.clone(),
            sidecar,
        };
        let turns = Turns { dice: dice.clone(), ..Turns::default() };
        let (busy, stalls) = (Rc::clone(&turns.busy), Rc::clone(&turns.stalls));
        let (stop, misses) = (Rc::clone(&turns.stop), Rc::clone(&turns.misses));
        let (tell, ended) = mpsc::unbounded_channel();
        let detector = Detector::new(config, parts, app.clone(), tell);
        let detector = spawn_local(turns.run(detector, ended)).abort_handle();
        let tasks = [detector].into_iter().chain(clerk).collect();
        Self {
            notebook,
            telemetry,
            busy,
            stalls,
            stop,
            misses,
            closes: Cell::default(),
            link,
            tasks,
        }
    }

    /// Its way to the store.
    pub(super) fn link(&self) -> &Link {
        self.link.as_ref().unwrap()
    }

    /// Whether it takes updates.
    pub(super) fn is_open(&self) -> bool {
        !self.closes.get() && !self.is_gone()
    }

    /// Whether it has ended, or is about to.
    pub(super) fn is_gone(&self) -> bool {
        self.stop.get() || self.tasks.iter().any(AbortHandle::is_finished)
    }

    pub(super) fn count(&self, series: &str) -> usize {
        self.count_with(series, "")
    }

    pub(super) fn count_with(&self, series: &str, label: &str) -> usize {
        let page = self.telemetry.render();
        let lines = page.lines().filter_map(|line| line.strip_prefix("interlock_"));
        let of_it = lines.filter(|line| line.starts_with(series) && line.contains(label));
        of_it.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize).sum()
    }

    /// Ends it as a crash would.
    pub(super) fn crash(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// What `run` does, on a thread that others may hold up.
#[derive(Default)]
struct Turns {
    dice: Dice,
    busy: Rc<Cell<usize>>,
    stalls: Rc<Cell<u64>>,
    stop: Rc<Cell<bool>>,
    misses: Rc<Cell<bool>>,
}

impl Turns {
    async fn run(self, mut detector: Detector<App>, mut ended: mpsc::UnboundedReceiver<Ended>) {
        detector.start();
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                Some(ended) = ended.recv() => detector.take(ended),
                _ = turns.tick() => detector.turn(),
            }
            // What is not settled yet may come to be checked anew.
            let untold =
                detector.shared.settled.len() + usize::from(detector.shared.asked.is_some());
            self.busy.set(detector.entities.len() + untold);
            if self.misses.take() {
                detector.missed = detector.missed.wrapping_sub(1);
            }
            if self.stop.get() {
                return detector.finish(&mut ended).await;
            }
            if self.stalls.get() > 0 && self.dice.one_in(20) {
                self.dice.pause(self.stalls.get()).await;
            }
        }
    }
}
