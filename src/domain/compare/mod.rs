//! Comparing a candidate's answer with the control's: the status code, the headers that were chosen, and the body, by structure
//! where both are JSON. What this means for who writes the rules is in `docs/compare.md`.
//!
//! - `json`: reading bodies strictly and within bounds; a number keeps its text.
//! - `walk`: two documents, place by place. `unordered`: arrays whose order says nothing, by the one `canonical` form of each
//!   element. `scalar`: when two values are the same.
//! - `pattern`: the places that rules name. `path`: where a walk stands.
//! - `found`: what differs, excused or not, redacted or not. `noise`: what differs by itself.
//!
//! # What always holds
//!
//! 1. What was not looked at counts as different: too large, too deep or too much work never comes out as `matched`.
//! 2. A value leaves this module only where a pattern reveals its place.
//! 3. Time, stack and memory are bounded, whatever the bytes: every bound is a constant that says why.

mod body;
mod canonical;
mod found;
mod json;
mod noise;
mod path;
mod pattern;
mod rules;
mod scalar;
#[cfg(test)]
mod tests;
mod unordered;
mod walk;

pub use found::{MAX_DIFFERENCES, MAX_OF_ONE_PLACE};
pub use noise::{MAX_PLACES, Noise, NoisyPlace};
pub use pattern::{MAX_PATTERN_TOKENS, PatternError, PointerPattern};
pub use rules::{DecimalText, Rules, StatusRule};

use http::{HeaderMap, HeaderName};

use super::divergence::{Cause, Difference, DifferenceKind, Verdict};
use found::Found;

/// The pointer of a difference between status codes.
const STATUS: &str = "status";

/// An answer, as far as it is compared.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The whole body, as it came.
    pub body: &'a [u8],
}

/// What comparing two answers came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The verdict, on all that differs: also on what was not kept.
    pub verdict: Verdict,
    /// Of a mismatch: the status before headers before the body.
    pub cause: Option<Cause>,
    /// What differs, by place. At most [`MAX_DIFFERENCES`], and [`MAX_OF_ONE_PLACE`] of one place in the elements of arrays;
    /// what is excused gives way to what is not.
    pub differences: Vec<Difference>,
    /// Whether more differs than was kept, or something was too large or too much work to be looked at in full.
    pub truncated: bool,
}

/// Compares a candidate's answer with the control's. Values are shown where `reveal` stands for their place; the status code
/// and lengths always are.
pub fn compare(
    rules: &Rules,
    noise: &Noise,
    reveal: &[PointerPattern],
    control: &Answer<'_>,
    candidate: &Answer<'_>,
) -> Comparison {
    let mut found = Found::new(noise, reveal);
    if !rules.same_status(control.status, candidate.status) {
        let values = (Some(control.status.to_string()), Some(candidate.status.to_string()));
        found.outside(Cause::Status, STATUS, DifferenceKind::Changed, values);
    }
    for name in &rules.headers {
        if !same_header(name, control, candidate) {
            let has = |answer: &Answer<'_>| answer.headers.contains_key(name);
            let kind = match (has(control), has(candidate)) {
                (true, false) => DifferenceKind::Missing,
                (false, true) => DifferenceKind::Extra,
                _ => DifferenceKind::Changed,
            };
            found.outside(Cause::Headers, &format!("header:{name}"), kind, (None, None));
        }
    }
    body::compare_bodies(rules, &mut found, control, candidate);
    found.into_comparison()
}

/// Whether two answers are the same byte for byte in all that is compared, so that [`compare`] would find nothing. Parses and
/// allocates nothing.
pub fn same_bytes(rules: &Rules, control: &Answer<'_>, candidate: &Answer<'_>) -> bool {
    rules.same_status(control.status, candidate.status)
        && control.body == candidate.body
        && rules.headers.iter().all(|name| same_header(name, control, candidate))
}

/// Whether a header has the same values in the same order.
fn same_header(name: &HeaderName, control: &Answer<'_>, candidate: &Answer<'_>) -> bool {
    control.headers.get_all(name).iter().eq(candidate.headers.get_all(name))
}
