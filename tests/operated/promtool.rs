//! Prometheus's and Alertmanager's own tools on what is shipped.

use std::path::PathBuf;
use std::process::Command;

use crate::files;
use crate::support::Run;

#[track_caller]
fn succeeds(tool: &str, arguments: &[&str], files: &[PathBuf]) -> String {
    let run = Run::of(Command::new(tool).args(arguments).args(files));
    assert_eq!(run.code, Some(0), "{tool} {arguments:?} {files:?}:\n{}", run.all);
    run.out
}

fn paths(files: &[String]) -> Vec<PathBuf> {
    files.iter().map(|file| files::path(file)).collect()
}

#[test]
fn promtool_has_nothing_to_say_about_the_rules() {
    let files = paths(&files::list("alerts", ".yml"));
    succeeds("promtool", &["check", "rules", "--lint=all", "--lint-fatal"], &files);
}

#[test]
fn every_alert_fires_when_it_should_and_says_what_it_should() {
    let files = paths(&files::list("tests/alerts", "_test.yml"));
    succeeds("promtool", &["test", "rules"], &files);
}

#[test]
fn the_example_s_routes_wake_somebody_for_what_is_critical_and_for_nothing_else() {
    let example = files::path("alerts/alertmanager/example.yml");
    succeeds("amtool", &["check-config"], std::slice::from_ref(&example));

    let config = format!("--config.file={}", example.display());
    for (severity, receiver) in [("critical", "pager"), ("warning", "tickets"), ("info", "nobody")]
    {
        let label = format!("severity={severity}");
        let receivers = format!("--verify.receivers={receiver}");
        succeeds("amtool", &["config", "routes", "test", &config, &receivers, &label], &[]);
    }
}
