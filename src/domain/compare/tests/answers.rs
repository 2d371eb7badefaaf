//! Whole answers: status codes, headers, bodies of any kind, and what of them is shown.

use super::*;

struct Given<'a>(u16, &'a [(&'a str, &'a str)], &'a str);

/// Compares, and the other way about, where only what is expected and what is found may change places.
fn compare_both(rules: &Rules, control: &Given<'_>, candidate: &Given<'_>) -> Comparison {
    let (these, those) = (headers(control.1), headers(candidate.1));
    let control = Answer { status: control.0, headers: &these, body: control.2.as_bytes() };
    let candidate = Answer { status: candidate.0, headers: &those, body: candidate.2.as_bytes() };
    let comparison = compare(rules, &Noise::default(), &[], &control, &candidate);
    let back = compare(rules, &Noise::default(), &[], &candidate, &control);

    assert_eq!((comparison.verdict, comparison.cause), (back.verdict, back.cause));
    let same = same_bytes(rules, &control, &candidate);
    assert!(!same || (comparison.verdict == Verdict::Matched && comparison.differences.is_empty()));
    comparison
}

fn check(
    rules: &Rules,
    control: &Given<'_>,
    candidate: &Given<'_>,
    cause: Option<Cause>,
    expected: &[&str],
) {
    let comparison = compare_both(rules, control, candidate);

    assert_eq!(all_in_short(&comparison), expected);
    assert_eq!(comparison.cause, cause);
    assert_eq!(comparison.verdict == Verdict::Mismatched, cause.is_some());
}

#[test]
fn status_codes_are_compared_by_number_or_by_class() {
    let by_class = rules(|rules| rules.status = StatusRule::Class);
    let check = |rules: &Rules, control, candidate, expected: &[&str]| {
        let cause = (!expected.is_empty()).then_some(Cause::Status);
        check(rules, &Given(control, &[], ""), &Given(candidate, &[], ""), cause, expected);
    };

    check(&Rules::default(), 200, 200, &[]);
    check(&Rules::default(), 200, 201, &["changed status"]);
    check(&by_class, 200, 201, &[]);
    check(&by_class, 299, 300, &["changed status"]);
}

#[test]
fn headers_are_compared_where_they_are_chosen_with_all_values_in_order() {
    let rules =
        rules(|rules| rules.headers = vec!["etag".parse().unwrap(), "vary".parse().unwrap()]);
    let check = |control: &[(&str, &str)], candidate: &[(&str, &str)], expected: &[&str]| {
        let cause = (!expected.is_empty()).then_some(Cause::Headers);
        check(&rules, &Given(200, control, ""), &Given(200, candidate, ""), cause, expected);
    };

    check(&[("ETag", "1"), ("date", "now")], &[("etag", "1"), ("date", "then")], &[]);
    check(&[("etag", "1")], &[("etag", "2")], &["changed header:etag"]);
    check(&[("etag", "1")], &[], &["missing header:etag"]);
    check(&[], &[("vary", "accept")], &["extra header:vary"]);
    check(
        &[("vary", "a"), ("vary", "b")],
        &[("vary", "b"), ("vary", "a")],
        &["changed header:vary"],
    );
    check(&[("vary", "a"), ("vary", "b")], &[("vary", "a")], &["changed header:vary"]);
}

