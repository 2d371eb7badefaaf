//! The table: medians over the rounds, with their spread, and the ratios to the peer.

use crate::layout::{Spread, lay_out};
use crate::load::Counts;
use crate::meter::Usage;

/// One proxy in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// What the load counted.
    pub(crate) counts: Counts,
    /// What the proxy used meanwhile.
    pub(crate) usage: Usage,
}

impl Sample {
    /// Time on core per request, in microseconds.
    fn cpu(&self) -> f64 {
        self.usage.cpu_us / self.counts.requests.max(1) as f64
    }

    /// Time in user mode per request, in microseconds.
    fn user(&self) -> f64 {
        self.usage.user_us / self.counts.requests.max(1) as f64
    }

    fn rate(&self) -> f64 {
        self.counts.requests as f64 * 1e6 / self.counts.elapsed_us.max(1) as f64
    }
}

/// All that was measured of one proxy at one number of connections.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The proxy's name.
    pub(crate) name: String,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
    /// Of the resident set, after the last round.
    pub(crate) resident_bytes: u64,
    /// System calls per request, where asked for.
    pub(crate) syscalls: Option<f64>,
    /// Allocations per request, where asked for.
    pub(crate) allocations: Option<f64>,
}

const HEADINGS: [&str; 12] = [
    "proxy",
    "cpu us",
    "range",
    "x nginx",
    "range",
    "user us",
    "x nginx",
    "syscalls",
    "allocs",
    "RSS MB",
    "req/s",
    "p50/p99 us",
];

/// The rows as text; the first is the peer.
pub(crate) fn table(rows: &[Row]) -> String {
    let Some(peer) = rows.first() else {
        return String::new();
    };
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| cells(row, peer)));
    lay_out(&lines)
}

fn cells(row: &Row, peer: &Row) -> [String; HEADINGS.len()] {
    let cpu = Spread::of(row.samples.iter().map(Sample::cpu));
    let user = Spread::of(row.samples.iter().map(Sample::user));
    // Round by round: what disturbs a whole round disturbs both of the pair.
    let pairs = || row.samples.iter().zip(&peer.samples);
    let cpu_ratio = Spread::of(pairs().map(|(it, peer)| it.cpu() / peer.cpu()));
    let user_ratio = Spread::of(pairs().map(|(it, peer)| it.user() / peer.user()));
    let rate = Spread::of(row.samples.iter().map(Sample::rate));
    let latency = |of: fn(&Counts) -> u64| {
        Spread::of(row.samples.iter().map(|sample| of(&sample.counts) as f64)).median
    };
    let megabytes = |row: &Row| row.resident_bytes as f64 / 1e6;
    [
        row.name.clone(),
        format!("{:.1}", cpu.median),
        format!("{:.1}-{:.1}", cpu.least, cpu.most),
        format!("{:.2}", cpu_ratio.median),
        format!("{:.2}-{:.2}", cpu_ratio.least, cpu_ratio.most),
        format!("{:.1}", user.median),
        format!("{:.2}", user_ratio.median),
        with_ratio(row.syscalls, peer.syscalls),
        with_ratio(row.allocations, peer.allocations),
        with_ratio(Some(megabytes(row)), Some(megabytes(peer))),
        format!("{:.0}", rate.median),
        format!("{:.0}/{:.0}", latency(|counts| counts.p50_us), latency(|counts| counts.p99_us)),
    ]
}

fn with_ratio(figure: Option<f64>, of_peer: Option<f64>) -> String {
    match (figure, of_peer) {
        (Some(figure), Some(of_peer)) => format!("{figure:.1} ({:.2}x)", figure / of_peer),
        (Some(figure), None) => format!("{figure:.1}"),
        (None, _) => "-".to_owned(),
    }
}
