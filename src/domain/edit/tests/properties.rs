//! Against another reader of JSON, on documents of every kind.

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::{Anchor, NewValue, Planned, Refused, apply, body_value, plan};
use super::place;

const LIMIT: usize = 1 << 20;

/// A document's pieces, right and wrong, but for halves of surrogate pairs, which are refused here alone.
const PIECES: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\n", "\\u00e9", "\\u00", "null", "true", "false", "-",
    "0", "1", "12", ".", "e", "E+", " ", "\n", "\"a\"", "\"b\":", "\"a\":1", "\u{1}", "\u{feff}",
    "é", "x",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A journey as an app may write it: elements with ids of any text, padded, in one line or in many.
fn journey() -> impl Strategy<Value = (Vec<String>, Value, bool)> {
    let ids = prop::collection::hash_set("[\\PC\"\\\\/~]{1,8}", 1..8);
    (ids, json(), any::<bool>())
        .prop_map(|(ids, extra, pretty)| (ids.into_iter().collect(), extra, pretty))
}

fn written(ids: &[String], extra: &Value, pretty: bool) -> String {
    let elements: Vec<String> = ids
        .iter()
        .map(|id| {
            format!(
                "{{\"Id\":{},\"Extra\":{extra},\"Status\":\"old\",\"Price\":850.50}}",
                Value::from(id.as_str())
            )
        })
        .collect();
    let text = format!(
        "{{\"Big\":9007199254740993,\"Status\":\"old\",\"Segments\":[{}],\"Exp\":1e3}}",
        elements.join(",")
    );
    match pretty {
        true => text.replace(",\"Price\"", " ,\n\t\"Price\" "),
        false => text,
    }
}

proptest! {
    #[test]
    fn it_takes_for_json_what_another_reader_takes(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..16)) {
        let text = pieces.concat();
        let theirs = serde_json::from_str::<Box<RawValue>>(&text);
        let ours = NewValue::json(text.as_bytes());

        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}", text);
    }

    #[test]
    fn it_reads_every_document_that_another_writer_writes(document in json()) {
        let text = document.to_string();

        prop_assert!(NewValue::json(text.as_bytes()).is_ok(), "{}", text);
    }

    #[test]
    fn only_the_bytes_of_the_value_change((ids, extra, pretty) in journey(), which in any::<prop::sample::Index>(), value in ".{0,20}") {
        let document = written(&ids, &extra, pretty);
        let id = which.get(&ids);
        let edits = [(place("/Segments/[Id={id}]/Status", id), NewValue::text(value.as_str()))];
        let planned = plan(document.as_bytes(), &edits, LIMIT).unwrap();
        let Planned::Splices { splices, .. } = planned else { panic!("missing") };

        let after = String::from_utf8(apply(document.as_bytes(), &splices).unwrap()).unwrap();

        let mut expected: Value = serde_json::from_str(&document).unwrap();
        let index = ids.iter().position(|known| known == id).unwrap();
        expected["Segments"][index]["Status"] = Value::from(value.as_str());
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected);
        // All before and all behind is as it was; the first such member is the root's own.
        let (member, _) = document.match_indices("\"Status\":\"old\"").nth(index + 1).unwrap();
        let (before, behind) = (&document[..member + 9], &document[member + 14..]);
        prop_assert!(after.starts_with(before) && after.ends_with(behind), "{}", after);
        let new = &after[before.len()..after.len() - behind.len()];
        prop_assert_eq!(serde_json::from_str::<Value>(new).unwrap(), value.as_str());
    }

    #[test]
    fn a_plan_meets_its_field_or_none_whatever_other_edits_came_between_and_by_its_element_always(
        (ids, extra, pretty) in journey(),
        others in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), "[a-z]{0,4}"), 0..6),
        which in any::<prop::sample::Index>(),
    ) {
        let base = written(&ids, &extra, pretty);
        let id = which.get(&ids);
        let mine = [(place("/Segments/[Id={id}]/Status", id), NewValue::text("mine"))];
        let Planned::Splices { splices, .. } = plan(base.as_bytes(), &mine, LIMIT).unwrap() else { panic!("missing") };
        let mut present = base.clone();
        for (other, of_root, value) in &others {
            let at = if *of_root { place("/Status", "") } else { place("/Segments/[Id={id}]/Status", other.get(&ids).as_str()) };
            let edits = [(at, NewValue::text(value.as_str()))];
            let Planned::Splices { splices, .. } = plan(present.as_bytes(), &edits, LIMIT).unwrap() else { panic!("missing") };
            present = String::from_utf8(apply(present.as_bytes(), &splices).unwrap()).unwrap();
        }

        let before: Value = serde_json::from_str(&present).unwrap();
        let index = ids.iter().position(|known| known == id).unwrap();
        match apply(present.as_bytes(), &splices) {
            // Its own field may have changed, but not the beginning that an element without an id of its own is found by.
            Err(_) => prop_assert_eq!(splices[0].anchor, Anchor::Prefix),
            Ok(after) => {
                let mut expected = before;
                expected["Segments"][index]["Status"] = Value::from("mine");
                prop_assert_eq!(serde_json::from_slice::<Value>(&after).unwrap(), expected);
            }
        }
    }

    #[test]
    fn no_document_panics(document in prop::collection::vec(any::<u8>(), 0..200), id in ".{0,5}") {
        let edits = [(place("/a/[Id={id}]/b", &id), NewValue::text("x"))];
        plan(&document, &edits, LIMIT).ok();
        body_value(&document, "/a/b").ok();
    }
}

