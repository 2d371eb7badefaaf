//! Who gets into the admin plane: tokens that are replaced while it runs, what is open, and how often somebody may be wrong.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::{
    AdminPlane, JOURNEYS, Response, Sidecar, TempDir, Upstream, eventually, serialized, stays,
    until,
};

/// A tokens file in which the token of each is `NAME-token`: its digest is [`DIGESTS`].
pub(crate) fn tokens(entries: &[(&str, &str)]) -> String {
    let entry = |(name, role): &(&str, &str)| {
        let (_, digest) = DIGESTS.iter().find(|(known, _)| known == name).unwrap();
        format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digest}\"\n")
    };
    entries.iter().map(entry).collect()
}

/// As `printf %s NAME-token | sha256sum` tells them.
const DIGESTS: [(&str, &str); 3] = [
    ("ann", "dfa603dfa2ef13eb23a30434d7feef5de20829cb6c5181623c8028a74eaf4971"),
    ("bob", "97dd3707015dcf069cf73022ed7173b1165db6eff24b441cb57fd069a8c4e525"),
    ("eve", "90623e5477a896ff088b7223109b65c9f6931b8889a22170c72f733462dd3bac"),
];

/// The header that shows somebody's token.
pub(crate) fn bearer(name: &str) -> String {
    format!("Authorization: Bearer {name}-token\r\n")
}

/// The line of `[admin]` that names a file.
pub(crate) fn line(key: &str, path: &Path) -> String {
    format!("{key} = {:?}\n", path.display().to_string())
}

pub(crate) const FLAG: &str = "/api/v1/flags/journey-updates";

/// A sidecar with this tokens file.
fn sidecar(tokens: &Path) -> Sidecar {
    Sidecar::in_front_of(&Upstream::echoing_targets())
        .with(&line("tokens_file", tokens))
        .with(&serialized(0))
        .start()
}

#[track_caller]
fn status(sidecar: &Sidecar, token: &str) -> u16 {
    sidecar.admin("GET", FLAG, &bearer(token), b"").status
}

fn set(sidecar: &Sidecar, token: &str, percent: u8) -> Response {
    let body = json!({ "percent": percent, "reason": "a test" }).to_string();
    let headers = format!("Content-Type: application/json\r\n{}", bearer(token));
    sidecar.admin("PATCH", FLAG, &headers, body.as_bytes())
}

/// A secret as Kubernetes mounts it: a file behind a symbolic link to a folder, which is swapped as a whole.
struct Mounted {
    directory: TempDir,
    version: u32,
}

impl Mounted {
    fn new(text: &str) -> Self {
        let mut this = Self { directory: TempDir::new(), version: 0 };
        this.swap(text);
        symlink("..data/tokens.toml", this.path()).unwrap();
        this
    }

    fn path(&self) -> PathBuf {
        self.directory.file("tokens.toml")
    }

    fn swap(&mut self, text: &str) {
        self.version += 1;
        let folder = format!("..{}", self.version);
        fs::create_dir(self.directory.file(&folder)).unwrap();
        self.directory.write(&format!("{folder}/tokens.toml"), text);
        symlink(&folder, self.directory.file("..next")).unwrap();
        fs::rename(self.directory.file("..next"), self.directory.file("..data")).unwrap();
    }
}

#[test]
fn a_token_that_is_taken_out_of_a_mounted_secret_stops_working_and_a_new_one_begins() {
    let mut secret = Mounted::new(&tokens(&[("ann", "operator")]));
    let sidecar = sidecar(&secret.path());
    assert_eq!((status(&sidecar, "ann"), status(&sidecar, "bob")), (200, 401));

    secret.swap(&tokens(&[("bob", "viewer")]));
    let swapped = Instant::now();
    until("the removed token to be refused", || status(&sidecar, "ann") == 401);

    // Every 2 s, and slow machines.
    assert!(swapped.elapsed().as_secs() < 10, "{:?}", swapped.elapsed());
    assert_eq!(status(&sidecar, "bob"), 200);
    assert_eq!(set(&sidecar, "bob", 10).status, 403);
}

