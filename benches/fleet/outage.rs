//! What callers notice of it when the fleet's Redis is gone for a while, and how soon all is as before once it is back.

use std::error::Error;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::Settings;
use crate::app::App;
use crate::figures::{middle, quantile, show};
use crate::layout::lay_out;
use crate::open_loop::{Call, Progress, load};
use crate::sidecar::{Fixed, Plan, SETTLE, STORE_TIMEOUT, Site, TIMEOUT};
use crate::store::{Redis, StoreError};

/// Calls a second.
const RATE: u32 = 2000;
/// How long the app takes for an update.
const THINK: Duration = Duration::from_millis(2);
/// At the load's start, not measured: connections are being made.
const WARM_UP: Duration = Duration::from_millis(500);
/// For so long no answer may have named a weaker guarantee until all counts as recovered.
const QUIET: Duration = Duration::from_millis(500);
/// How long that may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
const PERCENTS: [u8; 3] = [0, 50, 100];
const HEADINGS: [&str; 10] = [
    "fixed, outage",
    "before ms",
    "away ms",
    "p99 away/before",
    "coming back ms",
    "after ms",
    "calls",
    "failed",
    "degraded while away %",
    "recovered after s",
];

/// How the store goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Killed; it comes back with its data.
    Killed,
    /// It hangs with its connections open.
    Hung,
    /// Killed; it comes back with nothing.
    Emptied,
}

impl Outage {
    fn begin(self, redis: &mut Redis) -> Result<(), StoreError> {
        match self {
            Self::Hung => redis.signal("STOP"),
            Self::Killed | Self::Emptied => redis.kill(),
        }
    }

    /// Returns when the store answers again.
    fn end(self, redis: &mut Redis) -> Result<(), StoreError> {
        match self {
            Self::Hung => redis.signal("CONT"),
            Self::Killed => redis.restart(false),
            Self::Emptied => redis.restart(true),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Killed => "kill -9, back with its data",
            Self::Hung => "hangs (SIGSTOP)",
            Self::Emptied => "kill -9, back with nothing",
        }
    }
}

/// When what happened, since the load's start.
struct Times {
    gone: Duration,
    back: Duration,
    recovered: Duration,
    end: Duration,
}

/// One outage.
struct Sample {
    before: Latencies,
    away: Latencies,
    /// From the store's return until all was as before.
    coming_back: Latencies,
    after: Latencies,
    calls: usize,
    failed: usize,
    degraded_away: f64,
    /// In seconds; `None` if it had not recovered in time.
    recovered_after: Option<f64>,
}

/// In milliseconds.
struct Latencies {
    p50: f64,
    p99: f64,
    most: f64,
}

/// Measures and prints.
pub(crate) fn measure(settings: &Settings, site: &Site) -> Result<(), Box<dyn Error>> {
    let app = App::start(THINK)?;
    let cases: Vec<_> = settings
        .outages
        .iter()
        .flat_map(|outage| PERCENTS.map(|percent| (*outage, percent)))
        .collect();
    let mut samples: Vec<Vec<Sample>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..settings.outage_rounds {
        for ((outage, percent), samples) in cases.iter().zip(&mut samples) {
            samples.push(sample(settings, site, &app, *outage, *percent)?);
        }
    }
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(cases.iter().zip(&samples).map(|(case, samples)| cells(*case, samples)));
    println!(
        "\noutage of {:?}, {RATE} calls/s, app {THINK:?}, on_store_loss = \"legacy\", store.timeout = \"{STORE_TIMEOUT}\", \
         legacy.timeout = \"{TIMEOUT}\", settle_after_timeout = \"{SETTLE}\"; latencies p50/p99/most:\n{}",
        settings.phase,
        lay_out(&lines)
    );
    Ok(())
}

