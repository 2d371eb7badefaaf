//! `interlock demo`: what it shows is what happened, and its exit code and last sentence say whether that proves anything.

use std::time::{Duration, Instant};

use interlock::demo::shared;
use serde_json::Value;

use crate::support::{Process, Redis, Run, interlock};

/// A script that is small and still loses updates.
const SMALL: [&str; 4] = ["--journeys", "4", "--rounds", "1"];

/// The percentages that the script steps through.
const STEPS: [f64; 5] = [0.0, 10.0, 50.0, 100.0, 0.0];

/// Updates in a step of the small script: 20 segments and the journey's own status, four journeys, one round.
const UPDATES: u64 = 84;

/// One line of the table, or of its JSON.
#[derive(Debug)]
struct Row {
    path: String,
    updates: u64,
    acknowledged: u64,
    lost: u64,
    failed: u64,
}

/// The rows of one percentage.
#[derive(Debug)]
struct Step {
    percent: f64,
    rows: Vec<Row>,
}

impl Step {
    fn row(&self, path: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.path == path)
    }
}

fn demo(arguments: &[&str]) -> Run {
    Run::of(interlock(&["demo", "--once"]).args(SMALL).args(arguments))
}

/// The steps of a table for people.
#[track_caller]
fn steps_of_table(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let lines = text.lines().skip_while(|line| !line.starts_with("percent")).skip(1);
    // Progress stands between the rows where an output is no terminal.
    let is_progress = |line: &&str| line.ends_with(" updates");
    for line in lines.take_while(|line| !line.is_empty()).filter(|line| !is_progress(line)) {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if let Some(percent) = words[0].strip_suffix('%') {
            steps.push(Step { percent: percent.parse().unwrap(), rows: Vec::new() });
            words.remove(0);
        }
        let number = |n: usize| words[n].parse().unwrap_or_else(|_| panic!("{n} in {line:?}"));
        steps.last_mut().expect("a percentage leads").rows.push(Row {
            path: words[0].to_owned(),
            updates: number(1),
            acknowledged: number(2),
            lost: number(3),
            failed: number(4),
        });
    }
    steps
}

#[track_caller]
fn steps_of_json(report: &Value) -> Vec<Step> {
    let row = |row: &Value| Row {
        path: row["path"].as_str().expect("a path").to_owned(),
        updates: row["updates"].as_u64().expect("updates"),
        acknowledged: row["acknowledged"].as_u64().expect("acknowledged"),
        lost: row["lost"].as_u64().expect("lost"),
        failed: row["failed"].as_u64().expect("failed"),
    };
    let step = |step: &Value| Step {
        percent: step["percent"].as_f64().expect("a percentage"),
        rows: step["rows"].as_array().expect("rows").iter().map(row).collect(),
    };
    report["steps"].as_array().expect("steps").iter().map(step).collect()
}

/// Updates are lost without the fixed path, and none with it.
#[track_caller]
fn assert_shows_the_point(steps: &[Step]) {
    let percents: Vec<f64> = steps.iter().map(|step| step.percent).collect();
    assert_eq!(percents, STEPS);
    for step in steps {
        let paths = step.rows.iter().filter(|row| row.path != "all");
        assert_eq!(paths.map(|row| row.updates).sum::<u64>(), UPDATES, "{step:?}");
        for row in &step.rows {
            assert_eq!((row.failed, row.acknowledged), (0, row.updates), "{step:?}");
        }
        assert!(step.row("fixed").is_none_or(|row| row.lost == 0), "{step:?}");
    }
    for zero in [&steps[0], &steps[4]] {
        assert!(zero.rows.len() == 1 && zero.row("legacy").unwrap().lost > 0, "{zero:?}");
    }
    assert!(steps[2].row("legacy").is_some() && steps[2].row("fixed").is_some(), "both at 50 %");
    assert!(steps[3].rows.len() == 1 && steps[3].row("fixed").is_some(), "{:?}", steps[3]);
}

/// The numbers of the sentence that tells what was proved: lost and acknowledged at 0 %.
fn sentence_of(steps: &[Step]) -> String {
    let zero = [&steps[0].rows[0], &steps[4].rows[0]];
    let sum = |of: fn(&Row) -> u64| zero.iter().map(|row| of(row)).sum::<u64>();
    let (lost, acknowledged) = (sum(|row| row.lost), sum(|row| row.acknowledged));
    format!(
        "Proved: the same unmodified service lost {lost} of {acknowledged} acknowledged updates at 0 %"
    )
}

