//! What must hold between settings. Values that are wrong on their own are reported in [`check`](super::check) and
//! passed over here.

use std::path::PathBuf;

use super::addresses;
use super::atomic_rules;
use super::check::{self, Findings};
use super::conflict::Conflict;
use super::error::{Origin, Problem};
use super::otel::Otel;
use super::shadow_rules;
use super::store_rules;
use super::traces_rules;
use super::tree::Branch;
use super::values;
use super::verify_rules;
use super::warning::Notice;
use crate::domain::entity::EntityTemplate;
use crate::domain::route::PathTemplate;
use crate::domain::source::Source;

/// The most flags: each has metric series of its own.
pub(super) const MAX_FLAGS: usize = 50;
/// The most routes in all flags, for the same reason.
pub(super) const MAX_ROUTES: usize = 200;

/// Checks all of it.
pub(super) fn check(root: &Branch<'_>, otel: &Otel, findings: &mut Findings) {
    listeners(root, findings);
    upstreams(root, findings);
    snapshot(root, findings);
    store_rules::check(root, findings);
    traces_rules::check(root, otel, findings);
    let flags = root.at("flags").children();
    if flags.len() > MAX_FLAGS {
        let conflict = Conflict::TooManyFlags { count: flags.len(), max: MAX_FLAGS };
        return too_many(conflict, findings);
    }
    for (name, flag) in &flags {
        one_flag(root, flag, findings);
        if let Err(fault) = values::check_name(name) {
            findings.refuse(flag, fault);
        }
    }
    let flags: Vec<Branch<'_>> = flags.into_iter().map(|(_, flag)| flag).collect();
    entities_apart(&flags, findings);
    routes_apart(&flags, findings);
}

/// All layers together are too many, so none is named.
fn too_many(conflict: Conflict, findings: &mut Findings) {
    findings.problems.push(Problem {
        origin: Origin::Nowhere,
        key: "flags".to_owned(),
        value: None,
        fault: conflict.into(),
    });
}

fn listeners(root: &Branch<'_>, findings: &mut Findings) {
    let admin = root.at("admin");
    let Some(admin_listen) = admin.peek("listen", values::address) else {
        return;
    };
    if !admin_listen.ip().is_loopback() && admin.at("tokens_file").value().is_none() {
        findings.refuse(&admin.at("listen"), Conflict::OpenAdmin);
    } else if !admin_listen.ip().is_loopback() && admin.at("tls").value().is_none() {
        findings.warn(&admin.at("listen"), Notice::AdminInTheClear);
    }
    if let Some(proxy) = root.peek("proxy.listen", values::address)
        && proxy.port() != 0
        && proxy.port() == admin_listen.port()
        && addresses::overlap(proxy.ip(), admin_listen.ip())
    {
        findings.refuse(&admin.at("listen"), Conflict::SameListener { proxy });
    }
}

/// Nothing that is called may be what calls.
fn upstreams(root: &Branch<'_>, findings: &mut Findings) {
    let legacy_url = root.peek("legacy.url", values::upstream);
    let mut called = vec![root.at("legacy.url")];
    for (_, flag) in root.at("flags").children() {
        let fixed = flag.at("fixed.url");
        if legacy_url.is_some() && flag.peek("fixed.url", values::upstream) == legacy_url {
            findings.warn(&fixed, Notice::FixedIsLegacy);
        }
        called.extend([fixed, flag.at("shadow.url")]);
    }
    for at in called {
        if let Some(url) = at.value().and_then(|value| values::upstream(value).ok()) {
            no_loop(root, &at, &url.host, url.port, findings);
        }
    }
    if let Some(url) = root.peek("telemetry.otlp_endpoint", values::collector) {
        no_loop(root, &root.at("telemetry.otlp_endpoint"), &url.host, url.port, findings);
    }
}

fn no_loop(root: &Branch<'_>, at: &Branch<'_>, host: &str, port: u16, findings: &mut Findings) {
    for key in ["proxy.listen", "admin.listen"] {
        if let Some(listener) = root.peek(key, values::address)
            && addresses::reaches(host, port, listener)
        {
            findings.refuse(at, Conflict::Loop { key, listener });
        }
    }
}

fn snapshot(root: &Branch<'_>, findings: &mut Findings) {
    let at = root.at("store.snapshot");
    if let Some(path) = check::text(&at).map(PathBuf::from)
        && path.is_dir()
    {
        findings.refuse(&at, Conflict::SnapshotIsDirectory { path });
    }
}

fn one_flag(root: &Branch<'_>, flag: &Branch<'_>, findings: &mut Findings) {
    let routes = flag.at("routes");
    if routes.elements().is_empty() && !findings.covers(routes.path()) {
        findings.refuse(&flag.at("routes"), Conflict::NoRoutes);
    }
    if let Some(entity) = flag.peek("entity", values::parsed::<EntityTemplate>) {
        for route in routes.elements() {
            placeholders(&entity, &route, findings);
        }
    }
    fixed_path(flag, findings);
    atomic_rules::check(root, flag, findings);
    verify_rules::check(flag, findings);
    shadow_rules::check(root, flag, findings);
    drain(root, flag, findings);
}

