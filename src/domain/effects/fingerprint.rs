//! Values as the detector remembers them: by a fingerprint, since what an update writes is nobody else's business.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value's fingerprint. Values that an app may tell apart by type alone have the same one: a status `"7"` that was sent
/// as text and stands in the document as the number 7 is no loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(u64);

/// A field's name, short: the fingerprint of its pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldId(u64);

impl Fingerprint {
    /// Of a member that is not there.
    pub const ABSENT: Self = Self(0);

    /// Of a value.
    pub fn of(value: &Value) -> Self {
        let mut text = String::new();
        write_canonical(&mut text, value);
        Self::of_text(&text)
    }

    /// Of a value that is given as text, such as one from a path.
    pub fn of_text(text: &str) -> Self {
        Self(fnv1a(text).max(1))
    }
}

impl FieldId {
    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Of a field's pointer.
    pub fn of(pointer: &str) -> Self {
        Self(fnv1a(pointer))
    }
}

/// FNV-1a with 64 bits (Fowler, Noll, Vo; RFC 9923): stable over builds, which a fleet's sidecars have to share. Whoever
/// can make values collide can write whatever he likes anyway.
fn fnv1a(text: &str) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    text.bytes().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// A text that is the same for values that are the same: scalars plain, numbers by value, members in order of their names.
fn write_canonical(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64() {
            // As `7`, `7.0` and `7e0` are one number.
            Some(float) if !number.is_i64() && !number.is_u64() => {
                write!(text, "{float}").unwrap_or_default();
            }
            _ => text.push_str(&number.to_string()),
        },
        Value::String(value) => text.push_str(value),
        Value::Array(elements) => {
            text.push('[');
            for element in elements {
                write_canonical(text, element);
                text.push('\u{1f}');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            text.push('{');
            for (name, value) in members {
                text.push_str(name);
                text.push('\u{1e}');
                write_canonical(text, value);
                text.push('\u{1f}');
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_app_may_write_differently_is_the_same() {
        let check = |a: Value, b: Value| assert_eq!(Fingerprint::of(&a), Fingerprint::of(&b));

        check(json!("7"), json!(7));
        check(json!(7.0), json!(7));
        check(json!(850.5), serde_json::from_str("850.50").unwrap());
        check(json!({"a": 1, "b": [true]}), serde_json::from_str(r#"{"b":[true],"a":1}"#).unwrap());
        assert_eq!(Fingerprint::of(&json!("Departed")), Fingerprint::of_text("Departed"));
    }

    #[test]
    fn what_differs_differs() {
        let values = [
            json!("a"),
            json!("A"),
            json!(""),
            json!(null),
            json!(1),
            json!([1]),
            json!([[1]]),
            json!({"a": 1}),
            json!({"a": "1x"}),
            json!([1, 2]),
            json!([12]),
        ];

        for (index, a) in values.iter().enumerate() {
            for b in &values[index + 1..] {
                assert_ne!(Fingerprint::of(a), Fingerprint::of(b), "{a} {b}");
            }
            assert_ne!(Fingerprint::of(a), Fingerprint::ABSENT);
        }
    }
}
