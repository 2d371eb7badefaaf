//! Which entity an update is of: all alike, or some far more often than others.

/// The share of the updates that each entity gets, the most popular first.
#[derive(Clone, Debug, PartialEq)]
pub struct Popularity {
    shares: Vec<f64>,
    /// Of all entities up to each one.
    sums: Vec<f64>,
}

impl Popularity {
    /// Shares proportional to `1 / k^skew` (Zipf's law) for the k-th of so many entities; at `skew` 0 all are alike. No entities
    /// count as one.
    pub fn zipf(entities: u32, skew: f64) -> Self {
        let weights: Vec<f64> = (1..=entities.max(1)).map(|k| f64::from(k).powf(-skew)).collect();
        // From the smallest, so that they count beside the large ones.
        let total: f64 = weights.iter().rev().sum();
        let shares: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
        let mut sum = 0.0;
        let sums = shares.iter().map(|share| {
            sum += share;
            sum
        });
        Self { sums: sums.collect(), shares }
    }

    /// The shares, which add up to 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The share of the most popular one.
    pub fn largest(&self) -> f64 {
        self.shares.first().copied().unwrap_or(1.0)
    }

    /// The number of the entity, from 0, that a number from 0 to 1 draws.
    pub(super) fn pick(&self, drawn: f64) -> usize {
        // Rounding may leave the last sum below 1.
        self.sums.partition_point(|sum| *sum <= drawn).min(self.sums.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_law_and_add_up() {
        let even = Popularity::zipf(4, 0.0);
        let skewed = Popularity::zipf(3, 1.0);

        assert_eq!(even.shares(), [0.25; 4]);
        for (share, expected) in skewed.shares().iter().zip([6.0 / 11.0, 3.0 / 11.0, 2.0 / 11.0]) {
            assert!((share - expected).abs() < 1e-15, "{skewed:?}");
        }
        assert_eq!(Popularity::zipf(0, 1.0).shares(), [1.0]);
    }

    #[test]
    fn each_is_drawn_for_its_share() {
        let shares = Popularity::zipf(3, 1.0);
        let mut drawn = [0; 3];

        for step in 0..11_000 {
            drawn[shares.pick((f64::from(step) + 0.5) / 11_000.0)] += 1;
        }

        assert_eq!(drawn, [6_000, 3_000, 2_000]);
        assert_eq!(shares.pick(1.0), 2);
    }
}
