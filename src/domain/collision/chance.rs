//! Binomial and Poisson probabilities, without overflow and to the precision of the arithmetic.

/// What is less than this part of a sum is left out of it.
const NEGLIGIBLE: f64 = 1e-17;

/// Probabilities of how often something happens in `n` tries.
#[derive(Debug)]
pub(super) struct Tries {
    n: u32,
    /// `ln(i!)` for each i up to n.
    ln_factorials: Vec<f64>,
}

impl Tries {
    /// In so many tries. Takes a step and 8 bytes for each.
    pub(super) fn new(n: u32) -> Self {
        let mut sum = 0.0;
        let rest = (1..=n).map(|i| {
            sum += f64::from(i).ln();
            sum
        });
        Self { n, ln_factorials: std::iter::once(0.0).chain(rest).collect() }
    }

    fn ln_factorial(&self, i: u32) -> f64 {
        // Nobody asks beyond n; an infinity would make the probability 0, as it is there.
        self.ln_factorials.get(i as usize).copied().unwrap_or(f64::INFINITY)
    }

    /// That it happens `k` times or more, where each try does it with probability `q`.
    pub(super) fn at_least(&self, k: u32, q: f64) -> f64 {
        if k == 0 {
            return 1.0;
        }
        if k > self.n || q <= 0.0 {
            return 0.0;
        }
        if q >= 1.0 {
            return 1.0;
        }
        let odds = q / (1.0 - q);
        if f64::from(k) > f64::from(self.n) * q {
            let up = |i: u32| f64::from(self.n - i) / f64::from(i + 1) * odds;
            sum(self.exactly(k, q), (k..self.n).map(up))
        } else {
            let down = |i: u32| f64::from(i) / f64::from(self.n - i + 1) / odds;
            1.0 - sum(self.exactly(k - 1, q), (1..k).rev().map(down))
        }
    }

    /// That it happens `k` times, for `0 < q < 1`.
    fn exactly(&self, k: u32, q: f64) -> f64 {
        let ways = self.ln_factorial(self.n) - self.ln_factorial(k) - self.ln_factorial(self.n - k);
        (ways + f64::from(k) * q.ln() + f64::from(self.n - k) * (-q).ln_1p()).exp()
    }

    /// That something of which there are `mean` on average, independently, happens `k` times, for `k` up to n.
    pub(super) fn poisson(&self, k: u32, mean: f64) -> f64 {
        (f64::from(k) * mean.ln() - mean - self.ln_factorial(k)).exp()
    }
}

/// A first term, and terms that are each the one before times a ratio, as far as they count. They fall once they begin to.
fn sum(first: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut term, mut sum) = (first, first);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if term < sum * NEGLIGIBLE {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By adding up all outcomes.
    fn brute(n: u32, k: u32, q: f64) -> f64 {
        let outcomes = 0..1_u32 << n;
        let chance = |outcome: &u32| {
            let happened = outcome.count_ones();
            q.powi(happened as i32) * (1.0 - q).powi((n - happened) as i32)
        };
        outcomes.filter(|outcome| outcome.count_ones() >= k).map(|outcome| chance(&outcome)).sum()
    }

    #[test]
    fn a_tail_is_the_sum_over_all_outcomes() {
        for n in 1..=10 {
            let tries = Tries::new(n);
            for k in 0..=n + 1 {
                for q in [0.0, 1e-9, 0.1, 0.5, 0.97, 1.0] {
                    let (found, expected) = (tries.at_least(k, q), brute(n, k, q));
                    assert!((found - expected).abs() < 1e-12, "{n} {k} {q}: {found} {expected}");
                }
            }
        }
    }

    #[test]
    fn many_tries_are_no_trouble() {
        let tries = Tries::new(10_000);

        let half = tries.at_least(5_000, 0.5);

        // By symmetry: one half, and half of the middle.
        assert!((half - 0.5 - 0.003_989_3).abs() < 1e-6, "{half}");
        assert!(tries.at_least(10_000, 0.5) < 1e-300);
        assert!(tries.at_least(1, 0.5) == 1.0);
    }

    #[test]
    fn a_poisson_distribution_adds_up_to_one() {
        let tries = Tries::new(100);

        let sum: f64 = (0..=100).map(|k| tries.poisson(k, 12.5)).sum();

        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }
}
