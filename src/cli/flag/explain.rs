//! `interlock explain`: which path an entity takes, and why.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::flag_target;
use super::render::percent;
use crate::cli::admin::failure::{self, AdminError};
use crate::cli::admin::{AdminArgs, get, print};
use crate::cli::text::{pairs, word};

/// Shows which path an entity takes, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock explain journey-updates journey:J0001
  interlock explain journey-updates journey:J0001 --output json

Prints a sentence, and the facts behind it: the entity's hash and bucket, the flag's threshold, what an update of the entity
does at present (legacy, guarded, guarded_fixed or fixed), the path, the protection that it has, and as of which version and
step of the flag. While a flip is under way, buckets below `fixed below` have arrived on the fixed path, those from
`legacy from` on are on the legacy path, and those between hold their leases.
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(in crate::cli) struct ExplainArgs {
    /// The flag's name
    flag: String,
    /// The entity's key, such as journey:J0001
    entity: String,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Runs `interlock explain`.
pub(in crate::cli) async fn explain(args: ExplainArgs) -> ExitCode {
    let format = args.admin.output;
    failure::told(Box::pin(execute(args, &mut io::stdout())).await, format)
}

pub(super) async fn execute(args: ExplainArgs, out: &mut impl Write) -> Result<(), AdminError> {
    let ExplainArgs { flag, entity, admin } = args;
    let entity = utf8_percent_encode(&entity, NON_ALPHANUMERIC);
    let call = get(format!("{}/explain?entity={entity}", flag_target(&flag)));
    let client = admin.client()?;
    match client.call(call).await {
        Ok(answer) => print(out, admin.output, explanation, &answer),
        Err(error) => Err(failure::explained(&client, Some(&flag), error).await),
    }
}

fn explanation(answer: &Value) -> String {
    let facts = [
        ("flag", word(answer, "flag")),
        ("version", word(answer, "version")),
        ("step", word(answer, "step")),
        ("percent", percent(answer, "percent")),
        ("hash", word(answer, "hash")),
        ("bucket", word(answer, "bucket")),
        ("threshold", word(answer, "threshold")),
        ("fixed below", word(answer, "fixed_below")),
        ("legacy from", word(answer, "legacy_from")),
        ("state", state(answer)),
        ("path", word(answer, "path")),
        ("protection", word(answer, "protection")),
        ("reason", word(answer, "reason")),
        ("flags are", word(answer, "freshness")),
        ("bucketing", word(answer, "bucketing")),
    ];
    sentence(answer) + &pairs(&facts)
}

/// The word, and the letter that the documentation has for it.
fn state(answer: &Value) -> String {
    let word = word(answer, "state");
    let letter = match word.as_str() {
        "legacy" => " (L)",
        "guarded" => " (G)",
        "guarded_fixed" => " (F')",
        "fixed" => " (F)",
        _ => "",
    };
    word + letter
}

fn sentence(answer: &Value) -> String {
    let (entity, path, goes_to) = (word(answer, "entity"), word(answer, "path"), goes_to(answer));
    let holds_lease = matches!(word(answer, "state").as_str(), "guarded" | "guarded_fixed");
    let meanwhile = match (holds_lease, path == goes_to) {
        (false, true) => String::new(),
        (false, false) => format!(" until its turn comes to move to the {goes_to} path"),
        (true, true) => " and holds its lease until the flip is over".to_owned(),
        (true, false) => format!(" and holds its lease on its way to the {goes_to} path"),
    };
    format!("{entity} takes the {path} path{meanwhile}: {}\n", because(answer))
}

/// The path that it takes once all is settled.
fn goes_to(answer: &Value) -> String {
    let number = |key| answer.get(key).and_then(Value::as_u64).unwrap_or_default();
    let pinned = answer.get("pinned").and_then(Value::as_str);
    if answer.get("killed") == Some(&Value::Bool(true)) {
        "legacy".to_owned()
    } else if pinned.is_some() {
        word(answer, "pinned")
    } else if number("bucket") < number("threshold") {
        "fixed".to_owned()
    } else {
        "legacy".to_owned()
    }
}

fn because(answer: &Value) -> String {
    match word(answer, "reason").as_str() {
        "killed" => "the flag is killed".to_owned(),
        "pinned" => "it is pinned".to_owned(),
        "static" => format!("the flag is at {}", percent(answer, "percent")),
        _ => {
            let side = if goes_to(answer) == "fixed" { "below" } else { "not below" };
            let (bucket, threshold) = (word(answer, "bucket"), word(answer, "threshold"));
            format!("its bucket {bucket} is {side} the threshold {threshold}")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The explanation of bucket 12 of a flag, in part.
    fn told(state: &str, path: &str, threshold: u64, reason: &str) -> String {
        let answer = json!({"entity": "journey:7", "path": path, "state": state, "reason": reason,
                            "bucket": 12, "threshold": threshold, "percent": 25, "step": 1,
                            "killed": reason == "killed", "pinned": null,
                            "fixed_below": 0, "legacy_from": 2500, "protection": "guarded"});
        explanation(&answer)
    }

    #[test]
    fn an_explanation_is_a_sentence_with_its_facts() {
        let shown = told("fixed", "fixed", 2500, "split");

        let sentence =
            "journey:7 takes the fixed path: its bucket 12 is below the threshold 2500\n";
        assert!(shown.starts_with(sentence), "{shown}");
        for line in ["step         1\n", "fixed below  0\n", "legacy from  2500\n"] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }

    #[test]
    fn what_an_entity_does_while_it_moves_is_said() {
        let check = |state, path, threshold, reason, expected: &str| {
            let shown = told(state, path, threshold, reason);
            assert_eq!(shown.lines().next(), Some(expected));
        };

        let below = "its bucket 12 is below the threshold 2500";
        let to_fixed =
            "journey:7 takes the legacy path and holds its lease on its way to the fixed path";
        check("guarded", "legacy", 2500, "split", &format!("{to_fixed}: {below}"));
        let there = "journey:7 takes the fixed path and holds its lease until the flip is over";
        check("guarded_fixed", "fixed", 2500, "split", &format!("{there}: {below}"));
        let back =
            "journey:7 takes the fixed path and holds its lease on its way to the legacy path";
        let above = "its bucket 12 is not below the threshold 10";
        check("guarded_fixed", "fixed", 10, "split", &format!("{back}: {above}"));
        let killed = "journey:7 takes the legacy path and holds its lease until the flip is over";
        check("guarded", "legacy", 2500, "killed", &format!("{killed}: the flag is killed"));
        let later =
            "journey:7 takes the legacy path until its turn comes to move to the fixed path";
        check("legacy", "legacy", 2500, "split", &format!("{later}: {below}"));
    }

    #[test]
    fn a_state_has_its_letter() {
        let check = |state: &str, expected: &str| {
            let shown = told(state, "legacy", 0, "split");
            assert!(shown.contains(&format!("state        {expected}\n")), "{shown}");
        };

        check("legacy", "legacy (L)");
        check("guarded", "guarded (G)");
        check("guarded_fixed", "guarded_fixed (F')");
        check("fixed", "fixed (F)");
    }
}
