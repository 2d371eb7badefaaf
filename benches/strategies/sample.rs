//! One strategy under one load, measured once.

use std::error::Error;
use std::time::Duration;

use crate::callers::{Loop, LoopError, Run};
use crate::figures::quantile;
use crate::history::{Findings, History};
use crate::load::Load;
use crate::meter::Reading;
use crate::site::{Fleet, Site, SiteError};
use crate::store::Redis;

/// What the bench itself asks of the store at the ends of a measured run: `INFO`.
const OWN_COMMANDS: u64 = 1;

/// Why there is no sample.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    #[error("the documents were not written")]
    Site(#[from] SiteError),
    #[error("the store failed")]
    Store(#[from] crate::store::StoreError),
    #[error("the load failed")]
    Loop(#[from] LoopError),
}

/// What was seen.
pub(crate) struct Sample {
    run: Run,
    /// What became of all updates, those of the warm-up included.
    pub(crate) findings: Findings,
    used: Used,
}

/// What the measured run took.
struct Used {
    scripts: f64,
    commands: f64,
    sidecars_us: f64,
    apps_us: f64,
    redis_us: f64,
}

struct Readings {
    scripts: u64,
    commands: u64,
    sidecars: Vec<Reading>,
    apps: Vec<Reading>,
    redis: Vec<Reading>,
}

impl Sample {
    /// Measures `fleet` under a load.
    pub(crate) fn take(
        site: &Site,
        fleet: &Fleet,
        load: Load,
        callers: usize,
        length: Duration,
    ) -> Result<Self, SampleError> {
        site.seed(load.entities())?;
        let (history, picks) = (History::new(load.entities()), load.picks());
        let sidecars = fleet.addresses();
        let (history, picks, sidecars) = (&history, &picks, &sidecars[..]);
        let closed = Loop { sidecars, callers, picks, history, length };
        let (run, [before, after]) =
            closed.run(site.redis.connection()?, || Readings::of(site, fleet))?;

        let mut redis = site.redis.connection()?;
        for entity in 0..load.entities() {
            closed.read(&mut redis, entity)?;
        }
        let used = after.since(&before, run.reads as u64);
        Ok(Self { run, findings: history.findings(), used })
    }

    /// Acknowledged updates a second.
    pub(crate) fn rate(&self) -> f64 {
        self.run.latencies.len() as f64 / self.run.seconds
    }

    /// The median latency of acknowledged updates, in milliseconds.
    pub(crate) fn p50_ms(&self) -> f64 {
        quantile(&self.run.latencies, 0.50) / 1000.0
    }

    /// Their 99th percentile, in milliseconds.
    pub(crate) fn p99_ms(&self) -> f64 {
        quantile(&self.run.latencies, 0.99) / 1000.0
    }

    /// Calls that were not answered with 200.
    pub(crate) fn failed(&self) -> usize {
        self.run.failed
    }

    /// Answers with a weaker guarantee than configured.
    pub(crate) fn degraded(&self) -> usize {
        self.run.degraded
    }

    /// Scripts that the sidecars sent, per acknowledged update.
    pub(crate) fn scripts(&self) -> f64 {
        self.per_update(self.used.scripts)
    }

    /// All commands that the store executed, those within scripts included, per acknowledged update.
    pub(crate) fn commands(&self) -> f64 {
        self.per_update(self.used.commands)
    }

    /// The sidecars' time on core per acknowledged update, in microseconds.
    pub(crate) fn sidecars_us(&self) -> f64 {
        self.per_update(self.used.sidecars_us)
    }

    /// The apps' time on core per acknowledged update, in microseconds.
    pub(crate) fn apps_us(&self) -> f64 {
        self.per_update(self.used.apps_us)
    }

    /// The store's time on core per acknowledged update, in microseconds.
    pub(crate) fn redis_us(&self) -> f64 {
        self.per_update(self.used.redis_us)
    }

    fn per_update(&self, figure: f64) -> f64 {
        figure / self.run.latencies.len() as f64
    }
}

impl Readings {
    fn of(site: &Site, fleet: &Fleet) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let all = |processes: &[u32]| {
            processes.iter().map(|process| Reading::of(*process)).collect::<Result<_, _>>()
        };
        let [scripts, commands] = executed(&site.redis)?;
        Ok(Self {
            scripts,
            commands,
            sidecars: all(&fleet.processes())?,
            apps: all(&fleet.apps)?,
            redis: all(&[site.redis.id()])?,
        })
    }

    fn since(&self, earlier: &Self, reads: u64) -> Used {
        let used = |now: &[Reading], then: &[Reading]| {
            now.iter().zip(then).map(|(now, then)| now.since(then).cpu_us).sum()
        };
        let commands = self.commands - earlier.commands;
        Used {
            scripts: (self.scripts - earlier.scripts) as f64,
            commands: commands.saturating_sub(reads + OWN_COMMANDS) as f64,
            sidecars_us: used(&self.sidecars, &earlier.sidecars),
            apps_us: used(&self.apps, &earlier.apps),
            redis_us: used(&self.redis, &earlier.redis),
        }
    }
}

/// How many scripts the store has run, and how many commands with those that the scripts gave.
fn executed(redis: &Redis) -> Result<[u64; 2], crate::store::StoreError> {
    let info: String = redis::cmd("INFO").arg("commandstats").query(&mut redis.connection()?)?;
    let mut executed = [0, 0];
    for line in info.lines() {
        let Some((command, stats)) =
            line.strip_prefix("cmdstat_").and_then(|it| it.split_once(':'))
        else {
            continue;
        };
        let calls = stats.split(',').next().and_then(|it| it.strip_prefix("calls=")?.parse().ok());
        let calls: u64 = calls.unwrap_or(0);
        executed[1] += calls;
        if matches!(command, "eval" | "evalsha") {
            executed[0] += calls;
        }
    }
    Ok(executed)
}
