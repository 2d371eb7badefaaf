//! The rules: what each one finds in a tree.

use crate::source::{Path, Source, Tree, words};

/// One breach of a rule.
#[derive(Debug)]
pub struct Offence {
    /// Relative to the crate.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// What stands there.
    pub what: String,
}

impl Offence {
    /// At a character of a file.
    pub fn at(file: &Source, at: usize, what: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line: file.line(at), what: what.into() }
    }
}

/// The most lines of a file, its inline tests included: what a reader takes in at one sitting.
const MAX_LINES: usize = 400;

/// What the core may not name. A path that starts so, or `use` of it.
const IMPURE: &[&str] = &[
    "tokio",
    "hyper",
    "redis",
    "metrics",
    "tracing",
    "config",
    "crate::config",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
];

/// Test files that may sleep, and why.
const SLEEPERS: &[(&str, &str)] = &[(
    "tests/support/wait.rs",
    "the one loop that waits for a condition of another process, which can't wake us",
)];

/// Names that say nothing of what is inside.
const VAGUE: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc"];

/// Outside of these places, and outside of tests, nothing that `finds` finds.
fn fenced(tree: &Tree, places: &[&str], finds: impl Fn(&Source) -> Vec<usize>) -> Vec<Offence> {
    let outside = tree.src().filter(|file| !file.is_in(places));
    let found = |file| {
        let found = finds(file).into_iter();
        offences(file, found.filter(|at| !file.in_test(*at)).collect())
    };
    outside.flat_map(found).collect()
}

/// Everywhere, tests included.
fn anywhere(tree: &Tree, finds: impl Fn(&Source) -> Vec<usize>) -> Vec<Offence> {
    tree.files.iter().flat_map(|file| offences(file, finds(file))).collect()
}

/// One offence a line.
fn offences(file: &Source, mut places: Vec<usize>) -> Vec<Offence> {
    places.sort_unstable();
    places.dedup_by_key(|at| file.line(*at));
    places.into_iter().map(|at| Offence::at(file, at, quote(file, at))).collect()
}

/// The line that a character is on.
fn quote(file: &Source, at: usize) -> String {
    file.text.lines().nth(file.line(at) - 1).unwrap_or_default().trim().to_owned()
}

fn paths_where(file: &Source, is_meant: impl Fn(&Path) -> bool) -> Vec<usize> {
    file.paths.iter().filter(|path| is_meant(path)).map(|path| path.at).collect()
}

fn words_of(file: &Source, list: &[&str]) -> Vec<usize> {
    list.iter().flat_map(|word| file.words(word)).collect()
}

pub fn impure_core(tree: &Tree) -> Vec<Offence> {
    let core = |file: &Source| file.is_in(&["src/domain/"]);
    anywhere(tree, |file| match core(file) {
        true => paths_where(file, |path| IMPURE.iter().any(|name| path.starts_with(name))),
        false => Vec::new(),
    })
}

pub fn no_module_doc(tree: &Tree) -> Vec<Offence> {
    let silent = tree.files.iter().filter(|file| {
        !file.text.trim_start().lines().next().is_some_and(|line| line.starts_with("//! "))
    });
    silent.map(|file| Offence::at(file, 0, "does not start with `//! `")).collect()
}

pub fn long_file(tree: &Tree) -> Vec<Offence> {
    let mut found = Vec::new();
    for file in &tree.files {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            let what = format!("{lines} lines, {} too many", lines - MAX_LINES);
            found.push(Offence { path: file.path.clone(), line: MAX_LINES + 1, what });
        }
    }
    found
}

pub fn status_code(tree: &Tree) -> Vec<Offence> {
    let places = ["src/proxy/error.rs", "src/admin/", "src/cli/", "src/demo/"];
    fenced(tree, &places, |file| {
        let mut found = paths_where(file, |path| {
            let constant = |name: &String| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            path.contains("StatusCode") && path.segments.last().is_some_and(constant)
        });
        for opener in ["status(", "from_u16("] {
            let openers = words(&file.code, opener).into_iter();
            found.extend(openers.filter(|at| is_number(&file.code[at + opener.len()..])));
        }
        found
    })
}