#[test]
fn a_bad_tokens_file_leaves_the_last_good_one_in_force_until_it_is_mended() {
    let mut secret = Mounted::new(&tokens(&[("ann", "operator")]));
    let sidecar = sidecar(&secret.path());
    let refused = |value| {
        let labels = [("file", "tokens")];
        sidecar.wait_for_metric("interlock_admin_file_refused", &labels, value);
    };
    let readiness = || {
        let answer = sidecar.admin_get("/readyz");
        (answer.status, answer.json()["admin"]["refused"].clone())
    };
    refused(0.0);
    assert_eq!(readiness(), (200, json!([])));

    secret.swap("[[tokens]]\nname = \"eve\"\nrole = \"operator\"\n");
    refused(1.0);

    assert_eq!(readiness(), (200, json!(["tokens"])), "told, and ready all the same");
    assert_eq!((status(&sidecar, "ann"), status(&sidecar, "eve")), (200, 401));
    let line = event(&sidecar, "admin_file_refused");
    let error = line["error"].as_str().unwrap();
    assert_eq!((&line["level"], &line["file"]), (&json!("ERROR"), &json!("tokens")));
    let path = secret.path().display().to_string();
    assert!(error.contains("admin.tokens_file") && error.contains(&path), "{error}");

    secret.swap(&tokens(&[("bob", "operator")]));
    refused(0.0);

    assert_eq!(readiness(), (200, json!([])));
    assert_eq!((status(&sidecar, "ann"), status(&sidecar, "bob")), (401, 200));
    assert_eq!(event(&sidecar, "admin_file_taken")["file"], "tokens");
}

/// The first line of the log about an event.
#[track_caller]
fn event(sidecar: &Sidecar, name: &str) -> Value {
    eventually(name, || {
        let is_it = |line: &Value| line["event"] == name;
        sidecar.log().lines().filter_map(|line| serde_json::from_str(line).ok()).find(is_it)
    })
}

fn beyond_loopback(directory: &TempDir, open: &str) -> Sidecar {
    let file = directory.write("tokens.toml", &tokens(&[("ann", "operator"), ("bob", "viewer")]));
    Sidecar::in_front_of(&Upstream::echoing_targets())
        .admin_plane(AdminPlane::BeyondLoopback)
        .with(&line("tokens_file", &file))
        .with(open)
        .with(&serialized(0))
        .start()
}

const PROBES: [&str; 2] = ["/livez", "/readyz"];

#[test]
fn beyond_loopback_nothing_is_to_be_had_without_a_token_but_what_is_configured() {
    let directory = TempDir::new();
    let sidecar = beyond_loopback(&directory, "open = []");
    let everything = [
        "/livez",
        "/readyz",
        "/metrics",
        "/",
        "/api",
        "/api/v1/flags",
        FLAG,
        "/api/v1/flags/journey-updates/history",
        "/api/v1/flags/journey-updates/kill",
        "/api/v1/flags/nobody",
        "/api/v1/fleet",
        "/api/v1/divergences",
        "/api/v1/divergences/1",
        "/ofrep/v1/evaluate/flags",
    ];

    for path in everything {
        for method in ["GET", "PATCH", "POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = sidecar.admin(method, path, "", b"");
            answer.assert_problem(401, "safe");
            assert_eq!(answer.json()["type"], "urn:interlock:problem:no-token", "{method} {path}");
            assert!(answer.headers.has("www-authenticate"), "{method} {path}");
        }
    }
    for path in ["/livez", "/readyz", "/metrics", "/api/v1/flags", "/api/v1/fleet"] {
        assert_eq!(sidecar.admin("GET", path, &bearer("bob"), b"").status, 200, "{path}");
    }
    assert_eq!(sidecar.admin("GET", "/nowhere", &bearer("bob"), b"").status, 404);
}

