//! The configuration as it is in effect, written so that it can be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{
    AdminConfig, Config, FixedConfig, FlagConfig, LegacyConfig, LogFormat, ProxyConfig,
    RedisConfig, RouteConfig, StoreConfig, StoreMode, StoreUrl, TelemetryConfig, UpstreamUrl, size,
    values,
};
use crate::domain::flag::Strategy;
use crate::domain::source::Source;

impl Config {
    /// As TOML that loads back to this configuration; defaults are written out. Secrets are masked, and a masked one is
    /// refused when it is read.
    ///
    /// # Errors
    ///
    /// None in practice: every part of a configuration can be written as TOML.
    pub fn effective_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&Effective::from(self))
    }

    /// The same as a JSON document.
    ///
    /// # Errors
    ///
    /// None in practice: every part of a configuration can be written as JSON.
    pub fn effective_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(Effective::from(self))
    }
}

impl LogFormat {
    /// The word for it in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// The file's layout; field names are keys.
#[derive(Serialize)]
struct Effective<'c> {
    proxy: Proxy<'c>,
    legacy: Legacy<'c>,
    admin: Admin<'c>,
    store: Store<'c>,
    telemetry: Telemetry<'c>,
    flags: BTreeMap<&'c str, Flag<'c>>,
}

#[derive(Serialize)]
struct Proxy<'c> {
    listen: Shown<'c, std::net::SocketAddr>,
    workers: usize,
    max_body: Bytes,
    max_headers: Bytes,
    max_connections: usize,
    header_timeout: Time,
    body_timeout: Time,
    idle_timeout: Time,
    drain: Time,
    path_header: bool,
}

#[derive(Serialize)]
struct Legacy<'c> {
    url: Shown<'c, UpstreamUrl>,
    connect_timeout: Time,
    timeout: Time,
    settle_after_timeout: Time,
    idle_timeout: Time,
}

#[derive(Serialize)]
struct Admin<'c> {
    listen: Shown<'c, std::net::SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_file: Option<&'c std::path::Path>,
}

#[derive(Serialize)]
struct Store<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<&'c std::path::Path>,
    #[serde(flatten)]
    redis: Option<Redis<'c>>,
}

#[derive(Serialize)]
struct Redis<'c> {
    url: Shown<'c, StoreUrl>,
    cluster: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    username_file: Option<&'c std::path::Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<&'c std::path::Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'c std::path::Path>,
    timeout: Time,
    prefix: &'c str,
}

#[derive(Serialize)]
struct Telemetry<'c> {
    log: &'c str,
    log_format: &'static str,
}

#[derive(Serialize)]
struct Flag<'c> {
    entity: Shown<'c, crate::domain::entity::EntityTemplate>,
    percent: f64,
    on_store_loss: &'static str,
    store_patience: Time,
    lease: Lease,
    fixed: Fixed<'c>,
    routes: Vec<Route<'c>>,
}

#[derive(Serialize)]
struct Lease {
    wait: Time,
    max_waiters: usize,
}

#[derive(Serialize)]
struct Fixed<'c> {
    strategy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Shown<'c, UpstreamUrl>>,
}

#[derive(Serialize)]
struct Route<'c> {
    name: &'c str,
    methods: Vec<&'c str>,
    path: Shown<'c, crate::domain::route::PathTemplate>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    placeholders: BTreeMap<&'c str, Shown<'c, Source>>,
}

/// A value written as its `Display` form.
struct Shown<'c, T>(&'c T);

impl<T: fmt::Display> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// A size with its unit.
struct Bytes(usize);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&size::text(self.0 as u64))
    }
}

/// A duration with its units.
struct Time(Duration);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&values::duration_text(self.0))
    }
}

impl<'c> From<&'c Config> for Effective<'c> {
    fn from(config: &'c Config) -> Self {
        Self {
            proxy: Proxy::from(&config.proxy),
            legacy: Legacy::from(&config.legacy),
            admin: Admin::from(&config.admin),
            store: Store::from(&config.store),
            telemetry: Telemetry::from(&config.telemetry),
            flags: config.flags.iter().map(|flag| (flag.name.as_str(), Flag::from(flag))).collect(),
        }
    }
}

