//! `interlock flag …` and `interlock explain`: an operator's hands on the flags of a running sidecar.

mod render;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::clock;
use crate::domain::percent::Percent;

use super::admin::failure::{self, AdminError, WAIT};
use super::admin::{AdminArgs, get, print};
use super::client::{Call, Client};
use super::text::word;

/// Between two looks at whether all sidecars have applied a change, which takes them milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A sidecar that was not heard of for so long, in milliseconds, is not waited for: five beats.
const SILENT_MS: u64 = 5_000;

/// Between two looks at a transition that is under way.
const POLL: Duration = Duration::from_millis(500);

/// Reads and changes flags.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock flag list
  interlock flag set journey-updates 10% --reason \"first journeys\"
  interlock flag pin journey-updates journey:J0001 fixed --reason \"a test customer\"
  interlock flag kill journey-updates --reason \"latency doubled\"
  interlock flag history journey-updates --output json

A change takes effect for the next request, and stands in the flag's history with who made it and why. In a fleet a change
through one sidecar is everybody's; --wait returns when it is in force everywhere.
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(super) struct FlagArgs {
    #[command(subcommand)]
    command: FlagCommand,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Shows which path an entity takes, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock explain journey-updates journey:J0001
  interlock explain journey-updates journey:J0001 --output json

Prints the entity's hash and bucket, the flag's threshold, the path and the reason, as of which version of the flag.
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(super) struct ExplainArgs {
    /// The flag's name
    flag: String,
    /// The entity's key, such as journey:J0001
    entity: String,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
enum FlagCommand {
    /// Show all flags
    #[command(after_help = "\
Examples:
  interlock flag list
  interlock flag list --output json

Prints a line for each flag: its percentage, whether it is killed, its version, and who changed it last, when and why.")]
    List,
    /// Show one flag
    #[command(after_help = "\
Examples:
  interlock flag get journey-updates
  interlock flag get journey-updates --output json")]
    Get {
        /// The flag's name
        name: String,
    },
    /// Set the percentage of entities on the fixed path
    #[command(after_help = "\
Examples:
  interlock flag set journey-updates 10% --reason \"first journeys\"
  interlock flag set journey-updates 0.5 --reason \"half of one percent\" --wait
  interlock flag set journey-updates 0% --reason \"roll back\" --if-version 7

Raising it never moves an entity back to the legacy path, and lowering it moves none to the fixed one. While the flag is
killed the percentage is remembered, and takes effect with `interlock flag resume`.
With --if-version nothing changes where somebody else has changed the flag meanwhile.")]
    Set {
        /// The flag's name
        name: String,
        /// The percentage, such as 25% or 0.5
        percent: Percent,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Tie one entity to a path, whatever the percentage
    #[command(after_help = "\
Examples:
  interlock flag pin journey-updates journey:J0001 fixed --reason \"a test customer\"
  interlock flag pin journey-updates journey:J0001 legacy --reason \"a complaint\"
  interlock flag pin journey-updates journey:J0001 none --reason \"no longer\"

A pin wins over the percentage, and a kill wins over a pin. A flag has at most 1000 pins.")]
    Pin {
        /// The flag's name
        name: String,
        /// The entity's key, such as journey:J0001
        entity: String,
        /// The path; none lets the entity follow the percentage again
        path: PinTo,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Stop admission to the fixed path at once
    #[command(after_help = "\
Examples:
  interlock flag kill journey-updates --reason \"latency doubled\"
  interlock flag kill journey-updates --reason \"latency doubled\" --wait

Every entity takes the legacy path from the next request on, pinned ones too. The percentage and the pins are kept for
`interlock flag resume`. Calls that are already on the fixed path run to their end.")]
    Kill {
        /// The flag's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take a kill back
    #[command(after_help = "\
Examples:
  interlock flag resume journey-updates --reason \"it was something else\"

The percentage and the pins hold again as they were set. To begin lower, set the percentage first.")]
    Resume {
        /// The flag's name
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Show who changed a flag, when and why
    #[command(after_help = "\
Examples:
  interlock flag history journey-updates
  interlock flag history journey-updates --limit 100 --output json")]
    History {
        /// The flag's name
        name: String,
        /// How many changes to show, the latest first
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// Why, for the flag's history; every change needs one
    #[arg(long)]
    reason: Option<String>,
    /// Change only if the flag is still at this version
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Return only when the change is in force at every sidecar that the fleet has heard of lately
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PinTo {
    Legacy,
    Fixed,
    None,
}

/// Runs `interlock flag …`.
pub(super) async fn run(args: FlagArgs) -> ExitCode {
    let format = args.admin.output;
    failure::told(Box::pin(execute(args, &mut io::stdout())).await, format)
}

/// Runs `interlock explain`.
pub(super) async fn explain(args: ExplainArgs) -> ExitCode {
    let format = args.admin.output;
    failure::told(Box::pin(execute_explain(args, &mut io::stdout())).await, format)
}

async fn execute(args: FlagArgs, out: &mut impl Write) -> Result<(), AdminError> {
    let FlagArgs { command, admin } = args;
    let view = command.view();
    let name = command.flag().map(str::to_owned);
    let wait_for = name.clone().filter(|_| command.waits());
    let call = command.into_call()?;
    let client = admin.client()?;
    let mut answer = match client.call(call).await {
        Ok(answer) => answer,
        Err(error) => return Err(failure::explained(&client, name.as_deref(), error).await),
    };
    if let Some(name) = wait_for {
        answer = settled(&client, &name, answer).await?;
    }
    print(out, admin.output, view, &answer)
}

async fn execute_explain(args: ExplainArgs, out: &mut impl Write) -> Result<(), AdminError> {
    let ExplainArgs { flag, entity, admin } = args;
    let entity = utf8_percent_encode(&entity, NON_ALPHANUMERIC);
    let call = get(format!("{}/explain?entity={entity}", flag_target(&flag)));
    let client = admin.client()?;
    match client.call(call).await {
        Ok(answer) => print(out, admin.output, render::explanation, &answer),
        Err(error) => Err(failure::explained(&client, Some(&flag), error).await),
    }
}

/// Looks at a flag until its transition is over, and every sidecar that is there has applied it.
async fn settled(client: &Client, name: &str, mut flag: Value) -> Result<Value, AdminError> {
    let give_up = clock::now() + WAIT;
    while let Some(step) = under_way(&flag) {
        if clock::now() > give_up {
            return Err(AdminError::NotSettled { step });
        }
        sleep(POLL).await;
        flag = client.call(get(flag_target(name))).await?;
    }
    let version = flag.get("version").and_then(Value::as_u64).unwrap_or_default();
    loop {
        let fleet = client.call(get("/api/v1/fleet".to_owned())).await?;
        let behind = behind(&fleet, name, version);
        if behind.is_empty() {
            return Ok(flag);
        }
        if clock::now() > give_up {
            return Err(AdminError::NotEverywhere { behind });
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// The sidecars that have not applied a version of a flag. One that has fallen silent is told of by `interlock fleet`.
fn behind(fleet: &Value, name: &str, version: u64) -> Vec<String> {
    let sidecars = fleet.get("sidecars").and_then(Value::as_array);
    let there = sidecars.into_iter().flatten().filter(|sidecar| {
        sidecar.get("silent_ms").and_then(Value::as_u64).unwrap_or_default() < SILENT_MS
    });
    let has_not = |sidecar: &&Value| {
        let applied =
            sidecar.get("flags").and_then(|flags| flags.get(name)).and_then(Value::as_u64);
        // A sidecar that does not have the flag has nothing to apply.
        applied.is_some_and(|applied| applied < version)
    };
    there.filter(has_not).map(|sidecar| word(sidecar, "id")).collect()
}

fn under_way(flag: &Value) -> Option<String> {
    let step = flag.pointer("/transition/step").and_then(Value::as_str)?;
    (step != "settled").then(|| step.to_owned())
}

fn flag_target(name: &str) -> String {
    format!("/api/v1/flags/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

impl FlagCommand {
    fn view(&self) -> Box<dyn Fn(&Value) -> String> {
        match self {
            Self::List => Box::new(render::list),
            Self::Get { .. } => Box::new(render::flag),
            Self::History { .. } => Box::new(render::history),
            Self::Set { .. } => Box::new(render::set),
            Self::Pin { entity, path, .. } => {
                let (entity, path) = (entity.clone(), path.word());
                Box::new(move |flag| render::pinned(flag, &entity, path))
            }
            Self::Kill { .. } => Box::new(render::killed),
            Self::Resume { .. } => Box::new(render::resumed),
        }
    }

    fn flag(&self) -> Option<&str> {
        match self {
            Self::List => None,
            Self::Get { name }
            | Self::History { name, .. }
            | Self::Set { name, .. }
            | Self::Pin { name, .. }
            | Self::Kill { name, .. }
            | Self::Resume { name, .. } => Some(name),
        }
    }

    /// Whether the flag's transition has to be over before this command returns.
    fn waits(&self) -> bool {
        match self {
            Self::Set { change, .. }
            | Self::Pin { change, .. }
            | Self::Kill { change, .. }
            | Self::Resume { change, .. } => change.wait,
            Self::List | Self::Get { .. } | Self::History { .. } => false,
        }
    }

    fn into_call(self) -> Result<Call, AdminError> {
        match self {
            Self::List => Ok(get("/api/v1/flags".to_owned())),
            Self::Get { name } => Ok(get(flag_target(&name))),
            Self::History { name, limit } => {
                Ok(get(format!("{}/history?limit={limit}", flag_target(&name))))
            }
            Self::Set { name, percent, change } => {
                change.call(Method::PATCH, flag_target(&name), json!({"percent": percent.as_f64()}))
            }
            Self::Pin { name, entity, path, change } => {
                let body = json!({"pin": {"entity": entity, "path": path.word()}});
                change.call(Method::PATCH, flag_target(&name), body)
            }
            Self::Kill { name, change } => {
                change.call(Method::POST, flag_target(&name) + "/kill", json!({}))
            }
            Self::Resume { name, change } => {
                change.call(Method::POST, flag_target(&name) + "/resume", json!({}))
            }
        }
    }
}

impl PinTo {
    fn word(self) -> Option<&'static str> {
        match self {
            Self::Legacy => Some("legacy"),
            Self::Fixed => Some("fixed"),
            Self::None => None,
        }
    }
}

impl ChangeArgs {
    fn call(self, method: Method, target: String, mut body: Value) -> Result<Call, AdminError> {
        let reason = self.reason.filter(|reason| !reason.trim().is_empty());
        body["reason"] = Value::String(reason.ok_or(AdminError::NoReason)?);
        Ok(Call { method, target, if_version: self.if_version, body: Some(body) })
    }
}
