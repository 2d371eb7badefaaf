//! Flips under load, up and down, for each strategy: no update is refused by a flip, and none that the fixed path has
//! acknowledged is undone.
//!
//! Each caller has a segment of its own in every journey, so whatever it was told last must stand there until it calls again;
//! all of them share the documents, which the app reads and writes as a whole.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Caller, Sent};
use crate::support::{
    JOURNEYS, JourneyFlag, JourneyService, Part, Redis, SEGMENTS, Sidecar, key_of, store_journey,
    take_time, until,
};

const SIDECARS: usize = 3;
const CALLERS: usize = 14;
const JOURNEYS_ALIKE: usize = 500;

/// Few enough for updates of one journey to meet all the time.
const HOT_JOURNEYS: usize = 12;

/// Between the app's read and its write.
const WINDOW: &str = "5ms";

/// Between two calls of a caller: more than 1,000 a second all together, where the machine can.
const PACE: Duration = Duration::from_millis(12);

/// How long a percentage stands before the next flip.
const STANDS: Duration = Duration::from_millis(1_500);

/// How long a fault lasts.
const FAULT: Duration = Duration::from_millis(900);

/// A sidecar that was not heard of for so long, in milliseconds, is silent.
const SILENT_MS: u64 = 3_000;

/// The longest that a flip may take: the callers and all the servers share two cores.
const FLIP_LIMIT: Duration = Duration::from_secs(4);

/// Longer than any answer of this machine takes, and shorter than the default, as a call that is given up holds up the flip.
const LEGACY: &str = "timeout = \"3s\"\nsettle_after_timeout = \"2s\"";

const _: () = assert!(CALLERS <= SEGMENTS);

/// From a flip's beginning to its end.
type Flip = (Instant, Instant);

/// What a caller knows of one journey: the value that it wrote last, and whether the fixed path acknowledged it.
type Known = BTreeMap<String, (String, bool)>;

/// The fleet, and what stands behind it.
struct Site {
    sidecars: Vec<Sidecar>,
    /// The documents.
    redis: Redis,
    /// The fleet's store, where that is another one.
    store: Option<Mutex<Redis>>,
    journeys: Vec<String>,
    _apps: Vec<JourneyService>,
    _fixed: Option<Sidecar>,
}

impl Site {
    fn new(strategy: &str) -> Self {
        Self::over(strategy, JOURNEYS_ALIKE, None, "")
    }

    fn over(strategy: &str, journeys: usize, own_store: Option<Redis>, more: &str) -> Self {
        let redis = Redis::start();
        let journeys: Vec<String> = (1..=journeys).map(|n| format!("L{n}")).collect();
        journeys.iter().for_each(|journey| store_journey(&redis, journey));
        let app = || JourneyService::start(&redis.url(), WINDOW);
        let apps: Vec<JourneyService> = (0..SIDECARS).map(|_| app()).collect();
        // The fixed app: it edits the documents where they are, and knows nothing of the fleet.
        let fixed = (strategy == "upstream").then(|| {
            let flag = JourneyFlag::edited(100, "").toml();
            Sidecar::at(&apps[0].url()).with(&store(&redis, "fixed")).with(&flag).start()
        });
        let flag = match &fixed {
            Some(fixed) => JourneyFlag {
                fixed: format!("strategy = \"upstream\", url = \"http://{}\"", fixed.address()),
                ..JourneyFlag::serialized(0)
            },
            None if strategy == "atomic" => JourneyFlag::edited(0, ""),
            None => JourneyFlag::serialized(0),
        };
        let flag = JourneyFlag { more: more.to_owned(), ..flag };
        let table = store(own_store.as_ref().unwrap_or(&redis), "interlock");
        let sidecar = |app: &JourneyService| {
            let builder = Sidecar::at(&app.url()).legacy(LEGACY);
            builder.with(&table).with(&flag.toml()).start()
        };
        let sidecars = apps.iter().map(sidecar).collect();
        Self {
            sidecars,
            redis,
            store: own_store.map(Mutex::new),
            journeys,
            _apps: apps,
            _fixed: fixed,
        }
    }

    /// Flips through one of the sidecars; when it began, and when all were settled.
    fn flip(&self, through: usize, percent: u8) -> Flip {
        let began = Instant::now();
        let body = json!({"percent": percent, "reason": "a test"});
        let path = format!("/api/v1/flags/{JOURNEYS}");
        assert_eq!(self.sidecars[through].admin_json("PATCH", &path, &body).status, 200);
        until("the flip to be over", || are_settled_at(&self.sidecars, percent));
        (began, Instant::now())
    }

