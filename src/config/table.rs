//! The table of keys, but for those of flags, which stand in [`flag_table`](super::flag_table): every key of the
//! configuration, once, with its bounds, default and meaning.

use std::time::Duration;

use super::keys::Kind::{
    Address, Bool, Choice, Choices, Collector, File, Integer, LogFilter, Name, Ratio, Size,
    StoreUrl, Upstream,
};
use super::keys::Presence::{Default, Optional, Required};
use super::keys::{Key, Kind};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;

/// Threads beyond this only wait for each other.
const MAX_WORKERS: u64 = 1_024;
/// Each costs some KiB of memory and a file descriptor.
const MAX_CONNECTIONS: u64 = 1_000_000;
/// A body held whole is in memory once per call.
const MAX_BODY_BYTES: u64 = GIB;
/// A header block is in memory once per connection.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// Below it hardly any request gets through.
const MIN_BOUND_BYTES: u64 = KIB;
/// A timeout that fires at once would fail every call.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(1);
/// Nobody waits longer for a call; a longer one is a slip in the unit.
pub(super) const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);
/// A store that takes longer for one command is as good as gone, and a call would wait for it that long.
const MAX_STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Each is a few KiB, in memory or in the store.
const MAX_RECORDS: u64 = 100_000;
/// A record that is gone so soon was never there for anybody to read.
const MIN_RECORD_AGE: Duration = Duration::from_secs(60);
/// Older ones are about a rollout that is long over.
const MAX_RECORD_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The words of `admin.open`.
pub(super) const PROBES: &str = "probes";
pub(super) const METRICS: &str = "metrics";
pub(super) const OPEN: &[&str] = &[PROBES, METRICS];

/// For what is waited for.
pub(super) const TIMEOUT: Kind = Kind::Duration { min: MIN_TIMEOUT, max: MAX_TIMEOUT };

