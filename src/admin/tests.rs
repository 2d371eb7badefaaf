//! The admin plane as its callers see it, without a socket but for [`socket`].

mod bad_input;
mod divergences;
mod fleet;
mod socket;
mod turns;

use std::sync::Mutex;

use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::auth::Tokens;
use super::*;
use crate::config::AdminOpen;
use crate::domain::flag::{OnStoreLoss, Strategy};
use crate::store::FlagSeed;
use crate::telemetry::Topology;
use crate::telemetry::logging::{LogFormat, capture};
use sha2::{Digest, Sha256};

type Heard = Arc<Mutex<Vec<(String, u64, u64)>>>;

/// An admin plane with two flags in memory, and what it told of changes.
struct Plane {
    state: Arc<AdminState>,
    heard: Heard,
    peer: SocketAddr,
}

/// An answer, read whole.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Plane {
    fn new() -> Self {
        Self::with(None, None)
    }

    fn with(tokens: Option<Tokens>, snapshot: Option<std::path::PathBuf>) -> Self {
        let seed = |name: &str, start: &str| FlagSeed {
            name: name.into(),
            percent: start.parse().unwrap(),
            entity: "journey:{journeyId}".into(),
            strategy: Strategy::Serialize,
            on_store_loss: OnStoreLoss::Legacy,
        };
        let seeds = [seed("journey-updates", "5"), seed("seats", "0")];
        let (store, _) = FlagStore::new(&seeds, snapshot).unwrap();
        let heard = Heard::default();
        let hears = Arc::clone(&heard);
        let state = AdminState {
            store,
            health: Arc::new(Health::new(1, &["listener"])),
            metrics: MetricsPage {
                render: Box::new(|| "interlock_draining 0\n".to_owned()),
                content_type: "text/plain; version=0.0.4",
            },
            gate: Gate::new(
                tokens.map(|tokens| Arc::new(ArcSwap::from_pointee(tokens))),
                AdminOpen { probes: true, metrics: true },
            ),
            secure: None,
            hosts: HostPolicy::for_listener("127.0.0.1:9901".parse().unwrap()),
            changes: Changes::Local(OnChange::new(move |flag, before, after| {
                let versions = (flag.to_owned(), before.version, after.version);
                hears.lock().unwrap().push(versions);
            })),
            fleet: Arc::default(),
            records: Records::of_a_test(),
            turns: Turns::default(),
            telemetry: Telemetry::new(&Topology::default()),
        };
        Self { state: Arc::new(state), heard, peer: "127.0.0.1:4711".parse().unwrap() }
    }

    async fn call(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = handle(&self.state, self.peer, request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, target: &str) -> Answer {
        self.call(request("GET", target, &[], "")).await
    }

    async fn send(&self, method: &str, target: &str, body: Value) -> Answer {
        self.call(request(method, target, &[JSON], &body.to_string())).await
    }

    fn percent(&self) -> String {
        self.state.store.flag("journey-updates").unwrap().1.percent.to_string()
    }
}

const FLAG: &str = "/api/v1/flags/journey-updates";
const JSON: (&str, &str) = ("content-type", "application/json");

fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "127.0.0.1:9901");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_flag_reads_as_promised() {
    let answer = Plane::new().get(FLAG).await;

    assert_eq!((answer.status, answer.header("etag")), (200, "\"1\""));
    let mut flag = answer.json();
    let changed_at = flag["changed_at"].take();
    assert!(changed_at.as_str().unwrap().ends_with('Z'));
    assert_eq!(flag["transition"]["since"].take(), changed_at);
    assert_eq!(
        flag,
        json!({
            "name": "journey-updates", "percent": 5, "previous_percent": 5, "version": 1,
            "killed": false, "entity": "journey:{journeyId}", "strategy": "serialize",
            "on_store_loss": "legacy", "bucketing": "murmur3-32/fractional-v2",
            "pins": {"legacy": [], "fixed": []},
            "transition": {"step": "settled", "since": null, "waiting_for": []},
            "changed_at": null, "changed_by": "configuration", "reason": "start value",
        })
    );
}

