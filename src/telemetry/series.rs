//! The handles of every series, made once at start and found by small integers: an event builds no label.

use std::sync::Arc;

use metrics::{Counter, Gauge};

use super::Topology;
use super::histogram::Histogram;
use super::labels::{Breaker, DetectorState, LabelValue, LeaseGate};
use super::names::{self, Metric, UNMATCHED, Values};
use super::prometheus::{Labels, Page};
use crate::domain::decision::Freshness;
use crate::domain::flag::Path;

/// The handles of one family, by the indices of its labels.
pub(super) struct Table<H, const N: usize> {
    sizes: [usize; N],
    cells: Box<[H]>,
    /// For indices that don't exist.
    fallback: H,
}

impl<H, const N: usize> Table<H, N> {
    /// The handle at these indices; the fallback beyond them.
    pub(super) fn at(&self, indices: [usize; N]) -> &H {
        let mut place = 0;
        for (index, size) in indices.into_iter().zip(self.sizes) {
            if index >= size {
                return &self.fallback;
            }
            place = place * size + index;
        }
        self.cells.get(place).unwrap_or(&self.fallback)
    }
}

/// All series of one sidecar. In every `route` table index 0 is what matched no route.
pub(super) struct Series {
    pub(super) requests: Table<Counter, 3>,
    pub(super) request_duration: Table<Arc<Histogram>, 2>,
    pub(super) upstream_duration: Table<Arc<Histogram>, 2>,
    pub(super) overhead: Table<Arc<Histogram>, 0>,
    pub(super) inflight: Table<Gauge, 0>,
    pub(super) connections: Table<Gauge, 0>,
    pub(super) client_errors: Table<Counter, 1>,
    pub(super) client_gone: Table<Counter, 1>,
    pub(super) upstream_errors: Table<Counter, 2>,
    pub(super) upstream_connections: Table<Gauge, 1>,
    pub(super) decisions: Table<Counter, 3>,
    pub(super) updates: Table<Counter, 4>,
    pub(super) idempotent_requests: Table<Counter, 2>,
    pub(super) exposed_updates: Table<Counter, 2>,
    pub(super) edits_refused: Table<Counter, 2>,
    pub(super) edit_conflicts: Table<Counter, 1>,
    pub(super) edits_queued: Table<Counter, 2>,
    pub(super) receipts_found: Table<Counter, 2>,
    pub(super) retries: Table<Counter, 2>,
    pub(super) retries_denied: Table<Counter, 1>,
    pub(super) lost_updates: Table<Counter, 2>,
    pub(super) verified_updates: Table<Counter, 2>,
    pub(super) unmanaged_writes: Table<Counter, 1>,
    pub(super) verify_inconclusive: Table<Counter, 2>,
    pub(super) verify_reads: Table<Counter, 2>,
    pub(super) detector: Table<Gauge, 1>,
    pub(super) comparisons: Table<Counter, 2>,
    pub(super) contended_comparisons: Table<Counter, 2>,
    pub(super) noise_comparisons: Table<Counter, 2>,
    pub(super) mismatches: Table<Counter, 2>,
    pub(super) shadow_skipped: Table<Counter, 2>,
    pub(super) shadow_queue_depth: Table<Gauge, 0>,
    pub(super) spans_exported: Table<Counter, 0>,
    pub(super) spans_dropped: Table<Counter, 1>,
    pub(super) divergences_kept: Table<Counter, 1>,
    pub(super) divergences_dropped: Table<Counter, 1>,
    pub(super) lease_wait: Table<Arc<Histogram>, 1>,
    pub(super) lease_hold: Table<Arc<Histogram>, 1>,
    pub(super) lease_waiters: Table<Gauge, 1>,
    pub(super) lease_refused: Table<Counter, 2>,
    pub(super) lease_gate: Table<Gauge, 1>,
    pub(super) store_configured: Table<Gauge, 0>,
    pub(super) store_up: Table<Gauge, 0>,
    pub(super) store_push: Table<Gauge, 0>,
    pub(super) store_breaker: Table<Gauge, 1>,
    pub(super) store_operations: Table<Counter, 2>,
    pub(super) store_duration: Table<Arc<Histogram>, 1>,
    pub(super) fleet_sidecars: Table<Gauge, 0>,
    pub(super) flag_percent: Table<Gauge, 1>,
    pub(super) flag_killed: Table<Gauge, 1>,
    pub(super) flag_refused: Table<Gauge, 1>,
    pub(super) flag_version: Table<Gauge, 1>,
    pub(super) flag_transition: Table<Gauge, 2>,
    pub(super) transition_waiting: Table<Gauge, 2>,
    pub(super) flag_last_change: Table<Gauge, 1>,
    pub(super) flag_changes: Table<Counter, 2>,
    pub(super) flags_last_success: Table<Gauge, 0>,
    pub(super) freshness: Table<Gauge, 1>,
    pub(super) flags_rejected: Table<Counter, 1>,
    pub(super) snapshot_refused: Table<Gauge, 0>,
    pub(super) worker_panics: Table<Counter, 0>,
    pub(super) log_suppressed: Table<Counter, 0>,
    pub(super) log_dropped: Table<Counter, 0>,
    pub(super) admin_refused: Table<Counter, 1>,
    pub(super) admin_file_refused: Table<Gauge, 1>,
    pub(super) admin_certificate_expiry: Table<Gauge, 0>,
    pub(super) draining: Table<Gauge, 0>,
    pub(super) process: Process,
}

