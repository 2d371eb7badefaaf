//! A burst: some updates that begin within a short time.

use std::time::Duration;

use super::chance::Tries;
use super::popularity::Popularity;
use super::replay::{Call, Fate, Uniform, tally};

/// A burst of updates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// How many.
    pub calls: u32,
    /// Within which they begin, each at a moment of its own; none: all at once.
    pub spread: Duration,
    /// Between the read of each and its write. Without one nothing can come between.
    pub window: Duration,
}

/// What becomes of a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstOutlook {
    /// The probability that any two updates of one entity overlap, so that at least one is lost.
    pub collision: f64,
    /// How many updates are lost, in the mean.
    pub lost: f64,
    /// How many are overwritten, in the mean, for a while at least.
    pub overwritten: f64,
}

impl Burst {
    /// What becomes of it, by the formulas of [the module](super).
    ///
    /// That nothing collides is `N! [z^N]` of the product, over the entities, of the series with the terms
    /// `(p z)^n / n! (1 - (n - 1) w)^n`: n updates of an entity, and none of them collide. It is multiplied out at `z = N`, where terms and result
    /// are probabilities of Poisson distributions, and divided by that of N. Takes time proportional to the entities times `calls`.
    pub fn outlook(&self, popularity: &Popularity) -> BurstOutlook {
        if self.calls == 0 {
            return BurstOutlook { collision: 0.0, lost: 0.0, overwritten: 0.0 };
        }
        let tries = Tries::new(self.calls);
        let calls = f64::from(self.calls);
        let shares = popularity.shares();
        let survivors: f64 = shares.iter().map(|share| self.survivors(&tries, *share)).sum();
        let overwritten: f64 = shares.iter().map(|share| self.overwritten(*share)).sum();
        BurstOutlook {
            collision: (1.0 - self.without_collision(&tries, shares)).clamp(0.0, 1.0),
            lost: (calls - survivors).max(0.0),
            overwritten: overwritten.max(0.0),
        }
    }

    /// The window as a part of the spread; infinite where all begin at once.
    fn relative_window(&self) -> f64 {
        match (self.window.is_zero(), self.spread.is_zero()) {
            (true, _) => 0.0,
            (false, true) => f64::INFINITY,
            (false, false) => self.window.as_secs_f64() / self.spread.as_secs_f64(),
        }
    }

    /// `1 - (k - 1) w`, or 0: how much of the spread is left to k survivors.
    fn left_to(&self, survivors: u32) -> f64 {
        if survivors <= 1 {
            return 1.0;
        }
        (1.0 - f64::from(survivors - 1) * self.relative_window()).max(0.0)
    }

    /// How many updates of an entity with that share survive, in the mean.
    fn survivors(&self, tries: &Tries, share: f64) -> f64 {
        let chances = (1..=self.calls).map(|k| tries.at_least(k, share * self.left_to(k)));
        chances.take_while(|chance| *chance > 0.0).sum()
    }

    /// How many updates of an entity with that share are overwritten, in the mean.
    fn overwritten(&self, share: f64) -> f64 {
        let calls = f64::from(self.calls);
        let window = self.relative_window().min(1.0);
        let free = |tries: f64| (1.0 - share * window).powf(tries);
        calls * share * (1.0 - (1.0 - window) * free(calls - 1.0)) - (1.0 - free(calls))
    }

    /// The probability that nothing collides.
    fn without_collision(&self, tries: &Tries, shares: &[f64]) -> f64 {
        let size = self.calls as usize + 1;
        let mut product = vec![0.0; size];
        product.splice(..1, [1.0]);
        for share in shares {
            product = multiplied(&product, &self.terms(tries, *share), size);
        }
        let calls = f64::from(self.calls);
        product.last().copied().unwrap_or_default() / tries.poisson(self.calls, calls)
    }

    /// That an entity gets n updates and none of them collide, for each n, were the number of all updates Poisson.
    fn terms(&self, tries: &Tries, share: f64) -> Vec<f64> {
        let mean = f64::from(self.calls) * share;
        let mut terms = Vec::new();
        for n in 0..=self.calls {
            let chance = tries.poisson(n, mean);
            let term = chance * self.left_to(n).powf(f64::from(n));
            let is_last = f64::from(n) > mean && chance < f64::EPSILON * f64::EPSILON;
            if is_last || term <= 0.0 && n > 1 {
                break;
            }
            terms.push(term);
        }
        terms
    }

    /// Draws one such burst, and counts what is `(overwritten, lost)` in it.
    pub fn play(&self, popularity: &Popularity, uniform: Uniform<'_>) -> (u32, u32) {
        let spread = self.spread.as_secs_f64();
        let window = self.window.as_secs_f64();
        let mut calls = Vec::with_capacity(self.calls as usize);
        for _ in 0..self.calls {
            let entity = popularity.pick(uniform());
            let read = uniform() * spread;
            calls.push((entity, Call { read, write: read + window }));
        }
        let mut counts = (0, 0);
        tally(calls, |_, Fate { overwritten, lost }| {
            counts.0 += u32::from(overwritten);
            counts.1 += u32::from(lost);
        });
        counts
    }
}

/// The product of two power series, without the terms from `size` on.
fn multiplied(one: &[f64], other: &[f64], size: usize) -> Vec<f64> {
    let mut product = vec![0.0; size];
    for (shift, factor) in other.iter().enumerate() {
        for (to, from) in product.iter_mut().skip(shift).zip(one) {
            *to += from * factor;
        }
    }
    product
}