#[test]
fn beyond_loopback_probes_are_open_and_metrics_where_that_is_configured() {
    let directory = TempDir::new();
    let by_default = beyond_loopback(&directory, "");
    let both = beyond_loopback(&directory, "open = [\"probes\", \"metrics\"]");
    let status = |sidecar: &Sidecar, path: &str| sidecar.admin_get(path).status;

    for path in PROBES {
        assert_eq!((status(&by_default, path), status(&both, path)), (200, 200), "{path}");
    }
    assert_eq!((status(&by_default, "/metrics"), status(&both, "/metrics")), (401, 200));
    assert_eq!((status(&by_default, FLAG), status(&both, FLAG)), (401, 401));
}

#[test]
fn too_many_wrong_tokens_are_held_off_and_keep_nobody_out_who_has_a_valid_one() {
    let directory = TempDir::new();
    let sidecar = sidecar(&directory.write("tokens.toml", &tokens(&[("ann", "operator")])));
    let counted = |reason| {
        sidecar.metrics().sum("interlock_admin_refused_total", &[("reason", reason)]).unwrap()
    };

    let answers: Vec<u16> = (0..14).map(|_| status(&sidecar, "eve")).collect();
    assert_eq!(answers[..10], [401; 10]);
    // One more may be forgiven while this runs.
    assert!(answers[12..] == [429; 2] || answers[12..] == [401, 429], "{answers:?}");
    let held_off = eventually("an answer that holds off", || {
        let answer = sidecar.admin("GET", FLAG, &bearer("eve"), b"");
        (answer.status == 429).then_some(answer)
    });

    held_off.assert_problem(429, "safe");
    let wait: u64 = held_off.headers.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert_eq!(held_off.headers.get("connection"), Some("close"));
    assert_eq!(set(&sidecar, "ann", 10).status, 200, "a valid token is let in at any time");
    assert!(counted("bad_token") >= 10.0 && counted("too_many_failures") >= 1.0);
    assert_eq!(sidecar.admin_get(FLAG).status, 401, "no token is no guess");
    assert_eq!(counted("no_token"), 1.0);
}

#[test]
fn no_page_of_another_site_reads_or_changes_anything() {
    let sidecar = Sidecar::in_front_of(&Upstream::echoing_targets()).with(&serialized(0)).start();
    let origin = "Origin: http://evil.example\r\n";
    let asks = format!(
        "{origin}Access-Control-Request-Method: PATCH\r\n\
         Access-Control-Request-Headers: authorization,content-type\r\n"
    );
    let allows = |answer: &Response| {
        let names = ["origin", "methods", "headers", "credentials", "private-network"];
        let vary = answer.headers.list("vary").iter().any(|it| it.eq_ignore_ascii_case("origin"));
        vary || names.iter().any(|name| answer.headers.has(&format!("access-control-allow-{name}")))
    };

    for path in [FLAG, "/api/v1/flags", "/metrics", "/livez", "/nowhere"] {
        let preflight = sidecar.admin("OPTIONS", path, &asks, b"");
        assert!(preflight.status >= 400 && !allows(&preflight), "{path}: {preflight:?}");
        let read = sidecar.admin("GET", path, origin, b"");
        assert!(!allows(&read), "{path}: {read:?}");
    }
    let body = br#"{"percent": 50, "reason": "theirs"}"#;
    let json = format!("{origin}Content-Type: application/json\r\n");
    assert_eq!(sidecar.admin("PATCH", FLAG, &json, body).status, 403);
    let simple = format!("{origin}Content-Type: text/plain\r\n");
    assert_eq!(sidecar.admin("PATCH", FLAG, &simple, body).status, 403);
    stays("the flag as it was", || sidecar.flag(JOURNEYS)["version"] == 1);
}
