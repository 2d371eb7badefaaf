//! `interlock collide` as a process: what it prints, and what it refuses.

use serde_json::Value;

use crate::support::{Run, interlock};

fn collide(words: &str) -> Run {
    Run::of(interlock(&["collide"]).args(words.split_whitespace()))
}

#[test]
fn twenty_at_once_lose_nineteen_by_the_model_and_by_the_simulation() {
    let run = collide("--concurrency 20 --window 10ms --trials 100 --output json");

    let answer: Value = serde_json::from_str(&run.out).expect("one JSON document");
    assert_eq!((run.code, &run.out), (Some(0), &run.all), "{}", run.all);
    let lost = &answer["burst"]["lost"];
    assert_eq!(lost["simulated"], 19.0, "{answer}");
    assert!((lost["model"].as_f64().unwrap() - 19.0).abs() < 1e-9, "{answer}");
    assert!(answer["stream"].is_null(), "{answer}");
}

#[test]
fn a_rate_adds_what_becomes_of_a_stream() {
    let run = collide("--concurrency 2 --window 10ms --rate 100 --trials 2000");

    assert_eq!(run.code, Some(0), "{}", run.all);
    assert!(run.out.contains("share of updates lost             0.5000  0."), "{}", run.out);
    assert!(run.out.contains("lost a second: 50.0000"), "{}", run.out);
}

#[test]
fn what_makes_no_sense_is_bad_usage_and_prints_nothing() {
    let check = |words: &str, part: &str| {
        let run = collide(words);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{words}");
        assert!(run.all.contains(part), "{words}: {}", run.all);
    };

    check("--window 10ms", "--concurrency");
    check("--concurrency 5000 --window 10ms", "'5000' for '--concurrency <N>'");
    check("--concurrency 2 --window 0s", "'0s' for '--window <TIME>': without a window nothing");
    check("--concurrency 2 --window 10s --rate 1000", "--rate 1000 with --window 10s");
}
