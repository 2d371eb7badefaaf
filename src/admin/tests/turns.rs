//! Whoever reads much keeps neither changes nor probes out.

use std::task::{Context, Poll, Waker};

use super::*;

fn token(name: &str, role: &str) -> String {
    let sha256 = Sha256::digest(format!("{name}-token"));
    format!("[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256:x}\"\n")
}

#[tokio::test]
async fn a_viewers_reads_wait_for_each_other_and_nobody_waits_for_them() {
    let tokens = token("bob", "viewer") + &token("eve", "viewer") + &token("ann", "operator");
    let plane = Plane::with(Some(Tokens::from_toml(&tokens).unwrap()), None);
    let by = |name: &str| format!("Bearer {name}-token");
    let read = async |name: &str| {
        let authorization = by(name);
        let call = request("GET", "/api/v1/flags", &[("authorization", &authorization)], "");
        plane.call(call).await.status
    };
    let turn = plane.state.turns.viewers().try_acquire().unwrap();

    let mut waiting = std::pin::pin!(read("eve"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert_eq!(read("ann").await, 200);
    assert_eq!(plane.get("/livez").await.status, 200);
    let authorization = by("ann");
    let kill = request(
        "POST",
        "/api/v1/flags/journey-updates/kill",
        &[JSON, ("authorization", &authorization)],
        r#"{"reason":"now"}"#,
    );
    assert_eq!(plane.call(kill).await.status, 200);

    drop(turn);
    assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(200));
    assert_eq!(read("bob").await, 200, "a turn ends with the answer");
}
