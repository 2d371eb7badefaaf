//! Divergence records as callers read them: lists, one of them, the diagram, and whatever they ask wrongly.

use super::*;
use crate::domain::divergence::{Cause, Divergence, lost_updates};
use crate::telemetry::FlagIndex;

const LIST: &str = "/api/v1/divergences";

/// A plane with these records, added in this order.
fn plane(divergences: impl IntoIterator<Item = Divergence>) -> Plane {
    let plane = Plane::new();
    for divergence in divergences {
        plane.state.records.add(FlagIndex(0), divergence);
    }
    plane
}

fn of(entity: &str) -> Divergence {
    Divergence { entity: entity.to_owned(), ..lost_updates() }
}

/// The entities of a list.
fn entities(list: &Value) -> Vec<&str> {
    let rows = list["divergences"].as_array().unwrap();
    rows.iter().map(|row| row["entity"].as_str().unwrap()).collect()
}

async fn accepting(plane: &Plane, target: &str, accept: &str) -> Answer {
    plane.call(request("GET", target, &[("accept", accept)], "")).await
}

/// Where the latest record is.
async fn latest(plane: &Plane) -> String {
    let list = plane.get(LIST).await.json();
    format!("{LIST}/{}", list["divergences"][0]["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_list_has_what_identifies_each_record_the_latest_first() {
    let plane = plane([of("journey:J0001"), of("journey:J0002")]);

    let answer = plane.get(LIST).await;

    assert_eq!(answer.status, 200);
    let mut list = answer.json();
    let id = list["divergences"][1]["id"].take();
    assert!(id.as_str().unwrap().contains('-'), "{id}");
    assert_eq!(
        list["divergences"][1],
        json!({
            "id": null, "at": "2025-11-24T19:11:59.000Z", "flag": "journey-updates",
            "route": "segment-status", "entity": "journey:J0001", "path": "legacy",
            "cause": "lost_update", "contended": true,
            "pointers": ["/segments/[segmentId=S1]/status", "/segments/[segmentId=S2]/status"],
            "trace_ids": [format!("{:032x}", 1), format!("{:032x}", 2)],
        })
    );
    assert_eq!((&list["next"], &list["from"]), (&Value::Null, &json!("memory")));
    assert_eq!(entities(&list), ["journey:J0002", "journey:J0001"]);
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let plane = plane(["a", "b", "c"].map(of));

    let first = plane.get(&format!("{LIST}?limit=2")).await.json();
    let next = first["next"].as_str().unwrap();
    let second = plane.get(&format!("{LIST}?limit=2&after={next}")).await.json();

    assert_eq!((entities(&first), entities(&second)), (vec!["c", "b"], vec!["a"]));
    assert_eq!(second["next"], Value::Null);
}

#[tokio::test]
async fn a_list_is_filtered_by_flag_and_cause() {
    let body = Divergence { cause: Cause::Body, ..of("body") };
    let seats = Divergence { flag: "seats".to_owned(), ..of("seats") };
    let plane = plane([body, seats, of("lost")]);
    let listed = async |query: &str| {
        let list = plane.get(&format!("{LIST}?{query}")).await.json();
        entities(&list).join(" ")
    };

    assert_eq!(listed("cause=body").await, "body");
    assert_eq!(listed("flag=seats").await, "seats");
    assert_eq!(listed("cause=lost_update&flag=journey-updates").await, "lost");
    assert_eq!(listed("cause=timeout").await, "");
}

#[tokio::test]
async fn one_record_has_everything_and_no_value_that_is_redacted() {
    let mut divergence = lost_updates();
    let redacted = &mut divergence.differences[1];
    (redacted.expected, redacted.found) = (None, None);
    for step in &mut divergence.timeline.as_mut().unwrap().steps {
        step.value = None;
    }
    let plane = plane([divergence]);

    let answer = plane.get(&latest(&plane).await).await;

    assert_eq!((answer.status, answer.header("vary")), (200, "accept"));
    let record = answer.json();
    assert_eq!(record["differences"][0]["expected"], json!("\"Departed\""));
    assert_eq!(
        record["differences"][1],
        json!({"pointer": "/segments/[segmentId=S2]/status", "kind": "lost"})
    );
    let step = &record["timeline"]["steps"][3];
    assert_eq!((&step["caller"], &step["what"]), (&json!("update 1"), &json!("acknowledged")));
    assert_eq!((&step["at_us"], &step["lost"]), (&json!(11_874), &json!(true)));
    assert_eq!(step.get("value"), None);
    assert_eq!(answer.body.matches("Departed").count(), 1, "what is revealed, and no more");
    assert_eq!((&record["truncated"], &record["from"]), (&json!(false), &json!("memory")));
}

/// The command line's own tests read what this one writes down.
#[tokio::test]
async fn one_record_reads_as_the_command_line_expects_it() {
    let plane = plane([lost_updates()]);

    let mut record = plane.get(&latest(&plane).await).await.json();

    record["id"] = json!("1764011519123-0");
    let expected = include_str!("../../cli/divergence/lost_updates.json");
    assert_eq!(record, serde_json::from_str::<Value>(expected).unwrap(), "{record:#}");
}

#[tokio::test]
async fn one_record_is_a_diagram_to_whoever_asks_for_one() {
    let plane = plane([lost_updates()]);
    let target = latest(&plane).await;

    let answer = accepting(&plane, &target, "text/vnd.mermaid").await;

    let content_type = answer.header("content-type");
    assert_eq!((answer.status, content_type), (200, "text/vnd.mermaid; charset=utf-8"));
    assert!(answer.body.starts_with("sequenceDiagram\n"), "{}", answer.body);
    assert!(answer.body.contains("title journey#58;J0001#58; 2 of 3 updates lost"));
    assert_eq!(answer.body.matches("-xdocument: writes").count(), 2, "{}", answer.body);
    let both = "application/json;q=0.8, text/vnd.mermaid";
    assert!(accepting(&plane, &target, both).await.body.starts_with("sequenceDiagram"));
    let json = accepting(&plane, &target, "application/json, text/vnd.mermaid;q=0.8").await;
    assert_eq!(json.header("content-type"), "application/json");
}

#[tokio::test]
async fn a_form_that_is_not_there_is_not_acceptable() {
    let no_timeline = Divergence { timeline: None, ..lost_updates() };
    let check = async |plane: &Plane, accept: &str, offered: &str| {
        let answer = accepting(plane, &latest(plane).await, accept).await;
        let problem = answer.json();
        assert_eq!((answer.status, &problem["status"]), (406, &json!(406)), "{accept}");
        assert_eq!(problem["type"], json!("urn:interlock:problem:not-acceptable"));
        assert!(problem["detail"].as_str().unwrap().contains(offered), "{problem}");
    };

    let drawn = plane([lost_updates()]);
    check(&drawn, "text/html", "application/json and text/vnd.mermaid").await;
    check(&drawn, "*/*;q=0", "application/json and text/vnd.mermaid").await;
    let bare = plane([no_timeline]);
    check(&bare, "text/vnd.mermaid", "no timeline").await;
    let any = accepting(&bare, &latest(&bare).await, "text/vnd.mermaid, */*;q=0.1").await;
    assert_eq!((any.status, any.header("content-type")), (200, "application/json"));
}

#[tokio::test]
async fn an_id_that_nothing_has_is_not_found() {
    let plane = plane([lost_updates()]);
    for id in ["1-1", "1", "-", "%00", "a%2Fb", "99999999999999999999-0", &"9".repeat(3000)] {
        let answer = plane.get(&format!("{LIST}/{id}")).await;

        let problem = answer.json();
        assert_eq!(answer.status, 404, "{id}");
        assert_eq!(problem["type"], json!("urn:interlock:problem:unknown-divergence"), "{id}");
        assert!(answer.body.len() < 1_000, "what is quoted is bounded");
    }
    let detail = plane.get(&format!("{LIST}/1-1")).await.json()["detail"].to_string();
    assert!(detail.contains("this sidecar's memory alone"), "{detail}");
    assert_eq!(plane.get(&format!("{LIST}/1-1/x")).await.status, 404);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named_with_what_is_allowed() {
    let plane = plane([lost_updates()]);
    let one = latest(&plane).await;
    let check = async |target: &str, key: &str, value: &str, allowed: &str| {
        let answer = plane.get(target).await;
        let problem = answer.json();
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!((&problem["key"], &problem["value"]), (&json!(key), &json!(value)), "{target}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(allowed), "{target}: {detail}");
    };
    let list = |query: &str| format!("{LIST}?{query}");

    check(&list("limit=0"), "limit", "0", "1 to 1000").await;
    check(&list("limit=1001"), "limit", "1001", "1 to 1000").await;
    check(&list("limit=many"), "limit", "many", "1 to 1000").await;
    check(&list("limit=-1"), "limit", "-1", "1 to 1000").await;
    check(&list("limit="), "limit", "", "1 to 1000").await;
    check(&list("cause=lost"), "cause", "lost", "lost_update, concurrent_write").await;
    check(&list("cause="), "cause", "", "unmanaged_writer").await;
    check(&list("flag=journey"), "flag", "journey", "GET /api/v1/flags").await;
    check(&list("after=yesterday"), "after", "yesterday", "the id of a record").await;
    check(&list("cause=body&cause=body"), "cause", "body", "twice").await;
    check(&list("since=1"), "since", "1", "flag, cause, limit, after").await;
    check(&format!("{one}?limit=1"), "limit", "1", "no parameters").await;
    assert_eq!(plane.get(&list("flag=%ff")).await.status, 400);
}

#[tokio::test]
async fn records_are_read_and_nothing_else() {
    let plane = plane([lost_updates()]);
    let one = latest(&plane).await;
    for (method, target) in [("POST", LIST), ("DELETE", &one), ("PATCH", &one)] {
        let answer = plane.send(method, target, json!({})).await;

        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    let get = plane.get(&one).await;
    let head = plane.call(request("HEAD", &one, &[], "")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_viewer_reads_records_and_nobody_else_without_a_token() {
    let sha256 = Sha256::digest("bob");
    let text = format!("[[tokens]]\nname = \"bob\"\nrole = \"viewer\"\nsha256 = \"{sha256:x}\"\n");
    let plane = Plane::with(Some(Tokens::from_toml(&text).unwrap()), None);
    plane.state.records.add(FlagIndex(0), lost_updates());

    let read = request("GET", LIST, &[("authorization", "Bearer bob")], "");
    assert_eq!(plane.call(read).await.status, 200);
    assert_eq!(plane.get(LIST).await.status, 401);
    assert_eq!(plane.get(&format!("{LIST}/1-1")).await.status, 401);
}
