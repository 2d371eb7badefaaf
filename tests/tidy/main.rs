//! Style that is a failing test: one test a rule, each with its remedy.
//!
//! The rules read the crate's files and depend on nothing of it, so they hold for whatever is added. What no pattern can
//! see (a good name, a comment that says why) is left to readers. `scanner` tries each rule on code that breaks it.

#![allow(clippy::unwrap_used, reason = "a file that can't be read fails the test, as it should")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod direction;
mod links;
#[path = "../support/markdown.rs"]
mod markdown;
mod rules;
mod scanner;
mod source;

use std::fs;
use std::path::Path;

use links::Library;
use rules::Offence;
use source::{Tree, list};

fn tree() -> Tree {
    let tree = Tree::load();
    assert!(tree.src().any(|file| file.path == "src/lib.rs"), "no crate here to read");
    tree
}

/// Fails with every offence and what to do.
#[track_caller]
fn assert_none(offences: &[Offence], remedy: &str) {
    let line =
        |offence: &Offence| format!("  {}:{}: {}\n", offence.path, offence.line, offence.what);
    let lines: String = offences.iter().map(line).collect();
    assert!(offences.is_empty(), "\n{lines}Remedy: {remedy}\n");
}

#[test]
fn imports_point_one_way() {
    assert_none(
        &direction::imports_that_point_back(&tree()),
        "hand the value in from above, or move what both need into `domain`; `direction::TABLE` has the layers",
    );
}

#[test]
fn the_core_is_pure() {
    assert_none(
        &rules::impure_core(&tree()),
        "`domain` takes time, randomness and data as arguments; put what acts into a shell",
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_none(
        &rules::no_module_doc(&tree()),
        "start the file with a `//!` sentence on its purpose",
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    assert_none(
        &rules::long_file(&tree()),
        "split it by topic; else move its tests to a sibling file that `#[cfg(test)] mod tests;` declares",
    );
}

#[test]
fn status_codes_are_named_in_one_place() {
    assert_none(
        &rules::status_code(&tree()),
        "answer with an error of `proxy/error.rs`, which maps it to a status, or ask for a class (`is_success()`)",
    );
}

#[test]
fn only_telemetry_names_metrics() {
    assert_none(&rules::metric_macro(&tree()), "emit a typed event of `telemetry::events`");
}

#[test]
fn only_net_opens_sockets() {
    assert_none(&rules::socket(&tree()), "use the types and functions of `crate::net`");
}

#[test]
fn only_the_clock_reads_time() {
    assert_none(&rules::clock_read(&tree()), "take `now` as an argument, or call `crate::clock`");
}

#[test]
fn only_configuration_reads_the_environment() {
    assert_none(
        &rules::environment_read(&tree()),
        "make it a configuration key, and hand the value in",
    );
}

#[test]
fn files_are_read_where_files_belong() {
    assert_none(
        &rules::file_access(&tree()),
        "read files in `config`, `cli`, `store` or `admin`, and hand the contents in",
    );
}

#[test]
fn no_name_is_vague() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_none(
        &rules::vague_name(&list(root, &["src", "tests", "benches"])),
        "name the file after what is in it, or put each thing where it is used",
    );
}

#[test]
fn nothing_is_left_unfinished() {
    assert_none(&rules::unfinished(&tree()), "finish it, or take it out");
}

#[test]
fn no_test_hides_a_race_behind_a_sleep() {
    assert_none(
        &rules::sleep_in_test(&tree()),
        "wait for the condition itself (tests/support/wait.rs), or use paused time",
    );
}

#[test]
fn every_allow_has_a_reason() {
    assert_none(&rules::allow_without_reason(&tree()), "add `reason = \"…\"`, or heed the lint");
}

#[test]
fn dashboards_alerts_and_documents_use_metrics_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalogue = fs::read_to_string(root.join("docs/metrics.md")).unwrap();
    let read = |path: String| (path.clone(), fs::read_to_string(root.join(path)).unwrap());
    let is_text = |path: &String| [".md", ".json", ".yml"].iter().any(|end| path.ends_with(end));
    let paths = list(root, &["dashboards", "alerts", "docs"]).into_iter().filter(is_text);
    let paths = paths.chain(["README.md", "benches/README.md"].map(str::to_owned));
    let files: Vec<_> = paths.map(read).collect();
    assert_none(&rules::unknown_metric(&files, &catalogue), "use a name of docs/metrics.md");
}

/// The documents, and all that they may link to.
fn library() -> Library {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tops = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name());
    let tops = tops.map(|name| name.to_str().unwrap().to_owned());
    let (folders, files): (Vec<_>, Vec<_>) = tops
        .filter(|name| name != "target" && name != ".git")
        .partition(|name| root.join(name).is_dir());
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let all = list(root, &folders).into_iter().chain(files);
    let (documents, others): (Vec<_>, Vec<_>) = all.partition(|path| path.ends_with(".md"));
    assert!(documents.iter().any(|path| path == "docs/README.md"), "no documents here to read");
    let read = |path: String| (path.clone(), fs::read_to_string(root.join(path)).unwrap());
    Library::new(&documents.into_iter().map(read).collect::<Vec<_>>(), &others)
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    assert_none(&library().broken(), "mend the link, or the heading that it names");
}

#[test]
fn every_document_can_be_found_from_the_readme() {
    assert_none(&library().lost(), "link to it from docs/README.md");
}
