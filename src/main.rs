//! The `interlock` binary: arguments in, exit code out.

use std::process::ExitCode;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    interlock::cli::dispatch(std::env::args_os(), interlock::app::serve)
}
