//! The command line with its whole help: what its commands tell of themselves, and below it what all tell in the same
//! words, their exit codes and the variables that they read.

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const EXITS: &str = "\
Exit codes:
  0  done
  1  failed
  2  bad usage, or a configuration that is refused";

const EXITS_OF_RUN: &str = "\
Exit codes:
  0  it was told to stop, and has drained
  1  it could not start, a thread of its own died, or a second signal came while it drained
  2  bad usage, or a configuration that is refused";

const EXITS_OF_CHECK: &str = "\
Exit codes:
  0  the configuration is right; there may be warnings
  1  it is right, and could not be printed
  2  bad usage, or a configuration that is refused";

const EXITS_OF_DEMO: &str = "\
Exit codes:
  0  done; with --once: it proved its point
  1  failed, cut short, or with --once not proved
  2  bad usage";

const EXITS_OF_CLIENTS: &str = "\
Exit codes:
  0  done
  1  the admin plane can't be reached, or refused
  2  bad usage: an argument, a change without a reason, a token file that can't be used";

const EXITS_OF_HEALTH: &str = "\
Exit codes:
  0  yes
  1  no, or no answer within 2 s
  2  bad usage";

const EXITS_OF_DRAIN: &str = "\
Exit codes:
  0  the signal was sent
  1  it was not
  2  bad usage";

const EXITS_OF_COLLIDE: &str = "\
Exit codes:
  0  done
  1  the answer could not be printed
  2  bad usage";

const EXITS_OF_WRITERS: &str = "\
Exit codes:
  0  written
  1  could not be written
  2  bad usage";

/// Whoever reads a configuration reads these.
const VARIABLES_OF_CONFIGURATION: &[(&str, &str)] = &[
    (
        "INTERLOCK__…",
        "a key of the configuration, over all files, such as INTERLOCK__PROXY__LISTEN",
    ),
    ("OTEL_…", "the standard variables of OpenTelemetry, over [telemetry]"),
];

/// The commands, with all of their help.
pub(super) fn command() -> Command {
    let commands = Cli::command().mut_subcommands(|command| {
        let exits = exits(command.get_name());
        taught(command, exits, &[])
    });
    with_section(commands, EXITS)
}

/// The exit codes of a command of the first level; `None` for one that tells of them by itself.
fn exits(name: &str) -> Option<&'static str> {
    match name {
        "run" => Some(EXITS_OF_RUN),
        "check" => Some(EXITS_OF_CHECK),
        "demo" => Some(EXITS_OF_DEMO),
        "flag" | "explain" | "fleet" | "divergence" => Some(EXITS_OF_CLIENTS),
        "health" => Some(EXITS_OF_HEALTH),
        "drain" => Some(EXITS_OF_DRAIN),
        "collide" => Some(EXITS_OF_COLLIDE),
        "completions" | "man" => Some(EXITS_OF_WRITERS),
        _ => None,
    }
}

/// A command and those below it, which take its global options over, and with them their variables.
fn taught(command: Command, exits: Option<&str>, inherited: &[(String, String)]) -> Command {
    let mut variables = inherited.to_vec();
    variables.extend(command.get_arguments().filter_map(variable));
    let global = command.get_arguments().filter(|option| option.is_global_set());
    let mut handed_down = inherited.to_vec();
    handed_down.extend(global.filter_map(variable));
    if command.get_arguments().any(|option| option.get_long() == Some("config")) {
        let more = VARIABLES_OF_CONFIGURATION.iter();
        variables.extend(more.map(|(name, what)| ((*name).to_owned(), (*what).to_owned())));
    }
    let mut command = command.mut_subcommands(|below| taught(below, exits, &handed_down));
    if let Some(exits) = exits {
        command = with_section(command, exits);
    }
    if variables.is_empty() { command } else { with_section(command, &environment(&variables)) }
}

/// The variable that stands in for an option, and what it does.
fn variable(option: &Arg) -> Option<(String, String)> {
    let name = option.get_env()?.to_str()?.to_owned();
    let long = option.get_long().unwrap_or_else(|| option.get_id().as_str());
    Some((name, format!("stands in for --{long}, which wins over it")))
}

fn environment(variables: &[(String, String)]) -> String {
    let width = variables.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, what): &(String, String)| format!("\n  {name:width$}  {what}");
    "Environment:".to_owned() + &variables.iter().map(line).collect::<String>()
}

fn with_section(command: Command, section: &str) -> Command {
    let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let paragraphs = told.split("\n\n").filter(|paragraph| !paragraph.is_empty()).map(flowing);
    let paragraphs: Vec<String> = paragraphs.chain([section.to_owned()]).collect();
    command.after_help(paragraphs.join("\n\n"))
}

/// Prose in one line, for a terminal breaks it where it ends; a section stays as it is.
fn flowing(paragraph: &str) -> String {
    let separator = if heading(paragraph).is_some() { "\n" } else { " " };
    paragraph.lines().collect::<Vec<_>>().join(separator)
}

/// The heading of a section, which is indented lines below a line such as `Examples:`.
pub(super) fn heading(paragraph: &str) -> Option<&str> {
    let (first, rest) = paragraph.split_once('\n')?;
    let heading = first.strip_suffix(':')?;
    rest.lines().all(|line| line.starts_with("  ")).then_some(heading)
}

#[cfg(test)]
mod tests;
