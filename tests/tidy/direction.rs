//! Which module may import which: the layers of the crate, as a table.

use crate::rules::Offence;
use crate::source::{Path, Source, Tree};

/// May import everything that doesn't stand above it.
const ALL: &str = "*";

const EVENTS: &str = "telemetry::events";
const LABELS: &str = "telemetry::labels";
const TELEMETRY: &str = "telemetry::Telemetry";
/// What tests make a telemetry of their own from.
const TOPOLOGY: &str = "telemetry::Topology";
const FLAG: &str = "telemetry::FlagIndex";

/// A module, and what it may import. A part of a module, `a::b`, grants that part alone.
pub const TABLE: &[(&str, &[&str])] = &[
    ("main", &[ALL]),
    // It runs whole sidecars without their sockets, and exists in tests alone.
    ("simulation", &[ALL]),
    // `check` reads the admin plane's files with the eyes of the admin plane.
    ("cli", &["admin::auth", "admin::files", "clock", "config", "demo", "domain", "net", "tls"]),
    // The demo starts whole sidecars.
    ("demo", &["app", "clock", "config", "domain", "net"]),
    ("app", &[ALL]),
    // Paths send over the proxy's connections.
    (
        "paths",
        &[
            "clock",
            "config",
            "documents",
            "domain",
            "fleet::gate",
            "fleet::ledger",
            "idempotency",
            "lease",
            "proxy",
            "shadow",
            "telemetry",
        ],
    ),
    (
        "proxy",
        &[
            "clock",
            "config",
            "documents",
            "domain",
            "fleet::ledger",
            "idempotency",
            "lease",
            "net",
            "shadow",
            "store",
            "telemetry",
        ],
    ),
    // Of the configuration only what it has of its own.
    (
        "admin",
        &[
            "clock",
            "config::AdminOpen",
            "config::AdminTlsConfig",
            "domain",
            "fleet",
            "net",
            "shadow",
            "store",
            "telemetry",
            "tls",
        ],
    ),
    ("shadow", &["clock", "config", "domain", "fleet", "remote", "telemetry"]),
    // What speaks to the store emits events, and names what they are about.
    (
        "store",
        &["clock", "domain", "fleet", "remote", EVENTS, LABELS, TELEMETRY, TOPOLOGY, FLAG, "watch"],
    ),
    (
        "documents",
        &["clock", "domain", "fleet", "lease", "remote", EVENTS, LABELS, TELEMETRY, TOPOLOGY],
    ),
    (
        "lease",
        &["clock", "domain", "fleet", "remote", EVENTS, LABELS, TELEMETRY, TOPOLOGY, FLAG, "watch"],
    ),
    ("idempotency", &["clock", "domain", "fleet", "remote", EVENTS, LABELS, TELEMETRY, TOPOLOGY]),
    (
        "fleet",
        &["clock", "domain", "remote", EVENTS, LABELS, TELEMETRY, "telemetry::VERSION", "watch"],
    ),
    ("remote", &["clock", "config", "net", "tls", EVENTS, LABELS, TELEMETRY, TOPOLOGY, "watch"]),
    // The exporter of spans dials the collector.
    (
        "telemetry",
        &[
            "clock",
            "config::OtlpProtocol",
            "config::Secret",
            "config::TracesConfig",
            "domain",
            "net",
        ],
    ),
    ("config", &["domain"]),
    ("tls", &[]),
    ("net", &["clock"]),
    ("watch", &[]),
    ("clock", &[]),
    ("domain", &[]),
];

/// Where the table is left on purpose: a file, and the one module that it may import against it.
const CROSSINGS: &[(&str, &str)] = &[
    // The life of a request has to name what serves it in between.
    ("src/proxy/handler.rs", "paths"),
    // In tests alone: the detector's world runs the journals' scripts in the simulation's store.
    ("src/shadow/journal/simulated.rs", "simulation"),
];

/// Imports that the table doesn't grant, as `use` or inline, whether they start at `crate` or climb there by `super`.
pub fn imports_that_point_back(tree: &Tree) -> Vec<Offence> {
    let mut found = Vec::new();
    for file in tree.src().filter(|file| !file.module().is_empty()) {
        for path in &file.paths {
            let Some(target) = target(file, path) else {
                continue;
            };
            if crosses(file, target) {
                continue;
            }
            if let Some(why) = refusal(file.module()[0], target) {
                found.push(Offence::at(file, path.at, why));
            }
        }
    }
    found
}

fn crosses(file: &Source, target: &[String]) -> bool {
    CROSSINGS.iter().any(|(at, module)| file.path == *at && target[0] == *module)
}

/// The path inside the crate that a path leads to, if it leaves its file's own top module.
fn target<'a>(file: &Source, path: &'a Path) -> Option<&'a [String]> {
    let module = file.module();
    let inside = match path.segments[0].as_str() {
        "crate" => &path.segments[1..],
        "interlock" if module == ["main"] => &path.segments[1..],
        "super" => {
            let climbs = path.segments.iter().take_while(|segment| *segment == "super").count();
            let depth = module.len() + file.inline_modules(path.at);
            (climbs >= depth).then(|| &path.segments[climbs..])?
        }
        _ => return None,
    };
    (inside.first()? != module[0]).then_some(inside)
}

fn refusal(from: &str, target: &[String]) -> Option<String> {
    let name = target.join("::");
    let Some(position) = TABLE.iter().position(|(module, _)| *module == from) else {
        return Some(format!("the module `{from}` has no line in the table of directions"));
    };
    let granted = TABLE[position].1.iter().any(|grant| match *grant {
        ALL => TABLE[..position].iter().all(|(above, _)| target[0] != *above),
        grant => {
            grant.split("::").zip(target).filter(|(a, b)| a == b).count()
                == grant.split("::").count()
        }
    });
    (!granted).then(|| format!("`{from}` may not import `{name}`"))
}