#[tokio::test]
async fn the_list_has_all_flags_in_the_order_of_the_configuration() {
    let list = Plane::new().get("/api/v1/flags").await.json();

    let names: Vec<&str> =
        list["flags"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["journey-updates", "seats"]);
}

#[tokio::test]
async fn a_change_is_answered_told_and_remembered() {
    let plane = Plane::new();

    let answer = plane.send("PATCH", FLAG, json!({"percent": 12.5, "reason": "try it"})).await;

    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""));
    let flag = answer.json();
    assert_eq!((&flag["percent"], &flag["previous_percent"]), (&json!(12.5), &json!(5)));
    assert_eq!((&flag["changed_by"], &flag["reason"]), (&json!("anonymous"), &json!("try it")));
    assert_eq!(plane.percent(), "12.5%");
    // The change, and then the step that settles it.
    let heard = ["1 -> 2", "2 -> 2"].map(|it| ("journey-updates".to_owned(), it.to_owned()));
    let told = |(name, from, to): &(String, u64, u64)| (name.clone(), format!("{from} -> {to}"));
    assert_eq!(plane.heard.lock().unwrap().iter().map(told).collect::<Vec<_>>(), heard);
    let history = plane.get(&format!("{FLAG}/history")).await.json();
    let entry = &history["history"][0];
    assert_eq!((&entry["from"], &entry["to"]), (&json!(5), &json!(12.5)));
    assert_eq!((&entry["change"], &entry["by"]), (&json!("percent"), &json!("anonymous")));
}

#[tokio::test]
async fn kill_resume_and_pins_work() {
    let plane = Plane::new();
    let pin = |path| json!({"pin": {"entity": "journey:7", "path": path}, "reason": "vip"});
    let switch = |verb: &str| format!("{FLAG}/{verb}");

    let killed = plane.send("POST", &switch("kill"), json!({"reason": "fire"})).await;
    let resumed = plane.send("POST", &switch("resume"), json!({"reason": "out"})).await;
    let pinned = plane.send("PATCH", FLAG, pin(Some("fixed"))).await;
    let freed = plane.send("PATCH", FLAG, pin(None)).await;

    assert_eq!(killed.json()["killed"], json!(true));
    assert_eq!(resumed.json()["killed"], json!(false));
    assert_eq!(pinned.json()["pins"], json!({"legacy": [], "fixed": ["journey:7"]}));
    assert_eq!(freed.json()["pins"], json!({"legacy": [], "fixed": []}));
    let history = plane.get(&format!("{FLAG}/history?limit=2")).await.json();
    let shown: Vec<_> =
        history["history"].as_array().unwrap().iter().map(|e| (&e["from"], &e["to"])).collect();
    assert_eq!(shown, [(&json!("fixed"), &json!(null)), (&json!(null), &json!("fixed"))]);
}

#[tokio::test]
async fn a_change_counts_only_for_the_version_its_author_saw() {
    let plane = Plane::new();
    let change = async |if_match: &str, percent: u8| {
        let body = json!({"percent": percent, "reason": "step"}).to_string();
        plane.call(request("PATCH", FLAG, &[JSON, ("if-match", if_match)], &body)).await
    };

    assert_eq!(change("\"1\"", 10).await.status, 200);
    let stale = change("\"1\"", 20).await;
    assert_eq!((stale.status, stale.header("etag")), (412, "\"2\""));
    assert_eq!(change("W/\"2\"", 20).await.status, 412, "weak tags match nothing");
    assert_eq!(change("\"1\", \"2\"", 30).await.status, 200);
    assert_eq!(change("*", 40).await.status, 200);
    assert_eq!(plane.percent(), "40%");
}

#[tokio::test]
async fn an_entity_is_explained() {
    let plane = Plane::new();

    let explained = plane.get(&format!("{FLAG}/explain?entity=journey%3A7")).await.json();

    let bucket = crate::domain::bucket::Bucket::of("journey-updates", "journey:7").index();
    assert_eq!(explained["bucket"], json!(bucket));
    assert_eq!(explained["threshold"], json!(500));
    let path = if bucket < 500 { "fixed" } else { "legacy" };
    assert_eq!((&explained["path"], &explained["reason"]), (&json!(path), &json!("split")));
}

