//! Decimal numbers by value, of any length, without rounding.

use smallvec::SmallVec;

use crate::domain::json::is_number;

/// The most digits of an exponent that is understood, which leaves room to add the digits of a whole body to it.
const MAX_EXPONENT_DIGITS: usize = 17;

/// The digits that a comparison with a tolerance looks at: more than a double can tell apart.
const SIGNIFICANT: usize = 18;

/// What the arithmetic of [`Decimal::is_near`] may be wrong by, as a share: so that 99 is within 0.01 of 100.
const ROUNDING: f64 = 1e-15;

/// `0.DIGITS` times ten to the power of `magnitude`. One value has one form, so equality is equality of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::compare) struct Decimal {
    pub(in crate::domain::compare) negative: bool,
    /// Without zeros at either end; none for zero.
    pub(in crate::domain::compare) digits: SmallVec<[u8; 24]>,
    pub(in crate::domain::compare) magnitude: i64,
}

impl Decimal {
    /// From a number by JSON's grammar. `None` where its exponent is past any use: then only the text can be compared.
    pub(in crate::domain::compare) fn of_number(number: &str) -> Option<Self> {
        let (negative, rest) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, ""));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = || whole.bytes().chain(fraction.bytes());
        let zeros = written().take_while(|digit| *digit == b'0').count();
        let mut digits: SmallVec<[u8; 24]> = written().skip(zeros).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, magnitude: 0 });
        }
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
        Some(Self { negative, digits, magnitude: point + parse_exponent(exponent)? })
    }

    /// From a text that is a decimal number, such as `850.50`. One with an exponent is more likely a name.
    pub(in crate::domain::compare) fn of_text(text: &str) -> Option<Self> {
        let is_decimal = !text.contains(['e', 'E']) && is_number(text);
        is_decimal.then(|| Self::of_number(text)).flatten()
    }

    /// Whether they lie no further apart than this share of the one with the greater magnitude.
    pub(in crate::domain::compare) fn is_near(&self, other: &Self, share: f64) -> bool {
        if self == other {
            return true;
        }
        // Zero has no magnitude of its own, and takes the other's.
        let top = match (self.digits.is_empty(), other.digits.is_empty()) {
            (false, true) => self.magnitude,
            (true, false) => other.magnitude,
            _ => self.magnitude.max(other.magnitude),
        };
        let (a, b) = (self.scaled(top), other.scaled(top));
        (a - b).abs() <= a.abs().max(b.abs()) * (share + ROUNDING)
    }

    /// Its value over ten to the power of `top`, which no number of the two is above: so it never overflows.
    fn scaled(&self, top: i64) -> f64 {
        let (mut mantissa, mut weight) = (0.0, 1.0);
        for digit in self.digits.iter().take(SIGNIFICANT) {
            mantissa = mantissa * 10.0 + f64::from(digit - b'0');
            weight *= 10.0;
        }
        let below = i32::try_from(top.saturating_sub(self.magnitude)).unwrap_or(i32::MAX);
        let value = mantissa / weight / 10f64.powi(below);
        if self.negative { -value } else { value }
    }
}

fn parse_exponent(exponent: &str) -> Option<i64> {
    if exponent.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some(0),
        1..=MAX_EXPONENT_DIGITS => digits.parse().ok().map(|value: i64| sign * value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number of `units` of a hundredth of a thousandth, in one of the ways in which it can be written.
    fn written(units: i64, shift: i64, zeros: usize) -> String {
        let sign = if units < 0 { "-" } else { "" };
        let digits = format!("{:09}", units.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - 5);
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let zeros = "0".repeat(zeros);
        match shift {
            0 => format!("{sign}{whole}.{fraction}{zeros}"),
            _ => format!("{sign}{}E{:+}", units.unsigned_abs(), -5),
        }
    }

    fn decimal(text: &str) -> Decimal {
        Decimal::of_number(text).unwrap()
    }

    #[test]
    fn one_value_has_one_form() {
        let check = |text: &str, digits: &[u8], magnitude: i64| {
            let decimal = decimal(text);
            assert_eq!(
                (decimal.digits.as_slice(), decimal.magnitude),
                (digits, magnitude),
                "{text}"
            );
        };

        check("0", b"", 0);
        check("-0.00e99", b"", 0);
        check("850.50", b"8505", 3);
        check("0.0012", b"12", -2);
        check("120e-2", b"12", 1);
        check("1E+00000000000000000000000005", b"1", 6);
    }

    #[test]
    fn what_is_past_any_use_is_no_decimal() {
        assert_eq!(Decimal::of_number("1e999999999999999999"), None);
        assert!(Decimal::of_number("1e-99999999999999999").is_some());
        assert!(Decimal::of_number("0e999999999999999999").is_some());
    }

    proptest! {
        #[test]
        fn numbers_are_equal_by_value(a in -2_000_000i64..2_000_000, b in -20i64..20, shift in 0i64..2, zeros in 0usize..3) {
            let other = if b == 0 { a } else { a + b / 5 };
            let equal = decimal(&written(a, 0, zeros)) == decimal(&written(other, shift, 0));

            prop_assert_eq!(equal, a == other);
        }

        #[test]
        fn nearness_is_a_share_of_the_greater(a in -1_000i64..1_000, b in -1_000i64..1_000, percent in 1i64..150, shift in 0i64..2) {
            let near = decimal(&written(a, 0, 1)).is_near(&decimal(&written(b, shift, 0)), percent as f64 / 100.0);

            // Whole numbers, so nothing is rounded.
            prop_assert_eq!(near, (a - b).abs() * 100 <= a.abs().max(b.abs()) * percent);
        }
    }
}