/// What is read from the system when the page is rendered.
pub(super) struct Process {
    cpu_seconds: Table<Counter, 0>,
    open_fds: Table<Gauge, 0>,
    max_fds: Table<Gauge, 0>,
    resident_memory: Table<Gauge, 0>,
    virtual_memory: Table<Gauge, 0>,
    start_time: Table<Gauge, 0>,
    threads: Table<Gauge, 0>,
}

impl Process {
    /// Reads the system; what it does not tell stays as it was.
    pub(super) fn collect(&self) {
        let now = metrics_process::collector::collect();
        if let Some(seconds) = now.cpu_seconds_total {
            self.cpu_seconds.at([]).absolute(seconds as u64);
        }
        for (gauge, value) in [
            (&self.open_fds, now.open_fds),
            (&self.max_fds, now.max_fds),
            (&self.resident_memory, now.resident_memory_bytes),
            (&self.virtual_memory, now.virtual_memory_bytes),
            (&self.start_time, now.start_time_seconds),
            (&self.threads, now.threads),
        ] {
            if let Some(value) = value {
                gauge.at([]).set(value as f64);
            }
        }
    }
}

impl Series {
    /// Makes every series of the catalogue on the page.
    pub(super) fn register(page: &mut Page, topology: &Topology) -> Self {
        Self::all(&mut Registrar::new(page, topology)).started(page, topology.flags.len())
    }

