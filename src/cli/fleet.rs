//! `interlock fleet`: the sidecars, and which of them have applied what.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::admin::failure::{self, AdminError};
use super::admin::{AdminArgs, get, print};
use super::client::Call;
use super::text::{one_line, rows, table, word};

/// Shows the sidecars of the fleet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock fleet
  interlock fleet --output json
  interlock fleet --admin http://10.0.0.7:9901 --token-file ann.token
  interlock fleet forget pod-06cf7c --reason \"node 7 is dead, its pods are deleted\"

Prints a line for each sidecar that is registered in the store: its build, since when it is up, how long ago it was heard of,
how its leases are, and the version of each flag that it has applied. One that lacks a version which another has is behind. One
that was not heard of for 3 s is silent, and flips wait for it: see `interlock help fleet forget`.
The sidecar that answers is marked with a star. Without a store it is the only one. While the store is gone it shows the picture that
it had last, and says so.
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(super) struct FleetArgs {
    #[command(subcommand)]
    command: Option<FleetCommand>,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
enum FleetCommand {
    /// Take a sidecar off the list that is gone for good
    #[command(after_help = "\
Examples:
  interlock fleet forget pod-06cf7c --reason \"node 7 is dead, its pods are deleted\"

A sidecar that ends in good order takes itself off. One that crashed stays, and every flip waits for it, as nobody can tell whether
it still sends calls. Forget it when you know that it does not: its pod is deleted or its node is dead, and the time has passed
in which one of its calls may still write (legacy.timeout and legacy.settle_after_timeout). Flips then go on by themselves, and
nothing is exposed.
One that is still there and cut off must not be forgotten: it may send calls by rules that are no longer in force. One that was
heard of within 3 s is refused. If it was forgotten by mistake, it joins again as soon as it reaches the store.")]
    Forget {
        /// The sidecar's id, as `interlock fleet` lists it
        id: String,
        /// Why, for the audit log; needed
        #[arg(long)]
        reason: Option<String>,
    },
}

impl FleetCommand {
    fn into_call(self) -> Result<Call, AdminError> {
        let Self::Forget { id, reason } = self;
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        let reason = reason.ok_or(AdminError::NoReason)?;
        Ok(Call {
            method: Method::POST,
            target: format!("/api/v1/fleet/{}/forget", utf8_percent_encode(&id, NON_ALPHANUMERIC)),
            if_version: None,
            body: Some(json!({"reason": reason})),
        })
    }
}

/// Runs `interlock fleet`.
pub(super) async fn run(args: FleetArgs) -> ExitCode {
    let format = args.admin.output;
    failure::told(Box::pin(execute(args, &mut io::stdout())).await, format)
}

async fn execute(args: FleetArgs, out: &mut impl Write) -> Result<(), AdminError> {
    let call = match args.command {
        Some(command) => command.into_call()?,
        None => get("/api/v1/fleet".to_owned()),
    };
    let client = args.admin.client()?;
    match client.call(call).await {
        Ok(answer) => print(out, args.admin.output, view, &answer),
        Err(error) => Err(failure::explained(&client, None, error).await),
    }
}

fn view(answer: &Value) -> String {
    let latest = latest_versions(answer);
    let head = ["SIDECAR", "BUILD", "UP SINCE", "HEARD OF", "LEASES", "STATE", "FLAGS"];
    let rows = rows(answer, "sidecars", |sidecar| {
        let star = if sidecar.get("this") == Some(&Value::Bool(true)) { " *" } else { "" };
        vec![
            word(sidecar, "id") + star,
            word(sidecar, "build"),
            word(sidecar, "started_at"),
            ago(sidecar),
            word(sidecar, "leases"),
            state(sidecar, &latest),
            applied(sidecar),
        ]
    });
    let as_of = match (answer.get("at"), has_lost_the_store(answer)) {
        (Some(Value::Null), _) => {
            "not known: the store has not been reached since this sidecar started".to_owned()
        }
        (_, true) => format!("as of {}; the store can't be asked since", word(answer, "at")),
        (_, false) => format!("as of {}", word(answer, "at")),
    };
    table(&head, &rows) + &as_of + "\n"
}

/// Whether the sidecar that answers shows the last picture that it had.
fn has_lost_the_store(answer: &Value) -> bool {
    let sidecars = answer.get("sidecars").and_then(Value::as_array);
    let mut this =
        sidecars.into_iter().flatten().filter(|it| it.get("this") == Some(&Value::Bool(true)));
    this.any(|it| word(it, "leases") == "lost")
}

/// The flags of a sidecar and the versions that it has applied.
fn versions(sidecar: &Value) -> impl Iterator<Item = (&String, u64)> {
    let flags = sidecar.get("flags").and_then(Value::as_object);
    flags.into_iter().flatten().map(|(name, version)| (name, version.as_u64().unwrap_or_default()))
}

/// The latest version of each flag that any sidecar has applied.
fn latest_versions(answer: &Value) -> BTreeMap<&String, u64> {
    let sidecars = answer.get("sidecars").and_then(Value::as_array);
    let mut latest = BTreeMap::new();
    for (flag, version) in sidecars.into_iter().flatten().flat_map(versions) {
        let known: &mut u64 = latest.entry(flag).or_default();
        *known = (*known).max(version);
    }
    latest
}

fn state(sidecar: &Value, latest: &BTreeMap<&String, u64>) -> String {
    let behind: Vec<String> = versions(sidecar)
        .filter(|(flag, version)| latest.get(flag).is_some_and(|latest| version < latest))
        .map(|(flag, _)| one_line(flag))
        .collect();
    // Of one that was put back after the store had forgotten it nothing is known but its id.
    let is_known = sidecar.get("started_at").is_none_or(|at| !at.is_null());
    match (is_known, behind.is_empty()) {
        (false, _) => "unknown".to_owned(),
        (true, true) => "in step".to_owned(),
        (true, false) => format!("behind: {}", behind.join(", ")),
    }
}

fn applied(sidecar: &Value) -> String {
    let shown: Vec<String> =
        versions(sidecar).map(|(flag, version)| format!("{} {version}", one_line(flag))).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

fn ago(sidecar: &Value) -> String {
    match sidecar.get("silent_ms").and_then(Value::as_u64) {
        None => "-".to_owned(),
        Some(ms) => format!("{}.{} s ago", ms / 1000, ms % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sidecar(id: &str, this: bool, version: u64) -> Value {
        json!({"id": id, "this": this, "build": "0.1.0", "started_at": "then", "silent_ms": 1250,
               "leases": "open", "flags": {"journey-updates": version, "seats": 1},
               "in_step": version == 3})
    }

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: FleetArgs,
    }

    #[test]
    fn to_forget_a_sidecar_is_a_call_with_a_reason() {
        let call = |typed: &[&str]| {
            let typed = <Typed as clap::Parser>::parse_from([&["fleet"], typed].concat());
            typed.args.command.unwrap().into_call()
        };

        let forget = call(&["forget", "pod-1/x", "--reason", "gone"]).unwrap();

        assert_eq!((forget.method, forget.if_version), (Method::POST, None));
        assert_eq!(forget.target, "/api/v1/fleet/pod%2D1%2Fx/forget");
        assert_eq!(forget.body, Some(json!({"reason": "gone"})));
        for typed in [&["forget", "pod-1"][..], &["forget", "pod-1", "--reason", " "]] {
            assert!(matches!(call(typed), Err(AdminError::NoReason)));
        }
    }

    #[test]
    fn who_is_behind_is_said_and_at_what() {
        let answer =
            json!({"sidecars": [sidecar("a", true, 3), sidecar("b", false, 2)], "at": "now"});

        let shown = view(&answer);

        let lines: Vec<&str> = shown.lines().collect();
        let line = "a *      0.1.0  then      1.2 s ago  open    in step                  journey-updates 3, seats 1";
        assert_eq!(lines[1], line, "{shown}");
        assert!(lines[2].contains("behind: journey-updates  journey-updates 2"), "{shown}");
        assert_eq!(lines[3], "as of now");
    }

    #[test]
    fn a_picture_from_before_an_outage_says_so() {
        let mut this = sidecar("a", true, 3);
        this["leases"] = json!("lost");
        let other = sidecar("b", false, 3);

        let shown = view(&json!({"sidecars": [this, other], "at": "then"}));

        assert!(shown.ends_with("as of then; the store can't be asked since\n"), "{shown}");
    }

    #[test]
    fn before_the_store_was_reached_there_is_no_picture() {
        let shown = view(&json!({"sidecars": [], "at": null}));

        let said = "not known: the store has not been reached since this sidecar started\n";
        assert!(shown.ends_with(said), "{shown}");
    }

    #[test]
    fn that_another_one_has_lost_the_store_is_no_reason_to_doubt() {
        let mut other = sidecar("b", false, 3);
        other["leases"] = json!("lost");

        let shown = view(&json!({"sidecars": [sidecar("a", true, 3), other], "at": "now"}));

        assert!(shown.ends_with("as of now\n"), "{shown}");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        let mut evil = sidecar("\u{1b}[2J", false, 3);
        evil["flags"] = json!({"\u{1b}[2J": 1});

        let shown = view(&json!({"sidecars": [evil], "at": "\n"}));

        assert!(!shown.contains('\u{1b}') && shown.lines().count() == 3, "{shown:?}");
    }
}
