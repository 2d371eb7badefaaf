//! The loads: which journeys callers update.

use clap::ValueEnum;

/// How many journeys there are, unless all callers want one.
const ENTITIES: usize = 500;
/// How many callers there are at once.
pub(crate) const CALLERS: [usize; 5] = [1, 4, 16, 64, 256];
/// The same for a first look.
pub(crate) const FEW_CALLERS: [usize; 3] = [1, 16, 64];

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Load {
    /// Each of 500 journeys as often as any other one.
    Uniform,
    /// The n-th of 500 journeys 1/n times as often as the first one (Zipf, exponent 1).
    Skewed,
    /// One journey, through one sidecar.
    Hot,
    /// One journey, through three sidecars with an app beside each.
    HotOfThree,
}

impl Load {
    /// What files are called after it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Skewed => "skewed",
            Self::Hot => "hot",
            Self::HotOfThree => "hot-of-three",
        }
    }

    /// What tables and pictures call it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Uniform => "500 journeys alike, one sidecar",
            Self::Skewed => "500 journeys, the n-th 1/n as often, one sidecar",
            Self::Hot => "one hot journey, one sidecar",
            Self::HotOfThree => "one hot journey, three sidecars",
        }
    }

    /// How many sidecars it goes through.
    pub(crate) const fn sidecars(self) -> usize {
        match self {
            Self::HotOfThree => 3,
            _ => 1,
        }
    }

    /// How many journeys it updates.
    pub(crate) const fn entities(self) -> usize {
        match self {
            Self::Uniform | Self::Skewed => ENTITIES,
            Self::Hot | Self::HotOfThree => 1,
        }
    }

    /// How to pick journeys.
    pub(crate) fn picks(self) -> Picks {
        let weight = |entity: usize| match self {
            Self::Skewed => 1.0 / (entity + 1) as f64,
            _ => 1.0,
        };
        let mut sum = 0.0;
        let up_to = (0..self.entities()).map(|entity| {
            sum += weight(entity);
            sum
        });
        Picks { up_to: up_to.collect() }
    }
}

/// Journeys to pick from at random.
pub(crate) struct Picks {
    /// For each one, the sum of all weights up to its own.
    up_to: Vec<f64>,
}

impl Picks {
    /// The next one.
    pub(crate) fn next(&self) -> usize {
        let last = self.up_to.len().saturating_sub(1);
        let at = fastrand::f64() * self.up_to.last().copied().unwrap_or(0.0);
        self.up_to.partition_point(|sum| *sum <= at).min(last)
    }
}

/// The id of a journey of the measurement.
pub(crate) fn journey(entity: usize) -> String {
    format!("E{entity:04}")
}
