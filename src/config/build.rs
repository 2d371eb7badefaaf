//! From a tree in which everything was checked to the validated configuration.

use std::num::NonZero;
use std::thread;

use http::Method;

use super::check;
use super::error::{ConfigProblems, Fault};
use super::tree::Branch;
use super::values;
use super::{
    AdminConfig, Config, FixedConfig, FlagConfig, LeaseConfig, LegacyConfig, LogFormat,
    ProxyConfig, RedisConfig, RouteConfig, StoreConfig, StoreUrl, TelemetryConfig,
};
use crate::domain::entity::EntityTemplate;
use crate::domain::flag::{OnStoreLoss, Strategy};
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// Builds it. What `check` and `cross` let pass can't be wrong; if it is all the same, this says where.
pub(super) fn config(root: &Branch<'_>) -> Result<Config, ConfigProblems> {
    Ok(Config {
        proxy: proxy(&root.at("proxy"))?,
        legacy: legacy(&root.at("legacy"))?,
        admin: admin(&root.at("admin"))?,
        store: store(&root.at("store"))?,
        telemetry: telemetry(&root.at("telemetry"))?,
        flags: root
            .at("flags")
            .children()
            .into_iter()
            .map(|(name, branch)| flag(name, &branch))
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

fn telemetry(at: &Branch<'_>) -> Result<TelemetryConfig, ConfigProblems> {
    let log_format = match check::text(&at.at("log_format")) {
        Some("text") => LogFormat::Text,
        _ => LogFormat::Json,
    };
    Ok(TelemetryConfig { log: at.get("log", values::log_filter)?, log_format })
}

fn flag(name: &str, at: &Branch<'_>) -> Result<FlagConfig, ConfigProblems> {
    let entity: EntityTemplate = at.get("entity", values::parsed)?;
    let routes = at.at("routes").elements();
    let routes = routes.iter().map(|branch| route(&entity, branch)).collect::<Result<_, _>>()?;
    Ok(FlagConfig {
        name: name.to_owned(),
        percent: at.get("percent", values::percent)?,
        on_store_loss: match check::text(&at.at("on_store_loss")) {
            Some("reject") => OnStoreLoss::Reject,
            _ => OnStoreLoss::Legacy,
        },
        store_patience: at.get("store_patience", values::duration)?,
        lease: LeaseConfig {
            wait: at.get("lease.wait", values::duration)?,
            max_waiters: count(at, "lease.max_waiters")?,
        },
        fixed: fixed(at)?,
        routes,
        entity,
    })
}

fn fixed(flag: &Branch<'_>) -> Result<FixedConfig, ConfigProblems> {
    match check::text(&flag.at("fixed.strategy")) {
        Some(text) if text == Strategy::Upstream.as_str() => {
            Ok(FixedConfig::Upstream { url: flag.get("fixed.url", values::upstream)? })
        }
        _ => Ok(FixedConfig::Serialize),
    }
}

fn route(entity: &EntityTemplate, at: &Branch<'_>) -> Result<RouteConfig, ConfigProblems> {
    let written = at.at("placeholders");
    let source = |placeholder: &String| {
        // A placeholder's name has no dot, so it is one step.
        let source = written.optional(placeholder, values::parsed::<Source>)?;
        let source = source.unwrap_or_else(|| Source::Path(placeholder.clone()));
        Ok::<_, ConfigProblems>(source)
    };
    let path: PathTemplate = at.get("path", values::parsed)?;
    let methods: Vec<Method> = at.get("methods", values::methods)?;
    Ok(RouteConfig {
        name: at.get("name", values::name)?,
        methods,
        path,
        sources: entity.placeholders().iter().map(source).collect::<Result<_, _>>()?,
    })
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
