//! The metric catalogue: every name, label, closed value set, unit and bucket that `/metrics` can show.
//!
//! Nothing else in the crate writes a metric's name. `docs/metrics.md` is generated from here.

use crate::domain::decision::{Freshness, Reason};
use crate::domain::divergence::{Cause, Verdict};
use crate::domain::flag::{Path, Protection};

use super::labels::{
    AdminFile, AdminRefusal, Breaker, ChangeKind, ClientError, CodeClass, DetectorState,
    EditQueued, EditRefusal, Exposure, FlagsError, Inconclusive, KeyResult, LabelValue, LeaseGate,
    LeaseRefusal, Outcome, ReadResult, ReceiptFound, RetryReason, Role, ShadowSkip, SpanDrop,
    StoreOperation, StoreResult, TransitionStep, UpstreamError, WaitingFor, words,
};

/// One family of series.
#[derive(Debug)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// What its values do.
    pub kind: Kind,
    /// What its values count or measure.
    pub unit: &'static str,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [Label],
    /// One query that it is good for.
    pub hint: &'static str,
}

/// What the values of a metric do.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge that is 1 for the present state and 0 for the others, from the start.
    StateSet,
    /// A gauge that is always 1: its labels are what it tells.
    Info,
    /// A gauge or a counter of the process, read when the page is rendered.
    Process(&'static str),
    /// Counts by upper bound, in seconds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The type as the exposition format calls it.
    pub const fn exposed_as(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::StateSet | Self::Info => "gauge",
            Self::Process(kind) => kind,
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A label and where its values come from.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: Values,
}

/// Where the values of a label come from.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// A set fixed in the code.
    Closed(fn() -> Vec<&'static str>),
    /// The configured flags; beside a route that route's own, and empty for [`UNMATCHED`].
    Flags,
    /// The configured routes, and [`UNMATCHED`].
    Routes,
    /// Fixed when the program was built.
    Build,
}

/// The route of a request that matched none.
pub const UNMATCHED: &str = "unmatched";

/// Upper bounds for latencies, in seconds: 100 us to 10 s, with the usual objectives (0.25, 0.5, 1) among them.
pub const LATENCY_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Upper bounds for the time spent inside the sidecar, in seconds: 10 us to 50 ms.
pub const OVERHEAD_BUCKETS: &[f64] =
    &[0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05];

const fn closed<L: LabelValue>(name: &'static str) -> Label {
    Label { name, values: Values::Closed(words::<L>) }
}

const FLAG: Label = Label { name: "flag", values: Values::Flags };
const ROUTE: Label = Label { name: "route", values: Values::Routes };
const PATH: Label = closed::<Path>("path");
const UPSTREAM: Label = closed::<Path>("upstream");

macro_rules! catalogue {
    ($($constant:ident = $name:literal, $kind:expr, $unit:literal, [$($label:expr),*], $help:literal, $hint:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: $kind,
                unit: $unit,
                help: $help,
                labels: &[$($label),*],
                hint: $hint,
            };
        )+

        /// Every metric, in the order of the documentation.
        pub const CATALOGUE: &[Metric] = &[$($constant),+];
    };
}

use Kind::{Counter, Gauge, Histogram, Info, Process, StateSet};

