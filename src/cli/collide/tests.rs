//! What is taken and what is refused, and that the two columns agree.

use clap::Parser;
use serde_json::Value;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: CollideArgs,
}

fn parse(words: &str) -> Result<CollideArgs, clap::Error> {
    let words = std::iter::once("collide").chain(words.split_whitespace());
    Command::try_parse_from(words).map(|command| command.args)
}

fn shown(words: &str) -> String {
    let args = parse(words).unwrap();
    let format = args.output;
    let mut screen = Screen::new(Vec::new(), false);
    render::answer(&answer(args, &mut Progress::new(&mut screen)).unwrap(), format)
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name_with_value_and_remedy() {
    let check = |words: &str, parts: [&str; 3]| {
        let error = parse(words).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{words}: {error}");
        }
    };

    check("--concurrency 0 --window 10ms", ["--concurrency", "'0'", "1..=1000"]);
    check("--concurrency 1001 --window 10ms", ["--concurrency", "'1001'", "1..=1000"]);
    check("--concurrency 2 --window 0ms", ["--window", "'0ms'", "above 0, such as 10ms"]);
    check("--concurrency 2 --window 10", ["--window", "'10'", "a duration such as 10ms"]);
    check("--concurrency 2 --window 11s", ["--window", "'11s'", "longer than 10 s"]);
    check("--concurrency 2 --window 1s --spread 11s", ["--spread", "'11s'", "longer than 10 s"]);
    for rate in ["0", "-1", "NaN", "inf", "many"] {
        let words = format!("--concurrency 2 --window 1s --rate={rate}");
        check(&words, ["--rate", rate, "a number above 0"]);
    }
    for skew in ["-1", "NaN", "11"] {
        let words = format!("--concurrency 2 --window 1s --skew={skew}");
        check(&words, ["--skew", skew, "from 0 to 10"]);
    }
    check("--concurrency 2 --window 1s --entities 0", ["--entities", "'0'", "1..=100000"]);
    check("--concurrency 2 --window 1s --trials 99", ["--trials", "'99'", "100..=10000000"]);
}

#[test]
fn what_is_too_much_together_is_refused() {
    let check = |words: &str, part: &str| {
        let error = together(&parse(words).unwrap()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("lower one of them"), "{error}");
    };

    check("--concurrency 2 --window 10s --rate 11", "--rate 11 with --window 10s: 110 updates");
    check("--concurrency 1000 --window 1s --trials 1000000", "--trials 1000000 with");
    assert!(together(&parse("--concurrency 1000 --window 10s --rate 10").unwrap()).is_ok());
}

#[test]
fn the_simulation_stands_beside_the_model_and_agrees() {
    let words = "--concurrency 12 --window 10ms --spread 60ms --entities 4 --skew 1 --rate 300 \
                 --trials 4000 --output json";

    let answer: Value = serde_json::from_str(&shown(words)).unwrap();

    for (part, key) in [
        ("burst", "collision_probability"),
        ("burst", "lost"),
        ("burst", "overwritten"),
        ("stream", "lost_share"),
        ("stream", "overwritten_share"),
    ] {
        let number = |what: &str| answer[part][key][what].as_f64().unwrap();
        let off = (number("model") - number("simulated")).abs();
        assert!(off <= 4.0 * number("standard_error") + 2e-3, "{key}: {answer}");
        assert!(number("model") > 0.01, "{key}: {answer}");
    }
    assert_eq!(answer["stream"]["in_flight"], 3.0);
}

#[test]
fn the_same_seed_gives_the_same_answer_and_another_one_another() {
    let ask = |seed: u8| {
        shown(&format!("--concurrency 5 --window 10ms --spread 90ms --trials 200 --seed {seed}"))
    };

    assert_eq!(ask(7), ask(7));
    assert_ne!(ask(7).replace("seed 7", ""), ask(8).replace("seed 8", ""));
}

#[test]
fn the_formulas_are_told_and_those_of_a_stream_where_there_is_one() {
    let burst = shown("--concurrency 20 --window 10ms --trials 100");
    let stream = shown("--concurrency 20 --window 10ms --trials 100 --rate 50");

    assert!(burst.contains("updates lost                19.0000  19.0000 ± 0.0000"), "{burst}");
    assert!(burst.contains("Binomial(N, p (1 - (k-1) w)) >= k"), "{burst}");
    assert!(!burst.contains("x / (1 + x)") && stream.contains("x / (1 + x)"), "{stream}");
    assert!(stream.contains("share of updates lost             0.3333"), "{stream}");
    assert!(stream.contains("lost a second: 16.6667"), "{stream}");
}

#[test]
fn progress_is_shown_on_a_terminal_once_it_takes_long() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, true);
    let mut progress = Progress::new(&mut screen);
    progress.show("bursts", 1).unwrap();
    progress.since -= PATIENCE;
    progress.show("bursts", 7).unwrap();
    screen.clear().unwrap();

    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("simulating bursts: 35 %") && !shown.contains(": 5 %"), "{shown:?}");
    assert!(shown.ends_with('\r'), "{shown:?}");
}

#[test]
fn parts_make_the_whole() {
    for whole in [100, 119, 20_000] {
        let sum: u32 = (0..PARTS).map(|part| size_of_part(whole, part)).sum();
        assert_eq!(sum, whole);
    }
}
