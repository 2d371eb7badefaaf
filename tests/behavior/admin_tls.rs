//! The admin plane over TLS: who is trusted, certificates that are replaced, and clients that never get on with it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use super::admin_security::{FLAG, bearer, line, tokens};
use crate::support::{
    AdminPlane, Authority, DEADLINE, Issued, JOURNEYS, Run, Sidecar, TempDir, Trusting, Upstream,
    interlock, serialized, until,
};

/// The table `admin.tls`; with `clients` it asks for their certificates.
fn tls(issued: &Issued, clients: Option<&Authority>) -> String {
    let mut table = String::from("[admin.tls]\n");
    table += &line("cert_file", &issued.certificate);
    table += &line("key_file", &issued.key);
    if let Some(clients) = clients {
        table += &line("client_ca_file", &clients.file());
    }
    table
}

/// A sidecar with a token for `ann`, an operator.
fn sidecar(directory: &TempDir, tls: &str) -> Sidecar {
    let file = directory.write("tokens.toml", &tokens(&[("ann", "operator")]));
    Sidecar::in_front_of(&Upstream::echoing_targets())
        .admin_plane(AdminPlane::Tls)
        .with(&line("tokens_file", &file))
        .with(tls)
        .with(&serialized(0))
        .start()
}

/// The status that a client is answered with; `None` where it is not.
fn status(client: &Trusting, sidecar: &Sidecar, headers: &str) -> Option<u16> {
    let answer = client.get(sidecar.admin_address(), FLAG, headers).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

fn metric(client: &Trusting, sidecar: &Sidecar, series: &str) -> f64 {
    let page = client.get(sidecar.admin_address(), "/metrics", &bearer("ann")).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series}")).trim().parse().unwrap()
}

#[test]
fn tls_1_2_and_1_3_are_spoken_to_those_who_trust_it_and_a_token_is_needed_all_the_same() {
    let (directory, ours, other) = (TempDir::new(), Authority::new(), Authority::new());
    let sidecar = sidecar(&directory, &tls(&ours.issue("server"), None));

    for version in [&TLS12, &TLS13] {
        let client = Trusting::speaking(&ours, None, &[version]);
        assert_eq!(status(&client, &sidecar, &bearer("ann")), Some(200), "{version:?}");
        assert_eq!(status(&client, &sidecar, ""), Some(401), "{version:?}");
    }
    assert_eq!(status(&Trusting::new(&other, None), &sidecar, &bearer("ann")), None);
    let mut plain = TcpStream::connect(sidecar.admin_address()).unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    plain.set_read_timeout(Some(DEADLINE)).unwrap();
    // It may end with a reset, as what was sent is no TLS.
    drop(plain.read_to_end(&mut answer));
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");
}

#[test]
fn a_client_certificate_is_needed_where_it_is_asked_for_and_gives_no_role() {
    let (directory, servers, clients) = (TempDir::new(), Authority::new(), Authority::new());
    let sidecar = sidecar(&directory, &tls(&servers.issue("server"), Some(&clients)));
    let (known, stranger) = (clients.issue("known"), servers.issue("stranger"));
    let client = |shows: Option<&Issued>| Trusting::new(&servers, shows);

    assert_eq!(status(&client(None), &sidecar, &bearer("ann")), None);
    assert_eq!(status(&client(Some(&stranger)), &sidecar, &bearer("ann")), None);
    assert_eq!(status(&client(Some(&known)), &sidecar, ""), Some(401));
    assert_eq!(status(&client(Some(&known)), &sidecar, &bearer("ann")), Some(200));

    let refused = "interlock_admin_refused_total{reason=\"handshake\"}";
    assert_eq!(metric(&client(Some(&known)), &sidecar, refused), 2.0);
    let told = |line: &&str| line.contains("\"audit\"") && line.contains("\"handshake\"");
    until("both to stand in the audit trail", || sidecar.log().lines().filter(told).count() == 2);
}

