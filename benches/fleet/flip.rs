//! How long a flip takes to reach every other sidecar of the fleet, with push and without.
//!
//! Each of the others is watched by a thread of its own that asks it, again and again, either which path an update takes
//! (the data plane's word) or at which version the flag is (the admin plane's). The answer that is the first to differ counts
//! as the moment; the time since the question before it is how exact that is.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use crate::Settings;
use crate::app::App;
use crate::calls::Updates;
use crate::figures::{middle, quantile};
use crate::http::{Connection, HttpError};
use crate::layout::lay_out;
use crate::sidecar::{Fixed, Plan, Sidecar, Site, read_flag, set_percent};
use crate::store::Redis;

/// How many sidecars the fleet has; the flip is made at the first.
const SIDECARS: usize = 20;
/// Between an answer and the next question to the same sidecar: all of them together must leave the machine room.
const QUESTION_PAUSE: Duration = Duration::from_millis(1);
/// How long a flip may take until it counts as failed.
const FLIP_LIMIT: Duration = Duration::from_secs(20);
/// From the first questions to the flip.
const LEAD: Duration = Duration::from_millis(5);
/// The longest pause ahead of a flip, in milliseconds, where sidecars poll: a flip has to come at any moment of their
/// period, which is a second.
const POLL_PERIOD_MS: u64 = 1000;
/// And where they are told.
const PUSH_PAUSE_MS: u64 = 50;
/// Entities of the questions: another one for each sidecar.
const FIRST_ENTITY: usize = 5_000_000;
const HEADINGS: [&str; 6] = [
    "20 sidecars",
    "flips",
    "after the answer ms",
    "after the call ms",
    "whole fleet ms",
    "exact to ms",
];

/// Why there was no flip to measure.
#[derive(Debug, thiserror::Error)]
enum FlipError {
    #[error("a sidecar could not be asked")]
    Http(#[from] HttpError),
    #[error("an answer has no {field}")]
    NoField { field: &'static str },
    #[error("a sidecar had not noticed a flip after {FLIP_LIMIT:?}")]
    NotNoticed,
    #[error("a thread that asks broke")]
    Broken,
}

/// What the others are asked.
#[derive(Clone, Copy)]
enum Question {
    /// Which path an update takes.
    Path,
    /// At which version the flag is.
    Version,
}

impl Question {
    fn field(self) -> &'static str {
        match self {
            Self::Path => "interlock-path",
            Self::Version => "etag",
        }
    }
}

/// One flip.
struct Flip {
    sent: Instant,
    answered: Instant,
    /// When each of the others was seen to have noticed it, and how exact that is.
    noticed: Vec<(Instant, Duration)>,
}

/// Measures and prints.
pub(crate) fn measure(settings: &Settings, site: &Site) -> Result<(), Box<dyn Error>> {
    let app = App::start(Duration::ZERO)?;
    let redis = Redis::start(&settings.redis_server, &site.scratch)?;
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    {
        let mut fleet = Fleet::start(site, &app, &redis.url(), &redis.url(), "push")?;
        let (mut paths, mut versions) = (Vec::new(), Vec::new());
        for _ in 0..settings.flips {
            paths.push(fleet.flip(Question::Path, PUSH_PAUSE_MS)?);
            versions.push(fleet.flip(Question::Version, PUSH_PAUSE_MS)?);
        }
        lines.push(cells("push, path", &paths));
        lines.push(cells("push, version", &versions));
    }
    let silent = redis.url_without_channels()?;
    let mut fleet = Fleet::start(site, &app, &redis.url(), &silent, "poll")?;
    let paths = (0..settings.flips).map(|_| fleet.flip(Question::Path, POLL_PERIOD_MS));
    lines.push(cells("no push, path", &paths.collect::<Result<Vec<_>, _>>()?));
    println!(
        "\nflip, median/p99/most of all flips and sidecars but the first:\n{}",
        lay_out(&lines)
    );
    Ok(())
}

struct Fleet {
    sidecars: Vec<Sidecar>,
    percent: u8,
}

impl Fleet {
    fn start(
        site: &Site,
        app: &App,
        url_of_first: &str,
        url_of_others: &str,
        fleet: &'static str,
    ) -> Result<Self, Box<dyn Error>> {
        let plan = |number| {
            let url = if number == 0 { url_of_first } else { url_of_others };
            let (fixed, store) = (Fixed::Upstream, Some(url.to_owned()));
            Plan { percent: 0, fixed, store, fleet }
        };
        let launch = |number| site.launch(app, &plan(number));
        let mut sidecars = (0..SIDECARS).map(launch).collect::<Result<Vec<_>, _>>()?;
        for sidecar in &mut sidecars {
            sidecar.wait_until_settled()?;
        }
        Ok(Self { sidecars, percent: 0 })
    }