    fn all(r: &mut Registrar<'_>) -> Self {
        Self {
            requests: r.counters(&names::REQUESTS),
            request_duration: r.histograms(&names::REQUEST_DURATION),
            upstream_duration: r.histograms(&names::UPSTREAM_DURATION),
            overhead: r.histograms(&names::OVERHEAD),
            inflight: r.gauges(&names::INFLIGHT),
            connections: r.gauges(&names::CONNECTIONS),
            client_errors: r.counters(&names::CLIENT_ERRORS),
            client_gone: r.counters(&names::CLIENT_GONE),
            upstream_errors: r.counters(&names::UPSTREAM_ERRORS),
            upstream_connections: r.gauges(&names::UPSTREAM_CONNECTIONS),
            decisions: r.counters(&names::DECISIONS),
            updates: r.counters(&names::UPDATES),
            idempotent_requests: r.counters(&names::IDEMPOTENT_REQUESTS),
            exposed_updates: r.counters(&names::EXPOSED_UPDATES),
            edits_refused: r.counters(&names::EDITS_REFUSED),
            edit_conflicts: r.counters(&names::EDIT_CONFLICTS),
            edits_queued: r.counters(&names::EDITS_QUEUED),
            receipts_found: r.counters(&names::RECEIPTS_FOUND),
            retries: r.counters(&names::RETRIES),
            retries_denied: r.counters(&names::RETRIES_DENIED),
            lost_updates: r.counters(&names::LOST_UPDATES),
            verified_updates: r.counters(&names::VERIFIED_UPDATES),
            unmanaged_writes: r.counters(&names::UNMANAGED_WRITES),
            verify_inconclusive: r.counters(&names::VERIFY_INCONCLUSIVE),
            verify_reads: r.counters(&names::VERIFY_READS),
            detector: r.gauges(&names::DETECTOR),
            comparisons: r.counters(&names::COMPARISONS),
            contended_comparisons: r.counters(&names::CONTENDED_COMPARISONS),
            noise_comparisons: r.counters(&names::NOISE_COMPARISONS),
            mismatches: r.counters(&names::MISMATCHES),
            shadow_skipped: r.counters(&names::SHADOW_SKIPPED),
            shadow_queue_depth: r.gauges(&names::SHADOW_QUEUE_DEPTH),
            spans_exported: r.counters(&names::SPANS_EXPORTED),
            spans_dropped: r.counters(&names::SPANS_DROPPED),
            divergences_kept: r.counters(&names::DIVERGENCES_KEPT),
            divergences_dropped: r.counters(&names::DIVERGENCES_DROPPED),
            lease_wait: r.histograms(&names::LEASE_WAIT),
            lease_hold: r.histograms(&names::LEASE_HOLD),
            lease_waiters: r.gauges(&names::LEASE_WAITERS),
            lease_refused: r.counters(&names::LEASE_REFUSED),
            lease_gate: r.gauges(&names::LEASE_GATE),
            store_configured: r.gauges(&names::STORE_CONFIGURED),
            store_up: r.gauges(&names::STORE_UP),
            store_push: r.gauges(&names::STORE_PUSH),
            store_breaker: r.gauges(&names::STORE_BREAKER),
            store_operations: r.counters(&names::STORE_OPERATIONS),
            store_duration: r.histograms(&names::STORE_DURATION),
            fleet_sidecars: r.gauges(&names::FLEET_SIDECARS),
            flag_percent: r.gauges(&names::FLAG_PERCENT),
            flag_killed: r.gauges(&names::FLAG_KILLED),
            flag_refused: r.gauges(&names::FLAG_REFUSED),
            flag_version: r.gauges(&names::FLAG_VERSION),
            flag_transition: r.gauges(&names::FLAG_TRANSITION),
            transition_waiting: r.gauges(&names::TRANSITION_WAITING),
            flag_last_change: r.gauges(&names::FLAG_LAST_CHANGE),
            flag_changes: r.counters(&names::FLAG_CHANGES),
            flags_last_success: r.gauges(&names::FLAGS_LAST_SUCCESS),
            freshness: r.gauges(&names::FRESHNESS),
            flags_rejected: r.counters(&names::FLAGS_REJECTED),
            snapshot_refused: r.gauges(&names::SNAPSHOT_REFUSED),
            worker_panics: r.counters(&names::WORKER_PANICS),
            log_suppressed: r.counters(&names::LOG_SUPPRESSED),
            log_dropped: r.counters(&names::LOG_DROPPED),
            admin_refused: r.counters(&names::ADMIN_REFUSED),
            admin_file_refused: r.gauges(&names::ADMIN_FILE_REFUSED),
            admin_certificate_expiry: r.gauges(&names::ADMIN_CERTIFICATE_EXPIRY),
            draining: r.gauges(&names::DRAINING),
            process: r.process(),
        }
    }

    /// Sets the gauges that tell a state from the first moment on.
    fn started(self, page: &mut Page, flags: usize) -> Self {
        self.freshness.at([Freshness::NeverLoaded.index()]).set(1.0);
        self.lease_gate.at([LeaseGate::Local.index()]).set(1.0);
        self.detector.at([DetectorState::Off.index()]).set(1.0);
        self.store_breaker.at([Breaker::Closed.index()]).set(1.0);
        for flag in 0..flags {
            self.flag_transition.at([flag, 0]).set(1.0);
        }
        let build =
            [("version", super::VERSION.to_owned()), ("revision", super::REVISION.to_owned())];
        page.gauge(&names::BUILD_INFO, &build).set(1.0);
        self
    }
}