/// When a certificate runs out, in Unix seconds, as `openssl` and `date` tell it.
fn not_after(file: &Path) -> u64 {
    let run = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let said = run(Command::new("openssl").args(["x509", "-noout", "-enddate", "-in"]).arg(file));
    let date = said.trim().strip_prefix("notAfter=").expect(&said);
    run(Command::new("date").args(["-u", "+%s", "-d", date])).trim().parse().unwrap()
}

/// Puts a certificate and its key where the sidecar looks.
fn put(issued: &Issued, at: &Issued) {
    fs::copy(&issued.key, &at.key).unwrap();
    fs::copy(&issued.certificate, &at.certificate).unwrap();
}

#[test]
fn a_certificate_is_replaced_while_the_sidecar_runs_and_a_bad_one_changes_nothing() {
    let (directory, old, new) = (TempDir::new(), Authority::new(), Authority::new());
    let at = Issued { certificate: directory.file("tls.crt"), key: directory.file("tls.key") };
    let first = old.issue("first");
    put(&first, &at);
    let sidecar = sidecar(&directory, &tls(&at, None));
    let (of_old, of_new) = (Trusting::new(&old, None), Trusting::new(&new, None));
    let refused = "interlock_admin_file_refused{file=\"tls\"}";
    assert_eq!(metric(&of_old, &sidecar, refused), 0.0);
    let expiry = |client: &Trusting| {
        metric(client, &sidecar, "interlock_admin_certificate_expiry_timestamp_seconds ") as u64
    };
    until("the expiry to be told of", || expiry(&of_old) == not_after(&first.certificate));

    // A key of another certificate, and it stays so.
    fs::copy(old.issue("second").key, &at.key).unwrap();
    until("the mismatch to be told of", || metric(&of_old, &sidecar, refused) == 1.0);
    let readiness = of_old.get(sidecar.admin_address(), "/readyz", "").unwrap();
    assert!(readiness.starts_with("HTTP/1.1 200") && readiness.contains("\"refused\":[\"tls\"]"));
    assert!(sidecar.log().contains("admin.tls.key_file"), "the log names the key");

    let third = new.issue_for("third", 30_000);
    put(&third, &at);
    until("the new certificate to be shown", || {
        status(&of_new, &sidecar, &bearer("ann")) == Some(200)
    });
    assert_eq!(status(&of_old, &sidecar, &bearer("ann")), None);
    until("all to be well", || metric(&of_new, &sidecar, refused) == 0.0);
    assert!(not_after(&third.certificate) > not_after(&first.certificate));
    until("the new expiry to be told of", || expiry(&of_new) == not_after(&third.certificate));
}

#[test]
fn the_command_line_speaks_it_and_says_what_is_missing() {
    let (directory, servers, clients) = (TempDir::new(), Authority::new(), Authority::new());
    let sidecar = sidecar(&directory, &tls(&servers.issue("server"), Some(&clients)));
    let token = directory.write("token", "ann-token");
    let known = clients.issue("known");
    let run = |options: &[(&str, &Path)]| {
        let mut command = interlock(&["flag", "set", JOURNEYS, "10%", "--reason", "a test"]);
        command.args(["--admin", &sidecar.admin_url()]).arg("--token-file").arg(&token);
        for (name, path) in options {
            command.arg(name).arg(path);
        }
        Run::of(&mut command)
    };
    let ca = ("--ca-file", servers.file());
    let ca = (ca.0, ca.1.as_path());
    let (cert, key) =
        (("--client-cert", known.certificate.as_path()), ("--client-key", known.key.as_path()));

    let done = run(&[ca, cert, key]);
    assert_eq!(done.code, Some(0), "{}", done.all);
    for (options, code, said) in [
        (vec![cert, key], 1, "--ca-file"),
        (vec![ca], 1, "--client-cert"),
        (vec![ca, cert], 2, "--client-key"),
        (vec![("--ca-file", key.1)], 2, "has no certificate"),
        (vec![("--ca-file", Path::new("no-such-file"))], 2, "--ca-file no-such-file"),
        (vec![ca, ("--client-cert", ca.1), key], 2, "is not the key of"),
    ] {
        let failed = run(&options);
        assert_eq!(failed.code, Some(code), "{options:?}: {}", failed.all);
        assert!(failed.all.contains(said), "{options:?}: {}", failed.all);
    }
    let plain = sidecar.admin_url().replace("https://", "http://");
    let other =
        Run::of(interlock(&["flag", "list", "--admin", &plain]).arg("--token-file").arg(&token));
    assert_eq!(other.code, Some(1), "{}", other.all);
    assert!(other.all.contains("https://"), "{}", other.all);
    let mut by_environment = interlock(&["flag", "list", "--output", "json"]);
    by_environment.env("INTERLOCK_ADMIN", sidecar.admin_url()).env("INTERLOCK_CA_FILE", ca.1);
    by_environment.env("INTERLOCK_CLIENT_CERT", cert.1).env("INTERLOCK_CLIENT_KEY", key.1);
    let listed = Run::of(by_environment.arg("--token-file").arg(&token));
    let listed: Value = serde_json::from_str(&listed.out).expect(&listed.all);
    assert_eq!(listed["flags"][0]["percent"], 10);
}

