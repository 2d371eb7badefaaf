//! What may differ.

use http::HeaderName;

use super::path::Step;
use super::pattern::PointerPattern;

/// What is compared, and what may differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How status codes are compared.
    pub status: StatusRule,
    /// The headers that are compared; `content-type` is told apart from the body by it only where it stands here.
    pub headers: Vec<HeaderName>,
    /// Places that are not compared, with all that is below them.
    pub ignore: Vec<PointerPattern>,
    /// Arrays whose order says nothing.
    pub unordered: Vec<PointerPattern>,
    /// How far two numbers may lie apart, as a share of the greater one; 0 is not at all.
    pub tolerance: f64,
    /// Whether numbers are the same that are written differently, such as 850.50 and 850.5.
    pub decimal_text: DecimalText,
}

/// How status codes are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusRule {
    /// By their number.
    #[default]
    Exact,
    /// By their first digit.
    Class,
}

/// Whether the text of a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecimalText {
    /// It does: 850.50 is not 850.5.
    #[default]
    Exact,
    /// It does not: numbers are compared by value, and so are texts that are decimal numbers.
    ByValue,
}

impl Rules {
    /// Whether what differs at this place is excused.
    pub(super) fn ignores(&self, steps: &[Step<'_>]) -> bool {
        self.ignore.iter().any(|pattern| pattern.covers_steps(steps))
    }

    /// Whether the order of the array at this place says nothing.
    pub(super) fn is_unordered(&self, steps: &[Step<'_>]) -> bool {
        self.unordered.iter().any(|pattern| pattern.is_at(steps))
    }

    /// Whether two status codes are the same.
    pub(super) fn same_status(&self, control: u16, candidate: u16) -> bool {
        match self.status {
            StatusRule::Exact => control == candidate,
            StatusRule::Class => control / 100 == candidate / 100,
        }
    }
}
