//! What is compared under a closed loop: ways to make an update, each with its callers, measured in turn.

use std::error::Error;
use std::time::Duration;

use crate::app::App;
use crate::calls::{Caller, Run, run};
use crate::figures::quantile;
use crate::meter::Reading;
use crate::store::{Counted, Redis};

/// Ahead of each measured run: caches and pools come back after the others had the machine.
const WARM_UP: Duration = Duration::from_millis(200);

/// One way to make an update.
pub(crate) struct Subject {
    /// What the table calls it.
    pub(crate) name: &'static str,
    /// Who makes them, each group through another sidecar or process: the callers of group `g` are those whose place
    /// leaves the rest `g`.
    pub(crate) callers: Vec<Caller>,
    /// How many groups there are.
    pub(crate) groups: usize,
    /// The processes of its sidecars.
    pub(crate) sidecars: Vec<u32>,
    /// Which of the store's commands are its own; `None` if it needs no store.
    pub(crate) counted: Option<Counted>,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

/// One subject in one round.
pub(crate) struct Sample {
    run: Run,
    /// Of the callers of each group, updates done in time.
    by_group: Vec<usize>,
    store_calls: f64,
    sidecar_us: f64,
    store_us: f64,
    /// Updates that reached the app while another one was there.
    pub(crate) overlapping: u64,
}

impl Subject {
    /// One that is yet to be measured: one group, no sidecar, no store.
    pub(crate) fn new(name: &'static str, callers: Vec<Caller>) -> Self {
        let (groups, counted) = (1, None);
        Self { name, callers, groups, sidecars: Vec::new(), counted, samples: Vec::new() }
    }

    fn sample(&mut self, place: &Place<'_>, length: Duration) -> Result<(), Box<dyn Error>> {
        run(&mut self.callers, WARM_UP)?;
        place.app.take_overlapping();
        let before = self.read(place)?;
        let run = run(&mut self.callers, length)?;
        let after = self.read(place)?;
        let overlapping = place.app.take_overlapping();

        let mut by_group = vec![0; self.groups];
        for (caller, updates) in run.in_time.iter().enumerate() {
            by_group[caller % self.groups] += updates;
        }
        let used = |now: &[Reading], then: &[Reading]| {
            now.iter().zip(then).map(|(now, then)| now.since(then).cpu_us).sum()
        };
        self.samples.push(Sample {
            run,
            by_group,
            store_calls: (after.calls - before.calls) as f64,
            sidecar_us: used(&after.sidecars, &before.sidecars),
            store_us: used(&after.store, &before.store),
            overlapping,
        });
        Ok(())
    }

    fn read(&self, place: &Place<'_>) -> Result<Readings, Box<dyn Error>> {
        let sidecars = self.sidecars.iter().map(|process| Reading::of(*process));
        Ok(Readings {
            calls: self.counted.map_or(Ok(0), |counted| place.redis.calls(counted))?,
            sidecars: sidecars.collect::<Result<_, _>>()?,
            store: vec![Reading::of(place.redis.id())?],
        })
    }
}

struct Readings {
    calls: u64,
    sidecars: Vec<Reading>,
    store: Vec<Reading>,
}

/// What all subjects share.
pub(crate) struct Place<'a> {
    /// The app that they update.
    pub(crate) app: &'a App,
    /// Their store.
    pub(crate) redis: &'a Redis,
}

impl Place<'_> {
    /// Measures each subject in each round; none always follows the same one.
    pub(crate) fn measure(
        &self,
        subjects: &mut [Subject],
        rounds: usize,
        length: Duration,
    ) -> Result<(), Box<dyn Error>> {
        let count = subjects.len();
        for round in 0..rounds {
            for turn in 0..count {
                subjects[(turn + round) % count].sample(self, length)?;
            }
        }
        Ok(())
    }
}

impl Sample {
    /// The median latency, in microseconds.
    pub(crate) fn p50_us(&self) -> f64 {
        quantile(&self.run.latencies, 0.50)
    }

    /// The 99th percentile, in microseconds.
    pub(crate) fn p99_us(&self) -> f64 {
        quantile(&self.run.latencies, 0.99)
    }

    /// The longest, in microseconds.
    pub(crate) fn longest_us(&self) -> f64 {
        self.run.latencies.last().copied().unwrap_or(f64::NAN)
    }

    /// Updates a second.
    pub(crate) fn rate(&self) -> f64 {
        self.run.rate()
    }

    /// Calls to the store per update.
    pub(crate) fn store_calls(&self) -> f64 {
        self.store_calls / self.run.calls()
    }

    /// The sidecars' time on core per update, in microseconds.
    pub(crate) fn sidecar_us(&self) -> f64 {
        self.sidecar_us / self.run.calls()
    }

    /// The store's time on core per update, in microseconds.
    pub(crate) fn store_us(&self) -> f64 {
        self.store_us / self.run.calls()
    }

    /// Updates of the group that got the fewest, relative to the one that got the most.
    pub(crate) fn fairness(&self) -> f64 {
        let least = self.by_group.iter().min().copied().unwrap_or(0);
        let most = self.by_group.iter().max().copied().unwrap_or(0);
        least as f64 / most.max(1) as f64
    }
}
