//! The one form of a value that all values have which are the same by the rules.

use super::json::{Decimal, Value};
use super::path::Step;
use super::walk::{Stop, Walk};

/// What of a value its form has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All but the places that are ignored.
    Key,
    /// All.
    Whole,
}

/// What stands at the start of a value's form. Lengths follow where anything does, so no form is the start of another.
mod tag {
    pub(super) const NULL: u8 = 0;
    pub(super) const FALSE: u8 = 1;
    pub(super) const TRUE: u8 = 2;
    pub(super) const NUMBER: u8 = 3;
    pub(super) const NUMBER_VALUE: u8 = 4;
    pub(super) const TEXT: u8 = 5;
    pub(super) const TEXT_VALUE: u8 = 6;
    pub(super) const ARRAY: u8 = 7;
    pub(super) const OBJECT: u8 = 8;
}

impl<'a> Walk<'_, '_, 'a> {
    /// The form of the value at this place.
    pub(super) fn form_of(&mut self, value: &'a Value<'a>, form: Form) -> Result<Vec<u8>, Stop> {
        let mut bytes = Vec::new();
        self.push_form(value, form, &mut bytes)?;
        Ok(bytes)
    }

    fn push_form(
        &mut self,
        value: &'a Value<'a>,
        form: Form,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        self.spend_on(value)?;
        let decimal = self.rules.decimal(value);
        match (value, decimal) {
            (Value::Null, _) => bytes.push(tag::NULL),
            (Value::Bool(false), _) => bytes.push(tag::FALSE),
            (Value::Bool(true), _) => bytes.push(tag::TRUE),
            (Value::Number(_), Some(decimal)) => push_decimal(tag::NUMBER_VALUE, &decimal, bytes),
            (Value::Text(_), Some(decimal)) => push_decimal(tag::TEXT_VALUE, &decimal, bytes),
            (Value::Number(text), None) => push_text(tag::NUMBER, text, bytes),
            (Value::Text(text), None) => push_text(tag::TEXT, text, bytes),
            (Value::Array(elements), _) => self.push_elements(elements, form, bytes)?,
            (Value::Object(members), _) => {
                bytes.push(tag::OBJECT);
                let (counted_at, mut count) = (bytes.len(), 0);
                push_length(0, bytes);
                for member in members {
                    self.place.enter(Step::Member(&member.name));
                    if !self.leaves_out(form)? {
                        count += 1;
                        push_text(tag::TEXT, &member.name, bytes);
                        self.push_form(&member.value, form, bytes)?;
                    }
                    self.place.leave();
                }
                set_length(counted_at, count, bytes);
            }
        }
        Ok(())
    }

    fn push_elements(
        &mut self,
        elements: &'a [Value<'a>],
        form: Form,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        bytes.push(tag::ARRAY);
        if self.is_unordered()? {
            let mut forms = Vec::with_capacity(elements.len());
            for (at, element) in elements.iter().enumerate() {
                self.place.enter(Step::Unordered { control: at, candidate: at });
                if !self.leaves_out(form)? {
                    forms.push(self.form_of(element, form)?);
                }
                self.place.leave();
            }
            self.spend_on_bytes(forms.iter().map(Vec::len).sum())?;
            forms.sort_unstable();
            push_length(forms.len(), bytes);
            forms.iter().for_each(|form| bytes.extend_from_slice(form));
            return Ok(());
        }
        push_length(elements.len(), bytes);
        for (index, element) in elements.iter().enumerate() {
            self.place.enter(Step::Index(index));
            // Which indices are ignored depends on the place alone, so nothing has to stand for them.
            if !self.leaves_out(form)? {
                self.push_form(element, form, bytes)?;
            }
            self.place.leave();
        }
        Ok(())
    }

    fn leaves_out(&mut self, form: Form) -> Result<bool, Stop> {
        Ok(form == Form::Key && self.is_ignored()?)
    }
}

fn push_decimal(tag: u8, decimal: &Decimal, bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.push(u8::from(decimal.negative));
    bytes.extend(decimal.magnitude.to_be_bytes());
    push_length(decimal.digits.len(), bytes);
    bytes.extend_from_slice(&decimal.digits);
}

fn push_text(tag: u8, text: &str, bytes: &mut Vec<u8>) {
    bytes.push(tag);
    push_length(text.len(), bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn push_length(length: usize, bytes: &mut Vec<u8>) {
    bytes.extend(length.to_be_bytes());
}

fn set_length(at: usize, length: usize, bytes: &mut [u8]) {
    let written = length.to_be_bytes();
    if let Some(place) = bytes.get_mut(at..at + written.len()) {
        place.copy_from_slice(&written);
    }
}