    fn value(&self, journey: &str, segment: usize) -> String {
        let text = self.redis.get(&key_of(journey)).expect("a document");
        let document: Value = serde_json::from_str(&text).unwrap();
        document["Segments"][segment - 1]["Status"].as_str().expect("a status").to_owned()
    }

    /// What is not as the fixed path has acknowledged it.
    fn lost(&self, known: &Known, journey: &str, segment: usize) -> Option<String> {
        let (value, fixed) = known.get(journey)?;
        let stored = fixed.then(|| self.value(journey, segment))?;
        (stored != *value).then(|| format!("{value} in {journey}, which has {stored}"))
    }

    /// Calls until told to stop, and looks at its own segment before each call and in the end.
    fn call(&self, number: usize, stop: &AtomicBool) -> (Vec<Sent>, Vec<String>) {
        let segment = number + 1;
        let sidecar = number % SIDECARS;
        let mut caller = Caller::of(sidecar, self.sidecars[sidecar].address());
        let mut random = fastrand::Rng::with_seed(number as u64);
        let (mut sent, mut lost, mut known) = (Vec::new(), Vec::new(), Known::new());
        let mut due = Instant::now();
        while !stop.load(Ordering::SeqCst) {
            due = (due + PACE).max(Instant::now());
            take_time(due - Instant::now());
            let journey = &self.journeys[random.usize(..self.journeys.len())];
            lost.extend(self.lost(&known, journey, segment));
            let id = format!("{number}-{}", sent.len());
            let update = caller.update(journey, Part::Segment(segment), id.clone());
            let fixed = update.acknowledged() && update.path() == "fixed";
            known.insert(journey.clone(), (format!("set by {id}"), fixed));
            sent.push(update);
        }
        for journey in known.keys() {
            lost.extend(self.lost(&known, journey, segment));
        }
        (sent, lost)
    }

    /// Flips to these percentages, one after the other, under the callers.
    fn under_load(&self, percents: &[u8]) -> (Vec<Flip>, Vec<Sent>, Vec<String>) {
        self.called_during(|| {
            let flips = percents.iter().enumerate().map(|(n, percent)| {
                take_time(STANDS);
                self.flip(n % SIDECARS, *percent)
            });
            let flips = flips.collect();
            take_time(STANDS);
            flips
        })
    }

    /// Callers call while something happens.
    fn called_during<T>(&self, happens: impl FnOnce() -> T) -> (T, Vec<Sent>, Vec<String>) {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|n| (n, &stop))
                .map(|(n, stop)| scope.spawn(move || self.call(n, stop)))
                .collect();
            let happened = happens();
            stop.store(true, Ordering::SeqCst);
            let (sent, lost): (Vec<_>, Vec<_>) =
                callers.into_iter().map(|caller| caller.join().unwrap()).unzip();
            (happened, sent.concat(), lost.concat())
        })
    }
}

impl Site {
    /// Asks for a flip, and goes on whatever becomes of it.
    fn try_flip(&self, through: usize, percent: u8) {
        let body = json!({"percent": percent, "reason": "a test"});
        let path = format!("/api/v1/flags/{JOURNEYS}");
        self.sidecars[through].admin_json("PATCH", &path, &body);
    }

    /// Says of every sidecar that is silent that it is gone.
    fn forget_the_silent(&self) {
        let fleet = self.sidecars[0].admin_get("/api/v1/fleet").json();
        let silent = |row: &&Value| row["silent_ms"].as_u64() > Some(SILENT_MS);
        for row in fleet["sidecars"].as_array().unwrap().iter().filter(silent) {
            let path = format!("/api/v1/fleet/{}/forget", row["id"].as_str().unwrap());
            self.sidecars[0].admin_json("POST", &path, &json!({"reason": "it was killed"}));
        }
    }

    /// One fault after the other, and flips before, in and behind each of them.
    fn suffer(&self, random: &mut fastrand::Rng) {
        let store = || self.store.as_ref().expect("a store of its own").lock().unwrap();
        let mut flips = |through: usize| {
            for _ in 0..3 {
                self.try_flip(through, random.u8(..=100));
                take_time(FAULT / 3);
            }
        };
        flips(0);
        store().pause();
        take_time(FAULT);
        store().resume();
        flips(1);
        store().kill();
        take_time(FAULT);
        store().start_again();
        flips(2);
        self.sidecars[2].signal("STOP");
        flips(0);
        take_time(Duration::from_millis(SILENT_MS) + FAULT);
        self.sidecars[2].signal("CONT");
        flips(2);
        self.sidecars[1].signal("STOP");
        store().kill();
        store().start_again();
        flips(0);
        self.sidecars[1].signal("CONT");
        flips(1);
        // The last: nobody starts it again.
        self.sidecars[2].signal("KILL");
        flips(0);
        take_time(Duration::from_millis(SILENT_MS) + FAULT);
        self.forget_the_silent();
    }
}

