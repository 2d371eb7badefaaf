//! The configuration: what was written, read and validated into types that can't be wrong.
//!
//! This file holds the validated form that the rest of the crate works with. [`load`] makes it, in steps that read in
//! this order: `table`, `flag_table` and `keys` say what may be written; `raw`, `environment` and `otel` read layers and
//! merge them; `check` and `values` look at every value, `cross` and the `…_rules` at what must hold between them; `build`
//! makes the types below and in `flag`. `error` lists every problem with its layer, key, value and remedy. `effective` writes a
//! configuration out again, `reference` the page about it.

mod addresses;
mod atomic_rules;
mod build;
mod check;
mod collector;
mod conflict;
mod cross;
mod effective;
mod environment;
mod error;
mod flag;
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

pub use collector::CollectorFault;
pub use conflict::Conflict;
pub use environment::variables;
pub use error::{ConfigProblems, Fault, Origin, Problem};
pub use flag::{
    AnswerConfig, AtomicConfig, EffectConfig, FixedConfig, FlagConfig, IdempotencyConfig,
    LeaseConfig, OnRefusal, RouteConfig, ShadowConfig, ShadowMode, VerifyConfig,
};
pub use host::host_name;
pub use mask::mask_url;
pub use pairs::PairsFault;
pub use reference::page as reference_page;
pub use store_url::{Secret, StoreMode, StoreUrl, StoreUrlFault};
pub use url::UrlFault;
pub use validate::{Loaded, load};
pub use warning::{Notice, Warning};

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
