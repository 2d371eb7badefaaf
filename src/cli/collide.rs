//! `interlock collide`: how often updates collide and how many are lost, by the model and by a simulation beside it.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{DONE, Output, REFUSED, output};
use crate::clock;
use crate::demo::screen::Screen;
use crate::domain::collision::{Burst, BurstOutlook, Estimate, Popularity, Stream, StreamOutlook};

mod render;

/// The most updates of a burst: what it takes to work out grows with their square.
const MAX_CALLS: u32 = 1_000;
/// The most entities: each is a term of the sums.
const MAX_ENTITIES: u32 = 100_000;
/// The longest window and spread: beyond it nobody waits for an answer.
const MAX_TIME: Duration = Duration::from_secs(10);
/// The most updates in flight on average of a rate: beyond it a simulation never comes to a steady state.
const MAX_IN_FLIGHT: f64 = 100.0;
/// Of one simulated update or burst of one; a simulation of them all takes some ten seconds.
const MAX_TRIALS: u32 = 10_000_000;
/// The most updates that are simulated, for all bursts together.
const MAX_SIMULATED: u64 = 200_000_000;
/// The parts of a simulation: progress is shown after each, and their spread tells how far the mean may be off.
const PARTS: u32 = 20;
/// Shorter work needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// Works out how often updates collide, and how many are lost.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  interlock collide --concurrency 20 --window 10ms
  interlock collide --concurrency 20 --window 10ms --spread 100ms
  interlock collide --concurrency 20 --window 10ms --entities 500 --skew 1
  interlock collide --concurrency 20 --window 10ms --rate 50 --output json

An update reads a document, takes the window of time, and writes the document back with its own field changed. A collision is that
two updates of one entity overlap so. An update is overwritten where a document is written after it that doesn't hold it, and lost
where the last one doesn't: docs/analysis.md derives the formulas. Beside them stands a simulation that replays every read and
write, with twice its standard error. It asks no sidecar and no app.")]
pub(super) struct CollideArgs {
    /// Updates that begin within --spread of each other, 1 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CALLS)))]
    concurrency: u32,
    /// Between an update's read and its write, above 0 and up to 10s
    #[arg(long, value_name = "TIME", value_parser = window)]
    window: Duration,
    /// Within which the updates begin, each at a random moment; 0s is all at once, 10s the most
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = time)]
    spread: Duration,
    /// Updates a second, of all entities: what becomes of a steady stream. --rate times --window may be 100
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Entities that the updates are of, 1 to 100000
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ENTITIES)))]
    entities: u32,
    /// How uneven the entities are: the k-th gets a share proportional to 1/k^S. 0 (all alike) to 10
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = skew)]
    skew: f64,
    /// Bursts to simulate, and updates where there is a rate, 100 to 10000000
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=i64::from(MAX_TRIALS)))]
    trials: u32,
    /// What the simulation draws its numbers from: the same seed, the same answer
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

/// Why an argument is refused; clap names it and its value.
#[derive(Debug, thiserror::Error)]
enum ArgumentError {
    #[error("{0}; write a duration such as 10ms")]
    NotADuration(#[from] humantime::DurationError),
    #[error("longer than {} s; write a shorter one, such as 10ms", MAX_TIME.as_secs())]
    TooLong,
    #[error("without a window nothing collides; write a duration above 0, such as 10ms")]
    NoWindow,
    #[error("write a number above 0 and up to 1000000000, such as 50")]
    NoRate,
    #[error("write a number from 0 to 10, such as 1")]
    NoSkew,
}

/// Arguments that are right each, and not together.
#[derive(Debug, thiserror::Error)]
enum TogetherError {
    #[error(
        "interlock: --rate {rate} with --window {window:?}: {in_flight:.0} updates in flight on average, {MAX_IN_FLIGHT} at most; \
         lower one of them"
    )]
    InFlight { rate: f64, window: Duration, in_flight: f64 },
    #[error(
        "interlock: --trials {trials} with --concurrency {concurrency}: {updates} updates to simulate, {MAX_SIMULATED} at most; \
         lower one of them"
    )]
    Trials { trials: u32, concurrency: u32, updates: u64 },
}

fn time(text: &str) -> Result<Duration, ArgumentError> {
    let time = humantime::parse_duration(text)?;
    if time > MAX_TIME { Err(ArgumentError::TooLong) } else { Ok(time) }
}

fn window(text: &str) -> Result<Duration, ArgumentError> {
    let window = time(text)?;
    if window.is_zero() { Err(ArgumentError::NoWindow) } else { Ok(window) }
}

