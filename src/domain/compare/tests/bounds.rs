//! Answers that are larger, deeper or worse than any honest one.

use super::found::{MAX_DIFFERENCES, MAX_OF_ONE_PLACE};
use super::json::{MAX_BODY_BYTES, MAX_DEPTH, MAX_VALUES};
use super::path::MAX_POINTER_BYTES;
use super::unordered::MAX_TRIED;
use super::*;
use proptest::prelude::*;

/// Says that it can't tell, as a difference of the whole body.
fn is_given_up(comparison: &Comparison) -> bool {
    comparison.truncated
        && comparison.verdict == Verdict::Mismatched
        && comparison.differences.iter().any(|d| d.pointer.is_empty() && d.excused.is_none())
}

/// `{"a":1,"b":1}` and the like, with members in another order, and so much blank that it has this many bytes.
fn padded(members: [&str; 2], bytes: usize) -> String {
    let [first, second] = members.map(|name| format!("\"{name}\":1"));
    let blank = " ".repeat(bytes - first.len() - second.len() - 3);
    format!("{{{first},{blank}{second}}}")
}

#[test]
fn a_body_is_read_up_to_its_bound_and_compared_by_bytes_above() {
    let rules = Rules::default();
    let compare =
        |bytes| compare_json(&rules, padded(["a", "b"], bytes), padded(["b", "a"], bytes));

    assert_eq!(compare(MAX_BODY_BYTES).verdict, Verdict::Matched);
    assert!(is_given_up(&compare(MAX_BODY_BYTES + 1)));
    let large = padded(["a", "b"], MAX_BODY_BYTES + 1);
    assert_eq!(compare_json(&rules, &large, &large).verdict, Verdict::Matched);
    assert!(is_given_up(&compare_json(&rules, &large, "{}")));
}

#[test]
fn a_body_is_read_down_to_its_depth() {
    let nested = |open: &str, close: &str, depth, inside: &str| {
        format!("{}{inside}{}", open.repeat(depth), close.repeat(depth))
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let compare = |depth| {
            let (control, candidate) =
                (nested(open, close, depth, "1"), nested(open, close, depth, " 1"));
            compare_json(&Rules::default(), control, candidate)
        };
        assert_eq!(compare(MAX_DEPTH).verdict, Verdict::Matched);
        assert!(is_given_up(&compare(MAX_DEPTH + 1)));
    }
    // What never closes is no deeper for it.
    let endless = "[".repeat(MAX_BODY_BYTES);
    assert!(is_given_up(&compare_json(&Rules::default(), &endless, "[]")));
}

#[test]
fn a_body_has_so_many_values_and_no_more() {
    let many = |count: usize, last: &str| format!("[{}{last}]", "1,".repeat(count - 2));
    let compare = |count| compare_json(&Rules::default(), many(count, "1"), many(count, "2"));

    assert_eq!(all_in_short(&compare(MAX_VALUES)), [format!("changed /{}", MAX_VALUES - 2)]);
    assert!(is_given_up(&compare(MAX_VALUES + 1)));
}

