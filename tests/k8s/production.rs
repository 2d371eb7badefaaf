//! The production overlay's sidecar: a Redis over TLS with a user, tokens, and probes over the network.

use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::manifests::{Manifests, list};
use crate::pod::{Pod, Probe};
use crate::support::{Authority, Flavor, Issued, Redis, ReservedPort, Run, TempDir, until};

const TOKEN: &str = "a-token-of-this-test";
const PASSWORD: &str = "a-password-of-this-test";

/// A Redis that also listens over TLS on this port, and has the user `interlock`.
#[track_caller]
fn tls_redis(port: &ReservedPort, shows: &Issued) -> Redis {
    let (number, certificate, key) = (
        port.address().port().to_string(),
        shows.certificate.to_string_lossy(),
        shows.key.to_string_lossy(),
    );
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
    let authority = Authority::new();
    let _redis = tls_redis(&port, &authority.issue("redis"));
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let tokens = format!("[[tokens]]\nname = \"ann\"\nrole = \"operator\"\nsha256 = \"{hash}\"\n");
    let redis = [
        ("username", "interlock".to_owned()),
        ("password", PASSWORD.to_owned()),
        ("ca.pem", fs::read_to_string(authority.file()).unwrap()),
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