fn are_settled_at(sidecars: &[Sidecar], percent: u8) -> bool {
    sidecars.iter().all(|sidecar| {
        let flag = sidecar.flag(JOURNEYS);
        flag["percent"] == percent && flag["transition"]["step"] == "settled"
    })
}

fn store(redis: &Redis, prefix: &str) -> String {
    format!("[store]\nurl = \"{}\"\nprefix = \"{prefix}\"\ntimeout = \"500ms\"\n", redis.url())
}

/// How long callers waited for their answers.
fn latencies(sent: &[&Sent]) -> String {
    let mut took: Vec<Duration> = sent.iter().map(|update| update.took()).collect();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
    format!("p50 {:?}, p99 {:?} of {}", at(50), at(99), took.len())
}

fn assert_that_flips_lose_and_refuse_nothing(strategy: &str) {
    let site = Site::new(strategy);
    let began = Instant::now();

    let (spans, sent, lost) = site.under_load(&[100, 0, 50]);

    let flips: Vec<Duration> = spans.iter().map(|(began, ended)| *ended - *began).collect();
    let (during, beside): (Vec<&Sent>, Vec<&Sent>) = sent.iter().partition(|update| {
        spans.iter().any(|(began, ended)| update.began < *ended && *began < update.ended)
    });
    let rate = sent.len() as f64 / began.elapsed().as_secs_f64();
    let fixed = sent.iter().filter(|update| update.acknowledged() && update.path() == "fixed");
    let fixed = fixed.count();
    let metric = |name, labels: &[(&str, &str)]| -> f64 {
        site.sidecars.iter().filter_map(|it| it.metrics().sum(name, labels)).sum()
    };
    let guarded = metric("interlock_updates_total", &[("protection", "guarded")]);
    eprintln!(
        "{strategy}: flips took {flips:?}; {rate:.0} updates/s, {} in all, {fixed} of them fixed, {guarded} guarded",
        sent.len()
    );
    eprintln!(
        "{strategy}: during flips {}, beside them {}",
        latencies(&during),
        latencies(&beside)
    );
    let refused: Vec<&Sent> = sent.iter().filter(|update| !update.acknowledged()).collect();
    assert!(refused.is_empty(), "{} of {}: {:?}", refused.len(), sent.len(), refused.first());
    assert_eq!(lost, [""; 0]);
    assert!(fixed > 100 && guarded > 0.0, "{fixed} fixed, {guarded} guarded");
    assert_eq!(metric("interlock_exposed_updates_total", &[]), 0.0);
    assert!(flips.iter().all(|flip| *flip < FLIP_LIMIT), "{flips:?}");
}

#[test]
fn heavy_flips_to_and_from_serialized_calls() {
    assert_that_flips_lose_and_refuse_nothing("serialize");
}

#[test]
fn heavy_flips_to_and_from_edits() {
    assert_that_flips_lose_and_refuse_nothing("atomic");
}

#[test]
fn heavy_flips_to_and_from_a_fixed_app() {
    assert_that_flips_lose_and_refuse_nothing("upstream");
}

/// The store stands still, and comes back empty; sidecars freeze, one while the store forgets, and one dies. What the fixed path
/// acknowledged stays, where the flag says to refuse what can't be protected.
#[test]
fn heavy_flips_while_the_store_and_sidecars_fail() {
    let policy = "on_store_loss = \"reject\"\n";
    let site = Site::over("serialize", HOT_JOURNEYS, Some(Redis::start()), policy);
    let mut random = fastrand::Rng::with_seed(7);

    let ((), sent, lost) = site.called_during(|| site.suffer(&mut random));

    let fixed = sent.iter().filter(|update| update.acknowledged() && update.path() == "fixed");
    let fixed = fixed.count();
    eprintln!("{fixed} of {} updates were acknowledged by the fixed path", sent.len());
    assert!(fixed > 100, "{fixed}");
    assert_eq!(lost, [""; 0]);
    site.try_flip(0, 100);
    until("the last flip to be over", || are_settled_at(&site.sidecars[..2], 100));
}
