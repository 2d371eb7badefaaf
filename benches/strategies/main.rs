//! The strategies' bench: the app as it is, and the three ways to stop its updates from getting lost, under the same loads.
//! It starts all it needs: a Redis, apps, sidecars, and the load.
//!
//! `benches/README.md` says how to run it and how to read it.
//!
//! | file | what it does |
//! |---|---|
//! | `main.rs` | the command line, and the rounds |
//! | `load.rs`, `callers.rs` | which journeys are updated, and by whom |
//! | `history.rs` | which updates are gone |
//! | `sample.rs` | one strategy under one load, measured once |
//! | `site.rs`, `fixed_app.rs` | what is started: the store, the apps, the sidecars |
//! | `report.rs`, `plot.rs` | tables and pictures |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tables on standard output, or why there are none, are what the bench is for"
)]

mod callers;
#[path = "../rig/ending.rs"]
mod ending;
#[path = "../fleet/figures.rs"]
mod figures;
mod fixed_app;
mod history;
#[allow(dead_code, reason = "the fleet's bench speaks more of it")]
#[path = "../fleet/http.rs"]
mod http;
#[allow(dead_code, reason = "these tables are Markdown")]
#[path = "../rig/layout.rs"]
mod layout;
mod load;
#[path = "../rig/machine.rs"]
mod machine;
#[allow(dead_code, reason = "the rig reads more")]
#[path = "../rig/meter.rs"]
mod meter;
mod plot;
#[allow(clippy::expect_used, reason = "without a free port there is nothing to measure")]
#[path = "../../tests/support/ports.rs"]
mod ports;
#[allow(dead_code, reason = "the rig starts more")]
#[path = "../rig/process.rs"]
mod process;
mod report;
mod sample;
#[path = "../fleet/settled.rs"]
mod settled;
mod site;
#[allow(dead_code, reason = "the fleet's bench does more to it")]
#[path = "../fleet/store.rs"]
mod store;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::ending::exit_code;
use crate::load::{CALLERS, FEW_CALLERS, Load};
use crate::machine::{Scratch, load_average};
use crate::report::{Cell, Results};
use crate::sample::Sample;
use crate::site::{Fleet, Programs, Site, Strategy};

#[derive(Parser)]
#[command(about = "What each strategy gives and costs, under the same loads")]
struct Options {
    /// The loads; all of them, if none is named
    loads: Vec<Load>,
    /// Which strategies; all of them, if none is named
    #[arg(long, value_delimiter = ',')]
    strategies: Vec<Strategy>,
    /// Fewer callers and short runs: for a first look, not for figures
    #[arg(long)]
    quick: bool,
    /// How long the app thinks between reading and writing its document
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10ms")]
    window: Duration,
    /// How often each strategy is measured, in turn: 3, or 1 with --quick
    #[arg(long)]
    rounds: Option<usize>,
    /// Where strategies.md and the pictures are written
    #[arg(long, default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/strategies"))]
    out: PathBuf,
    /// Interlock's program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_interlock"))]
    interlock: PathBuf,
    /// The store's program
    #[arg(long, default_value = "redis-server")]
    redis_server: PathBuf,
    /// Be the fixed app at this address
    #[arg(long, hide = true, requires = "redis")]
    fixed_app: Option<SocketAddr>,
    /// Of the fixed app
    #[arg(long, hide = true)]
    redis: Option<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long and how often.
struct Settings {
    window: Duration,
    strategies: Vec<Strategy>,
    callers: &'static [usize],
    rounds: usize,
    run: Duration,
}

impl Settings {
    fn of(options: &Options) -> Self {
        let (callers, rounds, run): (&[usize], _, _) = match options.quick {
            true => (&FEW_CALLERS, 1, Duration::from_millis(800)),
            false => (&CALLERS, 3, Duration::from_secs(2)),
        };
        Self {
            window: options.window,
            strategies: named_or_all(&options.strategies),
            callers,
            rounds: options.rounds.unwrap_or(rounds).max(1),
            run,
        }
    }
}

fn named_or_all<T: ValueEnum + Clone>(named: &[T]) -> Vec<T> {
    if named.is_empty() { T::value_variants().to_vec() } else { named.to_vec() }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match (options.fixed_app, &options.redis) {
        (Some(listen), Some(redis)) => {
            fixed_app::serve(listen, redis, options.window).map(|_| ()).map_err(Into::into)
        }
        _ if options.bench => measure(&options),
        _ => {
            // `cargo test --benches` runs this too, and shouldn't take minutes.
            println!("run it as: cargo bench --bench strategies");
            return ExitCode::SUCCESS;
        }
    };
    exit_code("strategies", result)
}

fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let settings = Settings::of(options);
    let start = Instant::now();
    let window = humantime::format_duration(options.window).to_string();
    fs::create_dir_all(&options.out)?;
    let mut text = format!(
        "# Strategies, app {window}\n\nMedian (range) of {} rounds of {:?}; load average {} at the start",
        settings.rounds,
        settings.run,
        load_average()
    );
    println!("{text}");
    for load in named_or_all(&options.loads) {
        let scratch = Scratch::new(load.name())?;
        let results = measure_load(options, &settings, load, scratch.path())?;
        let table = results.markdown();
        println!("{table}");
        text.push_str(&format!("\n{table}"));
        let picture = options.out.join(format!("strategies-{}.svg", load.name()));
        fs::write(picture, plot::svg(&results, &window))?;
    }
    let end = format!("took {:.0?}; load average {} at the end", start.elapsed(), load_average());
    println!("{end}");
    fs::write(options.out.join("strategies.md"), format!("{text}\n{end}\n"))?;
    println!("written to {}", options.out.display());
    Ok(())
}

/// The strategies take turns in each round; none always follows the same one.
fn measure_load(
    options: &Options,
    settings: &Settings,
    load: Load,
    scratch: &Path,
) -> Result<Results, Box<dyn Error>> {
    let programs = Programs {
        interlock: options.interlock.clone(),
        bench: std::env::current_exe()?,
        redis_server: options.redis_server.clone(),
        scratch: scratch.to_owned(),
    };
    let site = Site::start(programs, load.sidecars(), settings.window)?;
    site.seed(load.entities())?;
    let fleets = settings.strategies.iter().map(|strategy| site.fleet(*strategy));
    let fleets: Vec<Fleet> = fleets.collect::<Result<_, _>>()?;

    let mut cells = Vec::new();
    for callers in settings.callers.iter().copied() {
        let cell = |fleet: &Fleet| Cell { strategy: fleet.strategy, callers, samples: Vec::new() };
        let mut row: Vec<Cell> = fleets.iter().map(cell).collect();
        for round in 0..settings.rounds {
            for turn in 0..fleets.len() {
                let place = (turn + round) % fleets.len();
                let sample = Sample::take(&site, &fleets[place], load, callers, settings.run)?;
                row[place].samples.push(sample);
            }
        }
        cells.extend(row);
    }
    Ok(Results { load, cells })
}
