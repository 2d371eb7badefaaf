//! The configuration: what was written, read and validated into types that can't be wrong.
//!
//! This file holds the validated form that the rest of the crate works with. [`load`] makes it, in steps that read in
//! this order: `table`, `flag_table` and `keys` say what may be written; `raw`, `environment` and `otel` read layers and
//! merge them; `check` and `values` look at every value, `cross` and the `…_rules` at what must hold between them; `build`
//! makes the types below. `error` lists every problem with its layer, key, value and remedy. `effective` writes a
//! configuration out again, `reference` the page about it.

mod addresses;
mod build;
mod check;
mod collector;
mod conflict;
mod cross;
mod effective;
mod environment;
mod error;
mod flag_table;
mod host;
mod keys;
mod lists;
mod mask;
mod otel;
mod otel_table;
mod pairs;
mod raw;
mod reference;
mod shadow_rules;
mod size;
mod store_rules;
mod store_url;
mod table;
#[cfg(test)]
mod tests;
mod traces_rules;
mod tree;
mod url;
mod validate;
mod values;
mod verify_rules;
mod warning;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;

pub use collector::CollectorFault;
pub use conflict::Conflict;
pub use environment::variables;
pub use error::{ConfigProblems, Fault, Origin, Problem};
pub use host::host_name;
pub use mask::mask_url;
pub use pairs::PairsFault;
pub use reference::page as reference_page;
pub use store_url::{Secret, StoreMode, StoreUrl, StoreUrlFault};
pub use url::UrlFault;
pub use validate::{Loaded, load};
pub use warning::{Notice, Warning};

use crate::domain::compare::{PointerPattern, Rules};
use crate::domain::effects::EffectPointer;
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::OnStoreLoss;
use crate::domain::percent::Percent;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// Everything that `interlock run` needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The data plane.
    pub proxy: ProxyConfig,
    /// The app as it is.
    pub legacy: LegacyConfig,
    /// The admin plane.
    pub admin: AdminConfig,
    /// Where flags are kept.
    pub store: StoreConfig,
    /// Logs, metrics and traces.
    pub telemetry: TelemetryConfig,
    /// Divergence records.
    pub divergence: DivergenceConfig,
    /// The flags, in the order of their names.
    pub flags: Vec<FlagConfig>,
}

/// `[proxy]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Threads of the data plane; at least 1 (0 as written has become the number of cores).
    pub workers: usize,
    /// The largest body of a call that must be held whole, in bytes.
    pub max_body: usize,
    /// The largest header block, in bytes.
    pub max_headers: usize,
    /// The most client connections open at once, over all workers.
    pub max_connections: usize,
    /// For a whole header block, from its first byte.
    pub header_timeout: Duration,
    /// The longest silence inside a body, either side.
    pub body_timeout: Duration,
    /// The longest that a client connection may idle between two calls.
    pub idle_timeout: Duration,
    /// The longest that a shutdown waits for calls in flight.
    pub drain: Duration,
    /// Whether responses carry `Interlock-Path`.
    pub path_header: bool,
}

/// A plain-text HTTP upstream: `http://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; 80 where none was written.
    pub port: u16,
}

/// `[legacy]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LegacyConfig {
    /// Where the app listens.
    pub url: UpstreamUrl,
    /// A refused or unanswered connect is retried within it.
    pub connect_timeout: Duration,
    /// To the end of the answer's header, counted from the connection.
    pub timeout: Duration,
    /// D: the longest that a write may still land after its call was given up.
    pub settle_after_timeout: Duration,
    /// How long an unused upstream connection is kept; shorter than the app's own keep-alive timeout, or calls race
    /// with the app closing it.
    pub idle_timeout: Duration,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// Where the admin plane listens.
    pub listen: SocketAddr,
    /// Who may read and change; required beyond loopback.
    pub tokens_file: Option<PathBuf>,
    /// What needs no token beyond loopback.
    pub open: AdminOpen,
    /// With it the admin plane speaks TLS alone.
    pub tls: Option<AdminTlsConfig>,
}

/// `admin.open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminOpen {
    /// `/livez` and `/readyz`.
    pub probes: bool,
    /// `/metrics`.
    pub metrics: bool,
}

/// `[admin.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminTlsConfig {
    /// The certificate, and those that signed it, in PEM.
    pub cert_file: PathBuf,
    /// Its private key, in PEM.
    pub key_file: PathBuf,
    /// Who signs clients' certificates; without it none is asked for.
    pub client_ca_file: Option<PathBuf>,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// The file that remembers flips across restarts; without it they are in memory only.
    pub snapshot: Option<PathBuf>,
    /// The Redis that a fleet shares; without it flags and leases are this process's own.
    pub redis: Option<RedisConfig>,
}