fn sample(
    settings: &Settings,
    site: &Site,
    app: &App,
    outage: Outage,
    percent: u8,
) -> Result<Sample, Box<dyn Error>> {
    let mut redis = Redis::start(&settings.redis_server, &site.scratch)?;
    let (fixed, store) = (Fixed::Serialize, Some(redis.url()));
    let sidecar = site.start(app, &Plan { percent, fixed, store, fleet: "outage" })?;
    let (times, calls) = load(sidecar.address(), RATE, |progress| {
        suffer(outage, &mut redis, settings.phase, progress)
    })?;
    let times = times?;
    let failures = calls.iter().filter_map(|call| call.failure.as_ref());
    if let Some(failure) = failures.clone().next() {
        eprintln!("fleet: {percent} %, {}: a call failed: {failure}", outage.name());
    }
    let away = || times.gone..times.back;
    let degraded = during(&calls, away()).filter(|call| call.degraded).count();
    let is_recovered = times.recovered < times.back + RECOVERY_LIMIT;
    Ok(Sample {
        before: latencies(&calls, WARM_UP..times.gone),
        away: latencies(&calls, away()),
        coming_back: latencies(&calls, times.back..times.recovered),
        after: latencies(&calls, times.recovered..times.end),
        calls: calls.len(),
        failed: failures.count(),
        degraded_away: 100.0 * degraded as f64 / during(&calls, away()).count().max(1) as f64,
        recovered_after: is_recovered.then(|| (times.recovered - times.back).as_secs_f64()),
    })
}

/// Lets the store go away and come back while the load goes on.
fn suffer(
    outage: Outage,
    redis: &mut Redis,
    phase: Duration,
    progress: &Progress,
) -> Result<Times, StoreError> {
    thread::sleep(WARM_UP + phase);
    let gone = progress.elapsed();
    outage.begin(redis)?;
    thread::sleep(phase);
    let before_return = progress.elapsed();
    outage.end(redis)?;
    let now = progress.elapsed();
    // A server that is started takes its time until it answers; one that goes on is back with the signal.
    let back = if outage == Outage::Hung { before_return } else { now };

    let limit = back + RECOVERY_LIMIT;
    let quiet_since = || progress.last_degraded().max(back);
    while progress.elapsed() < quiet_since() + QUIET && progress.elapsed() < limit {
        thread::sleep(LOOK);
    }
    let recovered = if progress.elapsed() < limit { quiet_since() } else { limit };
    thread::sleep(phase);
    Ok(Times { gone, back, recovered, end: progress.elapsed() })
}

fn during(calls: &[Call], time: Range<Duration>) -> impl Iterator<Item = &Call> {
    calls.iter().filter(move |call| time.contains(&call.due))
}

fn latencies(calls: &[Call], time: Range<Duration>) -> Latencies {
    let mut all: Vec<f64> = during(calls, time).map(|call| millis(call.took)).collect();
    all.sort_unstable_by(f64::total_cmp);
    let [p50, p99, most] = [0.50, 0.99, 1.00].map(|share| quantile(&all, share));
    Latencies { p50, p99, most }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn cells((outage, percent): (Outage, u8), samples: &[Sample]) -> [String; HEADINGS.len()] {
    let latencies = |of: fn(&Sample) -> &Latencies| {
        let [p50, p99, most] = [
            middle(samples.iter().map(|it| of(it).p50)),
            middle(samples.iter().map(|it| of(it).p99)),
            samples.iter().map(|it| of(it).most).fold(f64::NAN, f64::max),
        ];
        // No call was due in a moment as short as some returns.
        if most.is_nan() { "-".to_owned() } else { format!("{p50:.1}/{p99:.1}/{most:.0}") }
    };
    let recovered: Option<Vec<f64>> = samples.iter().map(|it| it.recovered_after).collect();
    [
        format!("{percent} %, {}", outage.name()),
        latencies(|it| &it.before),
        latencies(|it| &it.away),
        show(samples.iter().map(|it| it.away.p99 / it.before.p99), 2),
        latencies(|it| &it.coming_back),
        latencies(|it| &it.after),
        samples.iter().map(|it| it.calls).sum::<usize>().to_string(),
        samples.iter().map(|it| it.failed).sum::<usize>().to_string(),
        show(samples.iter().map(|it| it.degraded_away), 0),
        recovered.map_or("not".to_owned(), |all| show(all.into_iter(), 2)),
    ]
}
