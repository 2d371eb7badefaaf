//! Bodies that are JSON, by example.

use super::*;

/// Under `rules`, comparing `control` with `candidate` finds `expected`, in short.
fn check(rules: &Rules, control: &str, candidate: &str, expected: &[&str]) {
    let comparison = compare_json(rules, control, candidate);

    assert_eq!(all_in_short(&comparison), expected, "{control} against {candidate}");
    let is_excused = |line: &&str| line.ends_with(')');
    let verdict = match expected {
        [] => Verdict::Matched,
        lines if lines.iter().all(is_excused) => Verdict::Ignored,
        _ => Verdict::Mismatched,
    };
    assert_eq!(comparison.verdict, verdict, "{control} against {candidate}");
    assert_eq!(comparison.cause, (verdict == Verdict::Mismatched).then_some(Cause::Body));
    assert!(!comparison.truncated);
}

#[test]
fn documents_are_compared_by_structure() {
    let rules = Rules::default();
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check(r#"{"a": 1, "b": [true, null]}"#, r#"{"b":[true,null],"a":1}"#, &[]);
    check(r#"{"a": "\u00e9\/"}"#, r#"{"a": "é/"}"#, &[]);
    check(r#"{"a": 1}"#, r#"{"a": 2}"#, &["changed /a"]);
    check(r#"{"a": true}"#, r#"{"a": false}"#, &["changed /a"]);
    check(r#"{"a": 1}"#, r#"{"a": "1"}"#, &["type /a"]);
    check(r#"{"a": null}"#, r#"{"a": {}}"#, &["type /a"]);
    check(r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, &["missing /b"]);
    check(r#"{"a": 1}"#, r#"{"a": 1, "b": null}"#, &["extra /b"]);
    check(r#"{"a": {"b": [{"c": 1}]}}"#, r#"{"a": {"b": [{"c": 2}]}}"#, &["changed /a/b/0/c"]);
    check(
        r#"{"a/b": 1, "m~n": 1, "": 1}"#,
        r#"{}"#,
        &["missing /", "missing /a~1b", "missing /m~0n"],
    );
    check("1", "2", &["changed "]);
    check("[]", "{}", &["type "]);
}

#[test]
fn arrays_are_compared_by_index() {
    let rules = Rules::default();
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("[1, 2]", "[2, 1]", &["changed /0", "changed /1"]);
    check("[1, 2, 3]", "[1, 2]", &["length "]);
    check(r#"{"a": []}"#, r#"{"a": [1, 2]}"#, &["length /a"]);
    check("[1, 2, 3]", "[9, 2]", &["length ", "changed /0"]);
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    let rules = Rules::default();

    check(&rules, r#"{"a": 1, "a": 2}"#, r#"{"a": 2}"#, &[]);
    check(&rules, r#"{"a": 1, "b": 0, "a": 2}"#, r#"{"b": 0, "a": 1}"#, &["changed /a"]);
}

#[test]
fn a_number_is_its_text() {
    let rules = Rules::default();
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("850.50", "850.5", &["changed "]);
    check("1e2", "100", &["changed "]);
    check("-0", "0", &["changed "]);
    check("9007199254740993", "9007199254740992", &["changed "]);
}

#[test]
fn numbers_are_compared_by_value_if_asked() {
    let rules = rules(|rules| rules.decimal_text = DecimalText::ByValue);
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("850.50", "850.5", &[]);
    check("1e2", "100", &[]);
    check("0.001E+3", "1", &[]);
    check("-0.0", "0e5", &[]);
    check("-1", "1", &["changed "]);
    check("9007199254740993", "9007199254740993.000", &[]);
    check("9007199254740993", "9007199254740992", &["changed "]);
    check("1e400", "10e399", &[]);
    check("1e400", "1e401", &["changed "]);
    check("0.1000000000000000000000000001", "0.1", &["changed "]);
    // Past any use, so by their text.
    check("1e999999999999999999", "1e999999999999999999", &[]);
    check("1e999999999999999999", "10e999999999999999998", &["changed "]);
}

#[test]
fn texts_that_are_decimal_numbers_are_compared_by_value_too() {
    let rules = rules(|rules| rules.decimal_text = DecimalText::ByValue);
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check(r#""850.50""#, r#""850.5""#, &[]);
    check(r#""-1.0""#, r#""-1""#, &[]);
    check(r#""850.50""#, "850.5", &["type "]);
    // Names that only look like numbers.
    check(r#""007""#, r#""7""#, &["changed "]);
    check(r#""1e2""#, r#""100""#, &["changed "]);
    check(r#""+1""#, r#""1""#, &["changed "]);
    check(r#""1.0 ""#, r#""1.0""#, &["changed "]);
}

#[test]
fn a_tolerance_is_a_share_of_the_greater_number() {
    let rules = rules(|rules| rules.tolerance = 0.01);
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("100", "99", &[]);
    check("100", "98.99", &["changed "]);
    check("-100", "-99", &[]);
    check("-1", "1", &["changed "]);
    check("0", "0.0000001", &["changed "]);
    check("850.50", "850.5", &[]);
    check("100e400", "99e400", &[]);
    check("1e400", "1e399", &["changed "]);
    check("0", "1e-400", &["changed "]);
    check("1e-400", "0.99e-400", &[]);
    check("123456789012345678901234567890", "123456789012345678901234567891", &[]);
    check(r#""100""#, r#""99""#, &["changed "]);
    check("1", "1e999999999999999999", &["changed "]);
}

#[test]
fn a_tolerance_that_is_no_share_tolerates_nothing() {
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        check(&rules(|rules| rules.tolerance = tolerance), "1", "1.0", &["changed "]);
    }
}

#[test]
fn what_is_ignored_is_excused_with_all_below() {
    let rules = rules(|rules| rules.ignore = patterns(&["/meta", "/segments/*/updatedAt"]));
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check(r#"{"meta": {"at": 1}}"#, r#"{"meta": {"at": 2}}"#, &["changed /meta/at (rule)"]);
    check(r#"{"meta": {"at": 1}}"#, "{}", &["missing /meta (rule)"]);
    check(r#"{"meta": [1]}"#, r#"{"meta": []}"#, &["length /meta (rule)"]);
    check(r#"{"meta": 1}"#, r#"{"meta": 1}"#, &[]);
    check(
        r#"{"segments": [{"updatedAt": 1, "status": "Departed"}]}"#,
        r#"{"segments": [{"updatedAt": 2, "status": "Scheduled"}]}"#,
        &["changed /segments/0/status", "changed /segments/0/updatedAt (rule)"],
    );
    // What holds an ignored place is not ignored.
    check(r#"{"segments": [{"updatedAt": 1}]}"#, r#"{"segments": null}"#, &["type /segments"]);
}

#[test]
fn an_unordered_array_is_compared_by_its_elements() {
    let rules = rules(|rules| rules.unordered = patterns(&["/tags", "/a/*/b"]));
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check(
        r#"{"tags": [1, "x", {"p": 1, "q": 2}]}"#,
        r#"{"tags": [{"q": 2, "p": 1}, 1, "x"]}"#,
        &[],
    );
    check(
        r#"{"tags": [1, 1, 2]}"#,
        r#"{"tags": [1, 2, 2]}"#,
        &["missing /tags/1", "extra /tags/2"],
    );
    check(
        r#"{"tags": [3, 1, 2]}"#,
        r#"{"tags": [2, 9, 1]}"#,
        &["missing /tags/0", "extra /tags/1"],
    );
    check(r#"{"tags": [1]}"#, r#"{"tags": []}"#, &["missing /tags/0"]);
    check(
        r#"{"tags": [1, "1"]}"#,
        r#"{"tags": ["1", 1.0]}"#,
        &["missing /tags/0", "extra /tags/1"],
    );
    // Only the places that are named.
    check(r#"{"tags": [[1, 2]]}"#, r#"{"tags": [[2, 1]]}"#, &["missing /tags/0", "extra /tags/0"]);
    check(r#"{"a": [{"b": [1, 2]}]}"#, r#"{"a": [{"b": [2, 1]}]}"#, &[]);
    check("[1, 2]", "[2, 1]", &["changed /0", "changed /1"]);
}

#[test]
fn all_arrays_can_be_unordered() {
    let rules = rules(|rules| rules.unordered = patterns(&["/**"]));
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("[1, [2, {\"a\": [3, 4]}]]", "[[{\"a\": [4, 3]}, 2], 1]", &[]);
    check("[[1], 1]", "[1, [2]]", &["missing /0", "extra /1"]);
}

#[test]
fn elements_of_unordered_arrays_are_told_apart_however_alike_they_are() {
    let rules = rules(|rules| rules.unordered = patterns(&["/t"]));
    let check = |control: &str, candidate: &str| {
        let (control, candidate) =
            (format!(r#"{{"t": [{control}]}}"#), format!(r#"{{"t": [{candidate}]}}"#));
        check(&rules, &control, &candidate, &["missing /t/0", "extra /t/0"]);
    };

    check(r#"{"a": {"b": 1}, "c": 2}"#, r#"{"a": {"b": 1, "c": 2}}"#);
    check("[[1], 2]", "[[1, 2]]");
    check(r#"["ab", "c"]"#, r#"["a", "bc"]"#);
    check(r#"{"a": "b"}"#, r#"["a", "b"]"#);
    check("1", r#""1""#);
    check("null", "false");
}

#[test]
fn elements_of_unordered_arrays_are_paired_whatever_is_ignored_in_them() {
    let rules = rules(|rules| {
        rules.unordered = patterns(&["/s", "/s/*/tags"]);
        rules.ignore = patterns(&["/s/*/at", "/s/*/pair/1", "/s/0"]);
    });
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check(
        r#"{"s": [{"id": 1, "at": 5}, {"id": 2, "at": 6}]}"#,
        r#"{"s": [{"id": 2, "at": 6}, {"id": 1, "at": 7}]}"#,
        &["changed /s/0/at (rule)"],
    );
    // The same elements, however they are paired.
    check(
        r#"{"s": [{"id": 1, "at": 5}, {"id": 1, "at": 6}]}"#,
        r#"{"s": [{"id": 1, "at": 6}, {"id": 1, "at": 5}]}"#,
        &[],
    );
    // What only the candidate has is named as it stands there.
    check(
        r#"{"s": [{"id": 1}, {"id": 2}]}"#,
        r#"{"s": [{"id": 2, "at": 1}, {"id": 1}]}"#,
        &["extra /s/0/at (rule)"],
    );
    check(
        r#"{"s": [{"id": 1, "pair": [1, 2]}, 7]}"#,
        r#"{"s": [7, {"id": 1, "pair": [1, 3]}]}"#,
        &["changed /s/0/pair/1 (rule)"],
    );
    check(
        r#"{"s": [{"id": 1, "pair": [1, 2]}]}"#,
        r#"{"s": [{"id": 1, "pair": [2, 2]}]}"#,
        &["missing /s/0", "extra /s/0"],
    );
    check(
        r#"{"s": [{"tags": [1, 2], "at": 1}, 7]}"#,
        r#"{"s": [7, {"tags": [2, 1], "at": 2}]}"#,
        &["changed /s/0/at (rule)"],
    );
}

#[test]
fn elements_of_unordered_arrays_may_be_near_to_one_another() {
    let rules = rules(|rules| {
        rules.unordered = patterns(&["/**"]);
        rules.tolerance = 0.1;
    });
    let check = |control, candidate, expected: &[&str]| check(&rules, control, candidate, expected);

    check("[100, 200]", "[190, 105]", &[]);
    check(r#"[{"p": 100, "n": "a"}]"#, r#"[{"p": 105, "n": "b"}]"#, &["missing /0", "extra /0"]);
    // 100 is near to both and 90 to the first alone, so who comes first must not take the wrong one.
    check("[100, 91]", "[99, 109]", &[]);
    check("[91, 100]", "[99, 109]", &[]);
    check("[100, 91]", "[109, 99]", &[]);
    check("[100, 1]", "[99, 2]", &["missing /1", "extra /1"]);
}

#[test]
fn an_unordered_place_that_is_no_array_is_compared_as_it_is() {
    let rules = rules(|rules| rules.unordered = patterns(&["/a"]));

    check(&rules, r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 2}}"#, &["changed /a/b"]);
    check(&rules, r#"{"a": [1]}"#, r#"{"a": 1}"#, &["type /a"]);
}
