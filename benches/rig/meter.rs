//! What a process has cost so far, as the kernel counts it in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Why `/proc` gave no figure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeterError {
    #[error("/proc can't be read: is the process gone?")]
    Io(#[from] std::io::Error),
    #[error("{path} has no number where one was expected")]
    NoNumber { path: String },
}

/// The time that a process and its children have had on a core.
pub(crate) struct Reading {
    /// Nanoseconds on core of each thread.
    threads: BTreeMap<String, u64>,
    /// Clock ticks in user mode.
    user: u64,
    /// Clock ticks in the kernel.
    system: u64,
}

/// What lies between two readings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Time on core, in microseconds.
    pub(crate) cpu_us: f64,
    /// The part of it in user mode, in microseconds.
    pub(crate) user_us: f64,
}

impl Reading {
    /// Reads a process and its children.
    pub(crate) fn of(process: u32) -> Result<Self, MeterError> {
        let mut reading = Self { threads: BTreeMap::new(), user: 0, system: 0 };
        for process in family(process)? {
            let stat = format!("/proc/{process}/stat");
            let fields = stat_fields(&stat)?;
            reading.user += number(&stat, fields.get(11))?;
            reading.system += number(&stat, fields.get(12))?;
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let path = thread?.path().join("schedstat").display().to_string();
                let text = fs::read_to_string(&path)?;
                let on_core = number(&path, text.split_whitespace().next())?;
                reading.threads.insert(path, on_core);
            }
        }
        Ok(reading)
    }

    /// What was used since an earlier reading.
    ///
    /// The scheduler's nanoseconds give the total; the clock ticks, which are too coarse for that, give the share of
    /// user mode in it.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let before = |thread| earlier.threads.get(thread).copied().unwrap_or(0);
        let nanos: u64 = self.threads.iter().map(|(thread, now)| now - before(thread)).sum();
        let user = (self.user - earlier.user) as f64;
        let ticks = user + (self.system - earlier.system) as f64;
        let cpu_us = nanos as f64 / 1000.0;
        Usage { cpu_us, user_us: cpu_us * user / ticks.max(1.0) }
    }
}

/// The resident set of the process, or of its largest child if that is larger, in bytes.
pub(crate) fn resident(process: u32) -> Result<u64, MeterError> {
    let mut largest = 0;
    for process in family(process)? {
        let path = format!("/proc/{process}/status");
        let text = fs::read_to_string(&path)?;
        let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = number(&path, kib.and_then(|rest| rest.split_whitespace().next()))?;
        largest = largest.max(kib * 1024);
    }
    Ok(largest)
}

/// A process and all that descend from it.
pub(crate) fn family(process: u32) -> Result<Vec<u32>, MeterError> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(child) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // A process that ends between the listing and the look at it is none of ours.
        if let Some(parent) = parent_of(&path) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut family = vec![process];
    let mut next = 0;
    while let Some(member) = family.get(next) {
        family.extend(children.remove(member).unwrap_or_default());
        next += 1;
    }
    Ok(family)
}

fn parent_of(process: &Path) -> Option<u32> {
    let fields = stat_fields(process.join("stat").to_str()?).ok()?;
    fields.get(1)?.parse().ok()
}

/// The fields of a `stat` file from the third, the state, on: the second, the name, may hold anything.
fn stat_fields(path: &str) -> Result<Vec<String>, MeterError> {
    let text = fs::read_to_string(path)?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    Ok(after_name.split_whitespace().map(str::to_owned).collect())
}

fn number(path: &str, text: Option<impl AsRef<str>>) -> Result<u64, MeterError> {
    text.and_then(|text| text.as_ref().parse().ok())
        .ok_or_else(|| MeterError::NoNumber { path: path.to_owned() })
}