/// In the order of the reference page.
pub(super) static KEYS: &[Key] = &[
    Key::new("proxy.listen", Address, Default("\"0.0.0.0:8080\""), "Where clients connect."),
    Key::new(
        "proxy.workers",
        Integer { min: 0, max: MAX_WORKERS },
        Default("0"),
        "Threads of the data plane; 0 is one per core.",
    ),
    Key::new(
        "proxy.max_body",
        Size { min: MIN_BOUND_BYTES, max: MAX_BODY_BYTES },
        Default("\"1MiB\""),
        "The most of a body that is held: past it a call whose entity's key stands in its body gets 413, one that \
         waits for a lease streams under it; other bodies stream.",
    ),
    Key::new(
        "proxy.max_headers",
        Size { min: MIN_BOUND_BYTES, max: MAX_HEADER_BYTES },
        Default("\"32KiB\""),
        "The largest header block.",
    ),
    Key::new(
        "proxy.max_connections",
        Integer { min: 1, max: MAX_CONNECTIONS },
        Default("10000"),
        "The most client connections open at once, over all workers.",
    ),
    Key::new(
        "proxy.header_timeout",
        TIMEOUT,
        Default("\"10s\""),
        "For a whole header block from a client.",
    ),
    Key::new(
        "proxy.body_timeout",
        TIMEOUT,
        Default("\"30s\""),
        "The longest silence inside a body, either side.",
    ),
    Key::new(
        "proxy.idle_timeout",
        TIMEOUT,
        Default("\"60s\""),
        "The longest that a client connection may idle between two calls.",
    ),
    Key::new(
        "proxy.drain",
        TIMEOUT,
        Default("\"10s\""),
        "The longest that a shutdown waits for calls in flight.",
    ),
    Key::new(
        "proxy.path_header",
        Bool,
        Default("true"),
        "Whether responses carry `Interlock-Path`.",
    ),
    Key::new(
        "legacy.url",
        Upstream,
        Required("\"http://127.0.0.1:5000\""),
        "Where the app as it is listens: `http://`, host and port.",
    ),
    Key::new(
        "legacy.connect_timeout",
        TIMEOUT,
        Default("\"1s\""),
        "A refused or unanswered connect is retried within it, as nothing was sent.",
    ),
    Key::new(
        "legacy.timeout",
        TIMEOUT,
        Default("\"5s\""),
        "From the end of the call to the end of the answer's header.",
    ),
    Key::new(
        "legacy.settle_after_timeout",
        TIMEOUT,
        Default("\"5s\""),
        "D: the longest that a write may still land after its call was given up; an entity's lease is kept for it.",
    ),
    Key::new(
        "legacy.idle_timeout",
        TIMEOUT,
        Default("\"4s\""),
        "How long an unused connection to the app is kept; must be shorter than the app's own keep-alive timeout.",
    ),
    Key::new(
        "admin.listen",
        Address,
        Default("\"127.0.0.1:9901\""),
        "Where the admin plane listens.",
    ),
    Key::new(
        "admin.tokens_file",
        File,
        Optional("\"/etc/interlock/tokens.toml\""),
        "Who may read and change flags; required where `admin.listen` is not loopback. Looked at again every 2 s.",
    ),
    Key::new(
        "admin.open",
        Choices(OPEN),
        Default("[\"probes\"]"),
        "What needs no token beyond loopback: `/livez` and `/readyz`, `/metrics`. On loopback none of them ever needs one.",
    ),
    Key::new(
        "admin.tls.cert_file",
        File,
        Required("\"/etc/interlock/admin/tls.crt\""),
        "The admin plane's certificate in PEM, with those that signed it; then it speaks TLS alone. Looked at again \
         every 2 s, as the other two are.",
    ),
    Key::new(
        "admin.tls.key_file",
        File,
        Required("\"/etc/interlock/admin/tls.key\""),
        "The certificate's private key in PEM.",
    ),
    Key::new(
        "admin.tls.client_ca_file",
        File,
        Optional("\"/etc/interlock/admin/clients.pem\""),
        "Who signs clients' certificates, in PEM; then a client needs one, probes too, and a token all the same.",
    ),
    Key::new(
        "store.snapshot",
        File,
        Optional("\"/var/lib/interlock/flags.json\""),
        "The file that remembers flips across restarts; left out, they are in memory only.",
    ),
    Key::new(
        "store.url",
        StoreUrl,
        Optional("\"redis://127.0.0.1:6379\""),
        "The Redis that a fleet shares: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or \
         `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/SERVICE[/DATABASE]`; `rediss` in place of `redis` for TLS. \
         Left out, flags and leases are this process's own, which is right for one replica only.",
    ),
    Key::new(
        "store.cluster",
        Bool,
        Default("false"),
        "Whether that Redis is a cluster; then the URL may name several of its nodes, separated by commas.",
    ),
    Key::new(
        "store.username_file",
        File,
        Optional("\"/etc/interlock/redis/username\""),
        "Holds the user's name, which wins over the URL's; read again at every connect.",
    ),
    Key::new(
        "store.password_file",
        File,
        Optional("\"/etc/interlock/redis/password\""),
        "Holds the password, which wins over the URL's; read again at every connect.",
    ),
    Key::new(
        "store.ca_file",
        File,
        Optional("\"/etc/interlock/redis/ca.pem\""),
        "Certificates in PEM to trust with `rediss://`, in place of the system's.",
    ),
    Key::new(
        "store.timeout",
        Kind::Duration { min: MIN_TIMEOUT, max: MAX_STORE_TIMEOUT },
        Default("\"50ms\""),
        "The longest wait for one command of the store: a call that needs the store and can't have it waits no longer.",
    ),
    Key::new(
        "store.prefix",
        Name,
        Default("\"interlock\""),
        "What the store's keys begin with: sidecars with the same one are a fleet, and share flags and leases.",
    ),
    Key::new(
        "telemetry.log",
        LogFilter,
        Default("\"info\""),
        "What is logged: a level, or `target=level` separated by commas.",
    ),
    Key::new(
        "telemetry.log_format",
        Choice(&["json", "text"]),
        Default("\"json\""),
        "How log lines look.",
    ),
    Key::new(
        "telemetry.otlp_endpoint",
        Collector,
        Optional("\"http://127.0.0.1:4317\""),
        "Where traces go: a collector's `http://`, host and port; of OTLP over HTTP with the path, `/v1/traces` where none \
         is written. Left out, nothing is traced.",
    ),
    Key::new(
        "telemetry.otlp_protocol",
        Choice(&["grpc", "http/protobuf"]),
        Default("\"grpc\""),
        "How traces are sent.",
    ),
    Key::new(
        "telemetry.trace_ratio",
        Ratio,
        Default("0.1"),
        "The share of calls that are traced, of those whose caller has not decided it; divergences always are.",
    ),
    Key::new(
        "divergence.keep",
        Integer { min: 1, max: MAX_RECORDS },
        Default("1000"),
        "The most divergence records that are kept; past it the oldest goes.",
    ),
    Key::new(
        "divergence.max_age",
        Kind::Duration { min: MIN_RECORD_AGE, max: MAX_RECORD_AGE },
        Default("\"24h\""),
        "How long a record is kept.",
    ),
];
