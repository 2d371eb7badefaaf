//! How a bench ends.

use std::error::Error;
use std::process::ExitCode;

/// The bench's exit code; where it failed, the error stream has why.
pub(crate) fn exit_code(bench: &str, result: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{bench}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("{bench}: because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
