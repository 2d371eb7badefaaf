//! What comparing two answers costs, on one core: ordinary ones, large ones, and the worst that bytes can do.
//!
//! `cargo bench --bench compare`. Each case is run for a second; the least time on the core that a run took is printed, as what
//! is more is somebody else's doing.

#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a table on standard output is what it is for, and its cases are written out here"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::HeaderMap;
use interlock::domain::compare::{Answer, Comparison, Noise, Rules, compare, same_bytes};

/// For each case.
const MEASURED: Duration = Duration::from_secs(1);

/// The largest body that is compared by structure.
const MIB: usize = 1024 * 1024;

/// One pair of answers.
struct Case {
    name: &'static str,
    rules: Rules,
    control: String,
    candidate: String,
}

fn main() {
    println!("{:<58} {:>9} {:>12}  verdict", "answers", "KiB", "us");
    let small = journey(4, false, "1");
    let headers = HeaderMap::new();
    let answer = |body| Answer { status: 200, headers: &headers, body };
    let (control, candidate) = (small.clone(), small.clone());
    let us = fastest(|| {
        black_box(same_bytes(
            &Rules::default(),
            &answer(black_box(control.as_bytes())),
            &answer(black_box(candidate.as_bytes())),
        ));
    });
    println!("{:<58} {:>9.1} {us:>12.2}  same bytes", "journey, looked at by bytes", kib(&small));
    for case in ordinary().into_iter().chain(hostile()) {
        let run = || compare_case(&case, &headers);
        let us = fastest(|| {
            black_box(run());
        });
        let comparison = run();
        let cut = if comparison.truncated { ", truncated" } else { "" };
        println!(
            "{:<58} {:>9.1} {us:>12.2}  {}{cut}",
            case.name,
            kib(&case.control),
            comparison.verdict.as_str()
        );
    }
}

fn compare_case(case: &Case, headers: &HeaderMap) -> Comparison {
    let control = Answer { status: 200, headers, body: case.control.as_bytes() };
    let candidate = Answer { status: 200, headers, body: case.candidate.as_bytes() };
    compare(&case.rules, &Noise::default(), &[], &control, &candidate)
}

/// What is shorter is measured by the clock, as some run of it has the core for itself; the kernel counts time on the core in ticks.
const SHORT: Duration = Duration::from_millis(20);

/// The least time on the core that a run took within [`MEASURED`], in microseconds.
fn fastest(mut run: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut fastest = Duration::MAX;
    while began.elapsed() < MEASURED {
        let before = on_core();
        let start = Instant::now();
        run();
        let by_clock = start.elapsed();
        let by_core = on_core() - before;
        fastest = fastest.min(if by_clock < SHORT { by_clock } else { by_core });
    }
    fastest.as_secs_f64() * 1e6
}

/// How long this thread has been on a core.
fn on_core() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn kib(text: &str) -> f64 {
    text.len() as f64 / 1024.0
}

/// A journey with so many segments, in the other order of members if asked.
fn journey(segments: usize, reversed: bool, price: &str) -> String {
    let segments: Vec<_> = (0..segments)
        .map(|i| {
            let mut members = [
                format!("\"segmentId\":\"S{i}\""),
                "\"origin\":\"AMS\"".to_owned(),
                "\"destination\":\"LHR\"".to_owned(),
                "\"departureTime\":\"2026-11-24T14:40:14Z\"".to_owned(),
                "\"arrivalTime\":\"2026-11-24T15:55:00Z\"".to_owned(),
                "\"flightNumber\":\"KL1001\"".to_owned(),
                "\"carrier\":\"KLM\"".to_owned(),
                "\"status\":\"Departed\"".to_owned(),
                format!("\"price\":{price}"),
            ];
            if reversed {
                members.reverse();
            }
            format!("{{{}}}", members.join(","))
        })
        .collect();
    format!("{{\"id\":\"J0001\",\"status\":\"Confirmed\",\"segments\":[{}]}}", segments.join(","))
}

