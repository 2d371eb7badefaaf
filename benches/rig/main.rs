//! The rig: what a request costs in nginx and in Interlock, side by side.
//!
//! Both run on the same core under the same load, interleaved round by round, with the load and the upstream on another
//! core. `benches/README.md` says how to run it and how to read it.
//!
//! | file | what it does |
//! |---|---|
//! | `main.rs` | the command line and the order of the measurements |
//! | `proxies.rs` | what is compared and how it is configured |
//! | `process.rs`, `roles.rs` | starts processes on a core and ends them |
//! | `load.rs`, `upstream.rs`, `wire.rs` | the traffic, each side in a process of its own |
//! | `meter.rs` | reads time on core and memory from `/proc` |
//! | `extras.rs` | counts system calls and allocations |
//! | `shadows.rs` | sees to it that no shadow was skipped |
//! | `report.rs`, `layout.rs` | the table |
//! | `machine.rs` | a directory of the run's own, and how busy the machine is |
//! | `ending.rs` | the exit code, and why there are no figures |
//!
//! `ending.rs`, `layout.rs`, `machine.rs`, `meter.rs` and `process.rs` serve the benches `fleet` and `strategies` too.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table on standard output, or why there is none, is what the rig is for"
)]

mod ending;
mod extras;
mod layout;
mod load;
mod machine;
mod meter;
mod process;
mod proxies;
mod report;
mod roles;
mod shadows;
mod upstream;
mod wire;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::ending::exit_code;
use crate::extras::AllocationCounter;
use crate::load::Traffic;
use crate::machine::{Scratch, load_average};
use crate::meter::Reading;
use crate::proxies::{Peer, Proxy, RunningProxy, Site, Subject};
use crate::report::{Row, Sample, table};
use crate::roles::{Load, Upstream};

/// Ahead of each measured run: caches and pools come back after the other proxies had the core.
const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Parser)]
#[command(about = "What a request costs in nginx and in Interlock, side by side")]
struct Options {
    /// How many client connections, one table each
    #[arg(long, value_delimiter = ',', default_values_t = [32, 256], value_parser = connections)]
    connections: Vec<usize>,
    /// How often each proxy is measured, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The length of one measurement
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// What the ratios are to
    #[arg(long, value_enum, default_value = "nginx")]
    peer: Peer,
    /// What is compared with it
    #[arg(long, value_delimiter = ',', default_value = "split,serialize,pass")]
    subjects: Vec<Subject>,
    /// A command to compare instead; {listen}, {port} and {upstream} are filled in
    #[arg(long)]
    subject_cmd: Option<String>,
    /// Count system calls too (needs strace)
    #[arg(long)]
    syscalls: bool,
    /// Count allocations too (needs cc, and builds Interlock without jemalloc)
    #[arg(long)]
    allocations: bool,
    /// The core of the proxies
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of the load and the upstream
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// The peer's program
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// How many unused upstream connections the peer keeps, for each of its two upstreams
    #[arg(long, default_value_t = 64)]
    nginx_keepalive: usize,
    /// Interlock's program
    #[arg(long, default_value = env!("CARGO_BIN_EXE_interlock"))]
    interlock: PathBuf,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is as a process of its own within a measurement.
#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
enum Role {
    #[command(hide = true)]
    Upstream,
    #[command(hide = true)]
    Load { target: SocketAddr, connections: usize, traffic: Traffic },
}

/// The kernel's limit on open files bounds it; 4,096 fit a usual one twice over.
fn connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=4096) => Ok(number),
        _ => Err("must be a whole number from 1 to 4096".to_owned()),
    }
}

fn main() -> ExitCode {
    exit_code("rig", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    match options.role {
        Some(Role::Upstream) => Ok(upstream::serve()?),
        Some(Role::Load { target, connections, traffic }) => {
            Ok(load::serve(target, connections, traffic)?)
        }
        // `cargo test --benches` runs this too, and shouldn't take minutes.
        None if !options.bench => {
            println!("run it as: cargo bench --bench rig");
            Ok(())
        }
        None => measure_all(options),
    }
}

fn measure_all(options: &Options) -> Result<(), Box<dyn Error>> {
    let scratch = Scratch::new("rig")?;
    let upstream = Upstream::start(options.load_core)?;
    let site = Site {
        core: options.proxy_core,
        upstream: upstream.address,
        nginx: options.nginx.clone(),
        nginx_keepalive: options.nginx_keepalive,
        interlock: options.interlock.clone(),
        scratch: scratch.path().to_owned(),
    };
    let mut proxies = vec![Proxy::peer(options.peer)];
    match &options.subject_cmd {
        Some(line) => proxies.push(Proxy::command(line.clone())),
        None => {
            proxies.extend(options.subjects.iter().map(|it| Proxy::subject(*it, upstream.address)))
        }
    }
    let counter = match options.allocations {
        true => Some(AllocationCounter::build(&site, &proxies)?),
        false => None,
    };
    let Options { rounds, seconds, nginx_keepalive, .. } = options;
    println!("{rounds} rounds of {seconds} s; load average {}", load_average());
    println!("nginx keeps {nginx_keepalive} unused connections for each upstream");
    for &connections in &options.connections {
        let mut rows = measure(options, &site, &proxies, connections)?;
        if let Some(counter) = &counter {
            for (proxy, row) in proxies.iter().zip(&mut rows) {
                let figure = counter.measure(proxy, options.load_core, connections)?;
                row.allocations = Some(figure);
            }
        }
        println!("\n{connections} connections, per request:\n{}", table(&rows));
    }
    Ok(())
}

/// One proxy under measurement.
struct Bench {
    running: RunningProxy,
    load: Load,
    samples: Vec<Sample>,
}

impl Bench {
    fn start(
        options: &Options,
        site: &Site,
        proxy: &Proxy,
        connections: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let running = site.start(proxy, &[])?;
        let load = Load::start(options.load_core, running.listen, connections, proxy.traffic)?;
        Ok(Self { running, load, samples: Vec::new() })
    }

    fn sample(&mut self, length: Duration) -> Result<(), Box<dyn Error>> {
        let process = self.running.process.id();
        self.load.run(WARM_UP)?;
        let before = Reading::of(process)?;
        let counts = self.load.run(length)?;
        let usage = Reading::of(process)?.since(&before);
        self.samples.push(Sample { counts, usage });
        Ok(())
    }
}

fn measure(
    options: &Options,
    site: &Site,
    proxies: &[Proxy],
    connections: usize,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let start = |proxy| Bench::start(options, site, proxy, connections);
    let mut benches = proxies.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    for round in 0..options.rounds as usize {
        for turn in 0..benches.len() {
            // Each is first once in a while: none always follows the same one.
            let turn = (turn + round) % proxies.len();
            benches[turn].sample(Duration::from_secs(options.seconds))?;
        }
    }
    let mut rows = Vec::new();
    for (proxy, mut bench) in proxies.iter().zip(benches) {
        if let Some(admin) = bench.running.admin {
            shadows::assert_none_skipped(admin)?;
        }
        let process = bench.running.process.id();
        let resident_bytes = meter::resident(process)?;
        let syscalls = match options.syscalls {
            true => Some(extras::syscalls(&mut bench.load, process, &site.scratch)?),
            false => None,
        };
        let (name, samples) = (proxy.name.clone(), bench.samples);
        rows.push(Row { name, samples, resident_bytes, syscalls, allocations: None });
    }
    Ok(rows)
}