#[tokio::test]
async fn readiness_shows_its_reasons() {
    let plane = Plane::new();
    let health = &plane.state.health;

    assert_eq!(plane.get("/readyz").await.status, 503);
    let _worker = health.worker_up();
    health.set_check("listener", true);
    assert_eq!(plane.get("/readyz").await.status, 200);
    health.start_draining();
    let draining = plane.get("/readyz").await;

    assert_eq!(draining.status, 503);
    assert_eq!(
        draining.json(),
        json!({"ready": false, "draining": true, "freshness": "live",
               "workers": {"up": 1, "expected": 1}, "checks": {"listener": true},
               "flags": {"refused": []}, "admin": {"refused": []}})
    );
    assert_eq!(plane.get("/livez").await.status, 200, "alive all the same");
}

#[tokio::test]
async fn head_answers_as_get_without_the_body() {
    let plane = Plane::new();
    for target in ["/livez", "/metrics", "/api/v1/flags", FLAG, "/nowhere"] {
        let get = plane.get(target).await;
        let head = plane.call(request("HEAD", target, &[], "")).await;

        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{target}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{target}");
    }
}

#[tokio::test]
async fn every_answer_is_kept_from_caches_sniffers_and_frames() {
    let plane = Plane::new();
    for target in ["/metrics", FLAG, "/nowhere"] {
        let answer = plane.get(target).await;

        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn tokens_decide_who_reads_and_who_changes() {
    let entry = |name: &str, role: &str| {
        let sha256 = Sha256::digest(name);
        format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256:x}\"\n")
    };
    let text = entry("ann", "operator") + &entry("bob", "viewer");
    let plane = Plane::with(Some(Tokens::from_toml(&text).unwrap()), None);
    let call = async |method: &str, target: &str, token: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [JSON, ("authorization", authorization.as_str())];
        let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
        let body = r#"{"percent": 10, "reason": "step"}"#;
        plane.call(request(method, target, headers, body)).await
    };

    for target in ["/livez", "/metrics"] {
        assert_eq!(call("GET", target, "").await.status, 200, "{target} is open");
    }
    let unknown = call("GET", FLAG, "").await;
    assert_eq!(
        (unknown.status, unknown.header("www-authenticate")),
        (401, "Bearer realm=\"interlock\"")
    );
    assert_eq!(call("PATCH", FLAG, "eve").await.status, 401);
    assert_eq!(call("GET", FLAG, "bob").await.status, 200);
    assert_eq!(call("PATCH", FLAG, "bob").await.status, 403);
    assert_eq!(plane.percent(), "5%");
    assert_eq!(call("PATCH", FLAG, "ann").await.json()["changed_by"], json!("ann"));
}

#[tokio::test]
async fn a_change_that_cannot_be_written_is_answered_as_not_made() {
    // A file where the directory would be.
    let unwritable = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/flags.json");
    let plane = Plane::with(None, Some(unwritable.into()));

    let answer = plane.send("PATCH", FLAG, json!({"percent": 10, "reason": "step"})).await;

    assert_eq!((answer.status, &answer.json()["retry"]), (503, &json!("safe")));
    assert_eq!(plane.percent(), "5%");
    assert_eq!(*plane.heard.lock().unwrap(), []);
    let page = plane.state.telemetry.render();
    assert!(page.contains("\ninterlock_snapshot_refused 1\n"), "{page}");
}

#[test]
fn a_change_goes_on_and_is_told_of_when_its_caller_goes_away() {
    let lines = capture::lines("off", LogFormat::Json, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let plane = Plane::new();
            let call = plane.send("PATCH", FLAG, json!({"percent": 25, "reason": "step"}));
            tokio::select! {
                biased;
                answer = call => panic!("answered at once: {}", answer.status),
                () = std::future::ready(()) => {}
            }
            let made = async {
                while Arc::strong_count(&plane.state) > 1 || plane.percent() != "25%" {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(30), made).await.unwrap();
        });
    });

    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.contains("\"result\":\"changed\"") && line.contains("\"version\":2"), "{line}");
}