#[test]
fn the_script_shows_losses_without_the_fixed_path_and_none_with_it() {
    let run = demo(&[]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    let steps = steps_of_table(&run.out);
    assert_shows_the_point(&steps);
    let last = run.out.trim_end().lines().last().unwrap();
    assert!(last.starts_with(&sentence_of(&steps)), "{last:?} after {steps:?}");
    assert!(last.contains(&format!("at 100 % all {UPDATES} were acknowledged and none was lost")));
}

#[test]
fn the_script_says_the_same_as_json() {
    let run = demo(&["--output", "json"]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    let report: Value = serde_json::from_str(&run.out).expect("one JSON object and nothing else");
    let steps = steps_of_json(&report);
    assert_shows_the_point(&steps);
    assert_eq!((&report["proved"], &report["documents"]), (&true.into(), &"in_process".into()));
    let sentence = report["sentence"].as_str().expect("a sentence");
    assert!(sentence.starts_with(&sentence_of(&steps)), "{sentence:?} after {steps:?}");
}

#[test]
fn two_replicas_are_not_protected_by_leases_in_each_and_the_script_says_so() {
    let run = demo(&["--replicas", "2"]);

    assert_eq!(run.code, Some(1), "{}", run.all);
    let full = &steps_of_table(&run.out)[3];
    let lost = full.row("fixed").unwrap().lost;
    assert!(lost > 0, "{full:?}");
    let last = run.out.trim_end().lines().last().unwrap();
    for part in [&format!("{lost} of {UPDATES}"), "protection is local", "one replica only"] {
        assert!(last.contains(part), "{part:?} in {last:?}");
    }
}

#[test]
fn the_script_proves_the_same_over_redis() {
    let redis = Redis::start();

    let run = demo(&["--redis", &redis.url(), "--output", "json"]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_shows_the_point(&steps_of_json(&report));
    assert_eq!(report["documents"], "redis");
    assert!(
        redis.get("journey:J0001").is_some_and(|text| text.contains("Departed")),
        "it was used"
    );
}

#[test]
fn several_replicas_that_share_a_redis_lose_nothing() {
    let redis = Redis::start();
    // What another run left decides nothing, and is none of this one's business.
    redis.set("interlock-demo-1:left", "behind");

    let run = demo(&["--redis", &redis.url(), "--replicas", "3"]);

    assert_eq!(run.code, Some(0), "{}", run.all);
    let steps = steps_of_table(&run.out);
    assert_shows_the_point(&steps);
    let intro = run.out.split("percent ").next().unwrap();
    for part in ["3 journey services", "flags and leases are in Redis", &redis.url()] {
        assert!(intro.contains(part), "{part:?} in {intro:?}");
    }
    let last = run.out.trim_end().lines().last().unwrap();
    assert!(last.starts_with(&sentence_of(&steps)), "{last:?} after {steps:?}");
    assert!(last.ends_with("The 3 sidecars shared their leases."), "{last:?}");
    assert_eq!(keys(&redis, "*interlock*"), ["interlock-demo-1:left"]);
}

#[test]
fn what_a_run_keeps_in_redis_is_deleted_and_nothing_else() {
    let redis = Redis::start();
    let run = shared::config(redis.url().parse().unwrap());
    let others = ["interlock:left", "{interlock-demo-1}:flags", "journey:J0001"];
    others.iter().for_each(|key| redis.set(key, "theirs"));
    for number in 0..3000 {
        redis.set(&format!("{}:lease:{{journey:{number}}}:fence", run.prefix), "1");
    }
    redis.set(&format!("{{{}}}:flags", run.prefix), "ours");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shared::clear(&run)).unwrap();

    let mut left = keys(&redis, "*");
    left.sort();
    assert_eq!(left, ["interlock:left", "journey:J0001", "{interlock-demo-1}:flags"]);
}

fn keys(redis: &Redis, pattern: &str) -> Vec<String> {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("KEYS").arg(pattern).query(&mut connection).unwrap()
}

#[test]
fn a_redis_that_is_none_is_bad_usage_and_shows_no_password() {
    let run = demo(&["--redis", "redis://app:hunter2@127.0.0.1:port"]);

    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("redis://app:***@127.0.0.1:port"), "{}", run.all);
    assert!(!run.all.contains("hunter2"), "{}", run.all);
}

#[test]
fn a_redis_that_is_not_there_is_named() {
    let port = crate::support::ReservedPort::new();

    let url = format!("redis://{}", port.address());

    let run = demo(&["--redis", &url]);

    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains(&url) && run.all.contains("leave out --redis"), "{}", run.all);
}

#[test]
fn an_interrupt_ends_the_script_promptly_and_nothing_is_claimed() {
    for signal in ["INT", "TERM"] {
        let mut command = interlock(&["demo", "--once", "--journeys", "4", "--rounds", "100"]);
        let mut process = Process::start(&mut command);
        process.wait_until("the script to begin", |process| process.output().contains("percent  "));

        let asked = Instant::now();
        process.signal(signal);
        let status = process.wait_for_exit();

        assert!(asked.elapsed() < Duration::from_secs(10), "{signal}: {:?}", asked.elapsed());
        assert_eq!(status.code(), Some(1), "{signal}: {}", process.output());
        let last = process.output().trim_end().lines().last().unwrap_or_default().to_owned();
        assert_eq!(last, "The script was cut short: it proves nothing.");
    }
}

#[test]
fn after_the_script_the_demo_goes_on_and_follows_the_command_that_it_suggests() {
    let mut process = Process::start(interlock(&["demo"]).args(SMALL));
    process.wait_until("the script to end", |process| process.output().contains("Still running"));
    let suggestion = |process: &Process| {
        let output = process.output();
        output.lines().map(str::trim).find(|line| line.contains("flag set")).map(str::to_owned)
    };
    process.wait_until("a suggestion", |process| suggestion(process).is_some());
    let suggestion = suggestion(&process).unwrap();

    // No argument of it but the reason has a space inside.
    let words = suggestion.replace("\"try it\"", "tried");
    let mut words = words.split_whitespace();
    assert_eq!(words.next(), Some("interlock"));
    let flip = Run::of(&mut interlock(&words.collect::<Vec<_>>()));
    assert_eq!(flip.code, Some(0), "{suggestion}: {}", flip.all);

    process.wait_until("a round at 100 %, all on the fixed path", |process| {
        let output = process.output();
        let whole_lines = output.rsplit_once('\n').unwrap_or_default().0;
        let after = whole_lines.split("Still running").nth(1).unwrap_or_default();
        let rounds = steps_of_table(after);
        rounds.iter().any(|round| {
            let fixed = round.row("fixed").filter(|_| round.percent == 100.0);
            fixed.is_some_and(|row| (row.updates, row.lost, row.failed) == (UPDATES, 0, 0))
        })
    });
    process.signal("INT");
    assert_eq!(process.wait_for_exit().code(), Some(0), "{}", process.output());
}
