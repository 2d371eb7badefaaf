//! From a tree in which everything was checked to the validated configuration.

mod flag;

use std::num::NonZero;
use std::thread;

use super::check;
use super::error::{ConfigProblems, Fault};
use super::lists;
use super::otel::Otel;
use super::table;
use super::tree::Branch;
use super::values;
use super::{
    AdminConfig, AdminOpen, AdminTlsConfig, Config, DivergenceConfig, LegacyConfig, LogFormat,
    OtlpProtocol, ProxyConfig, RedisConfig, StoreConfig, StoreUrl, TelemetryConfig, TracesConfig,
};

/// Builds it. What `check` and `cross` let pass can't be wrong; if it is all the same, this says where.
pub(super) fn config(root: &Branch<'_>, otel: &Otel) -> Result<Config, ConfigProblems> {
    Ok(Config {
        proxy: proxy(&root.at("proxy"))?,
        legacy: legacy(&root.at("legacy"))?,
        admin: admin(&root.at("admin"))?,
        store: store(&root.at("store"))?,
        telemetry: telemetry(&root.at("telemetry"), otel)?,
        divergence: divergence(&root.at("divergence"))?,
        flags: root
            .at("flags")
            .children()
            .into_iter()
            .map(|(name, branch)| flag::flag(name, &branch))
            .collect::<Result<_, _>>()?,
    })
}

fn proxy(at: &Branch<'_>) -> Result<ProxyConfig, ConfigProblems> {
    Ok(ProxyConfig {
        listen: at.get("listen", values::address)?,
        workers: workers(count(at, "workers")?),
        max_body: bytes(at, "max_body")?,
        max_headers: bytes(at, "max_headers")?,
        max_connections: count(at, "max_connections")?,
        header_timeout: at.get("header_timeout", values::duration)?,
        body_timeout: at.get("body_timeout", values::duration)?,
        idle_timeout: at.get("idle_timeout", values::duration)?,
        drain: at.get("drain", values::duration)?,
        path_header: at.get("path_header", values::boolean)?,
    })
}

/// Zero as written is one per core.
fn workers(written: usize) -> usize {
    match written {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        some => some,
    }
}

fn legacy(at: &Branch<'_>) -> Result<LegacyConfig, ConfigProblems> {
    Ok(LegacyConfig {
        url: at.get("url", values::upstream)?,
        connect_timeout: at.get("connect_timeout", values::duration)?,
        timeout: at.get("timeout", values::duration)?,
        settle_after_timeout: at.get("settle_after_timeout", values::duration)?,
        idle_timeout: at.get("idle_timeout", values::duration)?,
    })
}

fn admin(at: &Branch<'_>) -> Result<AdminConfig, ConfigProblems> {
    Ok(AdminConfig {
        listen: at.get("listen", values::address)?,
        tokens_file: at.optional("tokens_file", values::file)?,
        open: at.get("open", open)?,
        tls: at.at("tls").value().map(|_| admin_tls(&at.at("tls"))).transpose()?,
    })
}

fn open(value: &config::Value) -> Result<AdminOpen, Fault> {
    let words = lists::choices(value, table::OPEN)?;
    let probes = words.contains(&table::PROBES);
    Ok(AdminOpen { probes, metrics: words.contains(&table::METRICS) })
}

fn admin_tls(at: &Branch<'_>) -> Result<AdminTlsConfig, ConfigProblems> {
    Ok(AdminTlsConfig {
        cert_file: at.get("cert_file", values::file)?,
        key_file: at.get("key_file", values::file)?,
        client_ca_file: at.optional("client_ca_file", values::file)?,
    })
}

fn store(at: &Branch<'_>) -> Result<StoreConfig, ConfigProblems> {
    Ok(StoreConfig {
        snapshot: at.optional("snapshot", values::file)?,
        redis: at.optional("url", values::store_url)?.map(|url| redis(at, url)).transpose()?,
    })
}

fn redis(at: &Branch<'_>, url: StoreUrl) -> Result<RedisConfig, ConfigProblems> {
    let cluster = at.get("cluster", values::boolean)?;
    let url = if cluster { url.of_cluster() } else { Ok(url) };
    Ok(RedisConfig {
        url: url.map_err(|fault| ConfigProblems::from(at.at("url").problem(fault)))?,
        timeout: at.get("timeout", values::duration)?,
        prefix: at.get("prefix", values::name)?,
        username_file: at.optional("username_file", values::file)?,
        password_file: at.optional("password_file", values::file)?,
        ca_file: at.optional("ca_file", values::file)?,
    })
}

fn telemetry(at: &Branch<'_>, otel: &Otel) -> Result<TelemetryConfig, ConfigProblems> {
    let log_format = match check::text(&at.at("log_format")) {
        Some("text") => LogFormat::Text,
        _ => LogFormat::Json,
    };
    let traces = traces(at, otel)?;
    Ok(TelemetryConfig { log: at.get("log", values::log_filter)?, log_format, traces })
}

fn traces(at: &Branch<'_>, otel: &Otel) -> Result<Option<TracesConfig>, ConfigProblems> {
    let url = at.optional("otlp_endpoint", values::collector)?;
    let Some(url) = url.filter(|_| otel.off.is_none()) else {
        return Ok(None);
    };
    let (protocol, endpoint) = match check::text(&at.at("otlp_protocol")) {
        Some("http/protobuf") => (OtlpProtocol::HttpProtobuf, url.for_http(otel.named_by)),
        _ => (OtlpProtocol::Grpc, url.for_grpc()),
    };
    Ok(Some(TracesConfig {
        endpoint,
        protocol,
        ratio: at.get("trace_ratio", values::ratio)?,
        headers: otel.headers.clone(),
        timeout: otel.timeout(),
        resource: otel.resource(),
    }))
}

fn divergence(at: &Branch<'_>) -> Result<DivergenceConfig, ConfigProblems> {
    Ok(DivergenceConfig { keep: count(at, "keep")?, max_age: at.get("max_age", values::duration)? })
}

fn count(at: &Branch<'_>, name: &str) -> Result<usize, ConfigProblems> {
    at.get(name, |value| values::integer(value).and_then(to_usize))
}

fn bytes(at: &Branch<'_>, name: &str) -> Result<usize, ConfigProblems> {
    at.get(name, |value| values::size(value).and_then(to_usize))
}

fn to_usize(number: u64) -> Result<usize, Fault> {
    usize::try_from(number)
        .map_err(|_| Fault::OutOfRange { min: "0".to_owned(), max: usize::MAX.to_string() })
}