#[test]
fn a_document_of_256_kib_is_edited_and_one_byte_more_is_refused() {
    let ids: Vec<String> = (0..1_500).map(|n| format!("S{n}")).collect();
    let text = written(&ids, &Value::from("x".repeat(90)), false);
    let limit = 256 * 1024;
    let padded = |length: usize| format!("{}{}", " ".repeat(length - text.len()), text);
    let edits = [(place("/Segments/[Id={id}]/Status", "S1499"), NewValue::text("new"))];

    let whole = padded(limit);
    let planned = plan(whole.as_bytes(), &edits, limit).unwrap();
    let Planned::Splices { splices, .. } = planned else { panic!("missing") };
    let after = apply(whole.as_bytes(), &splices).unwrap();

    assert_eq!(after.len(), limit);
    assert_eq!(plan(padded(limit + 1).as_bytes(), &edits, limit), Err(Refused::TooLarge));
}

#[test]
fn nesting_is_bounded_and_deep_documents_within_it_are_read() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));

    assert!(NewValue::json(nested(super::super::MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(NewValue::json(nested(200_000).as_bytes()), Err(Refused::TooDeep));
}

#[test]
fn what_leaves_a_doubt_is_refused_and_what_is_not_there_is_missing() {
    let check = |document: &str, expected: Result<bool, Refused>| {
        let edits = [(place("/S/[Id={id}]/V", "1"), NewValue::text("x"))];
        let planned = plan(document.as_bytes(), &edits, LIMIT);
        let is_missing = planned.map(|planned| matches!(planned, Planned::Missing));
        assert_eq!(is_missing, expected, "{document}");
    };

    check(r#"{"S":[{"Id":"1","V":"a"}]}"#, Ok(false));
    check(r#"{"S":[{"Id":1,"V":"a"}]}"#, Ok(false));
    check(r#"{"S":[{"\u0049d":"\u0031","V":"a"}]}"#, Ok(false));
    check(r#"{"S":[]}"#, Ok(true));
    check(r#"{"S":[{"Id":"2","V":"a"},7,"1"]}"#, Ok(true));
    check(r#"{"S":[{"Id":"1","V":"a"},{"Id":"1","V":"b"}]}"#, Err(Refused::AmbiguousElement));
    check(r#"{"S":[{"Id":"1","V":"a"}],"S":[]}"#, Err(Refused::DuplicateKey));
    check(r#"{"S":[{"Id":"1","Id":"1","V":"a"}]}"#, Err(Refused::DuplicateKey));
    check(r#"{"S":[{"Id":"1","V":"a","\u0056":"b"}]}"#, Err(Refused::DuplicateKey));
    check(r#"{"S":[{"Id":"1"}]}"#, Err(Refused::NoField));
    check(r#"{"S":{}}"#, Err(Refused::NoField));
    check(r#"{"S":[{"Id":"1","V":7}]}"#, Err(Refused::WrongType));
    check(r#"{"S":[{"Id":"1","V":"a"}]"#, Err(Refused::Malformed));
    check("{\"S\":[{\"Id\":\"1\",\"V\":\"\\ud800\"}]}", Err(Refused::Malformed));
}

#[test]
fn a_body_gives_its_value_as_it_is_written() {
    let body = b" { \"a\" : { \"b~/\" : 850.50 } , \"c\" : [ 1 , {\"d\":\"\\u00e9\"} ] } ";
    let value = |pointer: &str| body_value(body, pointer).unwrap().map(<[u8]>::to_vec);

    assert_eq!(value("/a/b~0~1").as_deref(), Some(&b"850.50"[..]));
    assert_eq!(value("/c/1/d").as_deref(), Some(&b"\"\\u00e9\""[..]));
    assert_eq!(value("/c/2"), None);
    assert_eq!(body_value(b"{\"a\":1,\"a\":2}", "/a"), Err(Refused::DuplicateKey));
}
