//! What is planned on one document and applied to a later one.

mod properties;

use std::borrow::Cow;

use super::{Anchor, Conflict, NewValue, Planned, Splice, apply, plan};
use crate::domain::effects::{EffectPointer, Place};

fn place(pointer: &str, id: &str) -> Place {
    let pointer: EffectPointer = pointer.parse().unwrap();
    pointer.resolve(|_| Some(Cow::Borrowed(id))).unwrap()
}

fn splices<'d>(document: &'d str, pointer: &str, id: &str, value: &str) -> Vec<Splice<'d>> {
    let edits = [(place(pointer, id), NewValue::text(value))];
    match plan(document.as_bytes(), &edits, 1 << 20).unwrap() {
        Planned::Splices { splices, .. } => splices,
        Planned::Missing => panic!("{pointer} with {id} is missing in {document}"),
    }
}

fn edited(document: &str, pointer: &str, id: &str, value: &str) -> String {
    let splices = splices(document, pointer, id, value);
    String::from_utf8(apply(document.as_bytes(), &splices).unwrap()).unwrap()
}

#[test]
fn edits_of_two_elements_planned_on_one_document_apply_in_either_order() {
    let document = r#"{"a":[{"id":"1","s":"x","n":850.50},{"id":"2","s":"x"}]}"#;
    let one = splices(document, "/a/[id={id}]/s", "1", "p");
    let two = splices(document, "/a/[id={id}]/s", "2", "q");

    let first = apply(&apply(document.as_bytes(), &one).unwrap(), &two);
    let second = apply(&apply(document.as_bytes(), &two).unwrap(), &one);

    let wanted = r#"{"a":[{"id":"1","s":"p","n":850.50},{"id":"2","s":"q"}]}"#;
    assert_eq!(first.as_deref(), Ok(wanted.as_bytes()));
    assert_eq!(second.as_deref(), Ok(wanted.as_bytes()));
}

#[test]
fn an_element_of_another_array_that_came_to_read_like_the_old_one_is_not_edited() {
    let document = r#"{"a":[{"id":"1","s":"x"}],"b":[{"id":"1","s":"y"}]}"#;
    let stale = splices(document, "/a/[id={id}]/s", "1", "z");

    let later = edited(document, "/a/[id={id}]/s", "1", "y");
    let later = edited(&later, "/b/[id={id}]/s", "1", "x");
    let after = apply(later.as_bytes(), &stale);

    let wanted = r#"{"a":[{"id":"1","s":"z"}],"b":[{"id":"1","s":"x"}]}"#;
    assert_eq!(after.as_deref(), Ok(wanted.as_bytes()));
}

#[test]
fn an_element_whose_id_stands_behind_the_value_is_found_by_its_bytes() {
    let document = r#"{"a":[{"s":"x","id":"1"},{"s":"x","id":"2"}]}"#;

    let planned = splices(document, "/a/[id={id}]/s", "2", "z");

    assert_eq!(planned[0].anchor, Anchor::Element);
}

#[test]
fn two_elements_of_one_id_are_never_taken_for_each_other_whatever_was_edited_between() {
    let document = r#"{"a":[{"id":"1","s":"x","t":"p"}],"b":[{"id":"1","s":"y","t":"q"}]}"#;
    let stale = splices(document, "/a/[id={id}]/s", "1", "z");

    let later = edited(document, "/b/[id={id}]/t", "1", "p");
    let later = edited(&later, "/b/[id={id}]/s", "1", "x");
    let later = edited(&later, "/a/[id={id}]/s", "1", "w");
    let after = apply(later.as_bytes(), &stale);

    let wanted = r#"{"a":[{"id":"1","s":"z","t":"p"}],"b":[{"id":"1","s":"x","t":"p"}]}"#;
    assert_eq!(after.as_deref(), Ok(wanted.as_bytes()));
}

#[test]
fn a_value_that_was_changed_since_is_replaced_and_what_is_about_it_has_to_be_as_it_was() {
    let check = |from: &str, to: &str, wanted: Option<&str>| {
        let document = format!(r#"{{"a":[{{"id":"1","s":{from},"t":"p"}},{{"id":"2","s":"y"}}]}}"#);
        let edits = match from {
            "7" => [(place("/a/[id={id}]/s", "1"), NewValue::json(b"9").unwrap())],
            "true" => [(place("/a/[id={id}]/s", "1"), NewValue::json(b"false").unwrap())],
            "null" | "[1]" => [(place("/a/[id={id}]/s", "1"), NewValue::json(b"[2]").unwrap())],
            _ => [(place("/a/[id={id}]/s", "1"), NewValue::text("z"))],
        };
        let planned = plan(document.as_bytes(), &edits, 1 << 20).unwrap();
        let Planned::Splices { splices, .. } = planned else { panic!("missing") };
        let present = document.replace(from, to);
        let after = apply(present.as_bytes(), &splices);
        let wanted = wanted.map(|value| document.replace(from, value).into_bytes());
        assert_eq!(after.ok(), wanted, "{from} that became {to}");
    };

    check(r#""x""#, r#""""#, Some(r#""z""#));
    check(r#""x""#, r#""\"},\\""#, Some(r#""z""#));
    check("7", "-1.5e+3", Some("9"));
    check("true", "false", Some("false"));
    // Of another kind, or with something inside.
    check(r#""x""#, "7", None);
    check("7", r#""7""#, None);
    check("7", "true", None);
    check("true", "null", None);
    check("null", "1", None);
    check("[1]", "[3]", None);
    check(r#""x""#, r#""x","new":1"#, None);
}

#[test]
fn what_tells_an_element_from_others_is_no_value_to_be_left_open() {
    let document = r#"{"a":[{"id":"1","s":"x"},{"id":"2","s":"x"}]}"#;
    let stale = splices(document, "/a/[id={id}]/id", "1", "9");

    let later = edited(document, "/a/[id={id}]/id", "1", "3");

    assert_eq!(apply(later.as_bytes(), &stale), Err(Conflict));
}

#[test]
fn an_id_that_another_one_begins_with_is_an_id_of_its_own() {
    let document = r#"{"a":[{"id":1,"s":"x"},{"id":12,"s":"x"}]}"#;

    assert_eq!(splices(document, "/a/[id={id}]/s", "1", "z")[0].anchor, Anchor::Element);
}

#[test]
fn a_number_is_selected_by_its_text() {
    let check = |written: &str, wanted: &str, is_it: bool| {
        let document = format!(r#"{{"a":[{{"id":{written},"s":"x"}}]}}"#);
        let edits = [(place("/a/[id={id}]/s", wanted), NewValue::text("y"))];
        let planned = plan(document.as_bytes(), &edits, 1 << 20).unwrap();
        assert_eq!(planned != Planned::Missing, is_it, "{written} by {wanted}");
    };

    check("1000", "1000", true);
    check("1e3", "1000", false);
    check("1000.0", "1000", false);
    check("1e3", "1e3", true);
    check("1E3", "1e3", false);
    check("-0", "0", false);
    // A string's escapes are its reader's, and its text is compared.
    check("\"1000\"", "1000", true);
    check("\"\\u0031000\"", "1000", true);
    check("true", "true", true);
    check("null", "null", false);
}
