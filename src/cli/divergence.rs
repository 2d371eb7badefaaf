//! `interlock divergence …`: what diverged, and how an update was lost.

mod render;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::domain::divergence::{Cause, RecordId};

use super::admin::failure::{self, AdminError};
use super::admin::{AdminArgs, get, print};

/// Where the records are.
const TARGET: &str = "/api/v1/divergences";

/// The media type of a diagram.
const MERMAID: &str = "text/vnd.mermaid";

/// Shows divergence records.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock divergence list
  interlock divergence list --flag journey-updates --cause lost_update --limit 5
  interlock divergence list --limit 100 --after 1764011519123-0    the page behind this record
  interlock divergence show 1764011519123-0
  interlock divergence show 1764011519123-0 --mermaid > lost.mmd   a sequence diagram
  interlock divergence list --cause body --output json

A record says what differed, where, and which traces to open. One about a lost update has the timeline of its entity: who
read, who wrote, in which order. Values are shown where the flag's configuration reveals them, and redacted elsewhere.
In a fleet the list is that of all sidecars. While the store is gone it is this sidecar's own, and says \"memory\".
With --output json a failure is one object on stdout, {\"error\": …, \"status\": …}, beside the line on stderr.")]
pub(super) struct DivergenceArgs {
    #[command(subcommand)]
    command: DivergenceCommand,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
enum DivergenceCommand {
    /// Show the latest records, a line each
    #[command(after_help = "\
Examples:
  interlock divergence list
  interlock divergence list --flag journey-updates --cause lost_update
  interlock divergence list --limit 100 --after 1764011519123-0")]
    List {
        /// Only those of this flag
        #[arg(long, value_name = "NAME")]
        flag: Option<String>,
        /// Only those with this cause
        #[arg(long, value_parser = PossibleValuesParser::new(Cause::ALL.map(Cause::as_str)))]
        cause: Option<String>,
        /// How many to show, the latest first
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Only those before the record with this id
        #[arg(long, value_name = "ID")]
        after: Option<RecordId>,
    },
    /// Show one record: what differs, and what happened in which order
    #[command(after_help = "\
Examples:
  interlock divergence show 1764011519123-0
  interlock divergence show 1764011519123-0 --output json
  interlock divergence show 1764011519123-0 --mermaid > lost.mmd")]
    Show {
        /// The record's id, as the list has it
        id: RecordId,
        /// Print the timeline as a Mermaid sequence diagram
        #[arg(long)]
        mermaid: bool,
    },
}

/// Runs `interlock divergence …`.
pub(super) async fn run(args: DivergenceArgs) -> ExitCode {
    let format = args.admin.output;
    failure::told(Box::pin(execute(args, &mut io::stdout())).await, format)
}

async fn execute(args: DivergenceArgs, out: &mut impl Write) -> Result<(), AdminError> {
    let DivergenceArgs { command, admin } = args;
    let client = admin.client()?;
    let view: fn(&Value) -> String = match &command {
        DivergenceCommand::List { .. } => render::list,
        DivergenceCommand::Show { mermaid: false, .. } => render::record,
        DivergenceCommand::Show { mermaid: true, .. } => render::diagram,
    };
    let call = get(command.target());
    let answer = match command {
        DivergenceCommand::Show { mermaid: true, .. } => {
            client.text(call, MERMAID).await.map(|text| json!({ "mermaid": text }))
        }
        _ => client.call(call).await,
    };
    match answer {
        Ok(answer) => print(out, admin.output, view, &answer),
        Err(error) => Err(failure::explained(&client, None, error).await),
    }
}

impl DivergenceCommand {
    /// The path and query that it asks for.
    fn target(&self) -> String {
        match self {
            Self::Show { id, .. } => format!("{TARGET}/{id}"),
            Self::List { flag, cause, limit, after } => {
                let after = after.map(|id| id.to_string());
                let filters = [("flag", flag), ("cause", cause), ("after", &after)];
                let mut target = format!("{TARGET}?limit={limit}");
                for (key, value) in filters {
                    if let Some(value) = value {
                        let value = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
                        target.extend(["&", key, "=", &value]);
                    }
                }
                target
            }
        }
    }
}
