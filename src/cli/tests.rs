//! The command line from the outside: arguments in, an answer out.

use clap::CommandFactory;

use super::check::{report, with_files};
use super::*;
use crate::config::load;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

fn loaded(text: &str, name: &str) -> Result<Loaded, config::ConfigProblems> {
    let name = format!("interlock-cli-{}-{name}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    let loaded = load(std::slice::from_ref(&path), std::iter::empty());
    std::fs::remove_file(path).unwrap();
    loaded
}

#[test]
fn the_command_line_is_sound_and_every_command_teaches() {
    let mut cli = Cli::command();
    cli.build();
    cli.clone().debug_assert();

    for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
        let help = command.clone().render_help().to_string();
        assert!(help.contains("Examples:\n"), "{help}");
    }
}

#[test]
fn files_layer_in_the_order_given() {
    let Command::Run(run) = parsed("interlock run --config a --config b").unwrap().command else {
        panic!("not run");
    };

    assert_eq!(run.config.files, [PathBuf::from("a"), PathBuf::from("b")]);
}

#[test]
fn bad_usage_is_2_and_help_is_0() {
    let check =
        |line: &str, code: i32| assert_eq!(parsed(line).unwrap_err().exit_code(), code, "{line}");

    check("interlock", 2);
    check("interlock serve", 2);
    check("interlock run --confg a", 2);
    check("interlock check --output xml", 2);
    check("interlock --help", 0);
    check("interlock check --help", 0);
    check("interlock --version", 0);
}

#[test]
fn the_version_is_the_crates() {
    let version = parsed("interlock --version").unwrap_err().to_string();

    assert_eq!(version, format!("interlock {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_right_configuration_is_printed_with_its_warnings_beside() {
    let text = "[legacy]\nurl = \"http://app\"\n[telemetry]\ntrace_ratio = 0.5";

    let as_text = report(loaded(text, "right"), Output::Text);
    let as_json = report(loaded(text, "right"), Output::Json);

    assert_eq!((as_text.code, as_json.code), (DONE, DONE));
    assert!(as_text.stdout.contains("url = \"http://app:80\""), "{}", as_text.stdout);
    assert!(as_text.stderr[0].starts_with("warning: ") && as_text.stderr.len() == 2);
    assert!(as_text.stderr[1].contains("no flags: everything passes through"));
    let document: serde_json::Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_eq!(document["valid"], true);
    assert_eq!(document["config"]["legacy"]["url"], "http://app:80");
    assert_eq!(document["warnings"][0]["key"], "telemetry.trace_ratio");
}

#[test]
fn a_wrong_configuration_is_2_with_every_problem() {
    let text = "[legacy]\nurl = \"app\"\n[proxy]\nworkers = -1";

    let as_text = report(loaded(text, "wrong"), Output::Text);
    let as_json = report(loaded(text, "wrong"), Output::Json);

    assert_eq!((as_text.code, as_json.code), (REFUSED, REFUSED));
    assert_eq!(as_text.stdout, "");
    assert!(
        as_text.stderr[0].contains("legacy.url = \"app\": ")
            && as_text.stderr[0].contains("proxy.workers = -1: ")
    );
    let document: serde_json::Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_eq!(document["valid"], false);
    assert_eq!(document["problems"][1]["key"], "proxy.workers");
    assert_eq!(document["problems"][1]["value"], "-1");
    assert_eq!(document["problems"][1]["problem"], "must be from 0 to 1024");
}

#[test]
fn files_that_a_start_could_not_use_are_problems() {
    let text = "[legacy]\nurl = \"http://app\"\n[admin]\ntokens_file = \"no-such-tokens.toml\"\n\
                [store]\nurl = \"rediss://r\"\npassword_file = \"no-such-password\"\nca_file = \"/\"";

    let report = report(loaded(text, "files").and_then(with_files), Output::Text);

    assert_eq!(report.code, REFUSED);
    for expected in [
        "admin.tokens_file: no-such-tokens.toml: can't be read: ",
        "store.password_file: no-such-password: can't be read: ",
        "store.ca_file: /: is no regular file",
    ] {
        assert!(report.stderr[0].contains(expected), "{expected} in {:?}", report.stderr);
    }
}

#[test]
fn files_that_are_there_are_not_looked_into() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let text = format!(
        "[legacy]\nurl = \"http://app\"\n[store]\nurl = \"redis://r\"\npassword_file = \"{here}\""
    );

    let report = report(loaded(&text, "there").and_then(with_files), Output::Text);

    assert_eq!(report.code, DONE, "{:?}", report.stderr);
    let expected =
        format!("[store]\nurl = \"redis://r:6379\"\ncluster = false\npassword_file = \"{here}\"\n");
    assert!(report.stdout.contains(&expected), "{}", report.stdout);
}

#[test]
fn run_serves_only_a_right_configuration() {
    let check = |file: &str, serves: bool| {
        let mut served = false;
        let args = ["interlock", "run", "--config", file].map(OsString::from);
        dispatch(args, |_| {
            served = true;
            ExitCode::from(DONE)
        });
        assert_eq!(served, serves, "{file}");
    };

    check(concat!(env!("CARGO_MANIFEST_DIR"), "/config/production.toml"), true);
    check("no-such-file.toml", false);
}
