//! `interlock drain`: tells the sidecar in the same container to end, for a preStop hook in an image without a shell.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{DONE, output};

/// The longest wait: no pod's end takes longer.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// A sidecar that has just begun hears signals within milliseconds.
const LISTENS_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The program that a sidecar is.
const PROGRAM: &str = "interlock";
/// And what it was told to do.
const COMMAND: &str = "run";

/// Tells a sidecar to end in good order.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock drain                 at once
  interlock drain --after 5s      when callers have had 5 s to hear that they should go elsewhere
  interlock drain --pid 4711      another process than the first one of the container

For a preStop hook beside an app that goes on meanwhile: sends SIGTERM to the process, once it is seen to be
`interlock run`, and returns without waiting for its end. Calls in flight finish within proxy.drain.")]
pub(super) struct DrainArgs {
    /// How long to wait first, up to 10m
    #[arg(long, value_name = "TIME", value_parser = wait, default_value = "0s")]
    after: Duration,
    /// The sidecar's process
    #[arg(long, value_name = "PID", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
}

/// Why a text is no time to wait.
#[derive(Debug, thiserror::Error)]
enum WaitError {
    /// Not a duration.
    #[error("{0}; write a duration such as 5s")]
    NotADuration(#[from] humantime::DurationError),
    /// Longer than any pod's end.
    #[error("longer than {} s", MAX_WAIT.as_secs())]
    TooLong,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    /// There is none, or nobody may look at it.
    #[error("can't look at process {pid}: {source}; name the sidecar's with --pid")]
    NoProcess {
        /// Which one.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
    /// Another program, which must not be stopped.
    #[error("process {pid} is not `{PROGRAM} {COMMAND}`; name the sidecar's with --pid")]
    NotASidecar {
        /// Which one.
        pid: i32,
    },
    /// It has not come as far as to hear signals.
    #[error("process {pid} does not listen for SIGTERM within {} s of being asked: it would be lost", LISTENS_WITHIN.as_secs())]
    Deaf {
        /// Which one.
        pid: i32,
    },
    /// The signal was not taken.
    #[error("can't send SIGTERM to process {pid}: {source}; is this the same user?")]
    NotSent {
        /// To which one.
        pid: i32,
        /// What the system said.
        source: io::Error,
    },
}

fn wait(text: &str) -> Result<Duration, WaitError> {
    let wait = humantime::parse_duration(text)?;
    if wait > MAX_WAIT { Err(WaitError::TooLong) } else { Ok(wait) }
}

/// Runs `interlock drain`.
pub(super) async fn run(args: DrainArgs) -> ExitCode {
    match drain(&args).await {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => output::failed(error),
    }
}

async fn drain(args: &DrainArgs) -> Result<(), DrainError> {
    let pid = args.pid;
    // Ahead of the wait: a hook that can't work should say so at once.
    check(pid)?;
    tokio::time::sleep(args.after).await;
    check(pid)?;
    wait_until_it_listens(pid).await?;
    let process = Pid::from_raw(pid).ok_or(DrainError::NotASidecar { pid })?;
    kill_process(process, Signal::TERM)
        .map_err(|source| DrainError::NotSent { pid, source: source.into() })
}

/// The first process of a container is sent no signal that it has not asked for: one that comes as it starts would be lost.
async fn wait_until_it_listens(pid: i32) -> Result<(), DrainError> {
    let listens = async {
        while !catches_sigterm(pid)? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    tokio::time::timeout(LISTENS_WITHIN, listens).await.unwrap_or(Err(DrainError::Deaf { pid }))
}

/// By its line `SigCgt:` of proc(5), a mask with a bit for each signal.
fn catches_sigterm(pid: i32) -> Result<bool, DrainError> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|source| DrainError::NoProcess { pid, source })?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    Ok(mask.is_some_and(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) != 0))
}

/// Whether a process is a sidecar.
fn check(pid: i32) -> Result<(), DrainError> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline"))
        .map_err(|source| DrainError::NoProcess { pid, source })?;
    if is_sidecar(&line) { Ok(()) } else { Err(DrainError::NotASidecar { pid }) }
}

/// Whether this is a sidecar's command line, as `/proc` has it: words that each end with a zero byte.
fn is_sidecar(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next().map(OsStr::from_bytes).and_then(|path| Path::new(path).file_name());
    program == Some(OsStr::new(PROGRAM)) && words.next() == Some(COMMAND.as_bytes())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: DrainArgs,
    }

    fn parse(words: &str) -> Result<DrainArgs, clap::Error> {
        let words = std::iter::once("drain").chain(words.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    #[test]
    fn the_first_process_at_once_unless_told_otherwise() {
        let args = parse("").unwrap();

        assert_eq!((args.pid, args.after), (1, Duration::ZERO));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let check = |words: &str| assert!(parse(words).is_err(), "{words}");

        check("--after 5");
        check("--after 11m");
        check("--pid 0");
        check("--pid -1");
        check("--pid sidecar");
    }

    #[test]
    fn only_a_running_sidecar_is_one() {
        let check =
            |line: &str, is_it: bool| assert_eq!(is_sidecar(line.as_bytes()), is_it, "{line:?}");

        check("/interlock\0run\0--config\0a.toml\0", true);
        check("interlock\0run\0", true);
        check("/interlock\0demo\0--serve\0", false);
        check("/interlock\0drain\0run\0", false);
        check("/pause\0", false);
        check("/bin/interlock-run\0run\0", false);
        check("", false);
    }

    #[tokio::test]
    async fn another_program_is_left_alone() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let args = parse(&format!("--pid {pid}")).unwrap();

        let error = drain(&args).await.unwrap_err();

        assert!(matches!(error, DrainError::NotASidecar { .. }), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_hears_no_signal_yet_is_waited_for_and_not_for_ever() {
        use tokio::signal::unix::{SignalKind, signal};
        let pid = i32::try_from(std::process::id()).unwrap();

        let deaf = wait_until_it_listens(pid).await.unwrap_err();
        let _handler = signal(SignalKind::terminate()).unwrap();

        assert!(matches!(deaf, DrainError::Deaf { .. }), "{deaf}");
        wait_until_it_listens(pid).await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_is_not_there_is_said_at_once() {
        // More than Linux ever gives.
        let args = parse("--pid 2000000000 --after 10m").unwrap();

        let error = drain(&args).await.unwrap_err();

        assert!(matches!(error, DrainError::NoProcess { .. }), "{error}");
    }
}