/// For every index of a dimension the labels that it sets.
type Axis = Vec<Vec<(&'static str, String)>>;

struct Registrar<'a> {
    page: &'a mut Page,
    flags: Axis,
    /// With the route's own flag; what matched no route can only have gone to legacy.
    routes: Axis,
    unattributed: Counter,
}

impl<'a> Registrar<'a> {
    fn new(page: &'a mut Page, topology: &Topology) -> Self {
        let unattributed = page.counter(&names::UNATTRIBUTED, &[]);
        let flags = topology.flags.iter().map(|flag| vec![("flag", flag.clone())]).collect();
        let unmatched = vec![
            ("route", UNMATCHED.to_owned()),
            ("flag", String::new()),
            ("path", Path::Legacy.word().to_owned()),
        ];
        let routes = topology.routes.iter().map(|(route, flag)| {
            let flag = topology.flags.get(*flag).cloned().unwrap_or_default();
            vec![("route", route.clone()), ("flag", flag)]
        });
        let routes = std::iter::once(unmatched).chain(routes).collect();
        Self { page, flags, routes, unattributed }
    }

    fn counters<const N: usize>(&mut self, metric: &Metric) -> Table<Counter, N> {
        let fallback = self.unattributed.clone();
        self.table(metric, fallback, Page::counter)
    }

    fn gauges<const N: usize>(&mut self, metric: &Metric) -> Table<Gauge, N> {
        self.table(metric, Gauge::noop(), Page::gauge)
    }

    fn histograms<const N: usize>(&mut self, metric: &Metric) -> Table<Arc<Histogram>, N> {
        self.table(metric, Arc::new(Histogram::new(&[])), Page::histogram)
    }

    fn process(&mut self) -> Process {
        Process {
            cpu_seconds: self.counters(&names::CPU_SECONDS),
            open_fds: self.gauges(&names::OPEN_FDS),
            max_fds: self.gauges(&names::MAX_FDS),
            resident_memory: self.gauges(&names::RESIDENT_MEMORY),
            virtual_memory: self.gauges(&names::VIRTUAL_MEMORY),
            start_time: self.gauges(&names::START_TIME),
            threads: self.gauges(&names::THREADS),
        }
    }

    fn table<H, const N: usize>(
        &mut self,
        metric: &Metric,
        fallback: H,
        make: impl Fn(&mut Page, &Metric, &Labels) -> H,
    ) -> Table<H, N> {
        let axes = self.axes(metric);
        let sizes: [usize; N] = std::array::from_fn(|n| axes.get(n).map_or(0, Vec::len));
        let cells = (0..sizes.iter().product())
            .map(|place| make(self.page, metric, &labels_at(metric, &axes, place)));
        Table { sizes, cells: cells.collect(), fallback }
    }

    /// The dimensions of a metric's table. A route sets its flag as well, so that the flag has no dimension beside it.
    fn axes(&self, metric: &Metric) -> Vec<Axis> {
        let by_route = metric.labels.iter().any(|label| matches!(label.values, Values::Routes));
        let axis = |label: &names::Label| match label.values {
            Values::Routes => Some(self.routes.clone()),
            Values::Flags if by_route => None,
            Values::Flags => Some(self.flags.clone()),
            Values::Closed(words) => {
                let values = words().into_iter();
                Some(values.map(|word| vec![(label.name, word.to_owned())]).collect())
            }
            Values::Build => None,
        };
        metric.labels.iter().filter_map(axis).collect()
    }
}

/// The labels of the series at a place of a table, in the order of the catalogue. An earlier dimension wins.
fn labels_at(metric: &Metric, axes: &[Axis], mut place: usize) -> Vec<(&'static str, String)> {
    let mut set: Vec<&(&'static str, String)> = Vec::new();
    for axis in axes.iter().rev() {
        let size = axis.len().max(1);
        set.splice(0..0, axis.get(place % size).into_iter().flatten());
        place /= size;
    }
    let value = |label: &names::Label| set.iter().find(|(name, _)| *name == label.name);
    metric.labels.iter().filter_map(value).map(|pair| (*pair).clone()).collect()
}
