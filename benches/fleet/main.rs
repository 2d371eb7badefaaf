//! The fleet's bench: what leases in a store cost, how fast a flip spreads, and what an outage of the store does to
//! callers. It starts all it needs: a Redis, sidecars, an app, and the load.
//!
//! `benches/README.md` says how to run it and how to read it.
//!
//! | file | what it does |
//! |---|---|
//! | `main.rs` | the command line |
//! | `lease.rs`, `hot.rs`, `flip.rs`, `outage.rs` | the measurements, one table each |
//! | `subject.rs`, `calls.rs` | ways to make an update, measured in turn under a closed loop |
//! | `open_loop.rs` | a load that does not wait |
//! | `locker.rs` | the peer: a lock by `SET NX PX` that is polled |
//! | `sidecar.rs`, `settled.rs`, `store.rs`, `app.rs`, `http.rs` | what is started, and how it is spoken to |
//! | `figures.rs` | quantiles, medians and ranges |

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tables on standard output, or why there are none, are what the bench is for"
)]

mod app;
mod calls;
#[path = "../rig/ending.rs"]
mod ending;
mod figures;
mod flip;
mod hot;
mod http;
#[path = "../rig/layout.rs"]
mod layout;
mod lease;
mod locker;
#[path = "../rig/machine.rs"]
mod machine;
#[allow(dead_code, reason = "the rig reads more")]
#[path = "../rig/meter.rs"]
mod meter;
mod open_loop;
mod outage;
#[allow(clippy::expect_used, reason = "without a free port there is nothing to measure")]
#[path = "../../tests/support/ports.rs"]
mod ports;
#[allow(dead_code, reason = "the rig starts more")]
#[path = "../rig/process.rs"]
mod process;
mod settled;
mod sidecar;
mod store;
mod subject;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::ending::exit_code;
use crate::machine::{Scratch, load_average};
use crate::outage::Outage;
use crate::sidecar::Site;

#[derive(Parser)]
#[command(about = "What leases in a store cost, how fast a flip spreads, what an outage does")]
struct Options {
    /// What is measured; all of it, if nothing is named
    parts: Vec<Part>,
    /// Short runs, all of it within two minutes: for a first look, not for figures
    #[arg(long)]
    quick: bool,
    /// Interlock's program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_interlock"))]
    interlock: PathBuf,
    /// The store's program
    #[arg(long, default_value = "redis-server")]
    redis_server: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The price of a lease that nobody else wants.
    Lease,
    /// One entity that all callers want.
    Hot,
    /// From a change of the flag to the last sidecar that has it.
    Flip,
    /// The store goes away and comes back.
    Outage,
}

/// How long and how often.
pub(crate) struct Settings {
    /// The store's program.
    pub(crate) redis_server: PathBuf,
    /// How often each subject of a closed loop is measured, in turn.
    pub(crate) rounds: usize,
    /// The length of one such measurement.
    pub(crate) run: Duration,
    /// How many flips of each kind.
    pub(crate) flips: usize,
    /// How the store goes away.
    pub(crate) outages: &'static [Outage],
    /// How often each outage is measured, in turn.
    pub(crate) outage_rounds: usize,
    /// How long the store is there, is away, and is back.
    pub(crate) phase: Duration,
}

impl Settings {
    fn of(options: &Options) -> Self {
        let redis_server = options.redis_server.clone();
        match options.quick {
            true => Self {
                redis_server,
                rounds: 2,
                run: Duration::from_millis(400),
                flips: 4,
                outages: &[Outage::Killed, Outage::Hung],
                outage_rounds: 1,
                phase: Duration::from_millis(1500),
            },
            false => Self {
                redis_server,
                rounds: 5,
                run: Duration::from_secs(2),
                flips: 40,
                outages: &[Outage::Killed, Outage::Hung, Outage::Emptied],
                outage_rounds: 3,
                phase: Duration::from_secs(3),
            },
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    // `cargo test --benches` runs this too, and shouldn't take minutes.
    if !options.bench {
        println!("run it as: cargo bench --bench fleet");
        return ExitCode::SUCCESS;
    }
    exit_code("fleet", measure(&options))
}

fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let scratch = Scratch::new("fleet")?;
    let site = Site { program: options.interlock.clone(), scratch: scratch.path().to_owned() };
    let settings = Settings::of(options);
    let start = Instant::now();
    println!("median (range) of {} rounds; load average {}", settings.rounds, load_average());
    let parts = match options.parts.as_slice() {
        [] => Part::value_variants(),
        some => some,
    };
    for part in parts {
        match part {
            Part::Lease => lease::measure(&settings, &site)?,
            Part::Hot => hot::measure(&settings, &site)?,
            Part::Flip => flip::measure(&settings, &site)?,
            Part::Outage => outage::measure(&settings, &site)?,
        }
    }
    println!("took {:.0?}; load average {}", start.elapsed(), load_average());
    Ok(())
}
