//! Flips over admin planes that answer as they are told.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// An admin plane that gives its answers one after the other, and the last one again and again.
struct Plane {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Plane {
    async fn answering(answers: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answers) = (Arc::clone(&noted), answers.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let mut noted = noted.lock().unwrap();
                    let answer = answers[noted.len().min(answers.len() - 1)].to_string();
                    noted.push(format!("{} {}", request.method(), request.uri()));
                    async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer)))) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn flag(percent: f64, version: u64, step: &str) -> Value {
    json!({ "percent": percent, "version": version, "transition": { "step": step } })
}

fn fleet(leases: &[&str]) -> Value {
    let sidecars: Vec<Value> = leases.iter().map(|leases| json!({ "leases": leases })).collect();
    json!({ "sidecars": sidecars })
}

fn planes(planes: &[&Plane], leases: Leases) -> AdminPlanes {
    AdminPlanes::new(planes.iter().map(|plane| plane.addr).collect(), leases)
}

/// Long enough for an answer, for a test that waits for it in vain.
const SHORT: Duration = Duration::from_millis(300);

const GET: &str = "GET /api/v1/flags/journey-updates";
const PATCH: &str = "PATCH /api/v1/flags/journey-updates";

#[tokio::test]
async fn a_shared_flag_is_changed_at_one_and_waited_for_at_all() {
    let one = Plane::answering(vec![
        flag(10.0, 7, "guarding"),
        flag(10.0, 8, "switching"),
        flag(10.0, 9, "settled"),
    ])
    .await;
    // It had this percentage in an earlier version already.
    let other = Plane::answering(vec![flag(10.0, 6, "settled"), flag(10.0, 9, "settled")]).await;

    planes(&[&one, &other], Leases::Shared).flip("10".parse().unwrap(), "why").await.unwrap();

    assert_eq!(one.asked(), [PATCH, GET, GET]);
    assert_eq!(other.asked(), [GET, GET]);
}

#[tokio::test]
async fn a_flag_that_each_keeps_is_changed_at_each() {
    let one = Plane::answering(vec![flag(10.0, 7, "settled")]).await;
    let other = Plane::answering(vec![flag(10.0, 3, "settled")]).await;

    planes(&[&one, &other], Leases::OfEach).flip("10".parse().unwrap(), "why").await.unwrap();

    assert_eq!(one.asked(), [PATCH, GET]);
    assert_eq!(other.asked(), [PATCH, GET]);
}

#[tokio::test]
async fn a_sidecar_that_does_not_follow_is_named() {
    let one = Plane::answering(vec![flag(10.0, 7, "settled")]).await;
    let stuck = Plane::answering(vec![flag(0.0, 6, "settled")]).await;

    let planes = AdminPlanes { within: SHORT, ..planes(&[&one, &stuck], Leases::Shared) };
    let flip = planes.flip("10".parse().unwrap(), "why").await;

    let named = matches!(&flip, Err(AdminError::Unsettled { admin, .. }) if *admin == stuck.addr);
    assert!(named, "{flip:?}");
}

#[tokio::test]
async fn sidecars_are_together_when_each_sees_all_and_all_grant_leases() {
    let one = Plane::answering(vec![fleet(&["recovering"]), fleet(&["open", "open"])]).await;
    let other = Plane::answering(vec![fleet(&["open", "lost"]), fleet(&["open", "open"])]).await;

    planes(&[&one, &other], Leases::Shared).together().await.unwrap();

    assert_eq!(one.asked(), ["GET /api/v1/fleet"; 2]);
    assert_eq!(other.asked(), ["GET /api/v1/fleet"; 2]);
}

#[tokio::test]
async fn sidecars_that_stay_apart_are_an_error_and_lone_ones_are_not_asked() {
    let apart = Plane::answering(vec![fleet(&["open"])]).await;
    let pair = [&apart, &apart];

    let shared = AdminPlanes { within: SHORT, ..planes(&pair, Leases::Shared) };
    let together = shared.together().await;
    let asked = apart.asked().len();
    planes(&pair, Leases::OfEach).together().await.unwrap();

    assert!(matches!(together, Err(AdminError::Apart { expected: 2, .. })), "{together:?}");
    assert_eq!(apart.asked().len(), asked);
}