impl<'c> From<&'c ProxyConfig> for Proxy<'c> {
    fn from(proxy: &'c ProxyConfig) -> Self {
        Self {
            listen: Shown(&proxy.listen),
            workers: proxy.workers,
            max_body: Bytes(proxy.max_body),
            max_headers: Bytes(proxy.max_headers),
            max_connections: proxy.max_connections,
            header_timeout: Time(proxy.header_timeout),
            body_timeout: Time(proxy.body_timeout),
            idle_timeout: Time(proxy.idle_timeout),
            drain: Time(proxy.drain),
            path_header: proxy.path_header,
        }
    }
}

impl<'c> From<&'c LegacyConfig> for Legacy<'c> {
    fn from(legacy: &'c LegacyConfig) -> Self {
        Self {
            url: Shown(&legacy.url),
            connect_timeout: Time(legacy.connect_timeout),
            timeout: Time(legacy.timeout),
            settle_after_timeout: Time(legacy.settle_after_timeout),
            idle_timeout: Time(legacy.idle_timeout),
        }
    }
}

impl<'c> From<&'c AdminConfig> for Admin<'c> {
    fn from(admin: &'c AdminConfig) -> Self {
        Self { listen: Shown(&admin.listen), tokens_file: admin.tokens_file.as_deref() }
    }
}

impl<'c> From<&'c StoreConfig> for Store<'c> {
    fn from(store: &'c StoreConfig) -> Self {
        let redis = store.redis.as_ref().map(Redis::from);
        Self { snapshot: store.snapshot.as_deref(), redis }
    }
}

impl<'c> From<&'c RedisConfig> for Redis<'c> {
    fn from(redis: &'c RedisConfig) -> Self {
        Self {
            url: Shown(&redis.url),
            cluster: redis.url.mode == StoreMode::Cluster,
            username_file: redis.username_file.as_deref(),
            password_file: redis.password_file.as_deref(),
            ca_file: redis.ca_file.as_deref(),
            timeout: Time(redis.timeout),
            prefix: &redis.prefix,
        }
    }
}

impl<'c> From<&'c TelemetryConfig> for Telemetry<'c> {
    fn from(telemetry: &'c TelemetryConfig) -> Self {
        Self { log: &telemetry.log, log_format: telemetry.log_format.as_str() }
    }
}

impl<'c> From<&'c FlagConfig> for Flag<'c> {
    fn from(flag: &'c FlagConfig) -> Self {
        Self {
            entity: Shown(&flag.entity),
            percent: flag.percent.as_f64(),
            on_store_loss: flag.on_store_loss.as_str(),
            store_patience: Time(flag.store_patience),
            lease: Lease { wait: Time(flag.lease.wait), max_waiters: flag.lease.max_waiters },
            fixed: Fixed::from(&flag.fixed),
            routes: flag.routes.iter().map(|route| Route::new(flag, route)).collect(),
        }
    }
}

impl<'c> From<&'c FixedConfig> for Fixed<'c> {
    fn from(fixed: &'c FixedConfig) -> Self {
        match fixed {
            FixedConfig::Serialize => Self { strategy: Strategy::Serialize.as_str(), url: None },
            FixedConfig::Upstream { url } => {
                Self { strategy: Strategy::Upstream.as_str(), url: Some(Shown(url)) }
            }
        }
    }
}

impl<'c> Route<'c> {
    /// A placeholder that comes from its own name in the path needs no entry.
    fn new(flag: &'c FlagConfig, route: &'c RouteConfig) -> Self {
        let names = flag.entity.placeholders().iter().map(String::as_str);
        let own_name =
            |name: &str, source: &Source| matches!(source, Source::Path(path) if path == name);
        Self {
            name: &route.name,
            methods: route.methods.iter().map(http::Method::as_str).collect(),
            path: Shown(&route.path),
            placeholders: names
                .zip(&route.sources)
                .filter(|(name, source)| !own_name(name, source))
                .map(|(name, source)| (name, Shown(source)))
                .collect(),
        }
    }
}