fn rate(text: &str) -> Result<f64, ArgumentError> {
    let rate = text.parse().map_err(|_| ArgumentError::NoRate)?;
    // Below it the first update would come after years.
    if (1e-6..=1e9).contains(&rate) { Ok(rate) } else { Err(ArgumentError::NoRate) }
}

fn skew(text: &str) -> Result<f64, ArgumentError> {
    let skew = text.parse().map_err(|_| ArgumentError::NoSkew)?;
    if (0.0..=10.0).contains(&skew) { Ok(skew) } else { Err(ArgumentError::NoSkew) }
}

/// What was asked for, what the model says, and what the simulation found.
struct Answer {
    args: CollideArgs,
    burst: Burst,
    of_burst: BurstOutlook,
    played: PlayedBurst,
    of_stream: Option<(Stream, StreamOutlook, PlayedStream)>,
}

/// What the simulation of a burst found.
#[derive(Default)]
struct PlayedBurst {
    collision: Estimate,
    lost: Estimate,
    overwritten: Estimate,
}

/// What the simulation of a stream found, as shares.
#[derive(Default)]
struct PlayedStream {
    lost: Estimate,
    overwritten: Estimate,
}

/// Runs `interlock collide`.
pub(super) fn run(args: CollideArgs) -> ExitCode {
    if let Err(error) = together(&args) {
        return output::stderr(error, REFUSED);
    }
    let format = args.output;
    let stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    let mut screen = Screen::new(stderr, is_terminal);
    let answer = match answer(args, &mut Progress::new(&mut screen)) {
        Ok(answer) => answer,
        Err(error) => return output::failed(error),
    };
    output::stdout(&render::answer(&answer, format), DONE)
}

fn together(args: &CollideArgs) -> Result<(), TogetherError> {
    let CollideArgs { window, trials, concurrency, .. } = *args;
    let updates = u64::from(trials) * u64::from(concurrency);
    if updates > MAX_SIMULATED {
        return Err(TogetherError::Trials { trials, concurrency, updates });
    }
    let Some(rate) = args.rate else { return Ok(()) };
    let in_flight = Stream { rate, window }.in_flight();
    if in_flight > MAX_IN_FLIGHT {
        return Err(TogetherError::InFlight { rate, window, in_flight });
    }
    Ok(())
}

/// How far a simulation is, where it takes long and somebody looks.
struct Progress<'s, W> {
    screen: &'s mut Screen<W>,
    since: tokio::time::Instant,
}

impl<'s, W: io::Write> Progress<'s, W> {
    fn new(screen: &'s mut Screen<W>) -> Self {
        Self { screen, since: clock::now() }
    }

    fn show(&mut self, what: &str, parts: u32) -> io::Result<()> {
        if self.since.elapsed() < PATIENCE {
            return Ok(());
        }
        self.screen.progress(&format!("simulating {what}: {} %", parts * 100 / PARTS))
    }
}

fn answer<W: io::Write>(args: CollideArgs, progress: &mut Progress<'_, W>) -> io::Result<Answer> {
    let popularity = Popularity::zipf(args.entities, args.skew);
    let burst = Burst { calls: args.concurrency, spread: args.spread, window: args.window };
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut uniform = || random.f64();

    let mut played = PlayedBurst::default();
    for part in 0..PARTS {
        for _ in 0..size_of_part(args.trials, part) {
            let (overwritten, lost) = burst.play(&popularity, &mut uniform);
            played.collision.add(f64::from(u32::from(lost > 0)));
            played.lost.add(f64::from(lost));
            played.overwritten.add(f64::from(overwritten));
        }
        progress.show("bursts", part + 1)?;
    }

    let mut of_stream = None;
    if let Some(rate) = args.rate {
        let stream = Stream { rate, window: args.window };
        let mut played = PlayedStream::default();
        for part in 0..PARTS {
            let size = size_of_part(args.trials, part);
            let (overwritten, lost) = stream.play(size, &popularity, |_| 1.0, &mut uniform);
            played.lost.add(f64::from(lost) / f64::from(size));
            played.overwritten.add(f64::from(overwritten) / f64::from(size));
            progress.show("a stream", part + 1)?;
        }
        of_stream = Some((stream, stream.outlook(&popularity), played));
    }
    progress.screen.clear()?;
    Ok(Answer { of_burst: burst.outlook(&popularity), args, burst, played, of_stream })
}

/// Parts are as alike as they can be, and together the whole.
fn size_of_part(whole: u32, part: u32) -> u32 {
    whole / PARTS + u32::from(part < whole % PARTS)
}

#[cfg(test)]
mod tests;