#[test]
fn files_of_no_use_are_refused_at_the_start_with_their_key_and_path() {
    let (directory, authority) = (TempDir::new(), Authority::new());
    let (server, other) = (authority.issue("server"), authority.issue("other"));
    let config = |cert: &Path, key: &Path, more: &str| {
        let tls = line("cert_file", cert) + &line("key_file", key) + more;
        let text = format!("[legacy]\nurl = \"http://127.0.0.1:5000\"\n[admin.tls]\n{tls}");
        directory.write("interlock.toml", &text)
    };
    let missing = directory.file("missing");
    let garbage = directory.write("garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    let (good_cert, good_key) = (&server.certificate, &server.key);
    let no_ca = line("client_ca_file", good_key);

    for (cert, key, more, expected) in [
        (&missing, good_key, "", "admin.tls.cert_file: "),
        (good_key, good_key, "", "admin.tls.cert_file: "),
        (good_cert, &missing, "", "admin.tls.key_file: "),
        (good_cert, &garbage, "", "admin.tls.key_file: "),
        (good_cert, good_cert, "", "admin.tls.key_file: "),
        (good_cert, &other.key, "", "admin.tls.key_file: "),
        (good_cert, good_key, no_ca.as_str(), "admin.tls.client_ca_file: "),
    ] {
        let file = config(cert, key, more);
        let check = Run::of(interlock(&["check", "--config"]).arg(&file));

        assert_eq!(check.code, Some(2), "{expected}: {}", check.all);
        assert!(check.all.contains(expected), "{expected}: {}", check.all);
        let run = Run::of(interlock(&["run", "--config"]).arg(&file));
        assert_eq!(run.code, Some(2), "{expected}: {}", run.all);
        assert!(run.all.contains(expected.trim_end_matches(": ")), "{expected}: {}", run.all);
    }
    let good = Run::of(interlock(&["check", "--config"]).arg(config(good_cert, good_key, "")));
    assert_eq!(good.code, Some(0), "{}", good.all);
}

#[test]
fn clients_that_never_end_their_handshake_keep_nobody_out() {
    let (directory, authority) = (TempDir::new(), Authority::new());
    let sidecar = sidecar(&directory, &tls(&authority.issue("server"), None));
    let client = Trusting::new(&authority, None);
    let silent: Vec<_> =
        (0..300).map(|_| TcpStream::connect(sidecar.admin_address()).unwrap()).collect();

    assert_eq!(status(&client, &sidecar, &bearer("ann")), Some(200));

    // The oldest were closed for others, and the rest when their time was up.
    for mut stream in silent {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // Closed in whatever way.
        assert!(
            stream
                .read(&mut [0])
                .map_or_else(|e| e.kind() != std::io::ErrorKind::WouldBlock, |n| n == 0)
        );
    }
}
