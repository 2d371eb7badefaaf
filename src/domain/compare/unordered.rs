//! Arrays whose order says nothing: they are the same when their elements can be paired.
//!
//! First those are paired that have the same *key*, a form of their own that two elements share when nothing but ignored
//! places differs. Numbers within a tolerance have no such form, since what is near to two numbers may be between two that
//! are not near; so where there is a tolerance, what is left is tried one by one, and paired as completely as it can be.

use std::cmp::Ordering;

use super::canonical::Form;
use super::json::Value;
use super::path::Step;
use super::walk::{Stop, Walk};

/// The most elements that are left on either side to be tried one by one: 64 make 4,096 trials.
pub(super) const MAX_TRIED: usize = 64;

/// An element of one of the two arrays.
struct Element<'a> {
    at: usize,
    value: &'a Value<'a>,
    /// Its form without what is ignored.
    key: Vec<u8>,
    /// Its form with all.
    whole: Vec<u8>,
}

impl<'a> Walk<'_, '_, 'a> {
    /// Compares two arrays at a place where order says nothing.
    pub(super) fn unordered(
        &mut self,
        control: &'a [Value<'a>],
        candidate: &'a [Value<'a>],
    ) -> Result<(), Stop> {
        let (expected, given) = (self.elements_by_key(control)?, self.elements_by_key(candidate)?);
        let (mut expected, mut given) =
            (expected.into_iter().peekable(), given.into_iter().peekable());
        let (mut missing, mut extra) = (Vec::new(), Vec::new());
        while let (Some(a), Some(b)) = (expected.peek(), given.peek()) {
            match a.key.cmp(&b.key) {
                Ordering::Less => missing.extend(expected.next()),
                Ordering::Greater => extra.extend(given.next()),
                Ordering::Equal => {
                    if a.whole != b.whole {
                        self.compare_pair(a, b)?;
                    }
                    expected.next();
                    given.next();
                }
            }
        }
        missing.extend(expected);
        extra.extend(given);
        missing.sort_unstable_by_key(|element| element.at);
        extra.sort_unstable_by_key(|element| element.at);
        if self.rules.share().is_some() {
            self.pair_what_is_near(&mut missing, &mut extra)?;
        }
        for element in missing {
            self.enter(element.at, element.at);
            self.one_sided(Some(element.value), None)?;
            self.place.leave();
        }
        for element in extra {
            self.enter(element.at, element.at);
            self.one_sided(None, Some(element.value))?;
            self.place.leave();
        }
        Ok(())
    }

    fn enter(&mut self, control: usize, candidate: usize) {
        self.place.enter(Step::Unordered { control, candidate });
    }

    /// Sorted, so that two arrays with the same elements come in the same order, whatever order they had.
    fn elements_by_key(&mut self, values: &'a [Value<'a>]) -> Result<Vec<Element<'a>>, Stop> {
        let mut elements = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            self.enter(at, at);
            let key = self.form_of(value, Form::Key)?;
            let whole = match self.rules.ignore.is_empty() {
                true => Vec::new(),
                false => self.form_of(value, Form::Whole)?,
            };
            self.place.leave();
            self.spend_on_bytes(key.len() + whole.len())?;
            elements.push(Element { at, value, key, whole });
        }
        elements.sort_unstable_by(|a, b| (&a.key, &a.whole, a.at).cmp(&(&b.key, &b.whole, b.at)));
        Ok(elements)
    }

    fn compare_pair(&mut self, control: &Element<'a>, candidate: &Element<'a>) -> Result<(), Stop> {
        self.enter(control.at, candidate.at);
        self.compare(control.value, candidate.value)?;
        self.place.leave();
        Ok(())
    }

    /// Pairs as many as can be, so that the outcome depends on neither order nor side, and takes them out.
    fn pair_what_is_near(
        &mut self,
        missing: &mut Vec<Element<'a>>,
        extra: &mut Vec<Element<'a>>,
    ) -> Result<(), Stop> {
        if missing.len() > MAX_TRIED || extra.len() > MAX_TRIED {
            return Ok(());
        }
        let mut fitting = Vec::with_capacity(missing.len());
        for control in missing.iter() {
            let mut fits = Vec::new();
            for (column, candidate) in extra.iter().enumerate() {
                self.enter(control.at, candidate.at);
                if self.probe(control.value, candidate.value)? {
                    fits.push(column);
                }
                self.place.leave();
            }
            fitting.push(fits);
        }
        let partners = pair(&fitting, extra.len());
        for (column, row) in partners.iter().enumerate() {
            let control = row.and_then(|row| missing.get(row));
            if let (Some(control), Some(candidate)) = (control, extra.get(column)) {
                self.compare_pair(control, candidate)?;
            }
        }
        let mut row = 0..;
        missing.retain(|_| !partners.contains(&row.next()));
        let mut column = partners.iter();
        extra.retain(|_| column.next().is_none_or(Option::is_none));
        Ok(())
    }
}

/// Pairs as many rows with columns as can be, by augmenting paths; gives each column's row. `fitting` has, for each row, the
/// columns that it may be paired with.
fn pair(fitting: &[Vec<usize>], columns: usize) -> Vec<Option<usize>> {
    let mut partners = vec![None; columns];
    for row in 0..fitting.len() {
        let mut tried = vec![false; columns];
        find_partner(row, fitting, &mut partners, &mut tried);
    }
    partners
}

/// Whether the row gets a column, of its own or from a row that can have another one. Descends at most once a column.
fn find_partner(
    row: usize,
    fitting: &[Vec<usize>],
    partners: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &column in fitting.get(row).map_or(&[][..], Vec::as_slice) {
        if tried.get_mut(column).is_none_or(|tried| std::mem::replace(tried, true)) {
            continue;
        }
        let holder = partners.get(column).copied().flatten();
        if holder.is_none_or(|holder| find_partner(holder, fitting, partners, tried)) {
            if let Some(partner) = partners.get_mut(column) {
                *partner = Some(row);
            }
            return true;
        }
    }
    false
}
