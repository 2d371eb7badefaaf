//! Writing to the terminal. A reader that has gone away, as in `interlock check | head -1`, is a failure and no panic.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::{FAILED, REFUSED};
use crate::config::ConfigProblems;

/// Writes to stdout; the exit code is `code`, or [`FAILED`] when nobody could read it.
pub(super) fn stdout(text: &str, code: u8) -> ExitCode {
    written(io::stdout().lock().write_all(text.as_bytes()), code)
}

/// Writes a line to stderr; the exit code is `code`, or [`FAILED`] when nobody could read it.
pub(super) fn stderr(line: impl Display, code: u8) -> ExitCode {
    written(writeln!(io::stderr().lock(), "{line}"), code)
}

fn written(result: io::Result<()>, code: u8) -> ExitCode {
    ExitCode::from(if result.is_ok() { code } else { FAILED })
}

/// Says everything that is wrong with the configuration.
pub(super) fn refused(problems: &ConfigProblems) -> ExitCode {
    stderr(problems, REFUSED)
}

/// Says why the command failed.
pub(super) fn failed(error: impl Display) -> ExitCode {
    stderr(format_args!("interlock: {error}"), FAILED)
}

/// Prints what clap has to say: help, the version, or what is wrong with the arguments.
pub(super) fn usage(answer: &clap::Error) -> ExitCode {
    let code = u8::try_from(answer.exit_code()).unwrap_or(REFUSED);
    written(answer.print(), code)
}