#[test]
fn a_mismatch_is_caused_by_the_status_before_headers_before_the_body() {
    let rules = rules(|rules| {
        rules.headers = vec!["etag".parse().unwrap()];
        rules.ignore = patterns(&["/t"]);
    });
    let control = Given(200, &[("etag", "1")], r#"{"a": 1}"#);
    let status = ["changed status", "changed header:etag", "changed /a"];

    let candidate = Given(500, &[("etag", "2")], r#"{"a": 2}"#);
    check(&rules, &control, &candidate, Some(Cause::Status), &status);
    let candidate = Given(200, &[("etag", "2")], r#"{"a": 2}"#);
    check(&rules, &control, &candidate, Some(Cause::Headers), &status[1..]);
    let candidate = Given(200, &[("etag", "1")], r#"{"a": 2}"#);
    check(&rules, &control, &candidate, Some(Cause::Body), &status[2..]);
    let candidate = Given(200, &[("etag", "1")], r#"{"a": 1, "t": 1}"#);
    check(&rules, &control, &candidate, None, &["extra /t (rule)"]);
}

#[test]
fn only_bodies_that_are_json_are_compared_by_structure() {
    let (body, other) = (r#"{"a":1,"b":1}"#, r#"{"b":1, "a":1}"#);
    let check = |control: &[(&str, &str)], candidate: &[(&str, &str)], by_structure: bool| {
        let comparison = compare_both(
            &Rules::default(),
            &Given(200, control, body),
            &Given(200, candidate, other),
        );
        assert_eq!(
            comparison.verdict == Verdict::Matched,
            by_structure,
            "{control:?} {candidate:?}"
        );
    };
    fn of(kind: &str) -> [(&str, &str); 1] {
        [("content-type", kind)]
    }

    check(&of("application/json"), &of("Application/JSON; charset=utf-8"), true);
    check(&of("application/problem+json"), &of("application/vnd.api+JSON ;v=1"), true);
    check(&[], &[], true);
    check(&[], &of("application/json"), true);
    check(&of("text/plain"), &of("text/plain"), false);
    check(&of("application/json"), &of("text/html"), false);
    check(&of("application/jsonp"), &of("json"), false);
    let encoded = |coding| [("content-type", "application/json"), ("content-encoding", coding)];
    check(&encoded("gzip"), &encoded("gzip"), false);
    check(&encoded("identity"), &of("application/json"), true);
    check(&of("application/json"), &encoded("br"), false);
}

#[test]
fn other_bodies_are_compared_by_bytes_and_differ_as_a_whole() {
    let text: &[(&str, &str)] = &[("content-type", "text/plain")];
    let check = |control: &Given<'_>, candidate: &Given<'_>, expected: &[&str]| {
        let cause = (!expected.is_empty()).then_some(Cause::Body);
        check(&Rules::default(), control, candidate, cause, expected);
    };

    check(&Given(200, text, "a"), &Given(200, text, "a"), &[]);
    check(&Given(200, text, "a"), &Given(200, text, "b"), &["changed "]);
    check(&Given(200, text, "a"), &Given(200, text, ""), &["missing "]);
    check(&Given(200, text, ""), &Given(200, text, "a"), &["extra "]);
    check(&Given(200, &[], "{}"), &Given(200, &[], "<p>"), &["type "]);
    check(&Given(200, &[], "{"), &Given(200, &[], "{,"), &["changed "]);
    check(&Given(200, &[], "{}"), &Given(200, &[], ""), &["missing "]);
}

#[test]
fn the_whole_body_can_be_ignored() {
    let rules = rules(|rules| rules.ignore = patterns(&["/**"]));

    check(&rules, &Given(200, &[], "<a>"), &Given(200, &[], "{}"), None, &["type  (rule)"]);
}

#[test]
fn values_are_shown_only_where_their_place_is_revealed() {
    let reveal = patterns(&["/segments/*/status"]);
    let control = br#"{"email": "a@b.c", "segments": [{"status": "Departed", "n": 1}, 1]}"#;
    let candidate = br#"{"email": "x@y.z", "segments": [{"status": "Late", "n": 2}]}"#;
    let comparison =
        compare_with(&Rules::default(), &Noise::default(), &reveal, control, candidate);

    let shown: Vec<_> = comparison
        .differences
        .iter()
        .map(|d| (d.pointer.as_str(), d.expected.as_deref(), d.found.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("/email", None, None),
            // A length is no value.
            ("/segments", Some("2"), Some("1")),
            ("/segments/0/n", None, None),
            ("/segments/0/status", Some("\"Departed\""), Some("\"Late\"")),
        ]
    );
}

#[test]
fn status_codes_are_always_shown_header_values_never_and_bodies_by_length() {
    let rules = rules(|rules| rules.headers = vec!["etag".parse().unwrap()]);
    let control = Given(200, &[("etag", "1"), ("content-type", "text/plain")], "secret");
    let candidate = Given(404, &[("etag", "2"), ("content-type", "text/plain")], "no");
    let comparison = compare_both(&rules, &control, &candidate);

    let shown: Vec<_> = comparison
        .differences
        .iter()
        .map(|d| (d.pointer.as_str(), d.expected.as_deref(), d.found.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("status", Some("200"), Some("404")),
            ("header:etag", None, None),
            ("", Some(r#"{"bytes":6}"#), Some(r#"{"bytes":2}"#)),
        ]
    );
}

#[test]
fn what_is_shown_is_short_json_that_no_terminal_obeys() {
    let reveal = patterns(&["/a"]);
    let check = |value: &str, expected: &str| {
        let (control, candidate) = (format!(r#"{{"a": {value}}}"#), r#"{"a": 0}"#);
        let comparison = compare_with(
            &Rules::default(),
            &Noise::default(),
            &reveal,
            control.as_bytes(),
            candidate.as_bytes(),
        );
        assert_eq!(comparison.differences[0].expected.as_deref(), Some(expected), "{value}");
    };

    check("850.50", "850.50");
    check(r#"{"z": [1, null], "b": {"x": true}}"#, r#"{"b":{"x":true},"z":[1,null]}"#);
    check(r#""a\"\\\nb""#, r#""a\"\\\nb""#);
    check(r#""\u001b[2J\u0000""#, r#""\u001b[2J\u0000""#);
    check("\"\u{7f}\u{9b}31m\u{202e}\"", r#""\u007f\u009b31m\u202e""#);
    check(&format!("\"{}\"", "é".repeat(126)), &format!("\"{}\"", "é".repeat(126)));
    check(&format!("\"{}\"", "é".repeat(200)), &format!("\"{}…", "é".repeat(126)));
    check(&format!("\"{}\"", "a".repeat(254)), &format!("\"{}\"", "a".repeat(254)));
    check(&format!("\"{}\"", "a".repeat(255)), &format!("\"{}…", "a".repeat(252)));
}

#[test]
fn a_body_that_is_no_json_is_shown_as_text_where_all_is_revealed() {
    let reveal = patterns(&["/**"]);
    let long = [b"\x1b\xff".as_slice(), &[b'a'; 1000]].concat();
    let comparison = compare_with(&Rules::default(), &Noise::default(), &reveal, &long, b"no");

    let difference = &comparison.differences[0];
    assert_eq!(
        difference.expected.as_deref(),
        Some(format!("\"\\u001b\u{fffd}{}…", "a".repeat(243)).as_str())
    );
    assert_eq!(difference.found.as_deref(), Some("\"no\""));
}

#[test]
fn the_same_bytes_need_no_parsing() {
    let rules = rules(|rules| rules.headers = vec!["etag".parse().unwrap()]);
    let check = |control: &Given<'_>, candidate: &Given<'_>, expected| {
        let (these, those) = (headers(control.1), headers(candidate.1));
        let control = Answer { status: control.0, headers: &these, body: control.2.as_bytes() };
        let candidate =
            Answer { status: candidate.0, headers: &those, body: candidate.2.as_bytes() };
        assert_eq!(same_bytes(&rules, &control, &candidate), expected);
    };

    let control = Given(200, &[("etag", "1"), ("date", "x")], "{}");
    check(&control, &Given(200, &[("etag", "1"), ("date", "y")], "{}"), true);
    check(&control, &Given(201, &[("etag", "1")], "{}"), false);
    check(&control, &Given(200, &[("etag", "2")], "{}"), false);
    check(&control, &Given(200, &[("etag", "1")], "{ }"), false);
}