#[test]
fn so_many_differences_are_kept() {
    let document = |count: usize, value: &str| {
        let members: Vec<_> = (0..count).map(|i| format!("\"m{i:03}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let compare =
        |count| compare_json(&Rules::default(), document(count, "1"), document(count, "2"));

    let all = compare(MAX_DIFFERENCES);
    assert_eq!((all.differences.len(), all.truncated), (MAX_DIFFERENCES, false));
    let some = compare(MAX_DIFFERENCES + 1);
    assert_eq!((some.differences.len(), some.truncated), (MAX_DIFFERENCES, true));
    assert_eq!(some.differences, all.differences);
}

#[test]
fn a_difference_that_counts_takes_the_room_of_one_that_is_excused() {
    let rules = rules(|rules| rules.ignore = patterns(&["/ignored"]));
    let document = |value: &str| {
        let ignored: Vec<_> = (0..100).map(|i| format!("\"m{i}\":{value}")).collect();
        format!("{{\"ignored\":{{{}}},\"z\":{value}}}", ignored.join(","))
    };
    let comparison = compare_json(&rules, document("1"), document("2"));

    assert_eq!(
        (comparison.verdict, comparison.differences.len()),
        (Verdict::Mismatched, MAX_DIFFERENCES)
    );
    assert_eq!(comparison.differences.last().map(in_short).as_deref(), Some("changed /z"));
    assert!(comparison.truncated);
}

#[test]
fn one_place_in_many_elements_does_not_crowd_out_others() {
    let document = |value: &str| {
        let segments = vec![format!("{{\"at\":{value}}}"); 1000].join(",");
        format!("{{\"segments\":[{segments}],\"z\":{value}}}")
    };
    let comparison = compare_json(&Rules::default(), document("1"), document("2"));

    let lines = all_in_short(&comparison);
    assert_eq!(lines.len(), MAX_OF_ONE_PLACE + 1);
    assert_eq!(lines.last().map(String::as_str), Some("changed /z"));
    assert!(comparison.truncated);
}

#[test]
fn a_place_too_far_away_to_be_named_is_a_change_of_what_it_is_in() {
    let name = "n".repeat(MAX_POINTER_BYTES);
    let document = |value: &str| format!("{{\"a\":{{\"{name}\":{value}}}}}");
    let reveal = patterns(&["/a/*"]);
    let compare = |candidate: &str| {
        compare_with(
            &Rules::default(),
            &Noise::default(),
            &reveal,
            document("1").as_bytes(),
            candidate.as_bytes(),
        )
    };

    for candidate in [document("2"), document("null"), r#"{"a": {}}"#.to_owned()] {
        let comparison = compare(&candidate);
        assert_eq!(all_in_short(&comparison), ["changed /a"]);
        assert_eq!(comparison.differences[0].expected, None);
    }
}

#[test]
fn work_is_bounded_and_what_was_not_looked_at_counts_as_different() {
    let everywhere = rules(|rules| {
        rules.unordered = patterns(&["/**"]);
        rules.ignore = patterns(&["/**/never"]);
    });
    let near = rules(|rules| {
        rules.unordered = patterns(&["/**"]);
        rules.tolerance = 0.5;
    });
    // What is ignored differs at the very end, so every level is brought into its form once more for each level above it.
    let deep = |last: &str| {
        let side: String = (0..120).map(|_| format!("[{}", "1,".repeat(30))).collect();
        format!("{side}{{\"never\":{last}}}{}", "]".repeat(120))
    };
    // Every element is tried with every other one, and differs at its very end.
    let alike = |last: &str| {
        let element = format!("{{\"a\":[{}1],\"z\":{last}}}", "1,".repeat(500));
        format!("[{}]", vec![element; MAX_TRIED].join(","))
    };

    assert!(is_given_up(&compare_json(&everywhere, deep("1"), deep("2"))));
    assert!(is_given_up(&compare_json(&near, alike("1"), alike("9"))));
}

#[test]
fn more_elements_than_can_be_tried_are_not_paired_by_tolerance() {
    let rules = rules(|rules| {
        rules.unordered = patterns(&["/**"]);
        rules.tolerance = 0.5;
    });
    let numbers = |count: usize, step: f64| {
        let numbers: Vec<_> = (0..count).map(|i| format!("{}", 1000.0 + i as f64 + step)).collect();
        format!("[{}]", numbers.join(","))
    };
    let compare = |count| compare_json(&rules, numbers(count, 0.0), numbers(count, 0.25));

    assert_eq!(compare(MAX_TRIED).verdict, Verdict::Matched);
    assert_eq!(compare(MAX_TRIED + 1).verdict, Verdict::Mismatched);
}

/// Pieces of JSON, right and wrong.
const PIECES: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u0041", "\\ud83d", "\\ude00", "null", "true",
    "fals", "-", "0", "1", ".", "e", "E+", " ", "\n", "\"a\"", "\"b\":", "\u{1}", "é",
];

fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        9 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_break_it(control in scraps(), candidate in scraps()) {
        let rules = rules(|rules| {
            rules.unordered = patterns(&["/**"]);
            rules.ignore = patterns(&["/a"]);
            rules.decimal_text = DecimalText::ByValue;
            rules.tolerance = 0.1;
        });
        let comparison = compare_with(&rules, &Noise::default(), &patterns(&["/**"]), &control, &candidate);

        let is_matched = comparison.verdict == Verdict::Matched;
        prop_assert_eq!(is_matched, comparison.differences.is_empty());
        prop_assert_eq!(comparison.verdict == Verdict::Mismatched, comparison.cause.is_some());
        prop_assert!(control != candidate || is_matched);
    }
}
