//! The configuration: what was written, read and validated into types that can't be wrong.
//!
//! This file holds the validated form that the rest of the crate works with. [`load`] makes it, in steps that read in
//! this order: `table` and `keys` say what may be written; `raw` and `environment` read layers and merge them; `check`
//! and `values` look at every value, `cross` at what must hold between them; `build` makes the types below. `error`
//! lists every problem with its layer, key, value and remedy. `effective` writes a configuration out again,
//! `reference` the page about it.

mod build;
mod check;
mod conflict;
mod cross;
mod effective;
mod environment;
mod error;
mod host;
mod keys;
mod mask;
mod raw;
mod reference;
mod size;
mod store_rules;
mod store_url;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod url;
mod validate;
mod values;
mod warning;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;

pub use conflict::Conflict;
pub use environment::variables;
pub use error::{ConfigProblems, Fault, Origin, Problem};
pub use host::host_name;
pub use mask::mask_url;
pub use reference::page as reference_page;
pub use store_url::{Secret, StoreMode, StoreUrl, StoreUrlFault};
pub use url::UrlFault;
pub use validate::{Loaded, load};
pub use warning::{Notice, Warning};

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
}
