//! The rig's own processes: the upstream and the load, each this program in another role, with pipes to it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::load::{Counts, Traffic};
use crate::process::{Process, ProcessError};

/// Why a role is not played.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("its process failed")]
    Process(#[from] ProcessError),
    #[error("a pipe failed")]
    Io(#[from] std::io::Error),
    #[error("the upstream said {line:?} instead of its address")]
    BadUpstream { line: String },
    #[error("the load failed; its own message stands above")]
    LoadFailed,
}

/// This program in one of its other roles.
fn start(core: usize, args: &[&str]) -> Result<Process, RoleError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(Process::start(Some(core), &command, [Stdio::piped(), Stdio::piped(), Stdio::inherit()])?)
}

fn pipes(process: &mut Process) -> Result<(ChildStdin, BufReader<ChildStdout>), RoleError> {
    let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let stdin = process.child().stdin.take().ok_or_else(closed)?;
    let stdout = process.child().stdout.take().ok_or_else(closed)?;
    Ok((stdin, BufReader::new(stdout)))
}

/// The app behind the proxies.
pub(crate) struct Upstream {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Upstream {
    /// Starts it and learns its address.
    pub(crate) fn start(core: usize) -> Result<Self, RoleError> {
        let mut process = start(core, &["upstream"])?;
        let (_, mut stdout) = pipes(&mut process)?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { address, _process: process }),
            Err(_) => Err(RoleError::BadUpstream { line }),
        }
    }
}

/// A load that is connected to one proxy and rests between its runs.
pub(crate) struct Load {
    _process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Load {
    /// Starts it and lets it connect.
    pub(crate) fn start(
        core: usize,
        target: SocketAddr,
        connections: usize,
        traffic: Traffic,
    ) -> Result<Self, RoleError> {
        let traffic = match traffic {
            Traffic::Updates => "updates",
            Traffic::Unmatched => "unmatched",
        };
        let (target, connections) = (target.to_string(), connections.to_string());
        let mut process = start(core, &["load", &target, &connections, traffic])?;
        let (stdin, stdout) = pipes(&mut process)?;
        Ok(Self { _process: process, stdin, stdout })
    }

    /// Runs for a while. All calls are answered when it returns. The load bounds its own time.
    pub(crate) fn run(&mut self, length: Duration) -> Result<Counts, RoleError> {
        writeln!(self.stdin, "{}", length.as_millis()).map_err(|_| RoleError::LoadFailed)?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Counts::parse(&line).ok_or(RoleError::LoadFailed)
    }
}