/// The Redis that a fleet shares.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisConfig {
    /// Where it is.
    pub url: StoreUrl,
    /// The longest wait for one command.
    pub timeout: Duration,
    /// What every key begins with.
    pub prefix: String,
    /// Holds the user's name; wins over the URL's. Read again at every connect.
    pub username_file: Option<PathBuf>,
    /// Holds the password; wins over the URL's. Read again at every connect.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for `rediss://`, in place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// `[telemetry]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// A `tracing` filter, such as `info` or `interlock::proxy=debug`.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where traces go; without it no span is made.
    pub traces: Option<TracesConfig>,
}

/// Where traces go. The standard `OTEL_*` variables were taken into account.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesConfig {
    /// The collector; of OTLP over HTTP with the path to which traces are posted.
    pub endpoint: String,
    /// How they are sent.
    pub protocol: OtlpProtocol,
    /// The share of calls without a caller's decision that are traced, 0 to 1.
    pub ratio: f64,
    /// Sent along with every export: `OTEL_EXPORTER_OTLP_HEADERS`. May hold secrets.
    pub headers: Vec<(String, Secret)>,
    /// The longest that an export may take.
    pub timeout: Duration,
    /// Attributes of the resource, `service.name` among them: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<(String, String)>,
}

/// `telemetry.otlp_protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP, as protobuf.
    HttpProtobuf,
}

/// `[divergence]`.
#[derive(Clone, Debug, PartialEq)]
pub struct DivergenceConfig {
    /// The most records that are kept.
    pub keep: usize,
    /// How long one is kept.
    pub max_age: Duration,
}

/// `telemetry.log_format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// `[flags.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagConfig {
    /// The flag's name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// What an update mutates.
    pub entity: EntityTemplate,
    /// The percentage to start from when nothing is remembered.
    pub percent: Percent,
    /// What happens while the store is gone.
    pub on_store_loss: OnStoreLoss,
    /// How long a call is held first, to ride out a failover.
    pub store_patience: Duration,
    /// Bounds on waiting for an entity's lease.
    pub lease: LeaseConfig,
    /// How the fixed path works.
    pub fixed: FixedConfig,
    /// The calls that the flag is about; at least one.
    pub routes: Vec<RouteConfig>,
    /// The lost-update detector; without it nothing is verified.
    pub verify: Option<VerifyConfig>,
    /// How the other path is run beside; without it it is not.
    pub shadow: Option<ShadowConfig>,
    /// Places whose values records may show; all others are redacted.
    pub reveal: Vec<PointerPattern>,
}

/// `flags.NAME.verify`.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyConfig {
    /// Where an entity is read: `GET`, by the legacy path. Its placeholders are the entity's.
    pub read: PathTemplate,
    /// The share of entities that are verified.
    pub sample: Percent,
    /// How long an entity is quiet before it is read.
    pub settle: Duration,
    /// The longest that an entity which never falls quiet goes unread.
    pub interval: Duration,
    /// The most reads a second, of this sidecar for this flag.
    pub max_reads: u32,
}

/// `flags.NAME.shadow`, where its mode is not `off`.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowConfig {
    /// What keeps the candidate from doing harm.
    pub mode: ShadowMode,
    /// The share of updates that are shadowed.
    pub sample: Percent,
    /// The share of those whose candidate is the app as it is, for both: what differs then differs by itself.
    pub noise: Percent,
    /// Where the candidate listens; without it, it is the other path's app.
    pub url: Option<UpstreamUrl>,
    /// The longest that a shadow may wait and run.
    pub timeout: Duration,
    /// The most shadows that run at once, per worker.
    pub max_inflight: usize,
    /// The most shadows that wait, per worker.
    pub queue: usize,
    /// What is compared.
    pub rules: Rules,
}

/// `flags.NAME.shadow.mode`, where the candidate is sent what may change things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShadowMode {
    /// The candidate promises not to commit what is marked `Interlock-Shadow: 1`.
    DryRun,
    /// The candidate has a store of its own.
    Isolated,
}

/// `flags.NAME.lease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// The longest wait for a lease.
    pub wait: Duration,
    /// The most calls that wait for one entity in one sidecar.
    pub max_waiters: usize,
}

/// `flags.NAME.fixed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixedConfig {
    /// The unmodified app under the entity's lease.
    Serialize,
    /// A fixed version of the app.
    Upstream {
        /// Where it listens.
        url: UpstreamUrl,
    },
}

/// `[[flags.NAME.routes]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// The route's name: a metric label.
    pub name: String,
    /// Its methods; at least one.
    pub methods: Vec<Method>,
    /// Its path.
    pub path: PathTemplate,
    /// Where the value of each placeholder of the flag's entity stands, in the order of the entity's placeholders.
    /// A `Source::Path` names a placeholder that `path` has.
    pub sources: Vec<Source>,
    /// What its updates do to the entity; there where the flag is verified and the methods are not safe.
    pub effect: Option<EffectConfig>,
}

/// `flags.NAME.routes[].effect`.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectConfig {
    /// The field that is written. Its placeholders are the path's or the entity's.
    pub pointer: EffectPointer,
    /// Where in the call the new value stands. A `Source::Path` names a placeholder that the path has.
    pub value: Source,
}
