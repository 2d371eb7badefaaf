//! How many updates the racy journey service really loses, beside what the model says: bursts of several sizes, and streams of
//! several rates, on one journey.
//!
//! `cargo bench --profile dev --bench collide -- --out docs/images` prints the tables and draws the plot. The service waits on a
//! timer between its read and its write, so the profile doesn't matter. It takes two minutes.
//!
//! | file | what it does |
//! |---|---|
//! | `main.rs` | the command line and the tables |
//! | `measure.rs` | the service, the updates, and which of them are gone |
//! | `plot.rs` | the plot, as SVG |

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tables on standard output are what it is for, and without an answer there is nothing to measure"
)]

mod measure;
mod plot;

use std::path::PathBuf;
use std::time::Duration;

use interlock::domain::collision::{Burst, Popularity, Stream};

use measure::{Bursts, Stage};
use plot::{Panel, Point};

/// Of the service, as it is configured.
const WINDOW: Duration = Duration::from_millis(10);
/// Within which the updates of a burst begin.
const SPREAD: Duration = Duration::from_millis(50);
/// How many updates are in a burst; the last is one to each part of a journey but one.
const SIZES: [u32; 6] = [2, 4, 8, 12, 16, 20];
/// How many bursts of each size.
const BURSTS: u32 = 100;
/// Updates a second, and how many of them are sent.
const STREAMS: [(u32, u32); 6] =
    [(10, 200), (25, 400), (50, 600), (100, 1_200), (200, 2_000), (400, 3_000)];
/// Where everybody's numbers are drawn from.
const SEED: u64 = 1;

fn main() {
    let out = out();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stage = Stage::start(WINDOW, SEED).await;
        let real = stage.alone().await;
        println!(
            "window {WINDOW:?}; an update alone takes {:.1} ms, and that is the most that its window can be\n",
            ms(real)
        );
        let bursts = bursts(&mut stage, real).await;
        let streams = streams(&mut stage, real).await;
        if let Some(out) = out {
            let file = out.join("analysis-collide.svg");
            std::fs::write(&file, plot::draw(&[bursts, streams])).unwrap();
            println!("\n{}", file.display());
        }
    });
}

/// The folder for the plot. Cargo adds arguments of its own.
fn out() -> Option<PathBuf> {
    let mut words = std::env::args().skip_while(|word| word != "--out").skip(1);
    words.next().map(PathBuf::from)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A table of bursts, and its panel.
async fn bursts(stage: &mut Stage, real: Duration) -> Panel {
    println!("{BURSTS} bursts of N updates within {SPREAD:?}: updates lost in each");
    println!("|  N | model, {WINDOW:?} | model, {:.1} ms | measured | ± 2 errors |", ms(real));
    println!("|---:|---:|---:|---:|---:|");
    let popularity = Popularity::zipf(1, 0.0);
    let lost = |calls, window| Burst { calls, spread: SPREAD, window }.outlook(&popularity).lost;
    let mut points = Vec::new();
    for size in SIZES {
        let Bursts { lost: found } = stage.bursts(size, SPREAD, BURSTS).await;
        let (least, most) = (lost(size, WINDOW), lost(size, real));
        let (mean, error) = (found.mean(), 2.0 * found.error());
        println!("| {size:>2} | {least:.2} | {most:.2} | {mean:.2} | {error:.2} |");
        points.push(Point { at: f64::from(size), value: mean, error });
    }
    let curve = |window| (1..=20).map(|n| (f64::from(n), lost(n, window))).collect();
    Panel {
        title: format!("Bursts of N updates within {} ms", SPREAD.as_millis()),
        across: "N",
        up: "updates lost",
        most: (20.0, 20.0),
        curves: vec![curve(WINDOW), curve(real)],
        points,
    }
}

/// A table of streams, and its panel.
async fn streams(stage: &mut Stage, real: Duration) -> Panel {
    println!("\nPoisson streams of one journey's updates: the share that is lost");
    println!(
        "| a second | updates | model, {WINDOW:?} | model, {:.1} ms | measured | ± 2 errors |",
        ms(real)
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    let popularity = Popularity::zipf(1, 0.0);
    let lost = |rate, window| Stream { rate, window }.outlook(&popularity).lost;
    let mut points = Vec::new();
    for (rate, updates) in STREAMS {
        let found = stage.stream(f64::from(rate), updates).await;
        let (least, most) = (lost(f64::from(rate), WINDOW), lost(f64::from(rate), real));
        let (share, error) = (found.mean(), 2.0 * found.error());
        println!("| {rate} | {updates} | {least:.3} | {most:.3} | {share:.3} | {error:.3} |");
        points.push(Point { at: f64::from(rate), value: share, error });
    }
    let curve = |window| {
        (0..=80).map(|step| f64::from(step) * 5.0).map(|rate| (rate, lost(rate, window))).collect()
    };
    Panel {
        title: "Streams of updates of one journey".to_owned(),
        across: "updates a second",
        up: "share lost",
        most: (400.0, 1.0),
        curves: vec![curve(WINDOW), curve(real)],
        points,
    }
}
