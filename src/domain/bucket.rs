//! From an entity to one of 10 000 buckets, the same on every sidecar.
//!
//! The bucketing is named [`BUCKETING`] and is `(murmur3_x86_32("{flag}/{entity}", seed 0) * 10000) >> 32`, which is
//! what flagd's `fractional` operator computes. MurmurHash3 is Austin Appleby's; the published vectors are in the tests.

use std::fmt;

/// The name of this bucketing, as a flag document pins it.
pub const BUCKETING: &str = "murmur3-32/fractional-v2";

/// How many buckets there are.
pub const BUCKETS: u16 = 10_000;

/// A bucket, 0 to 9 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket of an entity under a flag.
    pub fn of(flag: &str, entity: &str) -> Self {
        Self::from_hash(hash(flag, entity))
    }

    /// Scales a hash to a bucket without bias towards the low ones.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a u32 times 10 000, shifted right by 32, is below 10 000"
    )]
    pub const fn from_hash(hash: u32) -> Self {
        Self(((hash as u64 * BUCKETS as u64) >> 32) as u16)
    }

    /// 0 to 9 999.
    pub const fn index(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Bucket {
    /// The bucket of an entity where a share of the entities is looked at more closely: the same on every sidecar, and not the
    /// one that decides the path, or the sample would hold one path alone.
    pub fn of_sample(flag: &str, entity: &str) -> Self {
        Self::from_hash(hash_after(b"sample/", flag, entity))
    }
}

/// The hash of `{flag}/{entity}`, without putting the text together.
pub fn hash(flag: &str, entity: &str) -> u32 {
    hash_after(b"", flag, entity)
}

fn hash_after(prefix: &[u8], flag: &str, entity: &str) -> u32 {
    let mut murmur = Murmur3::default();
    murmur.write(prefix);
    murmur.write(flag.as_bytes());
    murmur.write(b"/");
    murmur.write(entity.as_bytes());
    murmur.finish()
}

/// `MurmurHash3_x86_32` with seed 0, fed in pieces.
#[derive(Default)]
struct Murmur3 {
    state: u32,
    tail: u32,
    length: u32,
}

impl Murmur3 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;

    fn write(&mut self, mut bytes: &[u8]) {
        while !self.length.is_multiple_of(4)
            && let Some((&byte, rest)) = bytes.split_first()
        {
            self.write_byte(byte);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        for block in blocks {
            self.length = self.length.wrapping_add(4);
            self.mix(u32::from_le_bytes(*block));
        }
        for &byte in rest {
            self.write_byte(byte);
        }
    }

    fn write_byte(&mut self, byte: u8) {
        self.tail |= u32::from(byte) << (8 * (self.length % 4));
        self.length = self.length.wrapping_add(1);
        if self.length.is_multiple_of(4) {
            let block = std::mem::take(&mut self.tail);
            self.mix(block);
        }
    }

    fn mix(&mut self, block: u32) {
        self.state = (self.state ^ Self::scramble(block))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }

    fn scramble(block: u32) -> u32 {
        block.wrapping_mul(Self::C1).rotate_left(15).wrapping_mul(Self::C2)
    }

    fn finish(self) -> u32 {
        let mut hash = self.state ^ Self::scramble(self.tail) ^ self.length;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        hash ^ (hash >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::percent::Percent;
    use proptest::prelude::*;

    fn murmur3(text: &str) -> u32 {
        let mut murmur = Murmur3::default();
        murmur.write(text.as_bytes());
        murmur.finish()
    }

    #[test]
    fn agrees_with_published_vectors() {
        let check = |text: &str, expected: u32| assert_eq!(murmur3(text), expected, "{text:?}");

        // flagd's vectors for the edges of the scale.
        check("SI7p-", 2_147_483_647);
        check("6LvT0", 2_147_483_648);
        check("ejOoVL", 0);
        check("ceQdGm", 4_294_967_295);
        // Vectors of the reference implementation, seed 0.
        check("", 0);
        check("test", 0xba6b_d213);
        check("Hello, world!", 0xc036_3e43);
        check("The quick brown fox jumps over the lazy dog", 0x2e4f_f723);
    }

    #[test]
    fn the_scale_reaches_both_ends() {
        assert_eq!(Bucket::from_hash(0).index(), 0);
        assert_eq!(Bucket::from_hash(2_147_483_647).index(), 4_999);
        assert_eq!(Bucket::from_hash(2_147_483_648).index(), 5_000);
        assert_eq!(Bucket::from_hash(u32::MAX).index(), 9_999);
    }

    #[test]
    fn a_percentage_takes_that_share_of_100_000_entities() {
        let buckets: Vec<Bucket> =
            (0..100_000).map(|n| Bucket::of("journey-updates", &format!("journey:{n}"))).collect();
        let check = |percent: &str| {
            let percent: Percent = percent.parse().unwrap();
            let share = percent.as_f64() / 100.0;
            let taken = buckets.iter().filter(|bucket| percent.admits(**bucket)).count();

            // Four standard deviations of a binomial: a fair hash leaves them once in 16 000 flags.
            let expected = 100_000.0 * share;
            let tolerance = 4.0 * (100_000.0 * share * (1.0 - share)).sqrt();
            assert!((taken as f64 - expected).abs() <= tolerance, "{percent}: {taken}");
        };

        for percent in ["0", "0.01", "0.5", "1", "10", "25", "50", "99.99", "100"] {
            check(percent);
        }
    }

    #[test]
    fn two_flags_split_the_same_entities_independently() {
        let ten: Percent = "10".parse().unwrap();
        let both = (0..100_000)
            .map(|n| format!("journey:{n}"))
            .filter(|e| ten.admits(Bucket::of("a", e)) && ten.admits(Bucket::of("b", e)))
            .count();

        assert!((880..=1_120).contains(&both), "1 000 +- 4 standard deviations, not {both}");
    }

    proptest! {
        #[test]
        fn pieces_hash_like_the_whole(flag in ".{0,12}", entity in ".{0,40}") {
            prop_assert_eq!(hash(&flag, &entity), murmur3(&format!("{flag}/{entity}")));
        }

        #[test]
        fn raising_never_moves_an_entity_back(entity in ".{0,40}", a in 0u16..=10_000, b in 0u16..=10_000) {
            let bucket = Bucket::of("flag", &entity);
            let low = Percent::from_hundredths(a.min(b)).unwrap();
            let high = Percent::from_hundredths(a.max(b)).unwrap();

            prop_assert!(!low.admits(bucket) || high.admits(bucket));
        }
    }
}
