//! A percentage with a resolution of 0.01: the number that an SRE sets.

use std::fmt;
use std::str::FromStr;

use super::bucket::Bucket;

/// A share of the buckets, 0 % to 100 % in steps of 0.01 %.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

/// Why a text or a number is not a [`Percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PercentError {
    /// Not a decimal number.
    #[error("not a number: write a percentage such as 25, 0.5 or \"12.34%\"")]
    NotANumber,
    /// Below 0 or above 100.
    #[error("outside 0 to 100")]
    OutOfRange,
    /// Finer than 0.01.
    #[error("finer than the resolution of 0.01")]
    TooFine,
}

impl Percent {
    /// Nothing takes the fixed path.
    pub const ZERO: Self = Self(0);
    /// Everything takes the fixed path.
    pub const FULL: Self = Self(10_000);

    /// From hundredths of a percent; `None` above 10 000.
    pub const fn from_hundredths(hundredths: u16) -> Option<Self> {
        if hundredths <= Self::FULL.0 { Some(Self(hundredths)) } else { None }
    }

    /// Hundredths of a percent, 0 to 10 000.
    pub const fn hundredths(self) -> u16 {
        self.0
    }

    /// As a number from 0 to 100, for JSON and gauges.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether a bucket is on the fixed side of this percentage. Raising the percentage only ever adds buckets.
    pub const fn admits(self, bucket: Bucket) -> bool {
        bucket.index() < self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    /// Reads `25`, `25%`, `0.01` or `12.34 %`: digits and at most one point, nothing else.
    fn from_str(text: &str) -> Result<Self, PercentError> {
        let number = text.trim();
        let number = number.strip_suffix('%').map_or(number, str::trim_end);
        let (negative, number) = number.strip_prefix('-').map_or((false, number), |n| (true, n));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(PercentError::NotANumber);
        }
        if negative {
            return Err(PercentError::OutOfRange);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return Err(PercentError::TooFine);
        }
        let whole: u16 = whole.parse().map_err(|_| PercentError::OutOfRange)?;
        let fraction: u16 =
            format!("{fraction:0<2}").parse().map_err(|_| PercentError::NotANumber)?;
        whole
            .checked_mul(100)
            .and_then(|hundredths| hundredths.checked_add(fraction))
            .and_then(Self::from_hundredths)
            .ok_or(PercentError::OutOfRange)
    }
}

impl TryFrom<f64> for Percent {
    type Error = PercentError;

    /// Takes a JSON or TOML number; 0.07 is accepted although no binary fraction is exactly that.
    fn try_from(number: f64) -> Result<Self, PercentError> {
        if !number.is_finite() {
            return Err(PercentError::NotANumber);
        }
        // The shortest decimal that reads back as this number is what its author wrote.
        number.to_string().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        let check = |text: &str, hundredths: u16| {
            assert_eq!(text.parse::<Percent>().map(Percent::hundredths), Ok(hundredths), "{text}");
        };

        check("0", 0);
        check("25", 2500);
        check("25%", 2500);
        check(" 12.34 % ", 1234);
        check("0.01", 1);
        check("0.5%", 50);
        check("100.00%", 10_000);
        check("007", 700);
    }

    #[test]
    fn refuses_the_rest_with_the_reason() {
        let check = |text: &str, why: PercentError| {
            assert_eq!(text.parse::<Percent>(), Err(why), "{text}");
        };

        for text in ["", "%", "NaN", "inf", "1e2", "0x10", "1.", ".5", "1,5", "1%%", "١"] {
            check(text, PercentError::NotANumber);
        }
        for text in ["-1", "100.01", "101", "70000", "99999999999999"] {
            check(text, PercentError::OutOfRange);
        }
        check("0.001", PercentError::TooFine);
    }

    #[test]
    fn numbers_keep_the_resolution_that_was_written() {
        assert_eq!(Percent::try_from(0.07).map(Percent::hundredths), Ok(7));
        assert_eq!(Percent::try_from(57.29).map(Percent::hundredths), Ok(5729));
        assert_eq!(Percent::try_from(f64::NAN), Err(PercentError::NotANumber));
        assert_eq!(Percent::try_from(-0.5), Err(PercentError::OutOfRange));
        assert_eq!(Percent::try_from(1e9), Err(PercentError::OutOfRange));
        assert_eq!(Percent::try_from(0.005), Err(PercentError::TooFine));
    }

    proptest! {
        #[test]
        fn every_percent_survives_text_and_number(hundredths in 0u16..=10_000) {
            let percent = Percent::from_hundredths(hundredths).unwrap();

            prop_assert_eq!(percent.to_string().parse(), Ok(percent));
            prop_assert_eq!(Percent::try_from(percent.as_f64()), Ok(percent));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            text.parse::<Percent>().ok();
        }
    }
}
