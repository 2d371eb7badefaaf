//! The production overlay's sidecar: a Redis over TLS with a user, tokens, and probes over the network.

use std::fs;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::manifests::{Manifests, list};
use crate::pod::{Pod, Probe};
use crate::support::{Flavor, Redis, ReservedPort, Run, TempDir, until};

const TOKEN: &str = "a-token-of-this-test";
const PASSWORD: &str = "a-password-of-this-test";

/// Makes a certificate for 127.0.0.1 that signs itself, `ca.pem`, and its key, `key.pem`.
#[track_caller]
fn make_certificate(folder: &TempDir) {
    let request = folder.write(
        "request",
        "[req]\nprompt = no\ndistinguished_name = name\nx509_extensions = more\n[name]\nCN = redis\n\
         [more]\nsubjectAltName = IP:127.0.0.1\nbasicConstraints = critical,CA:FALSE\n",
    );
    let kind =
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let mut command = Command::new("openssl");
    command.args(["req", "-x509"]).args(kind).arg("-config").arg(request);
    command.arg("-keyout").arg(folder.file("key.pem")).arg("-out").arg(folder.file("ca.pem"));
    let made = Run::of(&mut command);
    assert_eq!(made.code, Some(0), "{}", made.all);
}

/// A Redis that also listens over TLS on this port, and has the user `interlock`.
#[track_caller]
fn tls_redis(port: &ReservedPort, folder: &TempDir) -> Redis {
    let file = |name| folder.file(name).to_string_lossy().into_owned();
    let (number, certificate, key) =
        (port.address().port().to_string(), file("ca.pem"), file("key.pem"));
    let redis = Redis::start_with(
        Flavor::Redis,
        &[
            "--tls-port",
            &number,
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &certificate,
        ],
    );
    let secret = format!(">{PASSWORD}");
    redis.command(&["ACL", "SETUSER", "interlock", "on", &secret, "~*", "&*", "+@all"]);
    // Only that user, from here on.
    redis.command(&["CONFIG", "SET", "requirepass", "nobody-knows"]);
    redis
}

#[test]
fn its_secrets_are_what_the_sidecar_reads() {
    let manifests = Manifests::of("production");
    let (folder, port) = (TempDir::new(), ReservedPort::new());
    make_certificate(&folder);
    let _redis = tls_redis(&port, &folder);
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = format!("[[tokens]]\nname = \"ann\"\nrole = \"operator\"\nsha256 = \"{hash}\"\n");
    let authority = fs::read_to_string(folder.file("ca.pem")).unwrap();
    let redis = [
        ("username", "interlock".to_owned()),
        ("password", PASSWORD.to_owned()),
        ("ca.pem", authority),
    ];
    let mut pod =
        Pod::of(&manifests, "journey", "journey-0", format!("rediss://{}", port.address()))
            .with_secret("interlock-tokens", vec![("tokens.toml", tokens)])
            .with_secret("interlock-redis", redis.into());

    pod.start_sidecar();

    until("the startup probe to pass", || pod.sidecar_passes(Probe::Startup));
    assert!(pod.sidecar_passes(Probe::Readiness) && pod.sidecar_passes(Probe::Liveness));
    let nobody = Run::of(&mut pod.exec(&["fleet"]));
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.all.contains("(401)"), "{}", nobody.all);
    let token = folder.write("ann.token", TOKEN);
    until("leases to be granted over TLS", || {
        let token = token.to_string_lossy();
        let fleet = Run::of(&mut pod.exec(&["fleet", "--output", "json", "--token-file", &token]));
        assert_eq!(fleet.code, Some(0), "{}", fleet.all);
        let fleet: Value = serde_json::from_str(&fleet.out).unwrap();
        list(&fleet["sidecars"]).iter().any(|sidecar| sidecar["leases"] == "open")
    });
    assert!(pod.start_hook().wait_for_exit().success());
    assert_eq!(pod.wait_for_sidecar().code(), Some(0));
}
