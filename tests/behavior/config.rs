//! The configuration at the command line: what is wrong is told, all of it, before anything starts.

use crate::support::{Run, Sidecar, TempDir, Upstream, get, interlock, put, serialized, status_of};

const VALID: &str =
    "[proxy]\nlisten = \"127.0.0.1:8080\"\n[legacy]\nurl = \"http://127.0.0.1:5000\"\n";

/// Runs a command of the configuration on these files.
fn run(verb: &str, files: &[&str]) -> Run {
    let directory = TempDir::new();
    let mut command = interlock(&[verb]);
    for (number, text) in files.iter().enumerate() {
        command.arg("--config").arg(directory.write(&format!("{number}.toml"), text));
    }
    Run::of(&mut command)
}

#[test]
fn check_accepts_what_is_valid_and_prints_what_is_in_effect() {
    let run = run("check", &[&format!("{VALID}{}", serialized(25))]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    for part in ["127.0.0.1:8080", "journey-updates", "idle_timeout", "connect_timeout"] {
        assert!(run.out.contains(part), "{part} in {}", run.out);
    }
}

#[test]
fn check_lists_every_problem_with_its_key() {
    let wrong = "[proxy]\nlisten = \"nowhere\"\ndrain = \"soon\"\nworkerz = 3\n\
                 [legacy]\nurl = \"ftp://app\"\n[flags.f]\nentity = \"same\"\npercent = 101\n";

    let run = run("check", &[wrong]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    for key in [
        "proxy.listen",
        "proxy.drain",
        "proxy.workerz",
        "legacy.url",
        "flags.f.entity",
        "flags.f.percent",
    ] {
        assert!(run.all.contains(key), "{key} in {}", run.all);
    }
    assert!(run.all.contains("0.toml"), "the file in {}", run.all);
}

#[test]
fn check_refuses_two_flags_that_write_the_same_entity() {
    let twice = [serialized(0), serialized(0).replace("journey-updates", "other-updates")].concat();

    let run = run("check", &[VALID, &twice]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(
        run.all.contains("journey-updates") && run.all.contains("other-updates"),
        "{}",
        run.all
    );
}

#[test]
fn check_refuses_a_route_that_cannot_fill_the_entity() {
    let run = run("check", &[VALID, &serialized(0).replace("/{journeyId}/status\"", "/status\"")]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("journeyId"), "{}", run.all);
}

/// A store whose password stands in a file of this directory, where it was not forgotten.
fn check_store(directory: &TempDir, store: &str) -> Run {
    let file =
        directory.write("interlock.toml", &format!("{VALID}{}[store]\n{store}\n", serialized(0)));
    Run::of(interlock(&["check", "--config"]).arg(file))
}

#[test]
fn check_shows_the_store_and_no_password() {
    let directory = TempDir::new();
    let store = "url = \"redis+sentinel://app:hunter2@s1,s2/main\"\nprefix = \"trains\"";

    let run = check_store(&directory, store);

    assert_eq!(run.code, Some(0), "{}", run.all);
    for part in
        ["redis+sentinel://app:***@s1:26379,s2:26379/main", "trains", "50ms", "password_file"]
    {
        assert!(run.all.contains(part), "{part} in {}", run.all);
    }
    assert!(!run.all.contains("hunter2"), "{}", run.all);
}

#[test]
fn check_misses_a_password_file_that_is_not_there() {
    let directory = TempDir::new();
    let path = directory.write("password", "hunter2");
    let store = format!("url = \"redis://r\"\npassword_file = {path:?}");

    let there = check_store(&directory, &store);
    std::fs::remove_file(&path).unwrap();
    let gone = check_store(&directory, &store);

    assert_eq!(there.code, Some(0), "{}", there.all);
    assert!(!there.all.contains("hunter2"), "{}", there.all);
    assert_eq!(gone.code, Some(2), "{}", gone.all);
    assert!(gone.all.contains("store.password_file"), "{}", gone.all);
}

#[test]
fn check_lists_what_cannot_hold_together_in_a_store() {
    let directory = TempDir::new();

    let refused = check_store(&directory, "url = \"redis://a,b\"\nca_file = \"ca.pem\"");
    let alone = check_store(&directory, "cluster = true");

    assert_eq!((refused.code, alone.code), (Some(2), Some(2)), "{}", refused.all);
    for part in ["store.url", "store.cluster = true", "store.ca_file", "rediss://"] {
        assert!(refused.all.contains(part), "{part} in {}", refused.all);
    }
    assert!(
        alone.all.contains("store.cluster") && alone.all.contains("store.url"),
        "{}",
        alone.all
    );
}

#[test]
fn run_refuses_what_check_refuses() {
    for wrong in [
        "[proxy]\nworkerz = 3\n[legacy]\nurl = \"http://127.0.0.1:1\"\n",
        "no toml",
        "[legacy]\nurl = 5\n",
    ] {
        let run = run("run", &[wrong]);

        assert_eq!(run.code, Some(2), "{wrong}: {}", run.all);
    }
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let run = Run::of(&mut interlock(&["check", "--config", "/no/such/file.toml"]));

    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("/no/such/file.toml"), "{}", run.all);
}

#[test]
fn an_admin_plane_beyond_loopback_needs_tokens() {
    let run = run("run", &[&format!("{VALID}[admin]\nlisten = \"0.0.0.0:0\"\n")]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("tokens_file"), "{}", run.all);
}

#[test]
fn of_several_files_the_later_wins() {
    let run = run("check", &[VALID, "[legacy]\nurl = \"http://127.0.0.1:6000\"\n"]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    assert!(
        run.out.contains("127.0.0.1:6000") && !run.out.contains("127.0.0.1:5000"),
        "{}",
        run.out
    );
}

#[test]
fn the_environment_wins_over_files() {
    let (in_file, in_environment) = (Upstream::echoing_targets(), Upstream::echoing_targets());
    let sidecar = Sidecar::in_front_of(&in_file)
        .with(&serialized(0))
        .env("INTERLOCK__LEGACY__URL", &in_environment.url())
        .env("INTERLOCK__FLAGS__JOURNEY_UPDATES__PERCENT", "100")
        .start();

    let response = sidecar.call(&put(&status_of("J1"), "{}"));
    sidecar.call(&get("/x"));

    assert_eq!(response.headers.get("interlock-path"), Some("fixed"));
    assert_eq!((in_file.requests().len(), in_environment.requests().len()), (0, 2));
}

#[test]
fn bad_usage_is_told_by_the_exit_code() {
    for arguments in [&["no-such-command"][..], &["check", "--no-such-option"], &[]] {
        assert_eq!(Run::of(&mut interlock(arguments)).code, Some(2), "{arguments:?}");
    }
}
