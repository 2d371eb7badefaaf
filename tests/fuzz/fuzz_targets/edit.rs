//! Edits of any document at any place with any value: what is planned changes the value and nothing else.
//!
//! The input's lines: pointer, second pointer (may be empty), new value as JSON, id; all that follows is the document.

#![no_main]

use std::borrow::Cow;

use interlock::domain::edit::{NewValue, Planned, apply, plan};
use interlock::domain::effects::{EffectPointer, Place};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const LIMIT: usize = 1 << 20;

fn place(pointer: &str, id: &str) -> Option<Place> {
    let pointer: EffectPointer = pointer.parse().ok()?;
    pointer.resolve(|_| Some(Cow::Borrowed(id)))
}

fn run(input: &[u8]) -> Option<()> {
    let mut parts = input.splitn(5, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok());
    let (first, second, value, id) = (line()?, line()?, line()?, line()?);
    let document = parts.next()?;

    let json = NewValue::json(value.as_bytes());
    if json.is_ok() {
        assert!(serde_json::from_str::<Value>(value).is_ok() || value.len() > 127);
    }
    let new = json.unwrap_or_else(|_| NewValue::text(value));
    let mut edits = vec![(place(first, id)?, new.clone())];
    edits.extend(place(second, id).map(|place| (place, NewValue::text(id))));
    let planned = plan(document, &edits, LIMIT);
    let Ok(Planned::Splices { splices, values }) = planned else { return None };

    assert_eq!(values.len(), edits.len());
    let edited = apply(document, &splices).expect("a plan fits the document that it was made on");
    std::str::from_utf8(&edited).expect("what is edited is text");
    // The same edits on the result find the new values, and have nothing left to change.
    match plan(&edited, &edits, usize::MAX) {
        Ok(Planned::Splices { splices, .. }) => {
            assert_eq!(apply(&edited, &splices).as_deref(), Ok(edited.as_slice()));
        }
        // The id itself was written, or the objects on the way are another's by now.
        Ok(Planned::Missing) | Err(_) => {}
    }
    if let [(_, _)] = edits.as_slice() {
        one_value_changed(document, &edited, &values[0]);
    }
    Some(())
}

/// The edited document is the old one with one value replaced.
fn one_value_changed(document: &[u8], edited: &[u8], value: &[u8]) {
    let same = document.iter().zip(edited).take_while(|(a, b)| a == b).count();
    let tail = document.len().min(edited.len()) - same;
    let same_end = document.iter().rev().zip(edited.iter().rev()).take(tail);
    let same_end = same_end.take_while(|(a, b)| a == b).count();
    let changed = &edited[same..edited.len() - same_end];
    assert!(changed.len() <= value.len(), "more than the value was changed");
    assert!(serde_json::from_slice::<Value>(edited).is_ok() || edited.len() > 127);
}

fuzz_target!(|input: &[u8]| {
    let _finished = run(input);
});
