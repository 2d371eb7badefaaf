//! `interlock flag …` and `interlock explain`: an operator's hands on the flags of a running sidecar.

mod explain;
mod export;
mod moving;
mod render;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::domain::percent::Percent;

use super::admin::failure::{self, AdminError};
use super::admin::{AdminArgs, get, print};
use super::client::Call;

pub(super) use explain::{ExplainArgs, explain};

/// Reads and changes flags.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock flag list
  interlock flag set journey-updates 10% --reason \"first journeys\"
  interlock flag pin journey-updates journey:J0001 fixed --reason \"a test customer\"
  interlock flag kill journey-updates --reason \"latency doubled\"
  interlock flag history journey-updates --output json

A change stands in the flag's history with who made it and why, and in a fleet a change through one sidecar is everybody's.
An entity that changes its path holds its lease on the way, until no call from before can still write: the flip is guarding, with
strategy upstream then switching, and then settled. That takes milliseconds, unless a call runs long or a sidecar is silent. A
command that changes a flag says whom the flip waits for; with --wait it returns when the flip is settled everywhere.
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(super) struct FlagArgs {
    #[command(subcommand)]
    command: FlagCommand,
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

Prints a line for each flag: its percentage, how far a flip of it has come and whom it waits for, whether it is killed, its
version, and who changed it last, when and why.")]
    List,
    /// Show one flag
    #[command(after_help = "\
Examples:
  interlock flag get journey-updates
  interlock flag get journey-updates --output json

While a flip is under way it shows since when, and each sidecar that is waited for, with the reason.")]
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
  interlock flag set journey-updates 0% --reason \"roll back, a node is dead\" --force --wait

Raising it never moves an entity back to the legacy path, and lowering it moves none to the fixed one. While the flag is
killed the percentage is remembered, and takes effect with `interlock flag resume`.
With --if-version nothing changes where somebody else has changed the flag meanwhile. --force is `interlock flag force` at once,
where the flip does not settle by itself: read what that costs before you use it.")]
    Set {
        /// The flag's name
        name: String,
        /// The percentage, such as 25% or 0.5
        percent: Percent,
        /// Go on without silent sidecars, where the flip is not settled at once
        #[arg(long)]
        force: bool,
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
`interlock flag resume`. Calls that are already on the fixed path run to their end, and those that changed their path hold their
lease until no such call is left.
With strategy upstream an update that was at the fixed app at that moment may be undone by a legacy call, and is reported as
exposed; `interlock flag set NAME 0%` loses nothing, and stops admission some calls later.")]
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
    /// Let a flip go on without sidecars that are silent
    #[command(after_help = "\
Examples:
  interlock flag force journey-updates --reason \"node 7 does not answer, and this can't wait\"
  interlock flag force journey-updates --reason \"node 7 does not answer, and this can't wait\" --wait

A flip waits for every sidecar of the fleet: one that is not heard of may still send calls by the rules from before. `interlock
flag get` tells whom it waits for, and `interlock fleet` who is silent, and for how long.
A pod that is frozen or cut off: thaw it, bring its network back or delete it, and the flip goes on by itself. One that is gone for
good, when its longest call has ended: `interlock fleet forget`, and nothing is exposed. Force the flip when it can't wait for
either.
The flip under way then goes on without the sidecars that are silent. It waits for those that are heard of as before. If one
that was left out still writes, an update may be lost to it: until it is back or forgotten, updates of the flag are reported as
exposed, for the reason silent_sidecar. Of a flag that is settled only the version
changes.")]
    Force {
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
    /// Print flags as another system's definitions
    #[command(after_help = "\
Examples:
  interlock flag export
  interlock flag export journey-updates --format flagd

Prints flag definitions for flagd: variants legacy and fixed, with the entity's key as targetingKey. An evaluator of flagd's
fractional operator that hashes the bucketing key as it is (fractional-v2) gives each entity the path that `interlock explain`
tells once all is settled. One that hashes its CBOR encoding (fractional-v3) splits otherwise.
A killed flag is DISABLED, which flagd answers with the caller's own default: let that be legacy. While a flip is under way the
definition is what holds when it is settled, which is said on stderr.")]
    Export {
        /// The flag's name; all flags without it
        name: Option<String>,
        /// Whose definitions
        #[arg(long, value_enum, default_value_t)]
        format: ExportFormat,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// flagd, version 0 of its schema
    #[default]
    Flagd,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// Why, for the flag's history; every change needs one
    #[arg(long)]
    reason: Option<String>,
    /// Change only if the flag is still at this version
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Return only when the flip is settled, and in force at every sidecar that is heard of; tells on stderr whom it waits for
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
    let done = Box::pin(execute(args, &mut io::stdout(), &mut io::stderr())).await;
    failure::told(done, format)
}

/// `notes` is what a person reads who waits.
async fn execute(
    args: FlagArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), AdminError> {
    let FlagArgs { command, admin } = args;
    let (view, name) = (command.view(), command.flag().map(str::to_owned));
    let (waits, exports) = (command.waits(), matches!(command, FlagCommand::Export { .. }));
    let reason_to_force = command.reason_to_force();
    let call = command.into_call()?;
    let client = admin.client()?;
    let mut answer = match client.call(call).await {
        Ok(answer) => answer,
        Err(error) => return Err(failure::explained(&client, name.as_deref(), error).await),
    };
    if let Some(name) = &name {
        if let Some(reason) = reason_to_force
            && moving::step(&answer).is_some()
        {
            answer = client.call(force(name, &reason, &answer)).await?;
        }
        if waits {
            answer = moving::settled(&client, name, answer, notes).await?;
        }
    }
    if exports {
        answer = export::flagd(&answer, notes)?;
    }
    print(out, admin.output, view, &answer)
}

/// The call that forces what another one has begun, unless somebody has changed the flag since.
fn force(name: &str, reason: &str, begun: &Value) -> Call {
    Call {
        method: Method::POST,
        target: flag_target(name) + "/force",
        if_version: begun.get("version").and_then(Value::as_u64),
        body: Some(json!({"reason": reason})),
    }
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
            Self::Force { .. } => Box::new(render::forced),
            Self::Export { .. } => Box::new(|definitions| format!("{definitions:#}\n")),
        }
    }

    fn flag(&self) -> Option<&str> {
        match self {
            Self::List => None,
            Self::Export { name, .. } => name.as_deref(),
            Self::Get { name }
            | Self::History { name, .. }
            | Self::Set { name, .. }
            | Self::Pin { name, .. }
            | Self::Kill { name, .. }
            | Self::Resume { name, .. }
            | Self::Force { name, .. } => Some(name),
        }
    }

    /// Whether the flag's transition has to be over before this command returns.
    fn waits(&self) -> bool {
        match self {
            Self::Set { change, .. }
            | Self::Pin { change, .. }
            | Self::Kill { change, .. }
            | Self::Resume { change, .. }
            | Self::Force { change, .. } => change.wait,
            Self::List | Self::Get { .. } | Self::History { .. } | Self::Export { .. } => false,
        }
    }

    /// Where it is to force the flip that it begins.
    fn reason_to_force(&self) -> Option<String> {
        match self {
            Self::Set { change, force: true, .. } => change.reason.clone(),
            _ => None,
        }
    }

    fn into_call(self) -> Result<Call, AdminError> {
        match self {
            Self::List | Self::Export { name: None, .. } => Ok(get("/api/v1/flags".to_owned())),
            Self::Get { name } | Self::Export { name: Some(name), .. } => {
                Ok(get(flag_target(&name)))
            }
            Self::History { name, limit } => {
                Ok(get(format!("{}/history?limit={limit}", flag_target(&name))))
            }
            Self::Set { name, percent, change, .. } => {
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
            Self::Force { name, change } => {
                change.call(Method::POST, flag_target(&name) + "/force", json!({}))
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
