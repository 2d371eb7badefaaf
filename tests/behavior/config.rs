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

/// A flag with more in it, and a route with more in it.
fn flag(of_flag: &str, of_route: &str) -> String {
    format!(
        "[flags.journey-updates]\nentity = \"journey:{{journeyId}}\"\n{of_flag}\n\
         [[flags.journey-updates.routes]]\nname = \"segment-status\"\nmethods = [\"PUT\"]\n\
         path = \"/api/journeys/{{journeyId}}/segments/{{segmentId}}/status\"\n{of_route}\n"
    )
}

const UPSTREAM: &str = "fixed = { strategy = \"upstream\", url = \"http://127.0.0.1:5001\" }\n";
const EFFECT: &str = "effect = { pointer = \"/status\", value = \"body:/status\" }";

/// `interlock check` refuses the flag, and says of its one problem the file, the key, the value and what would help.
#[track_caller]
fn check_refused(of_flag: &str, of_route: &str, key: &str, value: &str, remedy: &str) {
    let run = run("check", &[VALID, &flag(of_flag, of_route)]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    let problem = format!("1.toml: flags.journey-updates.{key} = {value}: ");
    assert!(run.all.contains("for 1 problem:"), "{}", run.all);
    assert!(run.all.contains(&problem) && run.all.contains(remedy), "{problem} in {}", run.all);
}

#[test]
fn check_refuses_a_detector_that_would_take_updates_for_a_strangers() {
    check_refused(
        "verify = { read = \"/api/journeys/{journeyId}\" }",
        "",
        "routes[0].methods",
        "[\"PUT\"]",
        "or the detector would take its updates for a stranger's",
    );
}

#[test]
fn check_refuses_a_detector_that_cannot_read_an_entity() {
    check_refused(
        "verify = { read = \"/api/segments/{segmentId}\" }",
        EFFECT,
        "verify.read",
        "\"/api/segments/{segmentId}\"",
        "none of the entity's placeholders (journeyId): read the entity by those alone",
    );
}

#[test]
fn check_refuses_an_effect_that_cannot_be_filled() {
    check_refused(
        "",
        "effect = { pointer = \"/legs/[id={legId}]\", value = \"body:/status\" }",
        "routes[0].effect.pointer",
        "\"/legs/[id={legId}]\"",
        "has {legId}, which neither the route's path nor the entity has",
    );
    check_refused(
        "",
        "effect = { pointer = \"/status\", value = \"path:status\" }",
        "routes[0].effect.value",
        "\"path:status\"",
        "the route's path has no placeholder {status}",
    );
}

#[test]
fn check_refuses_every_shadow_that_could_write_live_state() {
    let isolated = |rest: &str| format!("shadow = {{ mode = \"isolated\"{rest} }}");

    check_refused(
        &isolated(""),
        "",
        "shadow.mode",
        "\"isolated\"",
        "set shadow.url, such as \"http://127.0.0.1:5002\"",
    );
    check_refused(
        &isolated(", url = \"http://localhost:5000\""),
        "",
        "shadow.url",
        "\"http://localhost:5000\"",
        "is legacy.url, whose app serves, so that shadows would write live state",
    );
    check_refused(
        &format!("{UPSTREAM}{}", isolated(", url = \"http://127.0.0.1:5001\"")),
        "",
        "shadow.url",
        "\"http://127.0.0.1:5001\"",
        "name a candidate with a store of its own",
    );
    check_refused(
        &isolated(", url = \"http://127.0.0.1:5002\", noise = \"1%\""),
        "",
        "shadow.noise",
        "\"1%\"",
        "leave it at 0",
    );
}

#[test]
fn check_refuses_a_shadow_with_nobody_to_ask() {
    check_refused(
        "shadow = { mode = \"dry_run\" }",
        "",
        "shadow.mode",
        "\"dry_run\"",
        "set shadow.url, or noise = \"100%\" to learn what differs by itself",
    );
    check_refused(
        "shadow = { mode = \"dry_run\", url = \"http://127.0.0.1:8080\" }",
        "",
        "shadow.url",
        "\"http://127.0.0.1:8080\"",
        "is where Interlock itself listens (proxy.listen = \"127.0.0.1:8080\"): name another port",
    );
}

#[test]
fn check_shows_what_is_seen_of_divergence() {
    let sights = format!(
        "{UPSTREAM}reveal = [\"/status\"]\nverify = {{ read = \"/api/journeys/{{journeyId}}\" }}\n\
         shadow = {{ mode = \"dry_run\", compare = {{ ignore = [\"/**/updatedAt\"] }} }}"
    );

    let run = run("check", &[VALID, &flag(&sights, EFFECT)]);

    assert_eq!((run.code, &run.all), (Some(0), &run.out), "{}", run.all);
    for part in [
        "read = \"/api/journeys/{journeyId}\"",
        "max_reads = 50",
        "pointer = \"/status\"",
        "mode = \"dry_run\"",
        "ignore = [\"/**/updatedAt\"]",
        "reveal = [\"/status\"]",
        "max_age = \"1day\"",
    ] {
        assert!(run.out.contains(part), "{part} in {}", run.out);
    }
}

#[test]
fn the_standard_variables_of_traces_are_heeded_and_their_secrets_kept() {
    let checked = |env: &[(&str, &str)]| {
        let directory = TempDir::new();
        let file = directory.write("interlock.toml", &format!("{VALID}{}", serialized(0)));
        let mut command = interlock(&["check", "--config"]);
        Run::of(command.arg(file).envs(env.iter().copied()))
    };

    let right = checked(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2"),
    ]);
    let wrong = checked(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
    ]);

    assert_eq!((right.code, wrong.code), (Some(0), Some(2)), "{}{}", right.all, wrong.all);
    for part in ["otlp_endpoint = \"http://collector:4318/v1/traces\"", "authorization = \"***\""] {
        assert!(right.out.contains(part), "{part} in {}", right.out);
    }
    for part in [
        "environment variable OTEL_EXPORTER_OTLP_ENDPOINT: telemetry.otlp_endpoint = \"https://collector:4317\": ",
        "put a collector beside the sidecar",
        "environment variable OTEL_EXPORTER_OTLP_HEADERS: is no list of headers: ",
    ] {
        assert!(wrong.all.contains(part), "{part} in {}", wrong.all);
    }
    assert!(!right.all.contains("hunter2") && !wrong.all.contains("hunter2"), "{}", wrong.all);
}
