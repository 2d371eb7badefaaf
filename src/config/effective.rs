//! The configuration as it is in effect, written so that it can be read again.

mod flag;
mod shadow;
mod telemetry;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use self::flag::Flag;
use self::telemetry::{Divergence, Otel, Telemetry};
use super::{
    AdminConfig, AdminTlsConfig, Config, LegacyConfig, ProxyConfig, RedisConfig, StoreConfig,
    StoreMode, StoreUrl, UpstreamUrl, size, table, values,
};

impl Config {
    /// As TOML that loads back to this configuration; defaults are written out. Secrets are masked, and a masked one is
    /// refused when it is read. What the `OTEL_*` variables alone can say stands in comments.
    ///
    /// # Errors
    ///
    /// None in practice: every part of a configuration can be written as TOML.
    pub fn effective_toml(&self) -> Result<String, toml::ser::Error> {
        let mut text = toml::to_string(&Effective::from(self))?;
        if let Some(traces) = &self.telemetry.traces {
            text.push_str(IN_COMMENTS);
            for line in toml::to_string(&Otel::from(traces))?.lines() {
                text.extend(["# ", line, "\n"]);
            }
        }
        Ok(text)
    }

    /// The same as a JSON document; what the `OTEL_*` variables alone can say stands in `telemetry.otel`.
    ///
    /// # Errors
    ///
    /// None in practice: every part of a configuration can be written as JSON.
    pub fn effective_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut document = serde_json::to_value(Effective::from(self))?;
        if let Some(traces) = &self.telemetry.traces
            && let Some(telemetry) = document.get_mut("telemetry").and_then(|at| at.as_object_mut())
        {
            telemetry.insert("otel".to_owned(), serde_json::to_value(Otel::from(traces))?);
        }
        Ok(document)
    }
}

/// What stands before the comments.
const IN_COMMENTS: &str = "\n# And of traces, by the OTEL_* variables or their defaults:\n";

/// The file's layout; field names are keys.
#[derive(Serialize)]
struct Effective<'c> {
    proxy: Proxy<'c>,
    legacy: Legacy<'c>,
    admin: Admin<'c>,
    store: Store<'c>,
    telemetry: Telemetry<'c>,
    divergence: Divergence,
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
    open: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<AdminTls<'c>>,
}

#[derive(Serialize)]
struct AdminTls<'c> {
    cert_file: &'c std::path::Path,
    key_file: &'c std::path::Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ca_file: Option<&'c std::path::Path>,
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
            divergence: Divergence::from(&config.divergence),
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
        let open = [(admin.open.probes, table::PROBES), (admin.open.metrics, table::METRICS)];
        Self {
            listen: Shown(&admin.listen),
            tokens_file: admin.tokens_file.as_deref(),
            open: open.into_iter().filter_map(|(is_open, word)| is_open.then_some(word)).collect(),
            tls: admin.tls.as_ref().map(AdminTls::from),
        }
    }
}

impl<'c> From<&'c AdminTlsConfig> for AdminTls<'c> {
    fn from(tls: &'c AdminTlsConfig) -> Self {
        Self {
            cert_file: &tls.cert_file,
            key_file: &tls.key_file,
            client_ca_file: tls.client_ca_file.as_deref(),
        }
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