    /// Flips the flag from none to all entities, or back, after a pause of at most `pause_ms`.
    fn flip(&mut self, question: Question, pause_ms: u64) -> Result<Flip, FlipError> {
        thread::sleep(Duration::from_millis(fastrand::u64(..pause_ms)));
        self.percent = 100 - self.percent;
        let (first, others) = self.sidecars.split_first().ok_or(FlipError::Broken)?;
        let watches =
            others.iter().enumerate().map(|(number, it)| Watch::new(it, number, question));
        let watches = watches.collect::<Result<Vec<_>, _>>()?;
        let request = set_percent(first.admin_address(), self.percent);
        let mut admin = Connection::open(first.admin_address())?;
        thread::scope(|scope| {
            let watch = |watch: Watch| scope.spawn(move || watch.wait());
            let threads: Vec<_> = watches.into_iter().map(watch).collect();
            thread::sleep(LEAD);
            let sent = Instant::now();
            admin.call_ok(&request)?;
            let answered = Instant::now();
            let noticed = threads.into_iter().map(|it| it.join().map_err(|_| FlipError::Broken)?);
            Ok(Flip { sent, answered, noticed: noticed.collect::<Result<_, _>>()? })
        })
    }
}

/// One sidecar that is asked until its answer is another one.
struct Watch {
    connection: Connection,
    request: Vec<u8>,
    field: &'static str,
    before: String,
}

impl Watch {
    fn new(sidecar: &Sidecar, number: usize, question: Question) -> Result<Self, FlipError> {
        let (address, request) = match question {
            Question::Path => {
                (sidecar.address(), Updates::of_one(FIRST_ENTITY + number).next().to_vec())
            }
            Question::Version => (sidecar.admin_address(), read_flag(sidecar.admin_address())),
        };
        let (connection, field) = (Connection::open(address)?, question.field());
        let mut watch = Self { connection, request, field, before: String::new() };
        watch.before = watch.ask()?;
        Ok(watch)
    }

    fn ask(&mut self) -> Result<String, FlipError> {
        let field = self.field;
        let answer = self.connection.call_ok(&self.request)?;
        answer.field(field).map(str::to_owned).ok_or(FlipError::NoField { field })
    }

    fn wait(mut self) -> Result<(Instant, Duration), FlipError> {
        let start = Instant::now();
        let mut asked_before = start;
        loop {
            let asked = Instant::now();
            let answer = self.ask()?;
            let now = Instant::now();
            if answer != self.before {
                return Ok((now, now - asked_before));
            }
            if now - start > FLIP_LIMIT {
                return Err(FlipError::NotNoticed);
            }
            asked_before = asked;
            thread::sleep(QUESTION_PAUSE);
        }
    }
}

fn cells(name: &str, flips: &[Flip]) -> [String; HEADINGS.len()] {
    let delays = |from: fn(&Flip) -> Instant| {
        let of_flip = |flip: &Flip| {
            flip.noticed.iter().map(|(at, _)| millis(from(flip), *at)).collect::<Vec<_>>()
        };
        flips.iter().map(of_flip).collect::<Vec<_>>()
    };
    let after_answer = delays(|flip| flip.answered);
    let whole = after_answer.iter().map(|of_flip| of_flip.iter().copied().fold(f64::MIN, f64::max));
    let exact = flips.iter().flat_map(|flip| &flip.noticed).map(|(_, gap)| gap.as_secs_f64() * 1e3);
    [
        name.to_owned(),
        flips.len().to_string(),
        distribution(after_answer.concat()),
        distribution(delays(|flip| flip.sent).concat()),
        distribution(whole.collect()),
        format!("{:.1}", middle(exact)),
    ]
}

/// Below zero where it was noticed before the answer came.
fn millis(from: Instant, to: Instant) -> f64 {
    let seconds = match to.checked_duration_since(from) {
        Some(later) => later.as_secs_f64(),
        None => -(from - to).as_secs_f64(),
    };
    seconds * 1e3
}

fn distribution(mut figures: Vec<f64>) -> String {
    figures.sort_unstable_by(f64::total_cmp);
    let [median, p99, most] = [0.50, 0.99, 1.00].map(|share| quantile(&figures, share));
    format!("{median:.1}/{p99:.1}/{most:.1}")
}
