//! Edits while the store dies: each of them is made once, or not made and said to be, or unknown and said to be.
//!
//! The store forgets nothing (it syncs every write). Each writer has a field of its own and writes a value of its own with every
//! update, one after the other. In the end the field has the last value that was acknowledged, or one of those after it whose
//! outcome was unknown; anything else is an update that was lost, made though refused, or made twice.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::{JOURNEYS, Redis, Sidecar, Upstream, in_parallel, put, take_time, until};

const WRITERS: usize = 10;
const EACH: usize = 10;

/// How many times the store is killed; `INTERLOCK_ATOMIC_RUNS=200` is what a change of the scripts deserves.
const RUNS: usize = 10;

fn flag(redis: &Redis) -> String {
    format!(
        r#"
        [store]
        url = "{}"
        [flags.{JOURNEYS}]
        entity = "doc:{{run}}"
        percent = 100
        on_store_loss = "reject"
        fixed = {{ strategy = "atomic", refused = "reject" }}
        [[flags.{JOURNEYS}.routes]]
        name = "field"
        methods = ["PUT"]
        path = "/docs/{{run}}/{{field}}"
        atomic = {{ document = "doc:{{run}}", pointer = "/{{field}}", value = "body:/value" }}
        "#,
        redis.url()
    )
}

/// What a writer was told of an update in the end, and the value that it had sent then; one that was refused sent another.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Applied(String),
    Unknown(String),
}

/// A writer's updates, the next one as soon as the one before was answered; also how many calls were told that nothing was done
/// and that to send them again is safe, which is what the writer does.
fn write(sidecar: &Sidecar, run: usize, writer: usize) -> (Vec<Told>, usize) {
    let mut refused = 0;
    let mut one = |n: usize| {
        loop {
            let value = format!("{writer}-{n}-{refused}");
            let body = json!({ "value": value }).to_string();
            let answer = sidecar.call(&put(&format!("/docs/{run}/f{writer}"), &body));
            match answer.status {
                200 => return Told::Applied(value),
                504 => {
                    answer.assert_problem(504, "unknown");
                    assert_eq!(answer.headers.get("interlock-outcome"), Some("unknown"));
                    return Told::Unknown(value);
                }
                _ => answer.assert_problem(503, "safe"),
            }
            refused += 1;
            assert!(refused < 2_000, "the store does not come back");
            take_time(Duration::from_millis(10));
        }
    };
    let told: Vec<Told> = (0..EACH).map(&mut one).collect();
    (told, refused)
}

/// The values that a field may have in the end.
fn allowed(told: &[Told]) -> Vec<&str> {
    let mut allowed = Vec::new();
    for told in told.iter().rev() {
        match told {
            Told::Unknown(value) => allowed.push(value.as_str()),
            Told::Applied(value) => {
                allowed.push(value);
                return allowed;
            }
        }
    }
    allowed.push("new");
    allowed
}

#[test]
fn heavy_edits_while_the_store_is_killed_again_and_again_are_made_once_or_told_of() {
    let runs = std::env::var("INTERLOCK_ATOMIC_RUNS").map_or(RUNS, |runs| runs.parse().unwrap());
    let mut redis = Redis::start_durable();
    let app = Upstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    let sidecars: Vec<Sidecar> = (0..2)
        .map(|_| {
            let times =
                "timeout = \"2s\"\nsettle_after_timeout = \"200ms\"\nconnect_timeout = \"200ms\"";
            Sidecar::in_front_of(&app).legacy(times).with(&flag(&redis)).start()
        })
        .collect();
    let mut seen = [0; 2];
    let mut refused = 0;

    for run in 0..runs {
        let fields: Vec<String> = (0..WRITERS).map(|n| format!("\"f{n}\":\"new\"")).collect();
        redis.set(&format!("doc:{run}"), &format!("{{{},\"keep\":850.50}}", fields.join(",")));
        for sidecar in &sidecars {
            until("leases are granted again", || {
                sidecar.metrics().sum("interlock_lease_gate", &[("state", "open")]) == Some(1.0)
            });
        }

        let told = thread::scope(|scope| {
            let writers = scope.spawn(|| in_parallel(WRITERS, |n| write(&sidecars[n % 2], run, n)));
            // Another moment in every run: before the first, among them, after the last.
            take_time(Duration::from_micros(37 * (run as u64 * 61 % 500)));
            redis.kill();
            redis.start_again();
            writers.join().unwrap()
        });

        let text = redis.get(&format!("doc:{run}")).unwrap();
        assert!(text.ends_with(",\"keep\":850.50}"), "{text}");
        let stored: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (writer, (told, again)) in told.iter().enumerate() {
            refused += again;
            let value = stored[format!("f{writer}")].as_str().unwrap().to_owned();
            assert!(allowed(told).contains(&value.as_str()), "run {run}: {value} after {told:?}");
            for it in told {
                seen[usize::from(matches!(it, Told::Unknown(_)))] += 1;
            }
        }
    }

    let [applied, unknown] = seen;
    println!("{runs} runs: {applied} applied, {unknown} unknown, {refused} calls refused before");
    assert_eq!(applied + unknown, runs * WRITERS * EACH);
    assert!(applied > unknown && refused > 0);
    assert!(app.requests().is_empty(), "nothing was run on the other path");
}
