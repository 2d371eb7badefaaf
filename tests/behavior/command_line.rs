//! The command line as its users meet it: in a shell that completes it, as manual pages, and from scripts that read JSON.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{
    JOURNEYS, ReservedPort, Run, Sidecar, TempDir, Upstream, interlock, serialized,
};

/// What a bash that has read our completions offers for the last of these words.
#[track_caller]
fn offered(words: &[&str]) -> BTreeSet<String> {
    let script = Run::of(&mut interlock(&["completions", "bash"]));
    assert_eq!(script.code, Some(0), "{}", script.all);
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let asked = format!(
        "COMP_WORDS=({}); COMP_CWORD={}; _interlock interlock '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1,
    );
    let run = Run::of(Command::new("bash").args(["-c", &format!("{}\n{asked}", script.out)]));
    assert_eq!(run.code, Some(0), "{}", run.all);
    run.out.lines().map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_commands_options_and_values() {
    let all = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();

    assert_eq!(offered(&["interlock", "fl"]), all(&["flag", "fleet"]));
    assert_eq!(offered(&["interlock", "flag", "h"]), all(&["help", "history"]));
    assert_eq!(offered(&["interlock", "flag", "set", "--r"]), all(&["--reason"]));
    assert_eq!(offered(&["interlock", "fleet", "--output", "j"]), all(&["json"]));
}

#[test]
fn a_shell_that_nobody_knows_is_refused_with_those_that_are() {
    let run = Run::of(&mut interlock(&["completions", "csh"]));

    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.all.contains("bash") && run.all.contains("fish"), "{}", run.all);
}

#[test]
fn manual_pages_are_written_for_every_command_and_over_older_ones() {
    let directory = TempDir::new();
    let folder = directory.file("share/man1");
    let write = || Run::of(interlock(&["man"]).arg(&folder));

    let first = write();
    fs::write(folder.join("interlock.1"), "an older page").unwrap();
    let second = write();

    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}", second.all);
    let pages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<_> =
        pages.map(|page| (page.clone(), fs::read_to_string(page).unwrap())).collect();
    assert!(first.out.starts_with(&format!("{} pages in ", pages.len())), "{}", first.out);
    for (path, text) in &pages {
        assert!(text.contains(".TH interlock"), "{}", path.display());
        assert!(text.contains(".SH EXAMPLES\n"), "{}", path.display());
    }
    assert!(folder.join("interlock-divergence-show.1").is_file());
}

#[test]
fn pages_that_can_not_be_written_are_a_failure_that_names_the_place() {
    let directory = TempDir::new();
    let file = directory.write("file", "");

    let run = Run::of(interlock(&["man"]).arg(&file));

    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.all.contains(&file.display().to_string()), "{}", run.all);
}

/// The commands that print what an admin plane says, each with what a script looks for in it.
const READERS: &[(&[&str], &str)] = &[
    (&["flag", "list"], "flags"),
    (&["flag", "get", JOURNEYS], "percent"),
    (&["flag", "history", JOURNEYS], "history"),
    (&["explain", JOURNEYS, "journey:J7"], "path"),
    (&["fleet"], "sidecars"),
    (&["divergence", "list"], "divergences"),
];

#[test]
fn whatever_a_command_prints_a_script_can_have_as_json() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(25)).start();
    let nowhere = format!("http://{}", ReservedPort::new().address());

    for (words, key) in READERS {
        let at = |url: &str| Run::of(interlock(words).args(["--output", "json", "--admin", url]));
        let (answered, failed) = (at(&sidecar.admin_url()), at(&nowhere));

        assert_eq!((answered.code, failed.code), (Some(0), Some(1)), "{words:?}");
        let answer: Value = serde_json::from_str(&answered.out).expect("one JSON document");
        let failure: Value = serde_json::from_str(&failed.out).expect("one JSON document");
        assert!(!answer[key].is_null(), "{words:?}: {answer}");
        assert!(
            failure["error"].is_string() && failure["status"].is_null(),
            "{words:?}: {failure}"
        );
    }
}

#[test]
fn the_variable_tells_every_command_where_the_admin_plane_is() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(25)).start();

    for (words, _) in READERS {
        let run = Run::of(interlock(words).env("INTERLOCK_ADMIN", sidecar.admin_url()));
        assert_eq!((run.code, &run.out), (Some(0), &run.all), "{words:?}");
    }
}

#[test]
fn a_configuration_named_by_the_variable_is_read_and_an_option_wins() {
    let directory = TempDir::new();
    let right = directory.write("right.toml", "[legacy]\nurl = \"http://app:5000\"");
    let wrong = directory.write("wrong.toml", "[legacy]\nurl = 1");
    let check = |option: Option<&std::path::Path>, variable: &std::path::Path| {
        let mut command = interlock(&["check"]);
        command.env("INTERLOCK_CONFIG", variable);
        if let Some(option) = option {
            command.arg("--config").arg(option);
        }
        Run::of(&mut command).code
    };

    assert_eq!(check(None, &right), Some(0));
    assert_eq!(check(None, &wrong), Some(2));
    assert_eq!(check(Some(&right), &wrong), Some(0));
}

#[test]
fn what_can_not_be_printed_is_a_failure() {
    let configuration = concat!(env!("CARGO_MANIFEST_DIR"), "/config/single.toml");
    let commands = [
        &["check", "--config", configuration][..],
        &["completions", "bash"],
        &["--help"],
        &["flag", "--help"],
    ];

    for words in commands {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = interlock(words).stdout(full).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_a_failure_without_a_word() {
    let app = Upstream::running(|exchange| exchange.ok("done"));
    let sidecar = Sidecar::in_front_of(&app).with(&serialized(0)).start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    let mut command = interlock(&["flag", "list", "--admin", &sidecar.admin_url()]);
    let ended = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();

    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn a_sidecar_that_can_not_start_says_why_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = TempDir::new();
    let file = directory.write("one.toml", "[legacy]\nurl = \"http://app:5000\"");

    let mut command = interlock(&["run", "--config"]);
    let run = Run::of(command.arg(file).env("INTERLOCK__PROXY__LISTEN", &address));

    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.all);
    assert!(run.all.contains("proxy.listen") && run.all.contains(&address), "{}", run.all);
}
