//! Declared edits: what is refused, by route and key, and what an edit is when little is written.

use super::*;
use crate::config::{FixedConfig, OnRefusal};

const STORE: &str = "[store]\nurl = \"redis://127.0.0.1:6379\"\n";

/// What a change makes of the minimal configuration.
fn changed(change: &str) -> Loaded {
    Files::of(&[MINIMAL, change]).load(&[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A flag whose only route declares this edit.
fn declared(store: &str, fixed: &str, edit: &str) -> String {
    format!(
        "{store}[flags.journey-updates]\nfixed = {fixed}\n[[flags.journey-updates.routes]]\nname = \"r\"\nmethods = [\"PUT\"]\n\
         path = \"/j/{{journeyId}}/s/{{segmentId}}\"\natomic = {edit}"
    )
}

const ATOMIC: &str = "{ strategy = \"atomic\" }";
const EDIT: &str = "{ document = \"journey:{journeyId}\", pointer = \"/S/[Id={segmentId}]/Status\", value = \"body:/status\" }";

#[test]
fn an_edit_needs_the_documents_store_and_a_route_that_declares_one() {
    let fixed = "flags.journey-updates.fixed.strategy = \"atomic\"";

    check_refused(
        &declared("", ATOMIC, EDIT),
        &[&format!(
            "FILE1: {fixed}: edits the app's documents in their Redis: set store.url to it"
        )],
    );
    check_refused(
        &format!("{STORE}[flags.journey-updates]\nfixed = {ATOMIC}"),
        &[&format!("FILE1: {fixed}: needs a route that declares its edit")],
    );
    check_refused(
        "[flags.journey-updates.shadow]\nmode = \"plan\"",
        &[
            "FILE1: flags.journey-updates.shadow.mode = \"plan\": edits the app's documents in their Redis",
            "FILE1: flags.journey-updates.shadow.mode = \"plan\": needs a route that declares its edit",
        ],
    );
}

#[test]
fn what_is_wrong_with_an_edit_is_told_by_its_key() {
    let check = |edit: &str, key: &str, what: &str| {
        let at = format!("FILE1: flags.journey-updates.routes[0].atomic{key}: {what}");
        check_refused(&declared(STORE, ATOMIC, edit), &[&at]);
    };

    check("{ document = \"j:{journeyId}\" }", "", "needs either pointer and value, or edits");
    check(
        "{ document = \"j:{journeyId}\", pointer = \"/a\", value = \"body:/a\", edits = [{ pointer = \"/b\", value = \"body:/b\" }] }",
        "",
        "needs either pointer and value, or edits",
    );
    let nine = ["{ pointer = \"/b\", value = \"body:/b\" }"; 9].join(", ");
    check(
        &format!("{{ document = \"j:{{journeyId}}\", edits = [{nine}] }}"),
        ".edits = [{ … }, { … }, { … }, { … }, { … }, { … }, { … }, { … }, { … }]",
        "has 9 edits, and at most 8 are allowed",
    );
    for (first, second) in [("/b", "/b"), ("/b", "/b/[Id={segmentId}]"), ("/b/c", "/b")] {
        check(
            &format!(
                "{{ document = \"j:{{journeyId}}\", edits = [{{ pointer = \"{first}\", value = \"body:/x\" }}, {{ pointer = \"{second}\", value = \"body:/y\" }}] }}"
            ),
            &format!(".edits[1].pointer = \"{second}\""),
            &format!("is in the same place as \"{first}\""),
        );
    }
    check(
        "{ document = \"j:{who}\", pointer = \"/a\", value = \"body:/a\" }",
        ".document = \"j:{who}\"",
        "has {who}, which neither the route's path nor the entity has",
    );
    check(
        "{ document = \"j:{journeyId}\", pointer = \"/{who}\", value = \"body:/a\" }",
        ".pointer = \"/{who}\"",
        "has {who}, which neither the route's path nor the entity has",
    );
    check(
        "{ document = \"j:{journeyId}\", pointer = \"/a\", value = \"path:who\" }",
        ".value = \"path:who\"",
        "the route's path has no placeholder {who}",
    );
    check(
        "{ document = \"j:{journeyId}\", pointer = \"/a\", value = \"body:/a\", answer = '{\"x\":\"{who}\"}' }",
        ".answer = \"{\\\"x\\\":\\\"{who}\\\"}\"",
        "{who} is unknown",
    );
    check(
        "{ document = \"j:{journeyId}\", pointer = \"/a\", value = \"body:/a\", missing = '{\"x\":\"{value}\"}' }",
        ".missing = \"{\\\"x\\\":\\\"{value}\\\"}\"",
        "{value} is unknown",
    );
}

/// An edit with more keys.
fn with(more: &str) -> String {
    EDIT.replace(" }", &format!(", {more} }}"))
}

#[test]
fn a_status_code_that_has_no_body_goes_with_no_answer() {
    let at = "FILE1: flags.journey-updates.routes[0].atomic.status";
    for status in [204, 205] {
        let edit = with(&format!("status = {status}, answer = '{{}}'"));
        let what = "is the status code of an answer without a body, and answer declares one: leave answer out, or take a \
                    status code that has a body, such as 200";
        check_refused(&declared(STORE, ATOMIC, &edit), &[&format!("{at} = {status}: {what}")]);

        let config = changed(&declared(STORE, ATOMIC, &with(&format!("status = {status}")))).config;
        let answer = &config.flags[0].routes[0].atomic.as_ref().unwrap().answer;
        assert_eq!((answer.status, &answer.body), (status, &None));
        let again = loaded(&config.effective_toml().unwrap()).config;
        assert_eq!(again.flags, config.flags);
    }
    for status in [100, 103, 304] {
        let edit = with(&format!("status = {status}, answer = '{{}}'"));
        check_refused(&declared(STORE, ATOMIC, &edit), &[&format!("{at} = {status}: ")]);
    }
    changed(&declared(STORE, ATOMIC, &with("status = 202, answer = '{}'")));
}

#[test]
fn a_method_that_must_not_change_anything_makes_no_edit() {
    let toml = declared(STORE, ATOMIC, EDIT).replace("[\"PUT\"]", "[\"PUT\", \"GET\"]");

    check_refused(
        &toml,
        &[
            "FILE1: flags.journey-updates.routes[0].methods = [\"PUT\", \"GET\"]: has GET, which must not change anything",
        ],
    );
}

#[test]
fn in_a_cluster_the_document_is_the_entitys() {
    let cluster = "[store]\nurl = \"redis://127.0.0.1:6379\"\ncluster = true\n";
    let other = EDIT.replace("journey:{journeyId}", "doc:{journeyId}");

    check_refused(
        &declared(cluster, ATOMIC, &other),
        &[
            "FILE1: flags.journey-updates.routes[0].atomic.document = \"doc:{journeyId}\": has to be the same text as the flag's entity",
        ],
    );
    changed(&declared(cluster, ATOMIC, EDIT));
}

#[test]
fn little_is_enough_and_a_shadow_may_plan_what_no_strategy_makes() {
    let config = changed(&declared(STORE, ATOMIC, EDIT)).config;
    let flag = &config.flags[0];
    let edit = flag.routes[0].atomic.as_ref().unwrap();

    assert_eq!(flag.fixed, FixedConfig::Atomic { refused: OnRefusal::Serialize });
    assert_eq!(flag.max_document, 256 * 1024);
    assert_eq!((edit.answer.status, edit.missing.status), (200, 404));
    assert_eq!(edit.answer.body.as_ref().map(ToString::to_string).as_deref(), Some("{}"));
    assert_eq!(edit.edits.len(), 1);

    let unused = declared("", "{ strategy = \"serialize\" }", EDIT);
    assert_eq!(warnings_for(&unused).len(), 1, "an edit that nobody makes");
    let planned = format!(
        "{}\n[flags.journey-updates.shadow]\nmode = \"plan\"",
        declared(STORE, "{ strategy = \"serialize\" }", EDIT)
    );
    assert!(changed(&planned).warnings.is_empty());
}