fn is_number(argument: &[char]) -> bool {
    argument.iter().find(|c| !c.is_whitespace()).is_some_and(char::is_ascii_digit)
}

pub fn metric_macro(tree: &Tree) -> Vec<Offence> {
    let crates = ["metrics_exporter_prometheus", "metrics_process"];
    let outside = |file: &&Source| !file.is_in(&["src/telemetry/"]);
    let mut found = Vec::new();
    for file in tree.src().filter(outside) {
        let of_crate = |path: &Path| match path.segments.as_slice() {
            [first] => first == "metrics" || crates.contains(&first.as_str()),
            [first, name, ..] => {
                crates.contains(&first.as_str()) || (first == "metrics" && is_of_metrics(name))
            }
            [] => false,
        };
        found.extend(offences(file, paths_where(file, of_crate)));
    }
    found
}

/// Whether the `metrics` crate has such an item; a module of ours that is called `metrics` hardly does.
fn is_of_metrics(name: &str) -> bool {
    let name = name.strip_prefix("describe_").unwrap_or(name);
    ["counter", "gauge", "histogram", "Counter", "Gauge", "Histogram", "Unit", "Key", "Recorder"]
        .contains(&name)
        || name.ends_with("_recorder")
}

/// Types of sockets, wherever they come from.
const SOCKETS: &[&str] =
    &["TcpStream", "TcpListener", "TcpSocket", "UdpSocket", "UnixStream", "UnixListener"];

/// A type that `crate::net` passes on may be named; taken from its source, or opened, it may not.
pub fn socket(tree: &Tree) -> Vec<Offence> {
    let is_source = |path: &Path| {
        let of_std = |name| path.starts_with("std::net") && path.contains(name);
        ["tokio::net", "std::os::unix::net", "socket2"].iter().any(|name| path.starts_with(name))
            || SOCKETS.iter().any(|name| of_std(name))
    };
    let opens = |path: &Path| match path.segments.as_slice() {
        [.., name, verb] => {
            SOCKETS.contains(&name.as_str()) && (verb == "bind" || verb.starts_with("connect"))
        }
        _ => false,
    };
    fenced(tree, &["src/net.rs"], |file| paths_where(file, |path| is_source(path) || opens(path)))
}

pub fn clock_read(tree: &Tree) -> Vec<Offence> {
    fenced(tree, &["src/clock.rs"], |file| {
        paths_where(file, |path| {
            path.contains("Instant::now")
                || path.contains("SystemTime::now")
                || path.starts_with("std::time::Instant")
        })
    })
}

pub fn environment_read(tree: &Tree) -> Vec<Offence> {
    fenced(tree, &["src/config/", "src/cli/", "src/main.rs"], |file| {
        paths_where(file, |path| path.starts_with("std::env") || path.starts_with("env"))
    })
}

pub fn file_access(tree: &Tree) -> Vec<Offence> {
    let places = [
        "src/config/",
        "src/cli/",
        "src/main.rs",
        "src/store/",
        "src/admin/",
        // Read again at every connect: a password is changed without a restart.
        "src/remote/credentials.rs",
        // The kernel tells there which signals are ignored.
        "src/app/signals.rs",
    ];
    fenced(tree, &places, |file| {
        paths_where(file, |path| {
            ["std::fs", "fs", "tokio::fs", "File"].iter().any(|name| path.starts_with(name))
        })
    })
}

pub fn vague_name(paths: &[String]) -> Vec<Offence> {
    let mut found = Vec::new();
    for path in paths {
        for part in path.split('/') {
            let stem = part.split('.').next().unwrap_or_default();
            if VAGUE.contains(&stem) {
                let what = format!("`{part}` says nothing of what is inside");
                found.push(Offence { path: path.clone(), line: 1, what });
            }
        }
    }
    found
}