fn rules(unordered: &[&str], ignore: &[&str], tolerance: f64) -> Rules {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Rules {
        unordered: patterns(unordered),
        ignore: patterns(ignore),
        tolerance,
        ..Rules::default()
    }
}

fn ordinary() -> Vec<Case> {
    let plain = Rules::default();
    let case = |name, rules: &Rules, control, candidate| Case {
        name,
        rules: rules.clone(),
        control,
        candidate,
    };
    let ignoring = rules(&["/segments"], &["/segments/*/price", "/updatedAt", "/meta/**/at"], 0.0);
    let large = 5_000;
    vec![
        case(
            "journey, members in another order",
            &plain,
            journey(4, false, "1"),
            journey(4, true, "1"),
        ),
        case("journey, prices differ", &plain, journey(4, false, "1"), journey(4, false, "2")),
        case(
            "journey, unordered, prices ignored",
            &ignoring,
            journey(4, false, "1"),
            journey(4, true, "2"),
        ),
        case(
            "large, members in another order",
            &plain,
            journey(large, false, "1"),
            journey(large, true, "1"),
        ),
        case(
            "large, unordered, prices ignored",
            &ignoring,
            journey(large, false, "1"),
            journey(large, true, "2"),
        ),
    ]
}

fn hostile() -> Vec<Case> {
    let everywhere = rules(&["/**"], &["/**/never", "/**/a/**/b"], 0.0);
    let near = rules(&["/**"], &[], 0.5);
    let half = MIB / 2;
    let numbers = |last: &str| format!("[{}{last}]", "1,".repeat(240_000));
    let empties = format!("[{}{{}}]", "{},".repeat(240_000));
    let names = |value: &str| {
        let members: Vec<_> = (0..50_000).rev().map(|i| format!("\"n{i:06}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let deep = |last: &str| {
        let open = format!("[{}", "1,".repeat(1_500)).repeat(120);
        format!("{open}{{\"never\":{last}}}{}", "]".repeat(120))
    };
    let alike = |last: &str| {
        let element = format!("{{\"a\":[{}1],\"z\":{last}}}", "1,".repeat(3_000));
        format!("[{}]", vec![element; 64].join(","))
    };
    let deep_texts = |last: &str| {
        let text = "x".repeat(8_000);
        let open = format!("[\"{text}\",").repeat(120);
        format!("{open}{{\"never\":{last}}}{}", "]".repeat(120))
    };
    let case = |name, rules: &Rules, control, candidate| Case {
        name,
        rules: rules.clone(),
        control,
        candidate,
    };
    let plain = Rules::default();
    vec![
        case("240,000 numbers, the last differs", &plain, numbers("1"), numbers("2")),
        case("240,000 numbers, unordered", &everywhere, numbers("1"), numbers("2")),
        case("240,000 objects against numbers", &plain, empties.clone(), numbers("1")),
        case("50,000 members, all differ", &plain, names("1"), names("2")),
        case("nested 120 deep, unordered, ignored at its end", &everywhere, deep("1"), deep("2")),
        case(
            "nested long texts, unordered, ignored at its end",
            &everywhere,
            deep_texts("1"),
            deep_texts("2"),
        ),
        case("64 elements that differ at their ends, tolerance", &near, alike("1"), alike("9")),
        case("a million brackets", &plain, "[".repeat(MIB), "]".repeat(MIB)),
        case(
            "escapes",
            &plain,
            format!("\"{}\"", "\\u00e9".repeat(half / 6)),
            format!("\"{}a\"", "\\u00e9".repeat(half / 6)),
        ),
        case("one long number, tolerance", &near, "1".repeat(MIB), "2".repeat(MIB)),
        case("2 MiB, not read", &plain, numbers("1").repeat(4), numbers("2").repeat(4)),
    ]
}
