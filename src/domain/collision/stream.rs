//! A stream: updates that come at random moments, at a steady rate.

use std::time::Duration;

use super::popularity::Popularity;
use super::replay::{Call, Fate, Uniform, tally};

/// How many windows a replay goes on after the updates that count: what comes after the end can take an update away, or bring it back.
const WINDOWS_AFTER: f64 = 20.0;

/// A Poisson stream of updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    /// Of all entities, in updates a second.
    pub rate: f64,
    /// Between the read of each and its write.
    pub window: Duration,
}

/// What becomes of a stream's updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamOutlook {
    /// The share of all updates that is lost.
    pub lost: f64,
    /// The share that is overwritten, for a while at least.
    pub overwritten: f64,
    /// The share of the most popular entity's updates that is lost.
    pub hottest: f64,
}

impl Stream {
    /// What becomes of it, by the formulas of [the module](super).
    pub fn outlook(&self, popularity: &Popularity) -> StreamOutlook {
        let in_flight = |share: &f64| self.in_flight() * share;
        let lost = |load: f64| load / (1.0 + load);
        let mean = |chance: &dyn Fn(f64) -> f64| -> f64 {
            popularity.shares().iter().map(|share| share * chance(in_flight(share))).sum()
        };
        StreamOutlook {
            lost: mean(&lost),
            overwritten: mean(&|load: f64| -(-load).exp_m1()),
            hottest: lost(in_flight(&popularity.largest())),
        }
    }

    /// How many updates are between their read and their write at a time, in the mean.
    pub fn in_flight(&self) -> f64 {
        self.rate * self.window.as_secs_f64()
    }

    /// Draws so many updates of such a stream, each with a window that is `stretch` times the mean one, and counts what is
    /// `(overwritten, lost)` among them.
    pub fn play(
        &self,
        updates: u32,
        popularity: &Popularity,
        mut stretch: impl FnMut(Uniform<'_>) -> f64,
        uniform: Uniform<'_>,
    ) -> (u32, u32) {
        let window = self.window.as_secs_f64();
        let (mut now, mut end) = (0.0, f64::INFINITY);
        // Each with whether it counts.
        let mut calls = Vec::with_capacity(updates as usize);
        loop {
            now -= (1.0 - uniform()).ln() / self.rate;
            if calls.len() == updates as usize {
                end = now + WINDOWS_AFTER * window;
            }
            if now > end {
                break;
            }
            let entity = popularity.pick(uniform());
            let write = now + window * stretch(&mut *uniform);
            calls.push((entity, Call { read: now, write }));
        }
        let mut counts = (0, 0);
        tally(calls, |place, Fate { overwritten, lost }| {
            let counts_too = u32::from(place < updates as usize);
            counts.0 += counts_too * u32::from(overwritten);
            counts.1 += counts_too * u32::from(lost);
        });
        counts
    }
}