pub fn unfinished(tree: &Tree) -> Vec<Offence> {
    anywhere(tree, |file| {
        let mut found = words_of(file, &["todo!", "unimplemented!", "dbg!", "#[ignore"]);
        for word in ["TODO", "FIXME", "XXX", "HACK"] {
            found.extend(words(&file.comments, word));
        }
        found
    })
}

/// A test that stops its thread anywhere, or, in `tests`, lets time pass at all or waits for that.
pub fn sleep_in_test(tree: &Tree) -> Vec<Offence> {
    let allowed: Vec<_> = SLEEPERS.iter().map(|(path, _)| *path).collect();
    anywhere(tree, |file| {
        if file.is_in(&allowed) {
            return Vec::new();
        }
        let mut found = paths_where(file, |path| path.contains("thread::sleep"));
        if file.path.starts_with("tests/") {
            found.extend(words_of(file, &["sleep(", "sleep_until(", "sleep_ms("]));
            found.extend(waits_for_time(file));
        }
        found.retain(|at| file.in_test(*at));
        found
    })
}

/// A wait for a condition that holds as soon as time has passed.
fn waits_for_time(file: &Source) -> Vec<usize> {
    let asks_for_time = |at: &usize| {
        let call = call(file, *at);
        ["elapsed()", "Instant::now("].iter().any(|time| !words(&call, time).is_empty())
    };
    words_of(file, &["until(", "eventually("]).into_iter().filter(asks_for_time).collect()
}

/// A call from its name to the bracket that ends it.
fn call(file: &Source, at: usize) -> Vec<char> {
    let mut depth = 0;
    let within = |c: &char| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth > 0 || *c != ')'
    };
    file.code[at..].iter().copied().take_while(within).collect()
}

pub fn allow_without_reason(tree: &Tree) -> Vec<Offence> {
    anywhere(tree, |file| {
        let found = words_of(file, &["allow(", "expect("]).into_iter();
        found.filter(|at| in_attribute(file, *at) && !has_reason(file, *at)).collect()
    })
}

/// Whether a `#[` or `#![` is open here.
fn in_attribute(file: &Source, at: usize) -> bool {
    let mut depth = 0;
    for i in (0..at).rev() {
        match file.code[i] {
            ']' => depth += 1,
            '[' if depth > 0 => depth -= 1,
            '[' => {
                let before: String = file.code[i.saturating_sub(2)..i].iter().collect();
                return before.ends_with('#') || before == "#!";
            }
            ';' | '{' | '}' => return false,
            _ => {}
        }
    }
    false
}

fn has_reason(file: &Source, at: usize) -> bool {
    !words(&call(file, at), "reason").is_empty()
}

/// Metric names in dashboards and alerts (path and text) that the catalogue's page doesn't have.
pub fn unknown_metric(files: &[(String, String)], catalogue: &str) -> Vec<Offence> {
    let known = metric_names(catalogue);
    let known: Vec<_> = known.into_iter().map(|(_, name)| name).collect();
    let mut found = Vec::new();
    for (path, text) in files {
        for (line, name) in metric_names(text) {
            let series = ["_bucket", "_sum", "_count"];
            let base = series.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            if !known.contains(&name) && !known.iter().any(|known| known == base) {
                found.push(Offence { path: path.clone(), line, what: format!("`{name}`") });
            }
        }
    }
    found
}

fn metric_names(text: &str) -> Vec<(usize, String)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let names = |line: &str| {
        let words = line.split(|c| !is_part(c));
        let names = words.filter(|word| word.starts_with("interlock_") && !word.contains(':'));
        // What ends so is the beginning of several names.
        let names = names.filter(|word| !word.ends_with('_'));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = text.lines().enumerate();
    lines.flat_map(|(i, line)| names(line).into_iter().map(move |name| (i + 1, name))).collect()
}
