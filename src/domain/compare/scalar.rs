//! When two values that have nothing inside are the same.

use super::json::{Decimal, Value};
use super::rules::{DecimalText, Rules};

impl Rules {
    /// Whether two values are the same that are neither arrays nor objects.
    pub(super) fn same_scalar(&self, control: &Value<'_>, candidate: &Value<'_>) -> bool {
        if control == candidate {
            return true;
        }
        if !control.is_same_type(candidate) {
            return false;
        }
        match (self.decimal(control), self.decimal(candidate), self.share()) {
            (Some(a), Some(b), Some(share)) => a.is_near(&b, share),
            (Some(a), Some(b), None) => a == b,
            _ => false,
        }
    }

    /// The number that a value stands for, where its text doesn't count.
    pub(super) fn decimal(&self, value: &Value<'_>) -> Option<Decimal> {
        let by_value = self.decimal_text == DecimalText::ByValue;
        match value {
            Value::Number(text) if by_value || self.share().is_some() => Decimal::of_number(text),
            Value::Text(text) if by_value => Decimal::of_text(text),
            _ => None,
        }
    }

    /// The tolerance, where there is one: what is no share at all tolerates nothing.
    pub(super) fn share(&self) -> Option<f64> {
        (self.tolerance > 0.0 && self.tolerance.is_finite()).then_some(self.tolerance)
    }
}
