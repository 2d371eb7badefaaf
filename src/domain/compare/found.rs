//! What was found to differ: excused or not, redacted or not, and no more of it than a record should hold.

use super::noise::Noise;
use super::path::{Place, Side, Written, generalised};
use super::pattern::PointerPattern;
use super::{Comparison, STATUS};
use crate::domain::divergence::{Cause, Difference, DifferenceKind, Excuse, Verdict};

/// The most differences that are kept: a record is read by a person.
pub const MAX_DIFFERENCES: usize = 64;

/// The most differences that are kept of one place in the elements of an array: after a few they say nothing new, and would
/// hide other places.
pub const MAX_OF_ONE_PLACE: usize = 8;

/// Collects what differs between two answers.
pub(super) struct Found<'r> {
    noise: &'r Noise,
    reveal: &'r [PointerPattern],
    kept: Vec<Kept>,
    /// The first cause that was found and is not excused.
    cause: Option<Cause>,
    differs: bool,
    truncated: bool,
}

struct Kept {
    difference: Difference,
    /// Its pointer, true of all elements.
    general: String,
}

/// A value of the control's and of the candidate's, as they are shown.
pub(super) type Values = (Option<String>, Option<String>);

impl<'r> Found<'r> {
    pub(super) fn new(noise: &'r Noise, reveal: &'r [PointerPattern]) -> Self {
        let kept = Vec::new();
        Self { noise, reveal, kept, cause: None, differs: false, truncated: false }
    }

    /// A difference that is in no document; `values` are shown.
    pub(super) fn outside(
        &mut self,
        cause: Cause,
        name: &str,
        kind: DifferenceKind,
        values: Values,
    ) {
        self.add(cause, name.to_owned(), kind, false, || values);
    }

    /// A difference of the bodies, at a place that a rule may excuse; `values` gives them if they may be shown.
    pub(super) fn inside(
        &mut self,
        place: &Place<'_>,
        kind: DifferenceKind,
        by_rule: bool,
        values: impl FnOnce(bool) -> Values,
    ) {
        let side = if kind == DifferenceKind::Extra { Side::Candidate } else { Side::Control };
        let reveal = self.reveal;
        match place.written(side) {
            Written { pointer, shortened: false } => {
                self.add(Cause::Body, pointer, kind, by_rule, || {
                    values(reveal.iter().any(|pattern| pattern.covers_steps(place.steps())))
                });
            }
            Written { pointer, shortened: true } => {
                let nothing = || (None, None);
                self.add(Cause::Body, pointer, DifferenceKind::Changed, by_rule, nothing);
            }
        }
    }

    /// Something was not looked at.
    pub(super) fn truncate(&mut self) {
        self.truncated = true;
    }

    fn add(
        &mut self,
        cause: Cause,
        pointer: String,
        kind: DifferenceKind,
        by_rule: bool,
        values: impl FnOnce() -> Values,
    ) {
        let general = generalised(&pointer);
        let excused = match by_rule {
            true => Some(Excuse::Rule),
            false => self.noise.excuses(&general, kind).then_some(Excuse::Noise),
        };
        self.differs = true;
        if excused.is_none() {
            self.cause = self.cause.or(Some(cause));
        }
        if !self.make_room(&general, excused) {
            self.truncated = true;
            return;
        }
        let (expected, found) = values();
        let difference = Difference { pointer, kind, expected, found, excused };
        self.kept.push(Kept { difference, general });
    }

    /// Whether one more can be kept; one that is not excused takes the room of one that is.
    fn make_room(&mut self, general: &str, excused: Option<Excuse>) -> bool {
        let is_full = self.kept.len() >= MAX_DIFFERENCES;
        let last_excused = || self.kept.iter().rposition(|kept| kept.difference.excused.is_some());
        let displaced = match (is_full, excused) {
            (false, _) => None,
            (true, Some(_)) => return false,
            (true, None) => match last_excused() {
                Some(at) => Some(at),
                None => return false,
            },
        };
        let is_alike = |kept: &&Kept| {
            kept.general == general && kept.difference.excused.is_some() == excused.is_some()
        };
        if self.kept.iter().filter(is_alike).count() >= MAX_OF_ONE_PLACE {
            return false;
        }
        if let Some(at) = displaced {
            self.kept.remove(at);
            self.truncated = true;
        }
        true
    }

    pub(super) fn into_comparison(self) -> Comparison {
        let verdict = match (self.differs, self.cause) {
            (false, _) => Verdict::Matched,
            (true, None) => Verdict::Ignored,
            (true, Some(_)) => Verdict::Mismatched,
        };
        let differences = self.kept.into_iter().map(|kept| kept.difference).collect();
        Comparison { verdict, cause: self.cause, differences, truncated: self.truncated }
    }
}

impl Comparison {
    /// Whether the status codes differ.
    pub(super) fn has_other_status(&self) -> bool {
        self.differences.iter().any(|difference| difference.pointer == STATUS)
    }
}