catalogue! {
    REQUESTS = "interlock_requests_total", Counter, "requests",
        [ROUTE, FLAG, PATH, closed::<CodeClass>("code_class")],
        "Requests answered, by route, the path that served and the class of the status code.",
        "sum by (path) (rate(interlock_requests_total{code_class=\"5xx\"}[5m]))";
    REQUEST_DURATION = "interlock_request_duration_seconds", Histogram(LATENCY_BUCKETS), "seconds",
        [ROUTE, PATH],
        "Time from a request's header to the end of its answer, as the client sees it.",
        "histogram_quantile(0.99, sum by (le, path) (rate(interlock_request_duration_seconds_bucket[5m])))";
    UPSTREAM_DURATION = "interlock_upstream_duration_seconds", Histogram(LATENCY_BUCKETS), "seconds",
        [UPSTREAM, closed::<Role>("role")],
        "Time from sending a call to an upstream to the header of its answer.",
        "histogram_quantile(0.99, sum by (le, upstream) (rate(interlock_upstream_duration_seconds_bucket[5m])))";
    OVERHEAD = "interlock_overhead_seconds", Histogram(OVERHEAD_BUCKETS), "seconds", [],
        "Time that the sidecar itself added to a request: neither upstream nor lease wait.",
        "histogram_quantile(0.99, sum by (le) (rate(interlock_overhead_seconds_bucket[5m])))";
    INFLIGHT = "interlock_inflight_requests", Gauge, "requests", [],
        "Requests received and not yet answered.",
        "sum(interlock_inflight_requests)";
    CONNECTIONS = "interlock_connections", Gauge, "connections", [],
        "Client connections open.",
        "max_over_time(interlock_connections[1h])";
    CLIENT_ERRORS = "interlock_client_errors_total", Counter, "requests",
        [closed::<ClientError>("reason")],
        "Requests and connections that the sidecar refused at its edge, by reason.",
        "sum by (reason) (rate(interlock_client_errors_total[5m]))";
    CLIENT_GONE = "interlock_client_gone_total", Counter, "requests", [FLAG],
        "Updates whose client left while the call ran on: a call once sent is not cancelled.",
        "sum by (flag) (rate(interlock_client_gone_total[5m]))";
    UPSTREAM_ERRORS = "interlock_upstream_errors_total", Counter, "calls",
        [UPSTREAM, closed::<UpstreamError>("error_type")],
        "Calls to an upstream that failed, by kind of failure; a connect failure sent nothing.",
        "sum by (upstream, error_type) (rate(interlock_upstream_errors_total[5m]))";
    UPSTREAM_CONNECTIONS = "interlock_upstream_connections", Gauge, "connections", [UPSTREAM],
        "Connections open to an upstream, busy and idle.",
        "sum by (upstream) (interlock_upstream_connections)";
    DECISIONS = "interlock_decisions_total", Counter, "decisions",
        [FLAG, PATH, closed::<Reason>("reason")],
        "Decisions which path a call takes, and why.",
        "sum by (flag, path) (rate(interlock_decisions_total[5m]))";
    UPDATES = "interlock_updates_total", Counter, "updates",
        [FLAG, PATH, closed::<Protection>("protection"), closed::<Outcome>("outcome")],
        "Updates by the protection that they really had and what became of them.",
        "sum by (flag, protection) (rate(interlock_updates_total{outcome=\"applied\"}[5m]))";
    IDEMPOTENT_REQUESTS = "interlock_idempotent_requests_total", Counter, "calls",
        [FLAG, closed::<KeyResult>("result")],
        "Updates with an Idempotency-Key, by what they came to.",
        "sum by (flag, result) (rate(interlock_idempotent_requests_total[5m]))";
    EXPOSED_UPDATES = "interlock_exposed_updates_total", Counter, "updates",
        [FLAG, closed::<Exposure>("reason")],
        "Updates whose guarantee was weaker than their flag promises, by reason.",
        "sum by (flag, reason) (increase(interlock_exposed_updates_total[1h])) > 0";
    EDITS_REFUSED = "interlock_edits_refused_total", Counter, "updates",
        [FLAG, closed::<EditRefusal>("reason")],
        "Updates whose declared edit could not be made safely, by reason; nothing of it was written.",
        "sum by (flag, reason) (increase(interlock_edits_refused_total[1h])) > 0";
    EDIT_CONFLICTS = "interlock_edit_conflicts_total", Counter, "tries", [FLAG],
        "Tries of an edit that found the document changed since it was read, and were made anew.",
        "sum by (flag) (rate(interlock_edit_conflicts_total[5m])) / sum by (flag) (rate(interlock_updates_total{outcome=\"applied\"}[5m]))";
    EDITS_QUEUED = "interlock_edits_queued_total", Counter, "updates",
        [FLAG, closed::<EditQueued>("reason")],
        "Edits that stood in the queue of their entity's lease, by reason.",
        "sum by (flag, reason) (rate(interlock_edits_queued_total[5m]))";
    RECEIPTS_FOUND = "interlock_receipts_found_total", Counter, "updates",
        [FLAG, closed::<ReceiptFound>("result")],
        "Edits whose answer was lost and whose outcome a receipt then told.",
        "sum by (flag, result) (increase(interlock_receipts_found_total[1h]))";
    RETRIES = "interlock_retries_total", Counter, "tries", [FLAG, closed::<RetryReason>("reason")],
        "Commands of an update that were sent to the store once more, by reason.",
        "sum by (flag, reason) (rate(interlock_retries_total[5m]))";
    RETRIES_DENIED = "interlock_retries_denied_total", Counter, "tries", [FLAG],
        "Tries that were not made as the budget for them was spent.",
        "sum by (flag) (increase(interlock_retries_denied_total[10m])) > 0";
    LOST_UPDATES = "interlock_lost_updates_total", Counter, "updates", [FLAG, PATH],
        "Acknowledged updates that a later read showed gone, with no later update to explain it, by the path that they took.",
        "sum by (flag, path) (increase(interlock_lost_updates_total[10m])) > 0";
    VERIFIED_UPDATES = "interlock_verified_updates_total", Counter, "updates", [FLAG, PATH],
        "Acknowledged updates that the detector came to a conclusion about, lost ones among them.",
        "sum by (path) (rate(interlock_lost_updates_total[10m])) / sum by (path) (rate(interlock_verified_updates_total[10m]))";
    UNMANAGED_WRITES = "interlock_unmanaged_writes_total", Counter, "fields", [FLAG],
        "Values found by the detector that no sidecar wrote: somebody writes past them.",
        "sum by (flag) (increase(interlock_unmanaged_writes_total[1h])) > 0";
    VERIFY_INCONCLUSIVE = "interlock_verify_inconclusive_total", Counter, "checks",
        [FLAG, closed::<Inconclusive>("reason")],
        "Checks of an entity, or of one of its fields, that came to no conclusion, by reason.",
        "sum by (flag, reason) (rate(interlock_verify_inconclusive_total[10m]))";
    VERIFY_READS = "interlock_verify_reads_total", Counter, "reads",
        [FLAG, closed::<ReadResult>("result")],
        "Reads of an entity by the detector.",
        "sum by (flag, result) (rate(interlock_verify_reads_total[5m]))";
    DETECTOR = "interlock_detector", StateSet, "0 or 1", [closed::<DetectorState>("state")],
        "1 for where the lost-update detector keeps its journal.",
        "max by (state) (interlock_detector{state=~\"local|suspended\"}) == 1";
    COMPARISONS = "interlock_comparisons_total", Counter, "comparisons",
        [FLAG, closed::<Verdict>("verdict")],
        "Answers of a candidate compared with the control's.",
        "sum by (flag) (rate(interlock_comparisons_total{verdict=\"mismatched\"}[5m])) / sum by (flag) (rate(interlock_comparisons_total[5m]))";
    CONTENDED_COMPARISONS = "interlock_contended_comparisons_total", Counter, "comparisons",
        [FLAG, closed::<Verdict>("verdict")],
        "Those of them during which this sidecar had another update of the same entity in flight; a difference may be that one's.",
        "sum by (flag) (rate(interlock_contended_comparisons_total[5m])) / sum by (flag) (rate(interlock_comparisons_total[5m]))";
    NOISE_COMPARISONS = "interlock_noise_comparisons_total", Counter, "comparisons",
        [FLAG, closed::<Verdict>("verdict")],
        "Answers of legacy to the same call twice, compared to learn what differs by itself; none of them is among the comparisons.",
        "sum by (flag, verdict) (increase(interlock_noise_comparisons_total[1h]))";
    MISMATCHES = "interlock_mismatches_total", Counter, "mismatches",
        [FLAG, closed::<Cause>("cause")],
        "Divergences, by cause: what a comparison or the lost-update detector found.",
        "sum by (flag, cause) (increase(interlock_mismatches_total[10m])) > 0";
    SHADOW_SKIPPED = "interlock_shadow_skipped_total", Counter, "calls",
        [FLAG, closed::<ShadowSkip>("reason")],
        "Calls that a flag shadows and that were not compared, by reason; the control never waits for a shadow.",
        "sum by (flag, reason) (rate(interlock_shadow_skipped_total{reason!=\"unsampled\"}[5m]))";
    SHADOW_QUEUE_DEPTH = "interlock_shadow_queue_depth", Gauge, "calls", [],
        "Shadows that wait or run now.",
        "max(interlock_shadow_queue_depth)";
    LEASE_WAIT = "interlock_lease_wait_seconds", Histogram(LATENCY_BUCKETS), "seconds", [FLAG],
        "Time that a call waited for its entity's lease.",
        "histogram_quantile(0.99, sum by (le, flag) (rate(interlock_lease_wait_seconds_bucket[5m])))";
    LEASE_HOLD = "interlock_lease_hold_seconds", Histogram(LATENCY_BUCKETS), "seconds", [FLAG],
        "Time that a call held its entity's lease.",
        "histogram_quantile(0.99, sum by (le, flag) (rate(interlock_lease_hold_seconds_bucket[5m])))";
    LEASE_WAITERS = "interlock_lease_waiters", Gauge, "calls", [FLAG],
        "Calls that wait for a lease now.",
        "max by (flag) (interlock_lease_waiters)";
    LEASE_REFUSED = "interlock_lease_refused_total", Counter, "calls",
        [FLAG, closed::<LeaseRefusal>("reason")],
        "Calls answered 503 as no lease could be had in time; nothing of them was sent.",
        "sum by (flag, reason) (rate(interlock_lease_refused_total[5m]))";
    LEASE_GATE = "interlock_lease_gate", StateSet, "0 or 1", [closed::<LeaseGate>("state")],
        "1 for the present state of the fleet's leases; local where there is no store.",
        "max by (state) (interlock_lease_gate{state=~\"lost|recovering\"}) == 1";
    STORE_CONFIGURED = "interlock_store_configured", Gauge, "0 or 1", [],
        "1 where a store is configured (store.url).",
        "interlock_store_up == 0 and interlock_store_configured == 1";
    STORE_UP = "interlock_store_up", Gauge, "0 or 1", [],
        "1 while the store is connected and answers.",
        "interlock_store_up == 0 and interlock_store_configured == 1";
    STORE_PUSH = "interlock_store_push", Gauge, "0 or 1", [],
        "1 while the store pushes changes and grants; without it they are polled for.",
        "interlock_store_push == 0 and interlock_store_up == 1";
    STORE_BREAKER = "interlock_store_breaker", StateSet, "0 or 1", [closed::<Breaker>("state")],
        "1 for the present state of the breaker before the store.",
        "max by (state) (interlock_store_breaker{state!=\"closed\"}) == 1";
    STORE_OPERATIONS = "interlock_store_operations_total", Counter, "commands",
        [closed::<StoreOperation>("operation"), closed::<StoreResult>("result")],
        "Commands to the store, by purpose and how they ended.",
        "sum by (operation, result) (rate(interlock_store_operations_total{result!=\"ok\"}[5m]))";
    STORE_DURATION = "interlock_store_operation_duration_seconds", Histogram(LATENCY_BUCKETS), "seconds",
        [closed::<StoreOperation>("operation")],
        "Time from sending a command to the store to its answer, or to giving it up.",
        "histogram_quantile(0.99, sum by (le, operation) (rate(interlock_store_operation_duration_seconds_bucket[5m])))";
    FLEET_SIDECARS = "interlock_fleet_sidecars", Gauge, "sidecars", [],
        "Sidecars that are registered at the store, this one among them.",
        "max(interlock_fleet_sidecars)";
    FLAG_PERCENT = "interlock_flag_percent", Gauge, "percent (0 to 100)", [FLAG],
        "The percentage that a flag is set to; while it is killed no entity takes the fixed path all the same.",
        "max by (flag) (interlock_flag_percent) - min by (flag) (interlock_flag_percent) > 0";
    FLAG_KILLED = "interlock_flag_killed", Gauge, "0 or 1", [FLAG],
        "1 while a flag is killed.",
        "max by (flag) (interlock_flag_killed) == 1";
    FLAG_REFUSED = "interlock_flag_refused", Gauge, "0 or 1", [FLAG],
        "1 while what the store has of a flag is refused: its last good state holds. `/readyz` says why, under `flags.refused`.",
        "max by (flag) (interlock_flag_refused) == 1";
    FLAG_VERSION = "interlock_flag_version", Gauge, "version", [FLAG],
        "The version of a flag that this sidecar has applied.",
        "max by (flag) (interlock_flag_version) != min by (flag) (interlock_flag_version)";
    FLAG_TRANSITION = "interlock_flag_transition", StateSet, "0 or 1",
        [FLAG, closed::<TransitionStep>("step")],
        "1 for the step that a flag's transition is at.",
        "max by (flag) (interlock_flag_transition{step!=\"settled\"}) == 1";
    TRANSITION_WAITING = "interlock_transition_waiting", Gauge, "sidecars",
        [FLAG, closed::<WaitingFor>("why")],
        "Sidecars that the next step of a flag's transition waits for, as this one sees it.",
        "max by (flag, why) (interlock_transition_waiting) > 0";
    FLAG_LAST_CHANGE = "interlock_flag_last_change_timestamp_seconds", Gauge, "Unix seconds", [FLAG],
        "When a flag was changed last; 0 until it is known.",
        "interlock_flag_last_change_timestamp_seconds * 1000";
    FLAG_CHANGES = "interlock_flag_changes_total", Counter, "changes",
        [FLAG, closed::<ChangeKind>("direction")],
        "Changes of a flag that this sidecar has applied, by what they did.",
        "sum by (flag, direction) (increase(interlock_flag_changes_total[1h]))";
    FLAGS_LAST_SUCCESS = "interlock_flags_last_success_timestamp_seconds", Gauge, "Unix seconds", [],
        "When the flags were read or written well the last time; 0 for never.",
        "time() - max(interlock_flags_last_success_timestamp_seconds) > 120";
    FRESHNESS = "interlock_freshness", StateSet, "0 or 1", [closed::<Freshness>("state")],
        "1 for how well the flags are known.",
        "max(interlock_freshness{state!=\"live\"}) == 1";
    FLAGS_REJECTED = "interlock_flags_rejected_total", Counter, "documents",
        [closed::<FlagsError>("reason")],
        "Flags that were read and not put in force, or could not be read or kept; the last good ones hold.",
        "sum by (reason) (increase(interlock_flags_rejected_total[10m])) > 0";
    SNAPSHOT_REFUSED = "interlock_snapshot_refused", Gauge, "0 or 1", [],
        "1 while `store.snapshot` does not hold the flags: it was refused at the start, or could not be written the last time.",
        "max(interlock_snapshot_refused) == 1";
    WORKER_PANICS = "interlock_worker_panics_total", Counter, "panics", [],
        "Panics caught in the data plane; any is a bug.",
        "increase(interlock_worker_panics_total[1h]) > 0";
    UNATTRIBUTED = "interlock_unattributed_events_total", Counter, "events", [],
        "Events about a route or flag that this sidecar does not have; any is a bug.",
        "increase(interlock_unattributed_events_total[1h]) > 0";
    LOG_SUPPRESSED = "interlock_log_suppressed_total", Counter, "lines", [],
        "Log lines about repeated faults left out by the rate limit.",
        "rate(interlock_log_suppressed_total[5m]) > 0";
    LOG_DROPPED = "interlock_log_dropped_total", Counter, "lines", [],
        "Log lines of this process lost as whoever reads its stderr was too slow.",
        "increase(interlock_log_dropped_total[5m]) > 0";
    SPANS_EXPORTED = "interlock_spans_exported_total", Counter, "spans", [],
        "Spans that the collector has taken.",
        "rate(interlock_spans_exported_total[5m])";
    SPANS_DROPPED = "interlock_spans_dropped_total", Counter, "spans",
        [closed::<SpanDrop>("reason")],
        "Spans that were not exported, by reason; no request waits for the collector.",
        "sum by (reason) (rate(interlock_spans_dropped_total[5m])) > 0";
    DIVERGENCES_KEPT = "interlock_divergence_records_total", Counter, "records", [FLAG],
        "Divergence records that were kept.",
        "sum by (flag) (increase(interlock_divergence_records_total[1h]))";
    DIVERGENCES_DROPPED = "interlock_divergence_records_dropped_total", Counter, "records", [FLAG],
        "Divergences that were counted and not recorded: too many at a time, or the store did not take them.",
        "sum by (flag) (increase(interlock_divergence_records_dropped_total[1h])) > 0";
    ADMIN_REFUSED = "interlock_admin_refused_total", Counter, "calls",
        [closed::<AdminRefusal>("reason")],
        "Calls and connections that the admin plane refused, by reason.",
        "sum by (reason) (increase(interlock_admin_refused_total{reason=~\"bad_token|too_many_failures\"}[10m])) > 0";
    ADMIN_FILE_REFUSED = "interlock_admin_file_refused", Gauge, "0 or 1",
        [closed::<AdminFile>("file")],
        "1 while a file of the admin plane, as it is now, can't be used: what was read before holds.",
        "max by (file) (interlock_admin_file_refused) == 1";
    ADMIN_CERTIFICATE_EXPIRY = "interlock_admin_certificate_expiry_timestamp_seconds", Gauge, "Unix seconds", [],
        "When the certificate in force (admin.tls.cert_file, or one that signed it) runs out; 0 without TLS.",
        "interlock_admin_certificate_expiry_timestamp_seconds > 0 and interlock_admin_certificate_expiry_timestamp_seconds - time() < 7 * 86400";
    DRAINING = "interlock_draining", Gauge, "0 or 1", [],
        "1 while the sidecar shuts down: calls in flight finish, then it ends.",
        "sum(interlock_draining)";
    BUILD_INFO = "interlock_build_info", Info, "1",
        [Label { name: "version", values: Values::Build }, Label { name: "revision", values: Values::Build }],
        "Which build this is.",
        "count by (version) (interlock_build_info)";
    CPU_SECONDS = "process_cpu_seconds_total", Process("counter"), "seconds", [],
        "User and system CPU time of the process, in whole seconds.",
        "rate(process_cpu_seconds_total[5m])";
    OPEN_FDS = "process_open_fds", Process("gauge"), "descriptors", [],
        "Open file descriptors.",
        "process_open_fds / process_max_fds > 0.8";
    MAX_FDS = "process_max_fds", Process("gauge"), "descriptors", [],
        "The most file descriptors that the process may open; 0 for no limit.",
        "process_open_fds / process_max_fds > 0.8";
    RESIDENT_MEMORY = "process_resident_memory_bytes", Process("gauge"), "bytes", [],
        "Resident memory.",
        "max_over_time(process_resident_memory_bytes[1h])";
    VIRTUAL_MEMORY = "process_virtual_memory_bytes", Process("gauge"), "bytes", [],
        "Virtual memory.",
        "process_virtual_memory_bytes";
    START_TIME = "process_start_time_seconds", Process("gauge"), "Unix seconds", [],
        "When the process started.",
        "time() - process_start_time_seconds";
    THREADS = "process_threads", Process("gauge"), "threads", [],
        "Threads of the process.",
        "process_threads";
}
