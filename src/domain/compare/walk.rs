//! Comparing two documents by structure, place by place.

use std::cmp::Ordering;

use super::found::{Found, Values};
use super::json::{Member, Shown, Value};
use super::path::{Place, Step};
use super::rules::Rules;
use crate::domain::divergence::DifferenceKind;

/// The most steps of one comparison. A step is a value looked at, [`TEXT_OF_A_STEP`] of its text, or [`TOKENS_OF_A_STEP`] of the
/// patterns that are held against its place. Two million took 50 to 300 ms where it was measured, and an ordinary document of
/// 1 MiB takes some 100,000, or a few times as many with unordered arrays.
pub(super) const MAX_STEPS: usize = 2_000_000;

/// The bytes of text that are looked at in one step.
const TEXT_OF_A_STEP: usize = 64;

/// The tokens of patterns that are held against a place in one step.
const TOKENS_OF_A_STEP: usize = 8;

/// What reporting a difference costs, in steps.
const STEPS_OF_A_DIFFERENCE: usize = 8;

/// Why a walk ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It took [`MAX_STEPS`].
    TooMuchWork,
    /// It only asked whether anything differs that counts, and something does.
    Differs,
}

/// A walk through two documents at once.
pub(super) struct Walk<'w, 'r, 'a> {
    pub(super) rules: &'r Rules,
    pub(super) place: Place<'a>,
    found: &'w mut Found<'r>,
    steps_left: usize,
    /// Nothing is reported: the first difference that no rule excuses ends the walk.
    is_probe: bool,
}

impl<'w, 'r, 'a> Walk<'w, 'r, 'a> {
    /// Reports what differs between two documents. An error says that not all of them was looked at.
    pub(super) fn through(
        rules: &'r Rules,
        found: &'w mut Found<'r>,
        control: &'a Value<'a>,
        candidate: &'a Value<'a>,
    ) -> Result<(), Stop> {
        let place = Place::default();
        let mut walk = Self { rules, place, found, steps_left: MAX_STEPS, is_probe: false };
        walk.compare(control, candidate)
    }

    /// Compares two values that stand at the same place.
    pub(super) fn compare(
        &mut self,
        control: &'a Value<'a>,
        candidate: &'a Value<'a>,
    ) -> Result<(), Stop> {
        self.spend_on(control)?;
        self.spend_on(candidate)?;
        match (control, candidate) {
            (Value::Object(control), Value::Object(candidate)) => self.members(control, candidate),
            (Value::Array(control), Value::Array(candidate)) => match self.is_unordered()? {
                true => self.unordered(control, candidate),
                false => self.elements(control, candidate),
            },
            _ if self.rules.same_scalar(control, candidate) => Ok(()),
            _ if control.is_same_type(candidate) => {
                self.differ(DifferenceKind::Changed, Some(control), Some(candidate))
            }
            _ => self.differ(DifferenceKind::Type, Some(control), Some(candidate)),
        }
    }

    /// Both are sorted by name, so one pass meets all names.
    fn members(
        &mut self,
        control: &'a [Member<'a>],
        candidate: &'a [Member<'a>],
    ) -> Result<(), Stop> {
        let (mut controls, mut candidates) =
            (control.iter().peekable(), candidate.iter().peekable());
        loop {
            let order = match (controls.peek(), candidates.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.name.cmp(&b.name),
            };
            let expected = if order.is_le() { controls.next() } else { None };
            let given = if order.is_ge() { candidates.next() } else { None };
            let Some(any) = expected.or(given) else { return Ok(()) };
            self.place.enter(Step::Member(&any.name));
            match (expected, given) {
                (Some(expected), Some(given)) => self.compare(&expected.value, &given.value)?,
                (expected, given) => {
                    self.one_sided(expected.map(|m| &m.value), given.map(|m| &m.value))?;
                }
            }
            self.place.leave();
        }
    }

    fn elements(
        &mut self,
        control: &'a [Value<'a>],
        candidate: &'a [Value<'a>],
    ) -> Result<(), Stop> {
        if control.len() != candidate.len() {
            let lengths = (Some(control.len().to_string()), Some(candidate.len().to_string()));
            self.report(DifferenceKind::Length, |_| lengths)?;
        }
        for (index, (control, candidate)) in control.iter().zip(candidate).enumerate() {
            self.place.enter(Step::Index(index));
            self.compare(control, candidate)?;
            self.place.leave();
        }
        Ok(())
    }

    /// A value that only one of the two has.
    pub(super) fn one_sided(
        &mut self,
        control: Option<&Value<'_>>,
        candidate: Option<&Value<'_>>,
    ) -> Result<(), Stop> {
        let kind = match candidate {
            None => DifferenceKind::Missing,
            Some(_) => DifferenceKind::Extra,
        };
        self.differ(kind, control, candidate)
    }

    fn differ(
        &mut self,
        kind: DifferenceKind,
        control: Option<&Value<'_>>,
        candidate: Option<&Value<'_>>,
    ) -> Result<(), Stop> {
        self.report(kind, |is_revealed| match is_revealed {
            true => (control.map(Shown::value), candidate.map(Shown::value)),
            false => (None, None),
        })
    }

    fn report(
        &mut self,
        kind: DifferenceKind,
        values: impl FnOnce(bool) -> Values,
    ) -> Result<(), Stop> {
        self.spend(STEPS_OF_A_DIFFERENCE)?;
        let by_rule = self.is_ignored()?;
        match (self.is_probe, by_rule) {
            (true, true) => {}
            (true, false) => return Err(Stop::Differs),
            (false, _) => self.found.inside(&self.place, kind, by_rule, values),
        }
        Ok(())
    }

    /// Whether two values that stand at the same place are the same but for what rules excuse. Reports nothing.
    pub(super) fn probe(
        &mut self,
        control: &'a Value<'a>,
        candidate: &'a Value<'a>,
    ) -> Result<bool, Stop> {
        let (before, depth) = (self.is_probe, self.place.steps().len());
        self.is_probe = true;
        let outcome = self.compare(control, candidate);
        self.is_probe = before;
        self.place.back_to(depth);
        match outcome {
            Ok(()) => Ok(true),
            Err(Stop::Differs) => Ok(false),
            Err(Stop::TooMuchWork) => Err(Stop::TooMuchWork),
        }
    }

    /// Whether what differs here is excused by a rule.
    pub(super) fn is_ignored(&mut self) -> Result<bool, Stop> {
        self.spend_on_patterns(self.rules.ignore.len())?;
        Ok(self.rules.ignores(self.place.steps()))
    }

    /// Whether the order of the array here says nothing.
    pub(super) fn is_unordered(&mut self) -> Result<bool, Stop> {
        self.spend_on_patterns(self.rules.unordered.len())?;
        Ok(self.rules.is_unordered(self.place.steps()))
    }

    /// Each pattern is held against the way here.
    fn spend_on_patterns(&mut self, patterns: usize) -> Result<(), Stop> {
        self.spend(patterns * self.place.steps().len() / TOKENS_OF_A_STEP)
    }

    /// Pays for bytes that are copied and sorted.
    pub(super) fn spend_on_bytes(&mut self, bytes: usize) -> Result<(), Stop> {
        self.spend(bytes / TEXT_OF_A_STEP)
    }

    /// Pays for looking at a value, without what is inside of it.
    pub(super) fn spend_on(&mut self, value: &Value<'_>) -> Result<(), Stop> {
        self.spend(1)?;
        self.spend_on_bytes(value.text_bytes())
    }

    fn spend(&mut self, steps: usize) -> Result<(), Stop> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Stop::TooMuchWork)?;
        Ok(())
    }
}
