//! The command line: what can be asked for, and who answers.

mod admin;
mod check;
mod client;
mod collide;
mod completions;
mod demo;
mod divergence;
mod drain;
mod flag;
mod fleet;
mod health;
mod help;
mod man;
mod output;
#[cfg(test)]
mod tests;
mod text;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::{self, Loaded};

/// The command was done.
const DONE: u8 = 0;
/// The command failed.
const FAILED: u8 = 1;
/// Bad usage, or a configuration that is refused.
const REFUSED: u8 = 2;

/// A rollout sidecar: moves racing update calls from a legacy path to a fixed one, entity by entity.
#[derive(Debug, Parser)]
#[command(name = "interlock", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  interlock demo --once                      see updates get lost, and the fix, in half a minute
  interlock check --config interlock.toml    is the configuration right, and what is in effect?
  interlock run --config interlock.toml      serve
  interlock flag set NAME 25% --reason \"…\"   move a quarter of the entities to the fixed path
  interlock fleet                            who is there, and who has applied what
  interlock divergence list                  which updates were lost, and what else diverged
  interlock collide --concurrency 20 --window 10ms
                                             how many updates such a race loses

`interlock help COMMAND` tells more, with examples, exit codes and the variables that the command reads.";

/// The commands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar: data plane and admin plane
    Run(RunArgs),
    /// Validate the configuration and print what is in effect
    Check(CheckArgs),
    // What it is about, at length, stands at its arguments.
    Demo(demo::DemoArgs),
    /// Read and change the flags of a running sidecar
    Flag(flag::FlagArgs),
    /// Tell which path an entity takes, and why
    Explain(flag::ExplainArgs),
    /// Show the sidecars of the fleet, and who has applied what
    Fleet(fleet::FleetArgs),
    /// Ask a sidecar whether it is well, for probes
    Health(health::HealthArgs),
    /// Tell a sidecar to end in good order, for preStop hooks
    Drain(drain::DrainArgs),
    /// Show what diverged, and how an update was lost
    Divergence(divergence::DivergenceArgs),
    /// Work out how often updates collide, and how many are lost
    Collide(collide::CollideArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a folder
    Man(man::ManArgs),
}

/// The configuration's files, as every command takes them that needs a configuration.
#[derive(Args, Debug)]
struct ConfigArgs {
    /// A configuration file; later ones win over earlier ones, INTERLOCK__… variables over all
    #[arg(long = "config", value_name = "FILE", env = "INTERLOCK_CONFIG")]
    files: Vec<PathBuf>,
}

impl ConfigArgs {
    /// Reads the files and the environment.
    ///
    /// # Errors
    ///
    /// Every problem of the configuration.
    fn load(&self) -> Result<Loaded, config::ConfigProblems> {
        config::load(&self.files, config::variables().into_iter())
    }
}

/// `interlock run`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  interlock run --config interlock.toml
  interlock run --config base.toml --config production.toml
  INTERLOCK__PROXY__LISTEN=0.0.0.0:8081 interlock run --config interlock.toml

SIGTERM, SIGHUP or Ctrl-C drains: readiness goes first, then calls in flight finish within proxy.drain. A second signal ends it at once.
The log goes to stderr, as telemetry.log and telemetry.log_format say.")]
struct RunArgs {
    /// The configuration's files.
    #[command(flatten)]
    config: ConfigArgs,
}

/// `interlock check`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  interlock check --config interlock.toml
  interlock check --config interlock.toml --output json

Prints the configuration in effect as TOML, defaults included and secrets masked, and warnings on stderr.
Where it is refused every problem is listed on stderr: file, key, what is wrong and what is allowed. With --output json
the answer is one object on stdout in both cases. Nothing is started, and no store is asked.")]
struct CheckArgs {
    /// The configuration's files.
    #[command(flatten)]
    config: ConfigArgs,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
}

/// `--output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    #[default]
    Text,
    /// JSON, for scripts
    Json,
}

/// Reads the arguments (the program's name first) and does what they ask for. `run` serves until it is told to stop.
pub fn dispatch<A, R>(args: A, run: R) -> ExitCode
where
    A: IntoIterator<Item = OsString>,
    R: FnOnce(Loaded) -> ExitCode,
{
    let matches = help::command().try_get_matches_from(args);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        // Help and the version come this way too, with an exit code of 0.
        Err(answer) => return output::usage(&answer),
    };
    match cli.command {
        Command::Run(args) => match args.config.load() {
            Ok(loaded) => run(loaded),
            Err(problems) => output::refused(&problems),
        },
        Command::Check(args) => check::check(&args),
        Command::Demo(args) => wait_for(demo::run(args)),
        Command::Flag(args) => wait_for(flag::run(args)),
        Command::Explain(args) => wait_for(flag::explain(args)),
        Command::Fleet(args) => wait_for(fleet::run(args)),
        Command::Health(args) => wait_for(health::run(args)),
        Command::Drain(args) => wait_for(drain::run(args)),
        Command::Divergence(args) => wait_for(divergence::run(args)),
        Command::Collide(args) => collide::run(args),
        Command::Completions(args) => completions::print(&args),
        Command::Man(args) => man::write(&args),
    }
}

/// Runs what a command does over the network, on this thread.
fn wait_for(command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(command);
            // A look-up of a name that nobody answers must not hold up the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => output::failed(error),
    }
}
