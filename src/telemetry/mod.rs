//! What the sidecar tells about itself: metrics, log lines, and nothing that could slow a request.
//!
//! The rest of the crate emits typed [`events`]; which series they move and which lines they write is decided here.
//! [`names`] holds every metric, [`labels`] every label value. [`trace`] makes spans.
//!
//! A [`Telemetry`] is one sidecar's; several can live in a process. Only [`logging`] is the process's own.

pub mod events;
mod guard;
mod histogram;
pub mod labels;
mod limiter;
pub mod logging;
pub mod names;
mod prometheus;
pub mod reference;
mod series;
mod sink;
pub mod trace;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clock;
use crate::domain::decision::Freshness;

pub use guard::GaugeGuard;
use labels::LabelValue;
use limiter::{Admission, Fault, Limiter};
use prometheus::Page;
use series::Series;
use trace::{SpanQueue, Traces};

/// This build's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that this was built from, as the build was told in `INTERLOCK_REVISION`.
pub const REVISION: &str = match option_env!("INTERLOCK_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// A flag's place in [`Topology::flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlagIndex(pub u16);

/// A route's place in [`Topology::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteIndex(pub u16);

impl FlagIndex {
    const fn get(self) -> usize {
        self.0 as usize
    }
}

/// The configured names that become label values. Names are taken as they are: the configuration bounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The flags, in the order of their indices.
    pub flags: Vec<String>,
    /// Each route's name and the index of its flag, in the order of their indices.
    pub routes: Vec<(String, usize)>,
}

/// The metrics of one sidecar, and its voice in the log. Clones share everything.
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

struct Inner {
    flags: Vec<String>,
    page: Page,
    series: Series,
    limiter: Limiter,
    /// Where spans go, if they go anywhere.
    traces: Option<Traces>,
    /// The index of the freshness last reported; one past the end before the first.
    freshness: AtomicUsize,
    started: clock::Instant,
}

impl Telemetry {
    /// Makes every series of the catalogue for these flags and routes, at zero.
    pub fn new(topology: &Topology) -> Self {
        Self::with_traces(topology, None)
    }

    /// As [`Self::new`]; spans go into a queue. Of the calls without a caller's decision the share `ratio`, 0 to 1, is traced.
    pub fn traced(topology: &Topology, ratio: f64) -> (Self, SpanQueue) {
        let (traces, queue) = Traces::new(ratio);
        (Self::with_traces(topology, Some(traces)), queue)
    }

    fn with_traces(topology: &Topology, traces: Option<Traces>) -> Self {
        let mut page = Page::new();
        let series = Series::register(&mut page, topology);
        Self {
            inner: Arc::new(Inner {
                flags: topology.flags.clone(),
                page,
                series,
                limiter: Limiter::new(),
                traces,
                freshness: AtomicUsize::new(Freshness::VALUES.len()),
                started: clock::now(),
            }),
        }
    }

    /// The page for a scraper, as [`Self::content_type`] says. Reads the process's own figures first.
    pub fn render(&self) -> String {
        self.inner.series.process.collect();
        self.inner.series.log_dropped.at([]).absolute(sink::dropped());
        self.inner.page.render()
    }

    /// The media type of [`Self::render`].
    pub const fn content_type(&self) -> &'static str {
        prometheus::CONTENT_TYPE
    }

    /// Tells of log lines left out about faults that have ceased. To be called about once a second.
    ///
    /// Metrics need no upkeep: their memory does not grow.
    pub fn upkeep(&self) {
        for (fault, left_out) in self.inner.limiter.close(self.seconds()) {
            tell_left_out(fault, left_out);
        }
    }

    fn series(&self) -> &Series {
        &self.inner.series
    }

    fn flag_name(&self, flag: FlagIndex) -> &str {
        self.inner.flags.get(flag.get()).map_or("", String::as_str)
    }

    fn seconds(&self) -> u64 {
        clock::now().saturating_duration_since(self.inner.started).as_secs()
    }

    /// Notes the present freshness; the former one if it was another.
    fn enter(&self, freshness: Freshness) -> Option<Option<Freshness>> {
        let before = self.inner.freshness.swap(freshness.index(), Ordering::Relaxed);
        (before != freshness.index()).then(|| Freshness::VALUES.get(before).copied())
    }

    /// Writes a line about a fault, unless enough were written about it in this second.
    fn fault(&self, fault: Fault, write: impl FnOnce()) {
        match self.inner.limiter.admit(fault, self.seconds()) {
            Admission::LeaveOut => self.series().log_suppressed.at([]).increment(1),
            Admission::Write { left_out_before } => {
                if left_out_before > 0 {
                    tell_left_out(fault, left_out_before);
                }
                write();
            }
        }
    }
}

fn tell_left_out(fault: Fault, count: u64) {
    tracing::warn!(
        target: logging::TARGET,
        event = "suppressed",
        of = fault.event(),
        reason = fault.reason(),
        count,
        "log lines left out about a fault that repeats"
    );
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("flags", &self.inner.flags).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod exposition;
#[cfg(test)]
mod tests;
