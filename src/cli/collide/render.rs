//! The answer of `interlock collide`, for people and for scripts.

use serde_json::{Value, json};

use super::super::Output;
use super::super::text::table;
use super::{Answer, Estimate};

/// How a burst is reckoned; w = window / spread.
const OF_BURST: &str = "\
formulas, with w = window / spread (all at once: one update of each entity survives) and p = an entity's share:
  survivors of an entity  sum over k of P(Binomial(N, p (1 - (k-1) w)) >= k); lost is N less those of all entities
  overwritten             one entity: (N - 1) (1 - (1 - w)^N)
  collision               one entity: 1 - (1 - (N-1) w)^N
";

const OF_STREAM: &str = "\
formulas, with x = rate * p * window, the updates of an entity in flight on average:
  lost                    x / (1 + x)
  overwritten             1 - exp(-x)
";

/// The whole answer.
pub(super) fn answer(answer: &Answer, format: Output) -> String {
    match format {
        Output::Text => text(answer),
        Output::Json => format!("{}\n", json(answer)),
    }
}

fn text(answer: &Answer) -> String {
    let args = &answer.args;
    let entities = match (args.entities, args.skew) {
        (1, _) => "one entity".to_owned(),
        (entities, 0.0) => format!("{entities} entities, all alike"),
        (entities, skew) => format!("{entities} entities with a skew of {skew}"),
    };
    let begin = match answer.burst.spread.is_zero() {
        true => "at once".to_owned(),
        false => format!("within {:?}", args.spread),
    };
    let simulated = format!("SIMULATED ({} trials, seed {})", args.trials, args.seed);
    let head = ["", "MODEL", &simulated];
    let (of_burst, played) = (&answer.of_burst, &answer.played);
    let mut shown = format!(
        "A burst: {} updates begin {begin}, each with a window of {:?}, of {entities}\n",
        args.concurrency, args.window
    );
    shown += &table(
        &head,
        &[
            row("probability of a collision", of_burst.collision, &played.collision),
            row("updates lost", of_burst.lost, &played.lost),
            row("updates overwritten", of_burst.overwritten, &played.overwritten),
        ],
    );
    shown += OF_BURST;
    if let Some((stream, outlook, played)) = &answer.of_stream {
        shown += &format!(
            "\nA stream: {} updates a second at random moments, {:.4} in flight on average\n",
            stream.rate,
            stream.in_flight()
        );
        shown += &table(
            &head,
            &[
                row("share of updates lost", outlook.lost, &played.lost),
                row("share of updates overwritten", outlook.overwritten, &played.overwritten),
                vec!["share lost of the hottest entity".to_owned(), number(outlook.hottest)],
            ],
        );
        shown += &format!("lost a second: {}\n", number(stream.rate * outlook.lost));
        shown += OF_STREAM;
    }
    shown
}

fn row(what: &str, model: f64, simulated: &Estimate) -> Vec<String> {
    let simulated = format!("{} ± {}", number(simulated.mean()), number(2.0 * simulated.error()));
    vec![what.to_owned(), number(model), simulated]
}

/// Four digits, or more where it is small.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.01 { format!("{value:.4}") } else { format!("{value:.2e}") }
}

fn json(answer: &Answer) -> Value {
    let args = &answer.args;
    let (of_burst, played) = (&answer.of_burst, &answer.played);
    let stream = answer.of_stream.as_ref().map(|(stream, outlook, played)| {
        json!({
            "rate": stream.rate,
            "in_flight": stream.in_flight(),
            "lost_share": both(outlook.lost, &played.lost),
            "overwritten_share": both(outlook.overwritten, &played.overwritten),
            "hottest_lost_share": outlook.hottest,
            "lost_per_second": stream.rate * outlook.lost,
        })
    });
    json!({
        "concurrency": args.concurrency,
        "window_ms": args.window.as_secs_f64() * 1e3,
        "spread_ms": args.spread.as_secs_f64() * 1e3,
        "entities": args.entities,
        "skew": args.skew,
        "trials": args.trials,
        "seed": args.seed,
        "burst": {
            "collision_probability": both(of_burst.collision, &played.collision),
            "lost": both(of_burst.lost, &played.lost),
            "overwritten": both(of_burst.overwritten, &played.overwritten),
        },
        "stream": stream,
    })
}

fn both(model: f64, simulated: &Estimate) -> Value {
    json!({ "model": model, "simulated": simulated.mean(), "standard_error": simulated.error() })
}
