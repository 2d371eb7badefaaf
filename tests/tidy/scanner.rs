//! Each rule tried on code that breaks it and on code that only looks so: no rule can hold by seeing nothing.

mod fences;

use crate::direction::{TABLE, imports_that_point_back};
use crate::rules::{self, Offence};
use crate::source::{Source, Tree};

type Rule = fn(&Tree) -> Vec<Offence>;

/// The lines at which a rule finds something in one file.
fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    let tree = Tree::of(vec![Source::new(path, text)]);
    rule(&tree).iter().map(|offence| offence.line).collect()
}

#[track_caller]
fn assert_bad(rule: Rule, path: &str, text: &str) {
    assert!(!lines(rule, path, text).is_empty(), "{path}: overlooked {text:?}");
}

#[track_caller]
fn assert_good(rule: Rule, path: &str, text: &str) {
    assert_eq!(lines(rule, path, text), [0; 0], "{path}: {text:?}");
}

#[test]
fn an_offence_is_found_at_its_line() {
    let text = "//! Doc.\n/* a\n comment */ fn f() {\n    let _ = \"text\n\";\n    dbg!(1);\n}\n";
    assert_eq!(lines(rules::unfinished, "src/x.rs", text), [6]);
}

#[test]
fn comments_and_text_are_no_code() {
    for text in [
        "// dbg!(1)",
        "/* dbg!(1) /* dbg!(2) */ dbg!(3) */",
        "/// dbg!(1)",
        "let a = \"dbg!(1)\";",
        "let a = \"\\\"dbg!(1)\";",
        "let a = r\"dbg!(1)\";",
        "let a = r#\"\"dbg!(1)\"#;",
        "let a = br##\"\"#dbg!(1)\"##;",
        "let a = ['\"', '\\'', '\"']; // dbg!(1)",
    ] {
        assert_good(rules::unfinished, "src/x.rs", text);
    }
}

#[test]
fn code_behind_comments_and_text_is_code() {
    for text in [
        "// a\ndbg!(1)",
        "/* a /* b */ c */ dbg!(1)",
        "\"a\\\\\"; dbg!(1)",
        "r\"a\\\"; dbg!(1)",
        "r#\"a\"#; dbg!(1)",
        "'\"'; dbg!(1)",
        "'\\''; dbg!(1)",
        "'\\u{22}'; dbg!(1)",
        "fn f<'a>(x: &'a str) { dbg!(x) }",
        "let r#fn = 1; dbg!(r#fn)",
        "\"für \"; dbg!(1)",
    ] {
        assert_bad(rules::unfinished, "src/x.rs", text);
    }
}

#[test]
fn test_code_is_known_as_such() {
    let bad = "fn f() { TcpStream::connect(x) }";
    assert_bad(rules::socket, "src/x.rs", bad);

    assert_good(rules::socket, "src/x.rs", &format!("#[cfg(test)]\nmod tests {{ {bad} }}"));
    assert_good(rules::socket, "src/x.rs", &format!("#[cfg(test)]\n#[allow(x)]\n{bad}"));
    assert_good(rules::socket, "src/x.rs", "#[cfg(test)] use std::net::TcpStream;");
    assert_bad(rules::socket, "src/x.rs", &format!("#[cfg(test)]\nmod tests {{ }}\n{bad}"));
    assert_bad(rules::socket, "src/x.rs", &format!("#[cfg(test)]\nmod tests;\n{bad}"));
}

#[test]
fn a_file_declared_for_tests_alone_is_test_code() {
    let bad = "fn f() { TcpStream::connect(x) }";
    for (parent, file) in [
        ("src/x/mod.rs", "src/x/tests.rs"),
        ("src/x/mod.rs", "src/x/tests/deep.rs"),
        ("src/x/y.rs", "src/x/y/tests.rs"),
        ("src/lib.rs", "src/tests.rs"),
    ] {
        let offences = |declaration: &str| {
            let files = vec![Source::new(parent, declaration), Source::new(file, bad)];
            rules::socket(&Tree::of(files)).len()
        };
        assert_eq!(offences("#[cfg(test)]\nmod tests;"), 0, "{file}");
        assert_eq!(offences("mod tests;"), 1, "{file}");
    }
}

#[test]
fn imports_against_the_table_are_found() {
    for (path, text) in [
        ("src/domain/flag.rs", "use crate::config::Config;"),
        ("src/domain/flag.rs", "fn f(x: crate::store::X) {}"),
        ("src/domain/flag.rs", "#[cfg(test)] mod tests { use crate::store::X; }"),
        ("src/lease/local.rs", "use crate::{clock, telemetry::names};"),
        ("src/lease/local.rs", "use crate::{\n    clock::{self, Instant},\n    net,\n};"),
        ("src/lease/local.rs", "use super::super::net::Dial;"),
        ("src/lease/mod.rs", "use super::net::Dial;"),
        ("src/lease/mod.rs", "mod tests { use super::super::net::Dial; }"),
        ("src/store/file.rs", "use crate::telemetry::prometheus::X;"),
        ("src/store/file.rs", "use crate::telemetry;"),
        ("src/proxy/mod.rs", "pub use crate::app::run;"),
        ("src/app.rs", "use crate::main::x;"),
        ("src/clock.rs", "use crate::domain::x;"),
        ("src/unheard_of.rs", "use crate::domain::x;"),
    ] {
        assert_bad(imports_that_point_back, path, text);
    }
}

#[test]
fn imports_along_the_table_are_none_of_its_business() {
    for (path, text) in [
        ("src/domain/flag.rs", "use crate::domain::percent::Percent; use super::bucket::Bucket;"),
        ("src/lease/local.rs", "use crate::{clock::{self, Instant}, domain as config};"),
        ("src/lease/local.rs", "mod tests { use super::super::queue::Queue; use super::*; }"),
        ("src/store/file.rs", "use crate::telemetry::events::FlagsRejected;"),
        ("src/app.rs", "use crate::proxy::server; use crate::telemetry::prometheus;"),
        ("src/main.rs", "use interlock::{app, cli};"),
        ("src/lib.rs", "pub use crate::app::run;"),
        ("src/domain/flag.rs", "// crate::store::X\npub(crate) fn config() {}"),
    ] {
        assert_good(imports_that_point_back, path, text);
    }
}

#[test]
fn the_table_has_no_circle() {
    let line_of = |name: &str| TABLE.iter().position(|(module, _)| *module == name);
    for (line, (module, grants)) in TABLE.iter().enumerate() {
        for grant in grants.iter().filter(|grant| **grant != "*") {
            let to = line_of(grant.split("::").next().unwrap());
            assert!(to.is_some_and(|to| to > line), "`{module}` -> `{grant}` points up");
        }
    }
}