fn fixed_path(flag: &Branch<'_>, findings: &mut Findings) {
    let url = flag.at("fixed.url");
    match check::text(&flag.at("fixed.strategy")) {
        Some("upstream") if url.value().is_none() && !findings.covers(url.path()) => {
            findings.refuse(&flag.at("fixed.strategy"), Conflict::NoUpstream);
        }
        Some("serialize" | "atomic") if url.value().is_some() => {
            findings.warn(&url, Notice::UnusedUrl)
        }
        _ => {}
    }
}

/// A call may wait for its lease and then for the app; a shutdown should give it that long.
fn drain(root: &Branch<'_>, flag: &Branch<'_>, findings: &mut Findings) {
    let drain = root.peek("proxy.drain", values::duration);
    let timeout = root.peek("legacy.timeout", values::duration);
    let wait = flag.peek("lease.wait", values::duration);
    if let (Some(drain), Some(timeout), Some(wait)) = (drain, timeout, wait)
        && drain < timeout.saturating_add(wait)
    {
        let text = values::duration_text;
        let notice = Notice::DrainTooShort { drain: text(drain), timeout: text(timeout) };
        findings.warn(&flag.at("lease.wait"), notice);
    }
}

/// Every placeholder of the entity has a source in the route, and every source a placeholder.
fn placeholders(entity: &EntityTemplate, route: &Branch<'_>, findings: &mut Findings) {
    let written = route.at("placeholders").children();
    let Some(path) = route.peek("path", values::parsed::<PathTemplate>) else {
        return;
    };
    for (name, branch) in &written {
        if !entity.placeholders().iter().any(|known| known == name) {
            let placeholders = entity.placeholders().to_vec();
            findings.refuse(branch, Conflict::ForeignPlaceholder { placeholders });
        }
        let source = branch.value().and_then(|value| values::parsed::<Source>(value).ok());
        if let Some(Source::Path(name)) = source
            && !path.placeholders().any(|known| known == name)
        {
            findings.refuse(branch, Conflict::NotInPath { name });
        }
    }
    for placeholder in entity.placeholders() {
        let sourced = written.iter().any(|(name, _)| name == placeholder);
        if !sourced && !path.placeholders().any(|known| known == placeholder) {
            let placeholder = placeholder.clone();
            findings.refuse(&route.at("path"), Conflict::Unfilled { placeholder });
        }
    }
}

/// No two flags write the same entities.
fn entities_apart(flags: &[Branch<'_>], findings: &mut Findings) {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for flag in flags {
        let Some(entity) = flag.peek("entity", values::parsed::<EntityTemplate>) else {
            continue;
        };
        let shape = entity.shape();
        match seen.iter().find(|(other, _)| *other == shape) {
            Some((_, other)) => {
                findings.refuse(
                    &flag.at("entity"),
                    Conflict::SameEntity { other: (*other).to_owned() },
                );
            }
            None => seen.push((shape, flag.path())),
        }
    }
}

/// No two routes of any flags have one name or take the same calls.
fn routes_apart(flags: &[Branch<'_>], findings: &mut Findings) {
    let routes: Vec<_> = flags.iter().flat_map(|flag| flag.at("routes").elements()).collect();
    if routes.len() > MAX_ROUTES {
        let conflict = Conflict::TooManyRoutes { count: routes.len(), max: MAX_ROUTES };
        return too_many(conflict, findings);
    }
    for (index, route) in routes.iter().enumerate() {
        let earlier = routes.iter().take(index);
        let name = check::text(&route.at("name"));
        let same_name =
            |other: &&Branch<'_>| name.is_some() && check::text(&other.at("name")) == name;
        if let Some(other) = earlier.clone().find(same_name) {
            let other = other.path().to_owned();
            findings.refuse(&route.at("name"), Conflict::SameRouteName { other });
        }
        for other in earlier {
            if let Some(method) = shared_method(route, other) {
                let other = other.path().to_owned();
                findings.refuse(&route.at("path"), Conflict::SameCalls { other, method });
            }
        }
    }
}

/// A method of calls that both routes match.
fn shared_method(a: &Branch<'_>, b: &Branch<'_>) -> Option<String> {
    let path = |route: &Branch<'_>| route.peek("path", values::parsed::<PathTemplate>);
    let methods = |route: &Branch<'_>| route.peek("methods", values::methods).unwrap_or_default();
    if !path(a)?.same_shape(&path(b)?) {
        return None;
    }
    let others = methods(b);
    methods(a).into_iter().find(|method| others.contains(method)).map(|method| method.to_string())
}
